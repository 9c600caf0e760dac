"""Where the kernels are, and a kernel's signature, read from its file, .cu or .cpp."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from ..utils.errors import KernelError

PACKAGE = Path(__file__).resolve().parents[1]  # minicnn/
KERNELS = next(p for p in (PACKAGE / "kernels", PACKAGE.parent / "kernels") if p.is_dir())
C_NAMES = {"float32": "float", "float64": "double", "uint8": "unsigned char", "int32": "int"}

# A __global__ function: its name and its parameters. __launch_bounds__, which tells the compiler
# the largest block, may stand before or after void.
BOUNDS = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
SIGNATURE = re.compile(rf"__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Kernel:
    """A __global__ function: its name, file, and parameters ((type, name), …)."""

    name: str
    file: Path
    parameters: tuple[tuple[str, str], ...]

    @functools.cached_property
    def arrays(self) -> list[tuple[int, str, str, bool]]:
        """(position, name, "real" or "switch_t", is it const?) of each array."""
        return [(k, name, "real" if "real" in kind else "switch_t", kind.startswith("const"))
                for k, (kind, name) in enumerate(self.parameters) if "*" in kind]

    @functools.cached_property
    def numbers(self) -> list[tuple[int, str, str]]:
        """(position, name, type) of each parameter that is a number."""
        return [(k, name, kind) for k, (kind, name) in enumerate(self.parameters)
                if "*" not in kind]


def read_kernels(file: Path) -> dict[str, Kernel]:
    """The kernels of a file, its __global__ functions, by their names."""
    signatures = SIGNATURE.findall(file.read_text(encoding="utf-8"))
    return {name: Kernel(name, file, tuple(_parameter(file, name, " ".join(parameter.split()))
                                           for parameter in parameters.split(",")))
            for name, parameters in signatures}


def _parameter(file: Path, kernel: str, text: str) -> tuple[str, str]:
    """"const real *x" -> ("const real*", "x")."""
    match = re.fullmatch(r"((?:const )?(?:real|switch_t) ?\*|int64|int|real) ?\b(\w+)", text)
    if not match:
        raise KernelError(f"{file}: expected the parameters of {kernel} as (const) real* or "
                          f"switch_t*, int, int64 or real, received {text!r}. Change its "
                          f"signature.")
    return match[1].replace(" *", "*"), match[2]
