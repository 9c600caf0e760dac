"""A page about a folder of photos before training: its contents and its problems.

It is written as HTML, and needs a script only for the button that turns it light or dark. Its
template is folder_page.html; see pages.py. The problems: folder_findings.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset, Fingerprints
from ..utils.arrays import IntArray
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .folder_findings import Finding, relation
from .html import Markup, bullets, element, folded, join, section
from .pages import thumbnail, write_page
from .run_sections import part_name

SAMPLES = 8  # pictures of each class, fewer where there are more than 50 classes
MAX_NAMED = 10_000  # photos and lines of a finding that are named; the others are counted
MAX_GROUPS = 40  # of a finding that are shown as pictures; the others are named
PARTS = ("train", "test", "validation")  # that have a colour of their own


def write_folder_page(path: str | os.PathLike, title: str, data: Dataset,
                      fingerprints: Fingerprints, problems: list[Finding],
                      parts: Sequence[str] | None = None,
                      progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes the page (.html) and returns its path; an older one is replaced atomically.

    title: the folder's name. problems: from findings. parts: of each photo; None without a split.
    Raises FileError.
    """
    unread = set(fingerprints.unread)
    problems = [_bounded(finding) for finding in problems]
    each = min(SAMPLES, max(1, 50 * SAMPLES // len(data.classes)))
    samples = [[i for i in members if i not in unread][:each]
               for members in data.shuffled(0).values()]
    wanted = {i for row in samples for i in row}
    wanted |= {i for finding in problems for g in finding.groups[:MAX_GROUPS]
               for i in g[:SAMPLES]} - unread
    pictures: dict[int, str] = {}
    for done, i in enumerate(sorted(wanted), 1):
        pictures[i] = thumbnail(data.read(i))
        if progress:
            progress(done, len(wanted))

    names = [p for p in dict.fromkeys(("train", "validation", "test", *(parts or ())))
             if p in set(parts or ())]
    table = np.zeros((len(data.classes), max(len(names), 1)), int)
    columns = [names.index(p) for p in parts or ()] if names else [0] * len(data)
    np.add.at(table, (data.labels, np.array(columns, int)), 1)
    sizes = fingerprints.sizes[sorted(set(range(len(data))) - unread)]
    photos = _Photos(data, fingerprints, parts, pictures)
    heading, smallest_largest = headline(title, data, problems), _sizes(sizes)
    page = {"title": heading, "count": len(data), "parts": names,
            "sizes": smallest_largest,
            "classes": [{"name": name, "counts": row.tolist(),
                         "samples": [photos.facts(i, True) for i in rows]}
                        for name, row, rows in zip(data.classes, table, samples, strict=True)],
            "findings": [{"title": finding.title, "advice": finding.advice, "lines": finding.lines,
                          "serious": finding.serious,
                          "groups": [{"relation": relation(fingerprints, g) if len(g) > 1 else "",
                                      "photos": [photos.facts(i, k < MAX_GROUPS and j < SAMPLES)
                                                 for j, i in enumerate(g)]}
                                     for k, g in enumerate(finding.groups)]}
                         for finding in problems]}
    body = [_overview(problems), _counts(data.classes, table, names),
            element("section", element("h2", _("What they look like")), *(
                element("div", element("h3", name), element("div", *(
                    photos.image(i) for i in rows), class_="row"), class_="card")
                for name, rows in zip(data.classes, samples, strict=True)), class_="samples")]
    if problems:
        body.append(section("findings", _("What to look at, with the photos"), *(
            photos.card(k, finding) for k, finding in enumerate(problems))))
    return write_page(path, "folder_page.html", page, body=join(body), title=heading,
                      about=smallest_largest)


def headline(title: str, data: Dataset, problems: Sequence[Finding]) -> str:
    """photos/: 141 photos, 2 classes, 2 things to fix, 5 to look at"""
    to_fix = sum(problem.serious for problem in problems)
    to_look_at = len(problems) - to_fix
    things = [ngettext("{num} thing to fix", "{num} things to fix", to_fix) if to_fix
              else _("nothing to fix")]
    if to_look_at:
        things.append(_("{count} to look at", count=to_look_at))
    return _("{folder}/: {photos}, {classes} classes, {things}", folder=title,
             photos=ngettext("{num} photo", "{num} photos", len(data)),
             classes=len(data.classes), things=", ".join(things))


def _overview(problems: Sequence[Finding]) -> Markup:
    """The titles of the problems, as links to them."""
    if not problems:
        return element("section", element("div", element(
            "p", _("Nothing to fix: every file can be read, no copies, no tiny or rotated photos, "
                   "classes of similar size.")), class_="card well"))
    return section("overview", _("What to look at"), element("ol", *(element(
        "li", _level(finding), element("a", finding.title, href=f"#finding{k}"))
        for k, finding in enumerate(problems)), class_="findings"))


def _level(finding: Finding) -> Markup:
    return element("span", _("fix") if finding.serious else _("look"),
                   class_="level " + ("serious" if finding.serious else "light"))


def _counts(classes: Sequence[str], table: np.ndarray, parts: Sequence[str]) -> Markup:
    """A bar for each class, in the colours of the parts."""
    largest = max(int(table.sum(axis=1).max()), 1)
    colours = [f"c{PARTS.index(part)}" if part in PARTS else "c3" for part in parts] or ["c0"]
    bars: list[Markup] = []
    for name, row in zip(classes, table.tolist(), strict=True):
        split = ", ".join(f"{n} {part_name(part)}" for n, part in zip(row, parts, strict=False))
        pieces = [element("i", class_=colour, style=f"width:{100 * n / largest:.2f}%")
                  for n, colour in zip(row, colours, strict=True) if n]
        bars += [element("span", name), element(
            "div", element("span", *pieces, class_="track", title=split or None),
            element("strong", f"{sum(row)}"), class_="bar")]
    legend = [element("li", element("i", class_=colour), f"{part_name(part)}{_(': ')}{int(n)}")
              for part, n, colour in zip(parts, table.sum(axis=0), colours, strict=False)]
    return section("counts", _("How many photos of each class"),
                   element("div", *bars, class_="bars"),
                   element("ul", *legend, class_="legend") if legend else None)


class _Photos:
    """The photos of the page: what is shown of each, and where."""

    def __init__(self, data: Dataset, fingerprints: Fingerprints, parts: Sequence[str] | None,
                 pictures: Mapping[int, str]) -> None:
        self.data, self.fingerprints, self.parts = data, fingerprints, parts
        self.pictures = pictures

    def facts(self, i: int, shown: bool) -> dict[str, Any]:
        """What JSON says of it."""
        return {"name": self.data.names[i], "class": self.data.classes[self.data.labels[i]],
                "part": "" if self.parts is None else self.parts[i], "size": self.size(i),
                "shown": shown}

    def size(self, i: int) -> str:
        """Its width and height."""
        return " × ".join(map(str, self.fingerprints.sizes[i, ::-1]))

    def image(self, i: int) -> Markup:
        """Its picture alone."""
        return element("img", src=self.pictures[i], alt=self.data.names[i],
                       title=self.data.names[i], decoding="async")

    def figure(self, i: int) -> Markup:
        """Its picture with its name, part and size."""
        facts = self.size(i) if self.parts is None else (
            f"{part_name(self.parts[i])}, {self.size(i)}")
        return element("figure", self.image(i), element(
            "figcaption", element("span", self.data.names[i]), element("span", facts)))

    def card(self, k: int, finding: Finding) -> Markup:
        """A problem with its photos; groups beyond MAX_GROUPS, and photos of a group beyond
        SAMPLES, by name."""
        shown: list[Markup] = []
        for group in finding.groups[:MAX_GROUPS]:
            if len(group) == 1:
                shown.append(self.figure(group[0]))
                continue
            rest = [self.data.names[i] for i in group[SAMPLES:]]
            shown.append(element(
                "div", element("span", relation(self.fingerprints, group), class_="label"),
                element("div", *map(self.figure, group[:SAMPLES]), class_="row"),
                folded(ngettext("{num} more photo", "{num} more photos", len(rest)),
                       bullets(rest)) if rest else None,
                class_="group"))
        named = ["  =  ".join(self.data.names[i] for i in group)
                 for group in finding.groups[MAX_GROUPS:]]
        return element(
            "article", element("h3", _level(finding), finding.title), element("p", finding.advice),
            element("div", *shown, class_="groups") if shown else None,
            bullets(finding.lines) if finding.lines else None,
            folded(_("{num} more by name", num=len(named)), bullets(named)) if named else None,
            class_="card finding " + ("serious" if finding.serious else "light"),
            id=f"finding{k}")


def _bounded(finding: Finding) -> Finding:
    """The finding with so many photos and lines as a browser can show; a line counts the rest."""
    groups, left = [], MAX_NAMED
    for group in finding.groups:
        if left <= 0:
            break
        groups.append(group[:left])
        left -= len(group)
    lines = finding.lines[:MAX_NAMED]
    rest = (sum(map(len, finding.groups)) - sum(map(len, groups))
            + len(finding.lines) - len(lines))
    more = [_("… and {count} more", count=rest)] if rest else []
    return replace(finding, groups=groups, lines=lines + more)


def _sizes(sizes: IntArray) -> str:
    """The smallest and the largest size of (n, 2) heights and widths, width first."""
    if not len(sizes):
        return ""
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    ends = [" × ".join(map(str, sizes[k, ::-1])) for k in (order[0], order[-1])]
    if ends[0] == ends[1]:
        return _("{size} pixels", size=ends[0])
    return _("{smallest} to {largest} pixels", smallest=ends[0], largest=ends[1])
