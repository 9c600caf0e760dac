"""The atlas in real headless Chromium: `python tests/browser/check_atlas.py [PAGE.html [SHOTS]]`.

Without a page, writes that of a small network whose names are markup. Needs Debian's chromium and
chromium-driver, and selenium. Ends with 1 at the first claim that fails. SHOTS: a folder for
screenshots.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
EVIL = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"
passed = 0


def claim(text, holds):
    """Counts a claim; the first that fails ends the run."""
    global passed
    if not holds:
        print(f"failed: {text}\n{passed} passed, 1 failed")  # noqa: T201
        sys.exit(1)
    passed += 1


def browser(dark=False):
    """Headless Chromium that prefers dark or light."""
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage",
                     *["--no-sandbox"] * (os.geteuid() == 0)):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
    return chrome


def size(chrome, width, height):
    """The size of the page itself, phones too: a window is never as narrow."""
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})


def press(chrome, *keys):
    """Keys to whatever has the focus."""
    for key in keys:
        chrome.switch_to.active_element.send_keys(key)


def open_panels(chrome):
    """Numbers of the views that show."""
    return [k for k in range(1, 5) if chrome.find_element(By.ID, f"panel{k}").is_displayed()]


def small_page(folder):
    """The atlas of an untrained network of one sigmoid output, with markup for names."""
    sys.path.insert(0, str(ROOT))
    import minicnn as mc
    from minicnn.report.atlas import write_atlas

    model = mc.SmallCNN(10)
    model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=[EVIL, "sneaker"])
    data = mc.data.sample("test", ["sandal", "sneaker"], 6)
    data.names = [EVIL + str(i) for i in range(len(data))]
    return write_atlas(folder / "atlas.html", model, data, maps=3)


def check_loading(chrome, page):
    """No error, no script of a name, nothing from elsewhere, every picture decoded."""
    chrome.get(page.resolve().as_uri())
    severe = [e["message"] for e in chrome.get_log("browser")]
    claim(f"the console is empty, not {severe}", severe == [])
    claim("no name has become a script", chrome.execute_script("return window.bad") is None)
    claim("no name has become an element", not chrome.find_elements(By.CSS_SELECTOR, "[onerror]"))
    claim("the title names the model", chrome.title.startswith("What the layers see: "))
    requests = chrome.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => !name.startsWith('data:'))")
    claim(f"nothing is loaded from elsewhere, not {requests}", requests == [])
    broken = chrome.execute_async_script(
        "const done = arguments[0]; Promise.allSettled([...document.images].map(i => i.decode()))"
        ".then(all => done([all.length, all.filter(one => one.status !== 'fulfilled').length]))")
    claim(f"pictures are there and decode: {broken}", broken[0] > 0 and broken[1] == 0)


def check_tabs(chrome):
    """Clicks, digits and arrows; one tab stop; the roles."""
    tabs = chrome.find_elements(By.CSS_SELECTOR, "[role=tab]")
    claim("there are four tabs", len(tabs) == 4)
    claim("the first view shows", open_panels(chrome) == [1])
    for k, tab in enumerate(tabs, 1):
        tab.click()
        claim(f"a click on tab {k} shows its view alone", open_panels(chrome) == [k])
    for k in (1, 3, 2, 4):
        press(chrome, str(k))
        claim(f"the key {k} shows view {k}", open_panels(chrome) == [k])
        claim(f"tab {k} alone is selected and in the order of Tab",
              [(t.get_attribute("aria-selected"), t.get_attribute("tabindex")) for t in tabs]
              == [("true", "0") if i == k else ("false", "-1") for i in range(1, 5)])
    for key, k in ((Keys.ARROW_RIGHT, 1), (Keys.ARROW_LEFT, 4), (Keys.HOME, 1), (Keys.END, 4)):
        press(chrome, key)
        claim(f"a key moves to tab {k}", open_panels(chrome) == [k])
    claim("the focus is seen", chrome.execute_script(
        "return getComputedStyle(document.activeElement).outlineStyle") == "solid")
    for k, tab in enumerate(tabs, 1):
        panel = chrome.find_element(By.ID, tab.get_attribute("aria-controls"))
        claim(f"view {k} is the panel of its tab", panel.get_attribute("role") == "tabpanel"
              and panel.get_attribute("aria-labelledby") == tab.get_attribute("id"))


def check_dialog(chrome):
    """Opens by click and by Enter, moves, wraps, closes, gives the focus back."""
    press(chrome, "1")
    maps, dialog = chrome.find_elements(By.CSS_SELECTOR, ".map"), chrome.find_element(By.ID,
                                                                                     "dialog")

    def title():
        return chrome.find_element(By.ID, "dialog-title").text

    claim("there are maps", len(maps) > 1)
    maps[0].click()
    claim("a click enlarges the map", dialog.is_displayed() and f"(1 of {len(maps)})" in title())
    text = dialog.text
    claim("the dialog has the numbers", all(word in text for word in (
        "Receptive field", "activation", "place: row", "pixels: rows")))
    press(chrome, Keys.ARROW_RIGHT)
    claim("→ shows the next map", f"(2 of {len(maps)})" in title())
    press(chrome, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    claim("← goes round to the last", f"({len(maps)} of {len(maps)})" in title())
    press(chrome, "3")
    claim("digits do nothing behind the dialog", open_panels(chrome) == [1])
    chrome.find_element(By.ID, "next").click()
    claim("the button goes round to the first", f"(1 of {len(maps)})" in title())
    press(chrome, Keys.ESCAPE)
    claim("Escape closes", not dialog.is_displayed())
    claim("the focus is on the map again", chrome.switch_to.active_element == maps[0])
    press(chrome, Keys.ENTER)
    claim("Enter enlarges", dialog.is_displayed())
    chrome.find_element(By.ID, "close").click()
    claim("the button closes", not dialog.is_displayed())


def brightness(chrome):
    """Mean of the background's red, green and blue."""
    found = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
    return np.mean([int(part) for part in found[found.index("(") + 1:-1].split(",")[:3]])


def check_theme(chrome, dark):
    """As the machine prefers; the button turns it, and turns it back."""
    claim(f"dark is {dark}, as preferred", (brightness(chrome) < 80) == dark)
    button = chrome.find_element(By.ID, "theme")
    button.click()
    claim("the button turns it", (brightness(chrome) < 80) != dark)
    button.click()
    claim("and back", (brightness(chrome) < 80) == dark)


def check_widths(chrome, shots, name):
    """No view is wider than a phone, a projector or a large screen."""
    for width, height in ((390, 844), (1280, 720), (1920, 1080)):
        size(chrome, width, height)
        for k in range(1, 5):
            press(chrome, str(k))
            wide = chrome.execute_script("return document.documentElement.scrollWidth")
            claim(f"view {k} fits {width} pixels: {wide}", wide <= width)
            if shots:
                chrome.save_screenshot(f"{shots}/{name}-{width}-view{k}.png")
        press(chrome, "1")
        chrome.find_elements(By.CSS_SELECTOR, ".map")[-1].click()
        claim(f"the dialog fits {width} pixels", chrome.execute_script(
            "const d = document.getElementById('dialog'), box = d.getBoundingClientRect();"
            "return box.left >= 0 && box.right <= innerWidth && d.scrollWidth <= d.clientWidth"))
        if shots:
            chrome.save_screenshot(f"{shots}/{name}-{width}-dialog.png")
        press(chrome, Keys.ESCAPE)


def main(arguments):
    """Checks a page in light and in dark."""
    shots = arguments[1] if len(arguments) > 1 else None
    with tempfile.TemporaryDirectory() as folder:
        page = Path(arguments[0]) if arguments else small_page(Path(folder))
        for dark in (False, True):
            chrome = browser(dark)
            try:
                size(chrome, 1280, 720)
                check_loading(chrome, page)
                check_tabs(chrome)
                check_dialog(chrome)
                check_theme(chrome, dark)
                check_widths(chrome, shots, "dark" if dark else "light")
                errors = [e["message"] for e in chrome.get_log("browser")]
                claim(f"the console is still empty, not {errors}", errors == [])
            finally:
                chrome.quit()
    print(f"{passed} passed, 0 failed")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
