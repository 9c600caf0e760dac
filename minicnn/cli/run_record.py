"""What run.json says of a run: its options, and under "used" what they came to and where it ran."""

from __future__ import annotations

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
from ..summary import backend_name
from ..utils.files import write_text

USED = "used"  # the key beside the options


def surroundings(argv: Sequence[str]) -> dict[str, Any]:
    """Command line, date, versions and processor of this process; not whose machine it is."""
    return {"command": join(["minicnn", *argv]), "started": now(), "minicnn": __version__,
            "python": platform.python_version(), "numpy": np.__version__,
            "system": f"{platform.system()} {platform.machine()}", "processor": processor(),
            "cores": cores(), "backend": backend_name()}


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


def write_options(output: Path, options: dict[str, Any], used: dict[str, Any]) -> None:
    """Writes run.json."""
    write_text(output / "run.json", json.dumps({**options, USED: used}, indent=1))


def add_used(output: Path, **values: Any) -> None:
    """Adds values to what run.json says was used."""
    options = options_of(output)
    write_options(output, options, used_by(output) | values)


def options_of(output: Path) -> dict[str, Any]:
    """The options in the run's run.json."""
    document = json.loads((output / "run.json").read_text("utf-8"))
    return {key: value for key, value in document.items() if key != USED}


def used_by(output: Path) -> dict[str, Any]:
    """What run.json says was used; {} for a run of minicnn 0.2 or before."""
    return dict(json.loads((output / "run.json").read_text("utf-8")).get(USED, {}))


def used_so_far(output: Path) -> dict[str, Any]:
    """used_by, with the seconds since the run began, or since it was resumed for the last time."""
    used = used_by(output)
    begun = [*filter(None, [used.get("started")]), *used.get("resumed", [])]
    if not begun:
        return used
    duration = datetime.fromisoformat(now()) - datetime.fromisoformat(begun[-1])
    return used | {"seconds": duration.total_seconds()}
