"""Headless Chromium for the checks of pages, and the claims that hold for each of them.

Needs Debian's chromium and chromium-driver, and selenium.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.common.by import By

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
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


def check_loading(chrome, page):
    """No error, no script of a name, nothing from elsewhere, every picture decoded."""
    chrome.get(page.resolve().as_uri())
    severe = [e["message"] for e in chrome.get_log("browser")]
    claim(f"the console is empty, not {severe}", severe == [])
    claim("no name has become a script", chrome.execute_script("return window.bad") is None)
    claim("no name has become an element", not chrome.find_elements(By.CSS_SELECTOR, "[onerror]"))
    requests = chrome.execute_script(
        "return performance.getEntriesByType('resource').map(e => e.name)"
        ".filter(name => !name.startsWith('data:'))")
    claim(f"nothing is loaded from elsewhere, not {requests}", requests == [])
    broken = chrome.execute_async_script(
        "const done = arguments[0]; Promise.allSettled([...document.images].map(i => i.decode()))"
        ".then(all => done([all.length, all.filter(one => one.status !== 'fulfilled').length]))")
    claim(f"pictures are there and decode: {broken}", broken[0] > 0 and broken[1] == 0)


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


def check_fonts(chrome, least=15.99):
    """On a projector no word is smaller than `least` pixels; 16 are 12 points."""
    small = chrome.execute_script("""
        const seen = new Set(), walker = document.createTreeWalker(document.body, 4);
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
          const parent = node.parentElement, box = parent.getBoundingClientRect();
          if (!node.data.trim() || !box.width || parent.closest("script, style")) continue;
          const svg = parent.closest("svg");
          const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
          if (scale * parseFloat(getComputedStyle(parent).fontSize) < arguments[0])
            seen.add(parent.className + ": " + node.data.trim().slice(0, 40));
        }
        return [...seen];""", least)
    claim(f"every font has {least} pixels, not {small}", small == [])


def check_contrast(chrome, selector):
    """Words on a ground of their own have a contrast of 4.5 at least (WCAG 2.1, 1.4.3)."""
    low = chrome.execute_script("""
        const canvas = document.createElement("canvas").getContext("2d",
          {willReadFrequently: true});
        const luminance = colour => {
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 1, 1);
          const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        return [...document.querySelectorAll(arguments[0])].map(element => {
          const style = getComputedStyle(element);
          const pair = [luminance(style.color), luminance(style.backgroundColor)].sort();
          return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        }).filter(ratio => ratio < 4.5);""", selector)
    claim(f"{selector} can be read on its ground, not {low}", low == [])


def check_without_script(page, words, pictures):
    """Numbers and pictures are there without JavaScript, and nothing that needs it."""
    chrome = browser()
    try:
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        size(chrome, 1600, 900)
        chrome.get(page.resolve().as_uri())
        text = chrome.find_element(By.TAG_NAME, "body").text
        claim(f"without a script, {words} are there", all(word in text for word in words))
        shown = [i for i in chrome.find_elements(By.TAG_NAME, "img") if i.is_displayed()]
        claim(f"without a script, {len(shown)} pictures", len(shown) >= pictures)
        claim("nothing that needs a script shows", not any(
            e.is_displayed() for e in chrome.find_elements(By.CSS_SELECTOR, ".needs-script")))
    finally:
        chrome.quit()


def check_width(chrome, what):
    """Nothing is wider than the page."""
    wide, width = chrome.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    claim(f"{what} fits {width} pixels: {wide}", wide <= width)


def check_pages(pages, shots=None):
    """{name: (folder -> page, check(chrome, shots, name))}, each in light and in dark."""
    with tempfile.TemporaryDirectory() as folder:
        for title, (make, check) in pages.items():
            page = make(Path(folder))
            for dark in (False, True):
                chrome = browser(dark)
                try:
                    size(chrome, 1600, 900)
                    check_loading(chrome, page)
                    check_theme(chrome, dark)
                    check_fonts(chrome)
                    check(chrome, shots, f"{title}-{'dark' if dark else 'light'}")
                    errors = [e["message"] for e in chrome.get_log("browser")]
                    claim(f"the console is still empty, not {errors}", errors == [])
                finally:
                    chrome.quit()
    print(f"{passed} passed, 0 failed")  # noqa: T201
