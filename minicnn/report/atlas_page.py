"""The atlas as HTML. Every picture is in it once, at its place, so that the page is whole without
JavaScript; the script of atlas.html adds tabs, the choice of a photo and the large view of a map.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..utils.language import ngettext
from .html import Markup, element, join

VIEWS = (N_("What the maps look for"), N_("A photo’s journey"), N_("Why this answer?"),
         N_("The network"))
Page = dict[str, Any]


def content(page: Page) -> Markup:
    """All views one below the other."""
    views = (maps_view, journey_view, answer_view, network_view)
    H, Wd = page["size"]
    about = ngettext("{model}, {num} photo at {height} × {width} pixels",
                     "{model}, {num} photos at {height} × {width} pixels", page["count"],
                     model=page["model"], height=H, width=Wd)
    panels = [element("section", element("h2", _(title)), view(page), id=f"panel{k}", class_="view")
              for k, (title, view) in enumerate(zip(VIEWS, views, strict=True), 1)]
    return join((element("p", about, id="about", class_="soft"), whole_photos(page), *panels))


def whole_photos(page: Page) -> Markup:
    """The photos of the patches, once each, for <use>: in the units of the network's pixels."""
    H, Wd = page["size"]
    return element("svg", element("defs", *(
        element("image", href=uri, width=Wd, height=H, id=f"whole{index}",
                preserveAspectRatio="none") for index, uri in page["whole"].items())),
        width=0, height=0, aria_hidden="true", class_="store")


def picture(uri: str, words: str, **attributes: object) -> Markup:
    """An image with the words as its alternative text."""
    return element("img", src=uri, alt=words, title=words, decoding="async", **attributes)


def blank(reason: str, kind: str = "", **attributes: object) -> Markup:
    """A field instead of a picture that says why there is none."""
    return element("div", _("nothing to show: {reason}", reason=reason),
                   class_=f"blank {kind}".strip(), **attributes)


def bar(share: float) -> Markup:
    """A bar of this share of its width."""
    return element("div", element("i", style=f"width: {100 * share:.2f}%"), class_="bar")


# 1. What the maps look for


def maps_view(page: Page) -> Markup:
    """For each layer its maps: a maximised image, patches and projections."""
    intro = element("p", _("For each map: an image made from noise to excite it, the patches of "
                           "all photos that excite it most, and what in them does so (the "
                           "activation, projected back to the pixels)."), element(
        "span", _(" Click a map for the whole photos and the numbers."), class_="needs-script"))
    greys = element("p", _("Grey in a patch lies outside the photo. Grey in a projection is zero: "
                           "these pixels did not matter."), class_="soft")
    number, sections, hints = 0, [], set()
    for layer in page["layers"]:
        cards = []
        for entry in layer["maps"]:
            cards.append(map_card(page, layer, entry, number))
            number += 1
        hint = None if layer["hint"] in hints else element("p", layer["hint"], class_="notice")
        hints.add(layer["hint"])
        sections.append(element(
            "section", element("h3", layer["name"]),
            element("p", _("One output sees {field} pixels.", field=layer["field"]), class_="soft"),
            hint,
            blank(layer["blank"], "wide") if layer["blank"] else None,
            element("div", *cards, class_="maps"), id=f"layer-{layer['name']}"))
    return join((intro, greys, *sections))


def map_card(page: Page, layer: Page, entry: Page, number: int) -> Markup:
    """A map: its strongest activation, and its pictures."""
    title = _("{layer}, map {unit}", layer=layer["name"], unit=entry["unit"])
    head = element("div", element("h4", _("map {unit}", unit=entry["unit"])),
                   element("span", _("strongest activation {value}", value=entry["strongest"]),
                           class_="label"),
                   bar(entry["share"]), class_="head")
    if entry["blank"] or not entry["patches"]:
        body = blank(entry["blank"], "wide")
    else:
        made = (picture(entry["maximised"], _("an image made to excite {map}", map=title))
                if entry["maximised"] else blank(entry["no_image"]))
        body = element("div", element(
            "div", element("span", _("made to excite it"), class_="label"), made, class_="made"),
                       nine(page, entry["patches"]), class_="body")
    return element("article", head, body, class_="card map", data_at=number, data_title=title,
                   data_field=layer["field"])


def nine(page: Page, patches: list[Page]) -> Markup:
    """The patches: small ones in a square beside the square of their projections, or, enlarged,
    each with its whole photo and its numbers."""
    columns = math.ceil(math.sqrt(len(patches)))
    figures = []
    for k, patch in enumerate(patches):
        at = f"--c: {k % columns + 1}; --r: {k // columns + 2}"
        projection = (blank(patch["blank"], "projection") if patch["blank"] else picture(
            patch["projection"], _("what in it excites the map"), class_="projection"))
        figures.append(element(
            "figure", framed(page, patch), picture(
                patch["patch"], _("patch of {photo}", photo=patch["photo"]), class_="patch"),
            projection, element(
                "figcaption", element("strong", _("{rank}. activation {value}", rank=k + 1,
                                                  value=patch["activation"])),
                element("span", patch["photo"], class_="label"),
                element("span", _("position of the map: {position}", position=patch["position"]),
                        class_="label"),
                element("span", _("pixels: {pixels}", pixels=patch["pixels"]), class_="label")),
            style=at))
    return element("div", element("span", _("patches"), class_="label first"),
                   element("span", _("projections"), class_="label second"), *figures,
                   class_="nine", style=f"--n: {columns}")


def framed(page: Page, patch: Page) -> Markup:
    """The whole photo with the receptive field framed."""
    H, Wd = page["size"]
    x, y, width, height = patch["box"]
    words = _("{photo}, the receptive field in a frame", photo=patch["photo"])
    return element("svg", element("title", words), element("use", href=f"#whole{patch['index']}"),
                   element("rect", x=x, y=y, width=width, height=height, class_="halo"),
                   element("rect", x=x, y=y, width=width, height=height, class_="frame"),
                   viewBox=f"0 0 {Wd} {H}", class_="whole", role="img")


# 2. A photo's journey, 3. Why this answer?


def by_photo(page: Page, show: Callable[[Page], Markup]) -> Markup:
    """A part for each photo, made by show; with JavaScript one of them shows, chosen in a strip."""
    return join((element("div", class_="strip", role="group",
                         aria_label=_("photos to choose from")),
                *(element("div", show(photo), class_="photo-part", data_photo=k,
                          data_name=photo["name"]) for k, photo in enumerate(page["photos"]))))


def photo_figure(photo: Page, source: bool) -> Markup:
    """The photo and its name. source: the picture itself; else the script copies it here."""
    shown = (picture(photo["picture"], photo["name"]) if source else
             element("img", class_="copy", alt=photo["name"], hidden=True))
    return element("figure", shown, element("figcaption", photo["name"]), class_="photo")


def output_bars(photo: Page) -> Markup:
    """The largest outputs, the first of them large."""
    rows = [element("div", element("div", element("span", row["name"]),
                                   element("strong", row["value"])),
                    None if row["share"] is None else bar(row["share"]),
                    class_="answer first" if k == 0 else "answer")
            for k, row in enumerate(photo["outputs"])]
    return element("div", *rows, class_="answers")


def journey_view(page: Page) -> Markup:
    """For each photo its strongest maps in each layer."""
    def show(photo: Page) -> Markup:
        parts = [photo_figure(photo, source=True)]
        for step in photo["journey"]:
            figures = [element("figure", blank(entry["blank"]) if entry["blank"] else
                               picture(entry["picture"], _(
                                   "{layer}, map {unit}", layer=step["name"], unit=entry["unit"])),
                               element("figcaption", element(
                                   "strong", _("map {unit}", unit=entry["unit"])), element(
                                   "span", _("mean {mean}, maximum {maximum}", mean=entry["mean"],
                                             maximum=entry["maximum"]), class_="label"), element(
                                   "span", _("active at {share}", share=entry["active"]),
                                   class_="label")), class_="card")
                       for entry in step["maps"]]
            parts.append(element(
                "section", element("h3", step["name"]),
                element("p", _("{shape} (rows × columns × maps); {active} of the values above 0; "
                               "{silent} of {count} maps silent on this photo.",
                               shape=step["shape"], active=step["active"], silent=step["silent"],
                               count=step["count"]), class_="soft"),
                element("div", *figures, class_="grid small")))
        if photo["outputs"]:
            parts.append(element("section", element("h3", _("The answer")), output_bars(photo)))
        return join(parts)
    return join((element("p", _("One photo on its way through the network: for each layer the maps "
                               "with the largest mean. Notice how the maps grow coarser; does the "
                               "share of active values fall?")), by_photo(page, show)))


def answer_view(page: Page) -> Markup:
    """For each photo the answer, then what speaks for it."""
    def show(photo: Page) -> Markup:
        parts = [element("div", photo_figure(photo, source=False), output_bars(photo),
                         class_="side")]
        first, *others = photo["answers"]
        title = _("What speaks for {target}", target=first["target"])
        if first["score"]:
            what = ", ".join(filter(None, (first["score"], first["kind"])))
            title += _(" (score {score})", score=what)
        cards = [answer_card(card) for card in first["cards"]]
        for row in others:  # beside the map of the first class
            cards[1:1] = [answer_card(card, _("{method} for {target}", method=_(card["method"]),
                                              target=row["target"])) for card in row["cards"]]
        if len(cards) % 4 == 3:  # in rows of four, the photo fills the last one
            cards.insert(0, photo_card(photo))
        columns = next((n for n in (4, 5, 3) if len(cards) % n == 0), 4)
        parts.append(element("section", element("h3", title), element(
            "div", *cards, class_="grid middle", style=f"--n: {columns}")))
        return join(parts)
    has_classes = any(photo["outputs"] for photo in page["photos"])
    words = (_("Red speaks for the class, blue against it. Gradient maps show magnitude only: "
               "brighter means stronger.") if has_classes else
             _("This network has no classes: the target is its strongest map. Class activation "
               "maps need a network with classes, such as your own model.h5."))
    rest = ("" if len(page["photos"]) < 2 else
            _(" The slower methods are computed for the first photo."))
    return join((element("p", words + rest), by_photo(page, show)))


def answer_card(card: Page, title: str = "") -> Markup:
    """A method, its picture and what it says. title: above it, if that is not the method alone."""
    notes = [element("p", card["note"], class_="label") if card["note"] else None,
             element("p", f"⚠ {card['warning']}", class_="note") if card["warning"] else None]
    return element("figure", element("h4", title or _(card["method"])),
                   blank(card["blank"], "wide") if card["blank"] else
                   picture(card["picture"], title or _(card["method"])),
                   element("figcaption", element("p", _(card["text"])), *notes), class_="card")


def photo_card(photo: Page) -> Markup:
    """The photo itself beside the methods; the page's script copies the picture here."""
    return element("figure", element("h4", _("what the network sees")),
                   element("img", class_="copy", alt=photo["name"], hidden=True),
                   element("figcaption", element("p", photo["name"])), class_="card needs-script")


# 4. The network


def network_view(page: Page) -> Markup:
    """The layers as boxes, then as a table."""
    table = element("table", element("thead", element("tr", *(
        element("th", name, scope="col") for name in page["header"]))), element("tbody", *(
            element("tr", *(element("td", cell) for cell in row)) for row in page["table"])))
    return join((
        element("p", _("Each box is the output of a layer: as high as its rows, as thick as its "
                       "number of maps (both on a root scale). A box with a link leads to its "
                       "maps.")),
        element("ol", *map(layer_box, page["boxes"]), class_="boxes"),
        element("h3", _("All layers")), element("div", table, class_="wide", tabindex=0,
                                             role="region", aria_label=_("table of the layers")),
        element("ul", *(element("li", line) for line in page["footer"]), class_="lines")))


def layer_box(box: Page) -> Markup:
    """A box as high as the layer's rows and as thick as its maps; a vector is as high as it has
    units."""
    shape = box["shape"]
    height, depth = (shape[0], shape[2]) if len(shape) == 3 else (min(math.prod(shape), 100), 1)
    style = (f"height: {max(8, 11 * math.sqrt(height)):.0f}px; "
             f"width: {max(8, 4 * math.sqrt(depth)):.0f}px")
    kind = {"input": "photo"}.get(box["kind"], "pool" if "Pool" in box["kind"] else
                                  "conv" if "Conv" in box["kind"] else
                                  "dense" if "Dense" in box["kind"] else "other")
    words = [element("span", class_=f"block {kind}", style=style),
             element("strong", box["name"]),
             element("span", " × ".join(map(str, shape)), class_="label"),
             element("span", _("input") if kind == "photo" else box["kind"], class_="label")]
    return element("li", element("a", *words, href=f"#layer-{box['name']}") if box["has_maps"]
                   else element("div", *words))
