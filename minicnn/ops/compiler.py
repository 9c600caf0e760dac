"""The C++ compiler of this machine, where there is one, and what it has made, in a cache: kernels
for the simulator (cuda/simulator.py) and for the processor (native/)."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..utils.errors import KernelError

SECONDS = 120  # after which a compiler is given up: the longest kernel needs a few

def compiler(purpose: str = "cuda-sim") -> str:
    """The C++ compiler: what CXX names, c++, g++ or clang++.

    Raises KernelError, which begins with what the compiler is wanted for, if there is none.
    """
    path = _find_compiler(os.environ.get("CXX"), os.environ.get("PATH"))
    if path:
        return path
    raise KernelError(f"{purpose}: expected a C++ compiler on Linux or macOS (CXX, c++, g++ or "
                      "clang++), found none. Install one: apt install g++, or xcode-select "
                      "--install.")


@functools.cache
def _find_compiler(named: str | None, path: str | None) -> str | None:
    for name in (named, "c++", "g++", "clang++") if os.name == "posix" else ():
        if name and (where := shutil.which(name, path=path)):
            return where
    return None


def cache_key(*parts: str) -> str:
    """A name for what is made of these."""
    import hashlib

    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@contextmanager
def made_aside(path: Path) -> Iterator[Path]:
    """A file of this name in a temporary folder; it is moved to `path` when it is complete."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        yield Path(folder, path.name)
        Path(folder, path.name).replace(path)


def run_compiler(file: Path, *arguments: str) -> None:
    """Runs the compiler. Raises KernelError with its first message, about `file`."""
    import subprocess

    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("LD_PRELOAD", None)  # a sanitizer, say, for this process: not for the compiler
    try:
        done = subprocess.run([compiler(), *arguments], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=SECONDS,
                              env=environment)
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{file}: expected the compiler {compiler()} to end within {SECONDS} s, "
                          f"and it did not. Let CXX name another one.") from error
    if done.returncode:
        raise KernelError(f"{file}: expected a kernel that compiles, received from the compiler: "
                          f"{first_error(done.stderr)}. Fix that line.")


def first_error(text: str) -> str:
    """The compiler's first error (file:line:column: error: …), or else its whole output."""
    errors = [line for line in text.splitlines() if re.search(r"error\b.*:", line)]
    return (errors or [text.strip()])[0].rstrip(".?")
