"""The pages of `minicnn train` and `minicnn data` in real headless Chromium:
`python tests/browser/check_reports.py [SHOTS [PAGE.html …]]`.

Writes pages whose names are markup, of two classes and of many, and asks them for what Python has
counted. Ends with 1 at the first claim that fails. SHOTS: a folder for screenshots, in which those
of other pages are made, too.
"""

import base64
import re
import sys
import urllib.parse
from pathlib import Path

import numpy as np
from chromium import (
    EVIL,
    check_contrast,
    check_fonts,
    check_pages,
    check_width,
    check_without_script,
    claim,
    size,
)
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import minicnn as mc
from minicnn.data import ImageFolder, near_duplicates, perceptual_hashes, read_image
from minicnn.data.listing import OtherFile
from minicnn.evaluation import Evaluation, choose_threshold, roc_curve
from minicnn.report import scores_of, write_run_page
from minicnn.report.folder_findings import findings
from minicnn.report.folder_page import write_folder_page
from minicnn.report.photos import first_batch
from minicnn.training import TransferConfig
from minicnn.utils.language import use_language

TWO = ["sandal", EVIL]


def evaluation(classes, of_each):
    """Photos of these built-in classes, and probabilities of a network that is often wrong."""
    data = mc.data.sample("fashion", "test", classes, of_each)
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(len(data), len(classes)))
    scores[np.arange(len(data)), data.labels] += 1.3
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return data, Evaluation(p, data.labels, data.classes)


def two_classes(folder):
    """A run's page: markup for the names of a class, of photos, of a note, of a file."""
    data, _ = evaluation(["sandal", "sneaker"], 20)
    data.classes, data.names = TWO, [f"{i} {EVIL}" for i in range(len(data))]
    result = two_classes.result = Evaluation(evaluation(["sandal", "sneaker"], 20)[1].probabilities,
                                             data.labels, TWO)
    model = mc.SmallCNN(10)
    model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=TWO)
    history = {key: np.linspace(start, end, 12) for key, start, end in (
        ("loss", 0.7, 0.1), ("accuracy", 0.5, 1), ("val_loss", 0.7, 0.4),
        ("val_accuracy", 0.5, 0.8))}
    (folder / "two").mkdir()
    write_run_page(folder / "two", result, data, scores_of(result), model=model, photos_name="test",
                   rows={"VGG16, new head": result, "from scratch": result}, notes=[EVIL],
                   skipped=[EVIL] * 11, history=history, validation_name="test",
                   scratch_history={key: values[:8] for key, values in history.items()},
                   parts={"train": data, "test": data},
                   first_batch=first_batch(model, data, TransferConfig()),
                   options={"seed": 0, "folder": EVIL, "lr": None})
    return folder / "two" / "report.html"


def french(folder):
    """A run's page in French, with the longest words beside its curves."""
    data, result = evaluation(["sandal", "sneaker"], 20)
    history = {key: np.linspace(start, end, 12) for key, start, end in (
        ("loss", 0.7, 0.001), ("accuracy", 0.5, 1), ("held_out_loss", 0.7, 0.4),
        ("held_out_accuracy", 0.5, 0.933))}
    (folder / "french").mkdir()
    with use_language("fr"):
        write_run_page(folder / "french", result, data, scores_of(result), model=mc.SmallCNN(10),
                       photos_name="held-out", history=history, scratch_history=history,
                       rows={"VGG16, nouvelle tête": result,
                             "petit réseau à partir de zéro": result},
                       options={"seed": 0}, explained=False)
    return folder / "french" / "report.html"


def thresholded(folder):
    """The page of an evaluation with a threshold close to 1."""
    data, result = evaluation(["sandal", "sneaker"], 30)
    thresholded.named, result.predicted = result.accuracy, (
        result.probabilities[:, 1] >= 0.9995).astype(int)
    thresholded.result = result
    (folder / "threshold").mkdir()
    write_run_page(folder / "threshold", result, data, scores_of(result, 0.9995),
                   model=mc.SmallCNN(10), rows={"SmallCNN": result}, options={"model": "m.h5"},
                   explained=False)
    return folder / "threshold" / "report.html"


def ten_classes(folder):
    """The page of an evaluation: ten classes, no training."""
    data, result = evaluation(["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt",
                               "sneaker", "bag", "ankle boot"], 12)
    ten_classes.result = result
    (folder / "ten").mkdir()
    write_run_page(folder / "ten", result, data, scores_of(result), model=mc.SmallCNN(10),
                   rows={"SmallCNN": result}, options={"model": "m.h5"})
    return folder / "ten" / "report.html"


def folder_page(folder):
    """The page of a folder with copies, tiny, damaged and uneven photos."""
    cat = read_image(mc.data.photos()["chelsea"])
    for name, count in (("cats", 16), ("<img src=x onerror='window.bad = 1'>", 4)):
        (folder / "photos" / name).mkdir(parents=True)
        for k in range(count):
            part = cat[15 * k:15 * k + 90 - 8 * (k % 5), 20 * k:20 * k + 120]
            Image.fromarray(part).save(folder / "photos" / name / f"{k}.png")
    first = folder / "photos" / "cats" / "0.png"
    (first.parent / "copy.png").write_bytes(first.read_bytes())
    whole = (first.parent / "1.png").read_bytes()
    (first.parent / "1.png").write_bytes(whole[:len(whole) // 2])
    data = ImageFolder(folder / "photos")
    found = perceptual_hashes(data)
    folder_page.said = findings(data, found, near_duplicates(data, found),
                                 others=[OtherFile(Path(EVIL), EVIL, EVIL)])
    return write_folder_page(folder / "folder.html", EVIL, data, found, folder_page.said,
                             ["train", "test"] * 10 + ["unreadable"])


def shoot(chrome, path):
    """The whole page as a picture."""
    shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    Path(path).write_bytes(base64.b64decode(shot["data"]))


def check_charts(chrome, name):
    """Every text of a drawing lies inside the drawing."""
    outside = chrome.execute_script("""
        return [...document.querySelectorAll("svg text")].filter(text => {
          const svg = text.ownerSVGElement.getBoundingClientRect();
          const box = text.getBoundingClientRect();
          return box.width && (box.left < svg.left - 1 || box.right > svg.right + 1
                               || box.top < svg.top - 1 || box.bottom > svg.bottom + 1);
        }).map(text => text.textContent);""")
    claim(f"{name}: the words of the charts lie inside them, not {outside}", outside == [])


def check_sizes(chrome, shots, name):
    """A phone, a projector, a large screen; the charts are drawn when the page is loaded."""
    for width, height in ((390, 844), (1600, 900), (1920, 1080)):
        size(chrome, width, height)
        chrome.refresh()
        check_width(chrome, name)
        check_charts(chrome, f"{name} at {width}")
        check_fonts(chrome, 17.9 if width >= 1600 else 15.99)
        if width >= 1600:
            body, title = chrome.execute_script(
                "return ['body', 'h1'].map(tag => parseFloat(getComputedStyle("
                "document.querySelector(tag)).fontSize))")
            claim(f"{name} can be read from the last row: {body}, {title}",
                  body >= 20 and title >= 40)
        check_contrast(chrome, ".matrix td > *")
        if shots:
            shoot(chrome, f"{shots}/{name}-{width}.png")


def page_path(chrome):
    """The file of the page that is open."""
    return Path(urllib.parse.unquote(urllib.parse.urlparse(chrome.current_url).path))


def cells(chrome, K):
    """The matrix as the page shows it."""
    return np.array([[int(chrome.find_element(By.ID, f"cell-{i}-{j}").text) for j in range(K)]
                     for i in range(K)])


def check_matrix(chrome, result):
    """The counts are Python's; a click and Enter show a cell's photos; shares add up."""
    K, counts = len(result.classes), result.confusion
    claim("the matrix has Python's counts", (cells(chrome, K) == counts).all())
    for i, j in ((0, 0), (1, 0), (K - 1, K - 1)):
        cell = chrome.find_element(By.ID, f"cell-{i}-{j}")
        cell.send_keys(Keys.ENTER) if i == j else cell.click()
        gallery = chrome.find_element(By.ID, "gallery")
        shown = gallery.find_elements(By.TAG_NAME, "figure")
        claim(f"cell {i}, {j} shows its photos", len(shown) == counts[i, j] == int(
            gallery.find_element(By.TAG_NAME, "h3").text.split()[0]))
        claim("the cell is marked", chrome.find_element(By.ID, f"cell-{i}-{j}").get_attribute(
            "aria-pressed") == "true")
        claim("the focus has stayed", chrome.switch_to.active_element.get_attribute("id")
              == f"cell-{i}-{j}")
    chrome.find_element(By.ID, "shares").click()
    claim("of two states the chosen one is pressed", [chrome.find_element(
        By.ID, name).get_attribute("aria-pressed") for name in ("counts", "shares")]
        == ["false", "true"])
    share = chrome.find_element(By.ID, "cell-0-0").text
    claim("shares are those of the label", share == f"{100 * counts[0, 0] / counts[0].sum():.0f} %")
    chrome.find_element(By.ID, "counts").click()
    pairs = chrome.find_elements(By.CSS_SELECTOR, "#confused a")
    most = (counts * (1 - np.eye(K, dtype=int))).max()
    claim("the most confused pair is named first", pairs[0].text.endswith(f": {most}"))
    pairs[0].click()
    claim("a click on it shows its photos", f"{most} photo" in chrome.find_element(
        By.CSS_SELECTOR, "#gallery h3").text)


def marks(chrome):
    """Where the marks of the charts stand, by their grids, which go from 0 to 1; None: nowhere."""
    return chrome.execute_script("""
        return [...document.querySelectorAll(".on-wide [data-mark]")].map(mark => {
          if (mark.getAttribute("visibility") !== "visible") return null;
          const lines = [...mark.parentElement.querySelectorAll(".grid.down, .grid.across")];
          return [["x1", "x2", "cx"], ["y1", "y2", "cy"]].map(([one, other, at]) => {
            const grid = lines.filter(line => line.getAttribute(one) === line.getAttribute(other))
              .map(line => Number(line.getAttribute(one)));
            return (mark.getAttribute(at) - grid[0]) / (grid.at(-1) - grid[0]);
          });
        });""")


def check_above_the_fold(chrome):
    """The number, the interval and the four photos are on the first screen."""
    bottoms = chrome.execute_script("""
        return [".number", ".accuracy", ".examples figure:last-child"].map(selector =>
          document.querySelector(selector).getBoundingClientRect().bottom);""")
    claim(f"the story begins above the fold: {bottoms}", max(bottoms) <= 900)


def check_hover(chrome):
    """The pointer on a curve shows the numbers of its epoch, of both networks."""
    svg = chrome.find_element(By.CSS_SELECTOR, ".on-wide svg[data-hover=accuracy]")
    chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    ActionChains(chrome).move_to_element_with_offset(svg, -svg.size["width"] // 2 + 70, 0).perform()
    shown = chrome.find_element(By.CSS_SELECTOR, "[data-readout=accuracy]").text
    claim(f"the pointer shows the numbers of an epoch: {shown}", shown.startswith("epoch 1: ")
          and "training 50.0 %" in shown and "from scratch, test 50.0 %" in shown)


def check_two(chrome, shots, name):
    """A run's page of two classes: threshold, notes, photos."""
    result = two_classes.result
    claim("the title asks", chrome.title.startswith(f"sandal or {EVIL}?"))
    low, high = result.interval
    about = chrome.find_element(By.ID, "about").text
    claim("accuracy and interval are said", about.startswith(
        f"{result.num_correct} of {len(result.labels)} test photos right. 95 % interval "
        f"{100 * low:.1f} % to {100 * high:.1f} %"))
    number = chrome.find_element(By.CSS_SELECTOR, ".number")
    claim("the number comes first, and large", number.text.endswith("%") and abs(
        float(number.text[:-1]) - 100 * result.accuracy) < 0.06 and float(
        number.value_of_css_property("font-size")[:-2]) >= 96)
    check_above_the_fold(chrome)
    check_hover(chrome)
    for place, found in (("notes", 1), ("skipped", 11)):
        claim(f"{place} are text", chrome.find_element(By.ID, place).get_attribute(
            "textContent").count(EVIL) == found)
    if name.endswith("light"):
        check_without_script(page_path(chrome), [f"{result.num_correct} of", "threshold", "VGG16",
                                                 str(result.confusion[0, 0])], 15)
    check_matrix(chrome, result)
    p, positive = result.probabilities[:, 1], result.labels == 1
    slider, (fpr, tpr, thresholds) = chrome.find_element(By.ID, "threshold"), roc_curve(p, positive)

    def agrees(what, threshold):
        taken = p >= threshold
        counts = [[(~taken & ~positive).sum(), (taken & ~positive).sum()],
                  [(~taken & positive).sum(), (taken & positive).sum()]]
        claim(f"{what}: the matrix follows", (cells(chrome, 2) == counts).all())
        shown = [cell.text for cell in chrome.find_elements(By.CSS_SELECTOR, "#effects dd")]
        claim(f"{what}: so does the one beside the slider", [
            int(chrome.find_element(By.ID, f"line-{i}-{j}").text) for i in (0, 1) for j in (0, 1)]
            == np.ravel(counts).tolist())
        true, false = counts[1][1], counts[0][1]
        claim(f"{what}: precision and recall follow, not {shown}", shown == [
            f"{100 * true / (true + false):.1f} %" if true + false else "–",
            f"{100 * true / positive.sum():.1f} %", f"{100 * (taken == positive).mean():.1f} %"])
        k = (thresholds >= threshold).sum() - 1
        points = [(fpr[k], tpr[k]), (tpr[k], true / (true + false)) if true + false else None]
        claim(f"{what}: the marks stand on the curves", all(
            at is None if point is None else np.allclose(at, point, atol=1e-6)
            for at, point in zip(marks(chrome), points, strict=True)))

    agrees("at the beginning", 0.5)
    for threshold in (0.2, 0.731, 1.0, 0.0):
        chrome.execute_script("arguments[0].value = arguments[1];"
                              "arguments[0].dispatchEvent(new Event('input'))", slider, threshold)
        agrees(f"at {threshold}", threshold)
    slider.send_keys(Keys.ARROW_RIGHT)
    agrees("one key on", 0.001)
    chrome.find_element(By.ID, "youden").click()
    agrees("Youden's rule", choose_threshold(p, positive))
    chrome.find_element(By.ID, "half").click()
    agrees("back at one half", 0.5)
    together = chrome.execute_script("""
        const boxes = ["#threshold", "#line-1-1", "[data-mark=roc]"].map(selector =>
          document.querySelector(selector).getBoundingClientRect());
        return Math.max(...boxes.map(b => b.bottom)) - Math.min(...boxes.map(b => b.top));""")
    claim(f"slider, matrix and ROC fit one view: {together}", together < 700)
    check_sizes(chrome, shots, name)


def check_threshold(chrome, shots, name):
    """The threshold is not rounded to 1; beside the confidence stands how often that is right."""
    claim("the threshold has its digits", chrome.find_element(By.ID, "value").text == "0.9995")
    named, page = thresholded.named, chrome.find_element(By.ID, "main").text
    claim("it changes the accuracy", thresholded.result.accuracy != named)
    claim("the accuracy is that of the most probable class", re.search(
        rf"accuracy\s+{100 * named:.1f} %\s+expected calibration error", page))
    check_sizes(chrome, shots, name)


def check_ten(chrome, shots, name):
    """A page of ten classes: no threshold, all curves of the lowest areas."""
    claim("no threshold", not chrome.find_elements(By.ID, "threshold"))
    check_matrix(chrome, ten_classes.result)
    claim("six curves are named", len(chrome.find_elements(By.XPATH, "//h3[.='ROC curves']/..//li")
                                      ) == 6)
    check_sizes(chrome, shots, name)


def check_folder(chrome, shots, name):
    """The findings lead to their photos; what is behind a summary opens."""
    links = chrome.find_elements(By.CSS_SELECTOR, ".findings a")
    claim("every finding is named", [link.text for link in links]
          == [one.title for one in folder_page.said])
    for link in (links[0], links[-1]):
        link.click()
        card = chrome.find_element(By.CSS_SELECTOR, link.get_attribute("href").split("/")[-1][
            link.get_attribute("href").split("/")[-1].index("#"):])
        claim("a click leads to it", chrome.execute_script(
            "const box = arguments[0].getBoundingClientRect();"
            "return box.top < innerHeight && box.bottom > 0", card))
    claim("the skipped file is text", EVIL in chrome.find_element(By.ID, "main").text)
    serious = sum(one.serious for one in folder_page.said)
    claim("the title counts", chrome.title == f"{EVIL}/: 21 photos, 2 classes, {serious} things to "
          f"fix, {len(folder_page.said) - serious} to look at")
    overlaps = chrome.execute_script("""
        const box = (figure, tag) => figure.querySelector(tag).getBoundingClientRect();
        return [...document.querySelectorAll("figure")].filter(figure =>
          box(figure, "img").bottom > box(figure, "figcaption").top).length;""")
    claim("no photo lies over its caption", overlaps == 0)
    if name.endswith("light"):
        check_without_script(page_path(chrome), ["21 photos", *(
            one.title for one in folder_page.said)], 10)
    check_sizes(chrome, shots, name)


def main(arguments):
    """Checks the pages in light and in dark."""
    shots, *others = arguments or [None]
    check_pages({"run": (two_classes, check_two), "ten": (ten_classes, check_ten),
                 "threshold": (thresholded, check_threshold), "french": (french, check_sizes),
                 "folder": (folder_page, check_folder),
                 **{Path(page).parent.name: (lambda folder, page=page: Path(page), check_sizes)
                    for page in others}}, shots)


if __name__ == "__main__":
    main(sys.argv[1:])
