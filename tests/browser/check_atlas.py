"""The atlas in real headless Chromium: `python tests/browser/check_atlas.py [PAGE.html [SHOTS]]`.

Without a page, writes that of a small network whose names are markup. Needs Debian's chromium and
chromium-driver, and selenium. Ends with 1 at the first claim that fails. SHOTS: a folder for
screenshots.
"""

import sys
import tempfile
from pathlib import Path

from chromium import EVIL, browser, check_pages, claim, press, size
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


def open_panels(chrome):
    """Numbers of the views that show."""
    return [k for k in range(1, 5) if chrome.find_element(By.ID, f"panel{k}").is_displayed()]


def small_page(folder):
    """The atlas of an untrained network of one sigmoid output, with markup for names."""
    import minicnn as mc
    from minicnn.report.atlas import write_atlas

    model = mc.SmallCNN(10)
    model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=[EVIL, "sneaker"])
    data = mc.data.sample("fashion", "test", ["sandal", "sneaker"], 7)
    data.names = [EVIL + str(i) for i in range(len(data))]
    return write_atlas(folder / "atlas.html", model, data, maps=3)


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
        "Receptive field", "activation", "position of the map: row", "pixels: rows")))
    sizes = chrome.execute_script("""
        return ['.whole', '.patch', '.projection'].map(name =>
          document.querySelector('#enlarged ' + name).getBoundingClientRect().width)""")
    claim(f"photo, patch and projection are 250 pixels wide, not {sizes}",
          all(abs(width - 250) < 1 for width in sizes))
    claim("the whole photo is drawn, with an orange frame", chrome.execute_script("""
        const frame = document.querySelector('#enlarged .frame');
        return frame.getBoundingClientRect().width > 0 &&
          getComputedStyle(frame).stroke === 'rgb(213, 94, 0)'"""))
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
    claim("every map has its patches again", chrome.execute_script(
        "return [...document.querySelectorAll('.map')].every(map => map.querySelector('.nine'))"))


def check_photos(chrome):
    """The strip of photos chooses the photo of both views."""
    press(chrome, "2")
    buttons = chrome.find_elements(By.CSS_SELECTOR, "#panel2 .strip button")
    claim("there are twelve photos to choose from", len(buttons) == 12)
    buttons[5].click()
    for view in (2, 3):
        press(chrome, str(view))
        parts = chrome.find_elements(By.CSS_SELECTOR, f"#panel{view} .photo-part")
        claim(f"view {view} shows the chosen photo alone",
              [k for k, part in enumerate(parts) if part.is_displayed()] == [5])
    image = chrome.find_elements(By.CSS_SELECTOR, "#panel3 .photo img")[5]
    claim("view 3 shows the photo", image.is_displayed() and image.size["width"] > 200)
    claim("the answer is there with its percentage", "%" in chrome.find_element(
        By.ID, "panel3").text)


def check_boxes(chrome):
    """A box of the network leads to the maps of its layer."""
    press(chrome, "4")
    links = chrome.find_elements(By.CSS_SELECTOR, ".boxes a")
    claim("boxes of layers with maps are links", len(links) == 2)
    links[1].click()
    claim("a click shows the first view", open_panels(chrome) == [1])
    top = chrome.execute_script(
        "return document.getElementById('layer-conv2d_1').getBoundingClientRect().top")
    claim(f"at the layer: {top}", 0 <= top < 200)


def check_without_script(page, shots):
    """Every view and every picture shows without JavaScript."""
    chrome = browser()
    try:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        size(chrome, 1600, 900)
        chrome.get(page.resolve().as_uri())
        claim("all four views show", open_panels(chrome) == [1, 2, 3, 4])
        whole = chrome.find_element(By.CSS_SELECTOR, ".whole")
        claim("whole photos show", whole.is_displayed() and whole.size["width"] > 120)
        claim("numbers show", "position of the map: row" in chrome.find_element(
            By.ID, "panel1").text)
        if shots:
            chrome.save_screenshot(f"{shots}/atlas-without-script.png")
    finally:
        chrome.quit()


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


def check(chrome, shots, name):
    """All of it, in light or in dark."""
    claim("the title names the model", chrome.title.startswith("What the layers see: "))
    check_tabs(chrome)
    check_dialog(chrome)
    check_photos(chrome)
    check_boxes(chrome)
    check_widths(chrome, shots, name)


def main(arguments):
    """Checks a page in light and in dark."""
    shots = arguments[1] if len(arguments) > 1 else None
    pages = (lambda folder: Path(arguments[0])) if arguments else small_page
    with tempfile.TemporaryDirectory() as folder:
        check_without_script(pages(Path(folder)), shots)
    check_pages({"atlas": (pages, check)}, shots)


if __name__ == "__main__":
    main(sys.argv[1:])
