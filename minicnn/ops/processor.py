"""Which processor this is, so that what was made or measured for it is kept for it alone."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path


@functools.cache
def processor_identity() -> str:
    """What this processor can do: what was compiled for another one might hold an instruction that
    this one lacks."""
    try:  # Linux
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        uname = os.uname().version if hasattr(os, "uname") else platform.version()
        return f"{platform.machine()} {platform.processor()} {uname}"
    wanted = ("model name", "flags",  # x86
              "CPU implementer", "CPU part", "Features",  # ARM
              "cpu", "isa", "machine")  # POWER, RISC-V
    known = {line for line in lines if line.startswith(wanted) and "MHz" not in line}
    return "\n".join([platform.machine(), *sorted(known)])
