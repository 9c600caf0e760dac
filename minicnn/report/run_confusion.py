"""The confusion matrix of a run's page with its photos, and the view of the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation import Evaluation
from ..utils.language import gettext as _
from ..utils.language import local_number
from .html import Markup, element, percent, section
from .run_charts import histogram, score_chart
from .run_photos import cell_name

# Right and wrong


def matrix(page: Mapping[str, Any], result: Evaluation, prefix: str) -> Markup:
    """The confusion matrix. prefix: of the cells' names; those of "cell" lead to their photos."""
    counts, shown, classes = result.confusion, page["shown"], result.classes
    is_small = len(shown) < 5
    head = element("thead", element("tr", element("td"), element(
        "th", _("predicted"), colspan=len(shown))), element(
        "tr", element("th", _("true class")), *(
            element("th", element("span", classes[j]), scope="col") for j in shown)),
        class_=None if is_small else "tall")
    rows = []
    for i in shown:
        total = max(int(counts[i].sum()), 1)
        cells = []
        for j in shown:
            n = int(counts[i, j])
            share = n / total
            words = f"{cell_name(classes, i, j)}{_(': ')}{n} ({percent(share, 0)})"
            inner = element("a", n, id=f"{prefix}-{i}-{j}", href=f"#photos-{i}-{j}", role="button",
                            aria_label=words, title=words) if prefix == "cell" else element(
                                "b", n, id=f"{prefix}-{i}-{j}")
            cells.append(element("td", inner, style=f"--share: {share:.3f}",
                                 class_="right" if i == j else None))
        rows.append(element("tr", element("th", classes[i], scope="row"), *cells))
    return element("div", element("p", _("The matrix is wider than this screen: move it sideways."),
                                  class_="swipe soft") if len(shown) > 5 else None, element(
        "div", element("table", head, element("tbody", *rows),
                       class_="matrix few" if is_small else "matrix"), class_="wide", tabindex=0,
        role="region", aria_label=_("Confusion matrix")))


def confusion_section(page: Mapping[str, Any], result: Evaluation, galleries: Markup,
                      confused: Sequence[tuple[int, int, int]]) -> Markup:
    """The matrix and its photos."""
    pairs = [element("a", _("{name} predicted as {other}: {count}", name=result.classes[i],
                            other=result.classes[j], count=n),
                     href=f"#photos-{i}-{j}", data_cell=f"{i},{j}") for i, j, n in confused]
    switch = element("div", *(element("button", word, type="button", id=word_id,
                                      aria_pressed=str(pressed).lower())
                              for word, word_id, pressed in ((_("counts"), "counts", True),
                                                             (_("% of the true class"), "shares",
                                                              False))),
                     class_="switch needs-script", role="group", aria_label=_("Numbers"))
    return section(
        "confusion", _("Right and wrong"), element(
            "p", _("Each row is a true class, each column what was predicted. Choose a number to "
                   "see its photos; those with the lowest probability of their own class come "
                   "first.")),
        switch, element("div", element(
            "div", matrix(page, result, "cell"), element("h3", _("Most confused")), element(
                "div", *(pairs or [element("p", _("None: every photo is predicted correctly."))]),
                class_="row", id="confused")),
            element("div", element("div", id="gallery", class_="needs-script"), galleries,
                    class_="photos"),
            class_="split" + " many" * (len(page["shown"]) > 7)))


# The threshold


def threshold_section(page: Mapping[str, Any], result: Evaluation) -> Markup | None:
    """Two classes: slider, matrix, ROC in one view. More: curves of the classes with the lowest
    areas. None if there are no curves."""
    curves, classes = page["curves"], page["classes"]
    if not curves["roc"]:
        return None
    if len(classes) > 2:
        with_photos = sum(count > 0 for count in page["class_counts"])
        words = (_("The {count} classes with the lowest areas.", count=len(curves["roc"]))
                 if len(curves["roc"]) < with_photos else "")
        return section("threshold-section", _("Each class against the others"),
                       element("p", words) if words else None, element(
            "div", score_chart(_("ROC curves"), _("true positive rate"), _("false positive rate"),
                               curves["roc"], ([0, 1], [0, 1]), wide=700),
            score_chart(_("Precision and recall"), _("precision"), _("recall"),
                        curves["precision"], None, steps=True, wide=700), class_="pair"))
    name, (roc,), (precision,) = classes[1], curves["roc"], curves["precision"]
    start = 0.5 if page["threshold"] is None else page["threshold"]
    share = page["class_counts"][1] / sum(page["class_counts"])
    buttons = [element("button", local_number("0.5"), type="button", id="half", data_threshold=0.5)]
    if page["youden"] is not None:
        rule = _("Youden’s rule: {threshold:.3f}", threshold=page["youden"])
        buttons.append(element("button", rule, type="button", id="youden",
                               data_threshold=repr(page["youden"])))
    # The number, which the page's script changes, stands where the text has a |.
    before, after = _("A photo is predicted as {name} from a probability of | on.",
                      name=name.replace("|", "/")).split("|")
    left = element(
        "div", element("p", before, element(
            "strong", local_number(f"{start:.3f}"), id="value"), after, element(
            "span", _(" Move the line: everything here and the matrix above follow."),
            class_="needs-script")),
        element("input", type="range", id="threshold", min=0, max=1, step=0.001, value=start,
                aria_label=_("threshold of {name}", name=name), class_="needs-script"),
        histogram(result.probabilities[:, 1], result.labels, classes),
        element("div", *buttons, class_="row needs-script"))
    middle = element("div", matrix(page, result, "line"), element("div", effects(result),
                                                                  id="effects"))
    charts = [
        score_chart(_("ROC, area {area}", area=percent(roc["area"])), _("true positive rate"),
                    _("false positive rate"), [roc], ([0, 1], [0, 1]), mark="roc"),
        score_chart(_("Average precision {area}", area=percent(precision["area"])), _("precision"),
                    _("recall"), [precision], ([0, 1], [share, share]), steps=True,
                    mark="precision")]
    return section("threshold-section", _("Where to draw the line (threshold)"), element(
        "div", left, middle, *charts, class_="line-grid"), element(
        "p", _("The curves take {name} as the positive class; dashed: chance. A threshold chosen "
               "on these photos looks better than it is: evaluate it on others, with minicnn "
               "evaluate --threshold.", name=name), class_="soft"))


def effects(result: Evaluation) -> Markup:
    """Precision, recall and accuracy of the second of two classes, as predicted."""
    (tn, fp), (fn, tp) = result.confusion.tolist()
    rows = ((_("precision"), tp / (tp + fp) if tp + fp else None, "precision"),
            (_("recall"), tp / (tp + fn) if tp + fn else None, "recall"),
            (_("accuracy"), (tp + tn) / max(tp + tn + fp + fn, 1), "accuracy"))
    return element("dl", *(element("div", element("dt", name), element(
        "dd", percent(value), id=f"effect-{key}")) for name, value, key in rows), class_="tiles")


def confused_pairs(result: Evaluation, count: int = 5) -> list[tuple[int, int, int]]:
    """(true class, predicted class, photos) of the most frequent errors."""
    counts = result.confusion.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    return [(int(i), int(j), int(counts[i, j])) for i, j in zip(*np.unravel_index(
        order, counts.shape), strict=True) if counts[i, j]]
