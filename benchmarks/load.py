"""Whether a measurement had the processor to itself.

Engines with OpenMP, PyTorch among them, let their threads busy-wait for each other. If another
process takes a core from one of them, the others wait: a training step of a small network becomes
ten times slower and more, and minicnn, which waits otherwise, looks far better than it is. A median
does not help against what lasts. So each row says if other processes were at work.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

LIMIT = 0.05  # of the processor's time: with more, a ratio is not valid


class Clocks(NamedTuple):
    """Seconds: of the wall; in which our cores were busy, all added; that our processes took."""

    wall: float
    busy: float
    own: float


def busy_ticks(text, cores):
    """The ticks in which these cores {0, …} did anything, from the text of /proc/stat: user, nice,
    system, irq, softirq and steal (taken by other virtual machines), not idle and iowait."""
    total = 0
    for line in text.splitlines():
        name, *fields = line.split()
        if name[:3] == "cpu" and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total


def read_clocks():
    """Now (Linux). Our processes: this one, and its children that have ended."""
    ticks = busy_ticks(Path("/proc/stat").read_text(), os.sched_getaffinity(0))
    return Clocks(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4]))


def share_of_others(before, after, cores):
    """The share of the time of so many cores that other processes took between two Clocks."""
    wall, busy, own = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, busy - own) / (wall * cores)
