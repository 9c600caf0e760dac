"""The sections of a run's page, in the order in which they tell its story, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..plotting.drawing import percent_text
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .html import Markup, bullets, element, folded, percent, section, table
from .run_charts import (
    MIN_CALIBRATION,
    Accuracy,
    Curve,
    accuracy_bar,
    best_epoch,
    calibration_chart,
    key_of_networks,
    learning_chart,
    rates_chart,
)

MAX_SKIPPED_NAMES = 400  # characters of a line of skipped files before it is folded


def hero(page: Mapping[str, Any], examples: Markup) -> Markup:
    """The number, large, with its interval; photos that it gets right, and its worst error."""
    first, *others = page["rows"]
    low, high = first["interval"]
    counts = page["class_counts"]
    largest = max(range(len(counts)), key=lambda k: counts[k])
    chance = (_("always saying {name}", name=page["classes"][largest]),
              counts[largest] / first["count"])
    rows = [Accuracy(short_name(row["name"]), row["correct"], row["count"])
            for row in page["rows"]]
    about = element("p", element(
        "strong", _("{correct} of {count} {photos} right", correct=first["correct"],
                    count=first["count"], photos=photos_called(page["photos_name"]))),
        _(". 95 % interval {low} to {high}: where the accuracy on all photos of this kind may lie. "
          "{chance}", low=percent(low), high=percent(high), chance=page["chance"]), id="about")
    comparison = [element("p", f"{row['name'][0].upper()}{row['name'][1:]}{_(': ')}", element(
        "strong", percent(row["accuracy"])),
        _(" ({correct} of {count}).", correct=row["correct"], count=row["count"]))
        for row in others]
    left = element("div", element("p", percent_text(first["accuracy"]), class_="number"),
                   about, accuracy_bar(rows, chance), *comparison, class_="answer")
    return element("section", left, examples, class_="hero" + " alone" * (not examples),
                   id="answer")


def short_name(name: str) -> str:
    """"VGG16 frozen up to block4_pool, new head" -> "VGG16"; "small network from scratch, same
    photos" -> "from scratch"."""
    if _("from scratch") in name:
        return _("from scratch")
    short = "VGG16" if name.startswith("VGG16 ") else name.split(",")[0]
    return short if len(short) <= 22 else f"…{short[-21:]}"


def photos_called(photos_name: str) -> str:
    """What the photos of a test are called in a sentence: "held-out photos"."""
    names = {"": _("photos"), "held-out": _("held-out photos"), "left-out": _("left-out photos")}
    return names.get(photos_name) or f"{photos_name} photos"


def notes_section(warnings: Sequence[str], skipped: Sequence[str]) -> Markup | None:
    """What a reader must know before the rest; and one line on files that were not read."""
    parts = []
    if warnings:
        parts.append(element("div", bullets(warnings), class_="card notes", id="notes"))
    if skipped:
        parts.append(element("p", _("Some files were not read: "), element(
            "a", _("see the end of this page"), href="#not-read"), ".", class_="soft"))
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
        photos = part_name(photos)
        lines.append(Curve(network, photos, f"{colour} {'held' if prefix else 'train'}",
                           list(map(float, values))))
    return sorted(lines, key=lambda line: line.of_training)


def part_name(name: str) -> str:
    """What the photos of a part are called beside a curve or above a column."""
    names = {"training": _("training"), "validation": _("validation"), "held-out": _("held-out"),
             "train": _("train"), "test": _("test")}
    return names.get(name, name)


def learning_section(page: Mapping[str, Any], scratch: Mapping[str, Sequence[float]]
                     ) -> Markup | None:
    """Learning curves of both networks on the same axes, and the search of the learning rate."""
    charts = []
    histories = [(short_name(page["rows"][0]["name"]), "k0", page["history"]),
                 (_("from scratch"), "k1", scratch)]
    all_curves = {kind: [curve for name, colour, history in histories for curve in
                         curves_of(name, colour, history, kind, page["validation_name"])]
                  for kind in ("accuracy", "loss")}
    epoch = best_epoch([curve for curve in all_curves["loss"] if curve.kind.startswith("k0")])
    is_kept = page["validation_name"] == "validation"
    marks: dict[str, tuple[int, str] | None] = {"accuracy": None, "loss": None}
    if epoch is not None and len(page["history"]["loss"]) > 1:
        if is_kept:
            marks["accuracy"] = marks["loss"] = (
                epoch, _("best, kept: epoch {epoch}", epoch=epoch))
        else:  # the lowest loss says nothing about the accuracy
            marks["loss"] = epoch, _("lowest loss: epoch {epoch}", epoch=epoch)
    for kind, title, note in (
            ("accuracy", _("Accuracy"), _("Share of photos that it gets right")),
            ("loss", _("Loss"), _("Cross-entropy: low if it is sure and right"))):
        if all_curves[kind]:
            charts.append(learning_chart(title, note, all_curves[kind], kind == "accuracy",
                                         marks[kind], len(page["classes"])))
    if not charts and not page["rates"]:
        return None
    return section("learning", _("How it learned"), element(
        "p", _("Thick: photos that it did not learn from. Thin: its training photos."),
        ) if charts else None, key_of_networks(all_curves["loss"]),
        element("div", *charts, rates_chart(page["rates"]) if page["rates"] else None,
                class_="pair"))


# The rest


def calibration_section(page: Mapping[str, Any]) -> Markup | None:
    """Whether it is right as often as it is sure; None below MIN_CALIBRATION photos."""
    if page["rows"][0]["count"] < MIN_CALIBRATION:
        return None
    tiles = ((_("confidence on average"), percent(page["confidence"])),
             (_("accuracy"), percent(page["confidence_accuracy"])),
             (_("expected calibration error"), percent(page["ece"])))
    return section("calibration", _("Is it right as often as it is sure? (calibration)"), element(
        "div", calibration_chart(page["calibration"], len(page["classes"])), element(
            "div", element("dl", *(element("div", element("dt", name), element("dd", value))
                                   for name, value in tiles), class_="tiles"), element(
                "p", _("Where the bars end below the dashed line, the network is surer than it is "
                       "right. The calibration error is the mean distance between the two, each "
                       "photo counted once."), class_="soft")), class_="pair"))


def classes_section(page: Mapping[str, Any]) -> Markup:
    """Each class in percent."""
    rows = [row for row in page["scores"] if row["support"] or len(page["classes"]) <= 25]
    keys = ("precision", "recall", "f1", "roc_auc", "average_precision")
    return section("classes", _("Each class"), element(
        "p", _("Recall: which share of the class it recognises. Precision: which share of its "
               "answers with this class is right. F1: the harmonic mean of both. The areas hold "
               "for all thresholds."), class_="soft"), table(
        (_("class"), _("photos"), _("precision"), _("recall"), "F1", _("ROC area"),
         _("average precision")),
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
        counts = table((_("class"), *(part_name(part["name"]) for part in parts)), [
            *rows, (_("all"), *(sum(part["counts"]) for part in parts))])
    if counts is None and first_batch is None:
        return None
    batch = folded(_("The first training batch, as the network was fed"), first_batch,
                   ) if first_batch else None
    return section("split", _("How the photos were split"), counts, batch)


def skipped_section(skipped: Sequence[str]) -> Markup | None:
    """The files that were not read, grouped by kind, folded."""
    if not skipped:
        return None
    return section("not-read", _("Files that were not read"), folded(
        ngettext("{num} reason", "{num} reasons", len(skipped)), element(
            "p", _("They are left out everywhere. Each line says why, and what can be done.")),
        bullets(skipped), id="skipped"))
