"""What was set for a run: what differs from the defaults, what was chosen by itself, the command.

run.json has the options and, from some version on, facts: they are looked up tolerantly, at its top
or one level below, so that a page can be written for a run.json without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..training import TransferConfig
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..utils.language import local_number
from .html import Markup, bullets, element, folded, section, table

# The facts of a run: what they are called on the page, and the keys of run.json that may hold them.
FACTS = {
    N_("learning rate"): ("learning_rate", "effective_learning_rate", "head_learning_rate"),
    N_("frozen up to"): ("cut", "effective_cut"),
    N_("photo size"): ("size", "effective_size"),
    N_("epochs"): ("epochs_run", "epochs"),
    N_("seed"): ("seed",),
    N_("started"): ("date", "started"),
    N_("duration"): ("duration", "duration_s", "seconds"),
    N_("versions"): ("versions", "version"),
    N_("machine"): ("machine",),
    N_("device"): ("device",),
}
COMMAND = ("command", "command_line")
# Of the options whose default is neither off nor "chosen for you".
DEFAULTS = {**asdict(TransferConfig()), "device": "cpu", "tta": 1, "batch_size": 32}


def look_up(options: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The first of these keys that has a value, in the options or in one of their mappings."""
    nested = [value for value in options.values() if isinstance(value, Mapping)]
    for key in keys:
        for part in (options, *nested):
            if part.get(key) not in (None, "", [], {}):
                return part[key]
    return None


def fact(name: str, value: Any) -> str:
    """A fact in words: 1.05e-06, "128 × 128 pixels", "1 min 12 s", "minicnn 1.0, NumPy 2.1"."""
    if name == "duration" and isinstance(value, (int, float)):
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return " ".join(f"{number} {unit}" for number, unit in (
            (hours, "h"), (minutes, "min"), (seconds, "s")) if number or unit == "s")
    if name == "photo size" and isinstance(value, int):
        return _("{side} × {side} pixels", side=value)
    return in_words(value)


def in_words(value: Any) -> str:
    """A value of JSON for people."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return local_number(f"{value:.3g}")
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(in_words, value))
    return str(value)


def differences(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(option, value) of all that are not at their default."""
    facts = {key for keys in (*FACTS.values(), COMMAND) for key in keys}
    rows = []
    for key, value in options.items():
        if isinstance(value, Mapping) or (key in facts and key not in DEFAULTS):
            continue
        if value not in (None, "", False) and value != DEFAULTS.get(key):
            rows.append((option_name(key), in_words(value)))
    return rows


def option_name(key: str) -> str:
    """test_fraction -> --test-fraction; folder and model are arguments."""
    return key if key in ("folder", "model") else f"--{key.replace('_', '-')}"


def settings_section(options: Mapping[str, Any], chosen: Sequence[str],
                     used: Mapping[str, Any]) -> Markup:
    """The section. chosen: sentences on what was chosen by itself, such as the learning rate.
    used: more facts, which are no options."""
    different = differences(options)
    facts = [(_(name), fact(name, value)) for name, keys in FACTS.items()
             if (value := look_up({**options, **used}, keys)) is not None]
    command = look_up(options, COMMAND)
    columns = [element("div", element("h3", _("What differs from the defaults")), table(
        (_("option"), _("value")), different, "plain") if different else element(
            "p", _("Nothing: every option has its default.")))]
    if facts:
        columns.append(element("div", element("h3", _("What was used")),
                               table((_("setting"), _("value")), facts, "plain")))
    if chosen:
        columns.append(element("div", element("h3", _("Chosen for you")), bullets(chosen)))
    every = [(key, in_words(value)) for key, value in options.items()]
    return section(
        "settings", _("What was set"),
        element("pre", in_words(command), tabindex=0, class_="command") if command else None,
        element("div", *columns, class_="columns"),
        folded(_("All {count} options", count=len(every)),
               table((_("option"), _("value")), every, "plain")))
