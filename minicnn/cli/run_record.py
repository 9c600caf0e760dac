"""What run.json says of a run: its options, and under "used" the values they resolved to and where
it ran."""

from __future__ import annotations

import dataclasses
import json
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from shlex import join
from typing import Any

import numpy as np

from .. import __version__
from ..ops.fast.threads import cores
from ..ops.tuning import constants
from ..summary import backend_name
from ..utils.files import write_text

FACTS = "used"  # the key beside the options


def environment(argv: Sequence[str]) -> dict[str, Any]:
    """Command line, date, versions and processor of this process, and by which constants its
    backend selects algorithms (ops/tuning.py); no user or host name."""
    backend = backend_name()
    measured = None if backend == "reference" else dataclasses.asdict(constants(backend))
    return {"command": join(["minicnn", *argv]), "started": now(), "minicnn": __version__,
            "python": platform.python_version(), "numpy": np.__version__,
            "system": f"{platform.system()} {platform.machine()}", "processor": processor(),
            "cores": cores(), "backend": backend, "constants": measured}


def now() -> str:
    """The local time, such as 2026-11-28T14:05:00+01:00."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def processor() -> str:
    """The processor's name; what Python knows of it if the system does not say more."""
    with suppress(OSError, IndexError, subprocess.SubprocessError):
        if platform.system() == "Linux":
            lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
            return [line.split(":", 1)[1].strip() for line in lines
                    if line.startswith("model name")][0]
        if platform.system() == "Darwin":
            return subprocess.run(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
                                  capture_output=True, text=True, timeout=5, check=True
                                  ).stdout.strip()
    return platform.processor() or platform.machine()


def write_options(output: Path, options: dict[str, Any], facts: dict[str, Any]) -> None:
    """Writes run.json."""
    write_text(output / "run.json", json.dumps({**options, FACTS: facts}, indent=1))


def add_facts(output: Path, **values: Any) -> None:
    """Adds values to what run.json says was used."""
    write_options(output, options_of(output), facts_of(output) | values)


def options_of(output: Path) -> dict[str, Any]:
    """The options in the run's run.json."""
    document = json.loads((output / "run.json").read_text("utf-8"))
    return {key: value for key, value in document.items() if key != FACTS}


def facts_of(output: Path) -> dict[str, Any]:
    """What the run's run.json says was used; {} for a run.json without it."""
    return dict(json.loads((output / "run.json").read_text("utf-8")).get(FACTS, {}))


def facts_so_far(output: Path) -> dict[str, Any]:
    """facts_of, with the seconds since the run began, or since it was resumed for the last time."""
    facts = facts_of(output)
    begun = [*filter(None, [facts.get("started")]), *facts.get("resumed", [])]
    if not begun:
        return facts
    duration = datetime.fromisoformat(now()) - datetime.fromisoformat(begun[-1])
    return facts | {"seconds": duration.total_seconds()}
