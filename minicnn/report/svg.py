"""Charts as SVG text: axes, lines, bars, labels. They need no script and take the page's colours.

A chart is drawn twice, for a wide screen and for a phone: text keeps its size.
No text leaves its chart, however long the names in it are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..plotting.drawing import without_glyph_warnings
from ..utils.language import local_number
from .html import Markup, element, join, percent

WIDE, PHONE = 740, 350  # units of the drawing: pixels, where it is shown at its own size
LINE_HEIGHT = 22  # of a label
TYPE, PHONE_TYPE = 18, 16  # pixels of the letters, as the style sheet has them


def text_width(words: str, size: int, bold: bool = False) -> float:
    """Pixels of the words in DejaVu Sans of this size: the widest of the fonts of the pages."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    with without_glyph_warnings():
        width: float = text_to_path.get_text_width_height_descent(words, font, ismath=False)[0]
    return width


class Plot:
    """A drawing with axes: values from x[0] to x[1] and from y[0] to y[1] within its margins."""

    def __init__(self, title: str, width: int, height: int, x: tuple[float, float],
                 y: tuple[float, float], margins: tuple[int, int, int, int]) -> None:
        """margins: above, right, below, left. title: for people who cannot see it."""
        self.title, self.width, self.height, self.x, self.y = title, width, height, x, y
        self.top, self.right, self.bottom, self.left = (
            margins[0], width - margins[1], height - margins[2], margins[3])
        self.parts: list[Markup] = []

    def px(self, value: float) -> float:
        """Pixels from the left."""
        share = (value - self.x[0]) / (self.x[1] - self.x[0])
        return round(self.left + share * (self.right - self.left), 1)

    def py(self, value: float) -> float:
        """Pixels from the top."""
        share = (value - self.y[0]) / (self.y[1] - self.y[0])
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def draw(self, name: str, *children: object, **attributes: object) -> None:
        """Adds an element."""
        self.parts.append(element(name, *children, **attributes))

    def text(self, x: float, y: float, words: object, anchor: str = "start", kind: str = "",
             halo: bool = False) -> None:
        """Adds words at pixels x, y, moved or shortened if they would leave the drawing; halo: with
        an outline, to be read across lines."""
        line = str(words)
        while (wide := self.width_of(line, kind)) > self.width and len(line) > 2:
            line = f"{line[:-2]}…"
        before = wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]  # of x
        x = round(min(max(x, before), self.width - wide + before), 1)
        classes = " ".join(filter(None, (kind, "halo" * halo)))
        self.draw("text", line, x=x, y=y, text_anchor=anchor, class_=classes or None)

    def width_of(self, words: str, kind: str = "") -> float:
        """Pixels of a text of this class."""
        size = PHONE_TYPE if self.width == PHONE else TYPE
        return text_width(words, size, bold="end" in kind.split())

    def axes(self, ticks_x: Sequence[tuple[float, str]], ticks_y: Sequence[tuple[float, str]],
             label_x: str = "") -> None:
        """Grid lines with their numbers, and the name of the x axis."""
        for value, label in ticks_x:
            at = self.px(value)
            self.draw("line", class_="grid down", x1=at, x2=at, y1=self.top, y2=self.bottom)
            self.text(at, self.bottom + 24, label, "middle", "soft")
        for value, label in ticks_y:
            at = self.py(value)
            self.draw("line", class_="grid across", x1=self.left, x2=self.right, y1=at, y2=at)
            self.text(self.left - 10, at + 6, label, "end", "soft")
        if label_x:
            self.text((self.left + self.right) / 2, self.bottom + 50, label_x, "middle", "soft")

    def line(self, x: Sequence[float], y: Sequence[float], kind: str, steps: bool = False) -> None:
        """A line through the points, clipped at the frame above; of one point, a dot."""
        points = [(self.px(u), max(self.py(v), self.top - 2)) for u, v in zip(x, y, strict=True)]
        if len(points) == 1:
            self.draw("circle", cx=points[0][0], cy=points[0][1], r=6, class_=f"dot {kind}")
            return
        way = "".join(f"{'M' if not k else 'L'}{u} {v}" if not steps or not k else f"V{v}H{u}"
                      for k, (u, v) in enumerate(points))
        self.draw("path", d=way, class_=f"line {kind}")

    def labels(self, lines: Sequence[tuple[float, str, str]]) -> None:
        """(value, words, class) at the right end of each line, moved apart if they would touch."""
        rows = sorted(lines, key=lambda line: self.py(line[0]))
        heights = [max(self.py(value), self.top) + 6 for value, _words, _kind in rows]
        for k in range(1, len(heights)):
            heights[k] = max(heights[k], heights[k - 1] + LINE_HEIGHT)
        limit = self.bottom + 6.0
        for k in range(len(heights) - 1, -1, -1):
            heights[k] = min(heights[k], limit)
            limit = heights[k] - LINE_HEIGHT
        for (_value, words, kind), height in zip(rows, heights, strict=True):
            self.text(self.right + 10, height, words, kind=f"end {kind}")

    def mark(self, name: str) -> None:
        """A ring that the page's script moves."""
        self.draw("circle", class_="mark", r=9, cx=0, cy=0, visibility="hidden", data_mark=name)

    def svg(self, **attributes: object) -> Markup:
        """The drawing; its frame and its values stand in its attributes, for the script."""
        return element("svg", *self.parts, viewBox=f"0 0 {self.width} {self.height}", role="img",
                       aria_label=self.title, data_box=join_numbers(
                           self.left, self.right, self.top, self.bottom),
                       data_range=join_numbers(*self.x, *self.y), **attributes)


def join_numbers(*numbers: float) -> str:
    """1,2.5"""
    return ",".join(f"{number:g}" for number in numbers)


def both_sizes(draw: Callable[[int], Plot], wide: int = WIDE, **attributes: object) -> Markup:
    """The chart for a wide screen and for a phone, of which the style sheet shows one."""
    return join([element("div", draw(wide).svg(**attributes), class_="on-wide"),
                 element("div", draw(PHONE).svg(**attributes), class_="on-phone")])


def chart(title: str, note: str, picture: Markup, *more: object) -> Markup:
    """A heading, what the y axis says, the picture."""
    return element("div", element("h3", title), element("p", note, class_="soft") if note else None,
                   picture, *more, class_="chart")


def percent_ticks(low: float = 0.0, step: float = 0.25) -> list[tuple[float, str]]:
    """From low to 1, as percentages."""
    count = round((1 - low) / step)
    return [(low + k * step, percent(low + k * step, 0)) for k in range(count + 1)]


def number_ticks(low: float, high: float, count: int = 5, integer: bool = False
                 ) -> list[tuple[float, str]]:
    """Round numbers from low to high, about `count` of them."""
    raw = (high - low) / count or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * 0.999)
    step = max(step, 1.0) if integer else step
    first = int(-(-low // step))
    ticks = []
    while first * step <= high * 1.0001:
        ticks.append((first * step, local_number(f"{first * step:.6g}")))
        first += 1
    return ticks
