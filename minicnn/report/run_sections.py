"""The sections of a run's page, in the order in which they tell its story, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation import Evaluation
from .html import (
    Markup,
    bullets,
    element,
    folded,
    percent,
    plural,
    section,
    short_percent,
    table,
)
from .run_charts import (
    MIN_CALIBRATION,
    Accuracy,
    Curve,
    accuracy_bar,
    best_epoch,
    calibration_chart,
    histogram,
    key_of_networks,
    learning_chart,
    rates_chart,
    score_chart,
)
from .run_photos import cell_name

MAX_SKIPPED_NAMES = 400  # characters of a line of skipped files before it is folded


def hero(page: Mapping[str, Any], examples: Markup) -> Markup:
    """The number, large, with its interval; photos that it gets right, and its worst error."""
    first, *others = page["rows"]
    held_out = f"{page['held_out']} " if page["held_out"] else ""
    low, high = first["interval"]
    counts = page["class_counts"]
    largest = max(range(len(counts)), key=lambda k: counts[k])
    chance = (f"always saying {page['classes'][largest]}", counts[largest] / first["count"])
    rows = [Accuracy(short_name(row["name"]), row["correct"], row["count"])
            for row in page["rows"]]
    about = element("p", element(
        "strong", f"{first['correct']} of {first['count']} {held_out}photos right"),
        f". 95 % interval {percent(low)} to {percent(high)}: where the accuracy on all photos of "
        f"this kind may lie. {page['chance']}", id="about")
    comparison = [element("p", f"{row['name'][0].upper()}{row['name'][1:]}: ", element(
        "strong", percent(row["accuracy"])), f" ({row['correct']} of {row['count']}).")
        for row in others]
    left = element("div", element("p", short_percent(first["accuracy"]), class_="number"),
                   about, accuracy_bar(rows, chance), *comparison, class_="answer")
    return element("section", left, examples, class_="hero" + " alone" * (not examples),
                   id="answer")


def short_name(name: str) -> str:
    """"VGG16 frozen up to block4_pool, new head" -> "VGG16"; "small network from scratch, same
    photos" -> "from scratch"."""
    if "from scratch" in name:
        return "from scratch"
    short = name.split(",")[0].split(" frozen")[0]
    return short if len(short) <= 22 else f"…{short[-21:]}"


def notes_section(warnings: Sequence[str], skipped: Sequence[str]) -> Markup | None:
    """What a reader must know before the rest; and one line on files that were not read."""
    parts = []
    if warnings:
        parts.append(element("div", bullets(warnings), class_="card notes", id="notes"))
    if skipped:
        parts.append(element("p", "Some files were not read: ", element(
            "a", "see the end of this page", href="#not-read"), ".", class_="soft"))
    return element("section", *parts) if parts else None


# Learning


def curves_of(network: str, colour: str, history: Mapping[str, Sequence[float]], kind: str,
              validation_name: str) -> list[Curve]:
    """The lines of one network, held-out ones first. The keys are "loss", "accuracy", and the same
    behind a prefix, such as val_loss, which is called validation_name."""
    lines = []
    for key, values in history.items():
        prefix = key[:-len(kind)] if key.endswith(kind) else None
        if not len(values) or prefix is None or (prefix and prefix[-1] != "_"):
            continue
        photos = ("training" if not prefix else validation_name or "validation"
                  if prefix == "val_" else prefix[:-1].replace("_", "-"))
        lines.append(Curve(network, photos, f"{colour} {'held' if prefix else 'train'}",
                           list(map(float, values))))
    return sorted(lines, key=lambda line: line.photos == "training")


def learning_section(page: Mapping[str, Any], scratch: Mapping[str, Sequence[float]]
                     ) -> Markup | None:
    """Learning curves of both networks on the same axes, and the search of the learning rate."""
    charts = []
    histories = [(short_name(page["rows"][0]["name"]), "k0", page["history"]),
                 ("from scratch", "k1", scratch)]
    all_curves = {kind: [curve for name, colour, history in histories for curve in
                         curves_of(name, colour, history, kind, page["validation_name"])]
                  for kind in ("accuracy", "loss")}
    epoch = best_epoch([curve for curve in all_curves["loss"] if curve.kind.startswith("k0")])
    is_kept = page["validation_name"] == "validation"
    words = None if epoch is None or len(page["history"]["loss"]) < 2 else (
        epoch, f"{'best, kept' if is_kept else 'lowest loss'}: epoch {epoch}")
    for kind, note in (("accuracy", "Share of photos that it gets right"),
                       ("loss", "Cross-entropy: low if it is sure and right")):
        if all_curves[kind]:
            charts.append(learning_chart(kind.capitalize(), note, all_curves[kind],
                                         kind == "accuracy", words, len(page["classes"])))
    if not charts and not page["rates"]:
        return None
    return section("learning", "How it learned", element(
        "p", "Thick: photos that it did not learn from. Thin: its training photos.",
        ) if charts else None, key_of_networks(all_curves["loss"]),
        element("div", *charts, rates_chart(page["rates"]) if page["rates"] else None,
                class_="pair"))


# Right and wrong


def matrix(page: Mapping[str, Any], result: Evaluation, prefix: str) -> Markup:
    """The confusion matrix. prefix: of the cells' names; those of "cell" lead to their photos."""
    counts, shown, classes = result.confusion, page["shown"], result.classes
    few = len(shown) < 5
    head = element("thead", element("tr", element("td"), element(
        "th", "predicted", colspan=len(shown))), element(
        "tr", element("th", "true class"), *(element("th", element("span", classes[j]), scope="col")
                                             for j in shown)), class_=None if few else "tall")
    rows = []
    for i in shown:
        total = max(int(counts[i].sum()), 1)
        cells = []
        for j in shown:
            n = int(counts[i, j])
            share, words = n / total, f"{cell_name(classes, i, j)}: {n} ({percent(n / total, 0)})"
            inner = element("a", n, id=f"{prefix}-{i}-{j}", href=f"#photos-{i}-{j}", role="button",
                            aria_label=words, title=words) if prefix == "cell" else element(
                                "b", n, id=f"{prefix}-{i}-{j}")
            cells.append(element("td", inner, style=f"--share: {share:.3f}",
                                 class_="right" if i == j else None))
        rows.append(element("tr", element("th", classes[i], scope="row"), *cells))
    return element("div", element("p", "The matrix is wider than this screen: move it sideways.",
                                  class_="swipe soft") if len(shown) > 5 else None, element(
        "div", element("table", head, element("tbody", *rows),
                       class_="matrix few" if few else "matrix"), class_="wide", tabindex=0,
        role="region", aria_label="Confusion matrix"))


def confusion_section(page: Mapping[str, Any], result: Evaluation, galleries: Markup,
                      confused: Sequence[tuple[int, int, int]]) -> Markup:
    """The matrix and its photos."""
    pairs = [element("a", f"{result.classes[i]} predicted as {result.classes[j]}: {n}",
                     href=f"#photos-{i}-{j}", data_cell=f"{i},{j}") for i, j, n in confused]
    switch = element("div", *(element("button", word, type="button", id=word_id,
                                      aria_pressed=str(pressed).lower())
                              for word, word_id, pressed in (("counts", "counts", True),
                                                             ("% of the true class", "shares",
                                                              False))),
                     class_="switch needs-script", role="group", aria_label="Numbers")
    return section(
        "confusion", "Right and wrong", element(
            "p", "Each row is a true class, each column what was predicted. Choose a number to see "
                 "its photos; those with the lowest probability of their own class come first."),
        switch, element("div", element(
            "div", matrix(page, result, "cell"), element("h3", "Most confused"), element(
                "div", *(pairs or [element("p", "None: every photo is predicted correctly.")]),
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
        words = (f"The {len(curves['roc'])} classes with the lowest areas."
                 if len(curves["roc"]) < with_photos else "")
        return section("threshold-section", "Each class against the others",
                       element("p", words) if words else None, element(
            "div", score_chart("ROC curves", "true positive rate", "false positive rate",
                               curves["roc"], ([0, 1], [0, 1]), wide=700),
            score_chart("Precision and recall", "precision", "recall", curves["precision"], None,
                        steps=True, wide=700), class_="pair"))
    name, (roc,), (precision,) = classes[1], curves["roc"], curves["precision"]
    start = 0.5 if page["threshold"] is None else page["threshold"]
    share = page["class_counts"][1] / sum(page["class_counts"])
    buttons = [element("button", "0.5", type="button", id="half", data_threshold=0.5)]
    if page["youden"] is not None:
        buttons.append(element("button", f"Youden’s rule: {page['youden']:.3f}", type="button",
                               id="youden", data_threshold=repr(page["youden"])))
    left = element(
        "div", element("p", f"A photo is predicted as {name} from a probability of ", element(
            "strong", f"{start:.3f}", id="value"), " on.", element(
            "span", " Move the line: everything here and the matrix above follows.",
            class_="needs-script")),
        element("input", type="range", id="threshold", min=0, max=1, step=0.001, value=start,
                aria_label=f"threshold of {name}", class_="needs-script"),
        histogram(result.probabilities[:, 1], result.labels, classes),
        element("div", *buttons, class_="row needs-script"))
    middle = element("div", matrix(page, result, "line"), element("div", effects(result),
                                                                  id="effects"))
    charts = [
        score_chart(f"ROC, area {percent(roc['area'])}", "true positive rate", "false positive rate", [roc], ([0, 1], [0, 1]), mark="roc"),
        score_chart(f"Average precision {percent(precision['area'])}", "precision",
                    "recall", [precision], ([0, 1], [share, share]), steps=True,
                    mark="precision")]
    return section("threshold-section", "Where to draw the line (threshold)", element(
        "div", left, middle, *charts, class_="line-grid"), element(
        "p", f"The curves take {name} as the positive class; dashed: chance. A threshold chosen on these photos looks better than "
             "it is: evaluate it on others, with minicnn evaluate --threshold.", class_="soft"))


def effects(result: Evaluation) -> Markup:
    """Precision, recall and accuracy of the second of two classes, as predicted."""
    (tn, fp), (fn, tp) = result.confusion.tolist()
    rows = (("precision", tp / (tp + fp) if tp + fp else None, "precision"),
            ("recall", tp / (tp + fn) if tp + fn else None, "recall"),
            ("accuracy", (tp + tn) / max(tp + tn + fp + fn, 1), "accuracy"))
    return element("dl", *(element("div", element("dt", name), element(
        "dd", percent(value), id=f"effect-{key}")) for name, value, key in rows), class_="tiles")


# The rest


def calibration_section(page: Mapping[str, Any]) -> Markup | None:
    """Whether it is right as often as it is sure; None below MIN_CALIBRATION photos."""
    if page["rows"][0]["count"] < MIN_CALIBRATION:
        return None
    tiles = (("confidence on average", percent(page["confidence"])),
             ("accuracy", percent(page["confidence_accuracy"])),
             ("expected calibration error", percent(page["ece"])))
    return section("calibration", "Is it right as often as it is sure? (calibration)", element(
        "div", calibration_chart(page["calibration"], len(page["classes"])), element(
            "div", element("dl", *(element("div", element("dt", name), element("dd", value))
                                   for name, value in tiles), class_="tiles"), element(
                "p", "Where the bars end below the dashed line, the network is surer than it is "
                     "right. The calibration error is the mean distance between the two, each "
                     "photo counted once.", class_="soft")), class_="pair"))


def classes_section(page: Mapping[str, Any]) -> Markup:
    """Each class in percent."""
    rows = [row for row in page["scores"] if row["support"] or len(page["classes"]) <= 25]
    keys = ("precision", "recall", "f1", "roc_auc", "average_precision")
    return section("classes", "Each class", element(
        "p", "Recall: which share of the class it recognises. Precision: which share of its "
             "answers with this class is right. F1: the harmonic mean of both. The areas hold for "
             "all thresholds.", class_="soft"), table(
        ("class", "photos", "precision", "recall", "F1", "ROC area", "average precision"),
        [(row["class"], row["support"], *(_bar(row[key]) for key in keys)) for row in rows]))


def _bar(share: float | None) -> Markup:
    return element("span", percent(share), class_="cell-bar",
                   style=f"--value: {share or 0:.3f}")


def split_section(page: Mapping[str, Any], first_batch: Markup | None) -> Markup | None:
    """How the photos were split, and the first batch."""
    parts, counts = page["parts"], None
    if parts:
        rows = [(name, *(part["counts"][k] for part in parts))
                for k, name in enumerate(page["classes"])]
        counts = table(("class", *(part["name"] for part in parts)), [
            *rows, ("all", *(sum(part["counts"]) for part in parts))])
    if counts is None and first_batch is None:
        return None
    batch = folded("The first training batch, as the network was fed", first_batch,
                   ) if first_batch else None
    return section("split", "How the photos were split", counts, batch)


def skipped_section(skipped: Sequence[str]) -> Markup | None:
    """The files that were not read, grouped by kind, folded."""
    if not skipped:
        return None
    return section("not-read", "Files that were not read", folded(
        plural(len(skipped), "reason"), element(
            "p", "They are left out everywhere. Each line says why, and what can be done."),
        bullets(skipped), id="skipped"))


def confused_pairs(result: Evaluation, count: int = 5) -> list[tuple[int, int, int]]:
    """(true class, predicted class, photos) of the most frequent errors."""
    counts = result.confusion.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    return [(int(i), int(j), int(counts[i, j])) for i, j in zip(*np.unravel_index(
        order, counts.shape), strict=True) if counts[i, j]]
