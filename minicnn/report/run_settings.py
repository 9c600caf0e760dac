"""What was set for a run: the command, what differs from the defaults, what was chosen for the
user, when and where it ran. What a run.json of an earlier version does not have is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..training import TransferConfig
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..utils.language import local_number, ngettext
from .html import Markup, bullets, element, folded, section, table
from .run_sections import part_name

# What a run came to: the key of "used" in run.json, and what it is called on the page.
FACTS = {
    "learning_rate": N_("learning rate"), "cut": N_("frozen up to"), "size": N_("photo size"),
    "epochs": N_("epochs"), "photos": N_("photos"), "device": N_("device"),
    "backend": N_("backend"),
}
# When and where it ran.
CIRCUMSTANCES = {"started": N_("started"), "resumed": N_("resumed"), "seconds": N_("duration")}
VERSIONS = {"minicnn": "minicnn", "python": "Python", "numpy": "NumPy"}
# Of the options whose default is neither off nor "chosen for you".
DEFAULTS = {**asdict(TransferConfig()), "device": "cpu", "tta": 1, "batch_size": 32}


def fact(key: str, value: Any) -> str:
    """A fact in words: 1.05e-06, "128 × 128 pixels", "1 min 12 s", "train 120, test 60"."""
    if key == "seconds" and isinstance(value, (int, float)):
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return " ".join(f"{number} {unit}" for number, unit in (
            (hours, "h"), (minutes, "min"), (seconds, "s")) if number or unit == "s")
    if key == "size" and isinstance(value, int):
        return _("{side} × {side} pixels", side=value)
    if key == "photos" and isinstance(value, Mapping):
        return ", ".join(f"{part_name(part)} {count}" for part, count in value.items())
    if key in ("started", "resumed"):
        return ", ".join(moment(str(text)) for text in ([value] if isinstance(value, str)
                                                         else value))
    return in_words(value)


def moment(text: str) -> str:
    """A time of run.json without seconds and time zone: "2026-11-28 14:05"."""
    return text[:16].replace("T", " ")


def facts_of_run(used: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, words) of what the run came to; what run.json does not have is left out, and the
    backend of the processor if a GPU computed."""
    rows = [(_(name), fact(key, used[key])) for key, name in FACTS.items()
            if key in used and (key != "backend" or used.get("device", "cpu") == "cpu")]
    versions = [f"{name} {used[key]}" for key, name in VERSIONS.items() if key in used]
    return [*rows, (_("versions"), ", ".join(versions))] if versions else rows


def circumstances(used: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, words) of when and where it ran."""
    names = dict(CIRCUMSTANCES)
    if used.get("resumed"):
        names["seconds"] = N_("duration since then")
    rows = [(_(name), fact(key, used[key])) for key, name in names.items()
            if used.get(key) not in (None, [])]
    machine = [in_words(used[key]) for key in ("processor", "system") if used.get(key)]
    if "cores" in used:
        machine.append(ngettext("{num} core", "{num} cores", used["cores"]))
    return [*rows, (_("machine"), ", ".join(machine))] if machine else rows


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
    return [(option_name(key), in_words(value)) for key, value in options.items()
            if value not in (None, "", False) and value != DEFAULTS.get(key)]


def option_name(key: str) -> str:
    """test_fraction -> --test-fraction; folder and model are arguments."""
    return key if key in ("folder", "model") else f"--{key.replace('_', '-')}"


def settings_section(options: Mapping[str, Any], chosen: Sequence[str],
                     used: Mapping[str, Any]) -> Markup:
    """The section. chosen: sentences on what was chosen for the user, such as the learning rate.
    used: what run.json has under that name. What depends on when and where the run was is in
    elements of the class "record"."""
    different, facts, record = differences(options), facts_of_run(used), circumstances(used)
    command = used.get("command")
    columns = [element("div", element("h3", _("What differs from the defaults")), table(
        (_("option"), _("value")), different, "plain") if different else element(
            "p", _("Nothing: every option has its default.")),
        *((element("h3", _("Chosen for you")), bullets(chosen)) if chosen else ()))]
    if facts:
        columns.append(element("div", element("h3", _("What was used")),
                               table((_("setting"), _("value")), facts, "plain")))
    if record:
        columns.append(element("div", element("h3", _("When and where")), table(
            (_("setting"), _("value")), record, "plain"), class_="record"))
    every = [(key, in_words(value)) for key, value in options.items()]
    return section(
        "settings", _("What was set"),
        element("pre", command, tabindex=0, class_="record") if command else None,
        element("div", *columns, class_="columns"),
        folded(_("All {count} options", count=len(every)),
               table((_("option"), _("value")), every, "plain")))
