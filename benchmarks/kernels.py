"""What NVIDIA's compiler makes of every kernel: registers, shared memory, spills, occupancy.

    python -m benchmarks.kernels                       compute capability 8.6, float
    python -m benchmarks.kernels --arch 90 --double

Needs CuPy and NVRTC (both in the extra "test"), but no GPU and no driver. The options are those
that CuPy gives for a RawModule on that architecture, plus ptxas' report.

Theoretical occupancy is how many warps can live on a multiprocessor (SM) at a time, of the most
that the hardware takes: many of them hide each other's waiting for memory. Sources: CUDA C++
Programming Guide, "Technical Specifications per Compute Capability", for the limits of an SM;
NVIDIA's occupancy calculator (cuda_occupancy.h of CUDA 12.9) for blocks per SM and how registers
and shared memory are rounded. The SM is taken to give as much of its L1 cache to shared memory as
it can.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minicnn.ops.cuda.launch import KERNELS, THREADS, options
from minicnn.utils.errors import KernelError


class Limits(NamedTuple):
    """What one SM holds at a time; it has 65,536 registers on all of these architectures."""

    threads: int
    blocks: int
    shared: int    # KB
    reserved: int  # bytes of it that the system takes for each block
    rounding: int  # a block's shared memory comes in pieces of so many bytes


LIMITS = {70: Limits(2048, 32, 96, 0, 256), 75: Limits(1024, 16, 64, 0, 256),
          80: Limits(2048, 32, 164, 1024, 128), 86: Limits(1536, 16, 100, 1024, 128),
          89: Limits(1536, 24, 100, 1024, 128), 90: Limits(2048, 32, 228, 1024, 128),
          100: Limits(2048, 32, 228, 1024, 128), 120: Limits(1536, 24, 100, 1024, 128)}
DTYPES = (np.float32, np.float64)
# What the log may say: ptxas' report, and that NVRTC will not know old cards for ever.
REPORT = re.compile(r"ptxas(\s+\.| info\s+:) ")
DEPRECATED = ("nvrtc: warning: Architectures prior to '<compute/sm>_75' are deprecated and may be "
              "removed in a future release")
ENTRY = re.compile(
    r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes "
    r"spill loads.*?Used (\d+) registers([^\n]*)", re.S)


@dataclass(frozen=True)
class Row:
    """One kernel, compiled: sizes in bytes, registers per thread."""

    kernel: str
    file: str
    arch: int
    options: tuple[str, ...]
    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int


class Compiled(NamedTuple):
    """What comes out of a file: machine code, assembly, a row a kernel, and the warnings."""

    cubin: bytes
    ptx: bytes
    rows: list[Row]
    complaints: list[str]


def supported_archs() -> list[int]:
    """The architectures of LIMITS that the installed NVRTC compiles for."""
    from cupy_backends.cuda.libs import nvrtc

    version = nvrtc.getVersion()
    return [arch for arch in LIMITS if (arch >= 75 or version < (13, 0)) and
            (arch < 100 or version >= (12, 8))]


def cupy_options(given: tuple[str, ...], arch: int) -> tuple[str, ...]:
    """All that CuPy tells NVRTC for RawModule(options=given) on a card of this architecture.

    CuPy's own function for it asks for the card; tests/kernels/test_nvrtc.py compares the two.
    """
    from cupy._core.core import assemble_cupy_compiler_options

    return (*assemble_cupy_compiler_options(given), "-ftz=true", f"-arch=sm_{arch}",
            "--device-as-default-execution-space")


def compile_source(text: str, name: str, given: tuple[str, ...], arch: int) -> Compiled:
    """Compiles CUDA C++. Raises KernelError with the compiler's message where it cannot."""
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(text, name, (), ())
    try:
        nvrtc.compileProgram(program, (*cupy_options(given, arch), "--ptxas-options=-v"))
        cubin, ptx = nvrtc.getCUBIN(program), nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program).strip("\0\n")
        raise KernelError(f"{name}: expected a kernel that compiles for sm_{arch}, received from "
                          f"the compiler: {log or error}. Fix it.") from error
    else:
        log = nvrtc.getProgramLog(program).strip("\0\n")
    finally:
        nvrtc.destroyProgram(program)
    rows = []
    for kernel, stack, stores, loads, registers, rest in ENTRY.findall(log):
        shared = re.search(r"(\d+) bytes smem", rest)
        rows.append(Row(kernel, name, arch, given, int(registers), int(shared[1]) if shared else 0,
                        int(stack), int(stores), int(loads)))
    complaints = [line for line in log.splitlines()
                  if line != DEPRECATED and not REPORT.match(line)]
    return Compiled(cubin, ptx, rows, complaints)


def variants(file: Path, dtypes: Iterable[type] = DTYPES) -> list[tuple[str, ...]]:
    """The options that a file is compiled with: per dtype, and per type of switch if it has any."""
    switches = re.search(r"\bplace\b", file.read_text("utf-8"))
    return [options(np.dtype(dtype), place) for dtype in dtypes
            for place in ((np.uint8, np.int32) if switches else (np.uint8,))]


def compile_all(archs: Iterable[int], dtypes: Iterable[type] = DTYPES, folder: Path = KERNELS
                ) -> list[Compiled]:
    """Every file of the folder, in every variant, for every architecture."""
    jobs = [(file.read_text("utf-8"), file.name, given, arch) for arch in archs
            for file in sorted(folder.glob("*.cu")) for given in variants(file, dtypes)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NVRTC lets go of Python's lock
        return list(pool.map(lambda job: compile_source(*job), jobs))


def occupancy(registers: int, shared: int, arch: int, threads: int = THREADS
              ) -> tuple[int, float, str]:
    """(blocks on an SM at a time, their share of the warps it can hold, what allows no more)."""
    limits, warps = LIMITS[arch], -(-threads // 32)
    per_warp = -(-registers * 32 // 256) * 256  # registers come to a warp in pieces of 256
    block = -(-(shared + limits.reserved) // limits.rounding) * limits.rounding
    fits = {"threads": limits.threads // 32 // warps, "blocks": limits.blocks,
            "registers": 65536 // 4 // per_warp * 4 // warps,  # each quarter of an SM has its own
            "shared memory": limits.shared * 1024 // block if block else limits.blocks}
    blocks = min(fits.values())
    return (blocks, blocks * warps * 32 / limits.threads,
            " and ".join(name for name, most in fits.items() if most == blocks))


def table(compiled: Iterable[Compiled]) -> str:
    """The rows in Markdown."""
    lines = [f"| kernel | file | registers | shared memory, B | spills, B | threads a block "
             f"| blocks an SM | occupancy | limited by |\n|{' --- |' * 9}"]
    for row in (row for one in compiled for row in sorted(one.rows, key=lambda row: row.kernel)):
        blocks, share, limit = occupancy(row.registers, row.shared, row.arch)
        lines.append(f"| {row.kernel} | {row.file} | {row.registers} | {row.shared} "
                     f"| {row.spill_stores + row.spill_loads + row.stack} | {THREADS} | {blocks} "
                     f"| {share:.0%} | {limit} |")
    return "\n".join(lines)


def main() -> None:
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, default=86, choices=LIMITS,
                        help="compute capability without its point (default: 86)")
    parser.add_argument("--double", action="store_true", help="float64 instead of float32")
    arguments = parser.parse_args()
    dtype = np.float64 if arguments.double else np.float32
    try:
        from cupy_backends.cuda.libs import nvrtc
        version = ".".join(map(str, nvrtc.getVersion()))
        compiled = [one for one in compile_all([arguments.arch], [dtype])
                    if options(dtype) == one.rows[0].options]  # switches of one byte
    except KernelError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (ImportError, RuntimeError) as error:  # CuPy's own, where NVRTC or headers are missing
        print(f"kernels: expected CuPy, NVRTC and CUDA's headers, found not all of them ({error}). "
              f'Install the extra "test": pip install -e ".[test]".', file=sys.stderr)
        sys.exit(2)
    print(table(compiled))
    complaints = [line for one in compiled for line in one.complaints]
    print(f"\nNVRTC {version}, sm_{arguments.arch}, {np.dtype(dtype).name}; "
          f"{len(complaints)} warnings. Spills: stack frame, spill stores and loads together.")
    for line in complaints:
        print(line)


if __name__ == "__main__":
    main()
