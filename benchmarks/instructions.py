"""How many instructions a GPU's thread executes for each element that it writes: counted in the
machine code of the kernels around the convolutions of VGG16, without a GPU.

    python -m benchmarks.instructions                  machine code of compute capability 9.0
    python -m benchmarks.instructions --tools FOLDER   where NVIDIA's cuobjdump is, if not in PATH
    python -m benchmarks.instructions --ptx            NVIDIA's assembly language instead

Needs NVRTC, as benchmarks.kernels does. Machine code (SASS) is read by cuobjdump, of the CUDA
toolkit or of the wheel of triton on PyPI; without it PTX is counted, from which the driver's or
NVRTC's assembler makes machine code of about as many instructions.

The listing is cut into loops: a branch backwards closes one. An instruction is executed as often as
its loops turn, which the launcher's grid says; the innermost loop of im2col is unrolled by the
compiler, and its turns are the elements over the stores in it. What only some threads execute, such
as a loop's remainder, counts as if all did, so the sum is an upper bound, but for the 64-bit
division's long form, a function that is called beyond 2^32 output rows.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from math import ceil, prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.kernels import compile_source
from minicnn.ops.cuda.im2col_blocks import im2col_grid
from minicnn.ops.cuda.launch import KERNELS, kernels, options
from minicnn.utils.errors import ArgumentError, KernelError

ARCH = 90
CHUNK_ROWS = 448  # output rows in a block of columns: block1_conv2 at batch 32


class Case(NamedTuple):
    """A kernel at a size: how often its loops turn, from the outermost, but for an innermost one
    that copies; how many elements a thread writes."""

    kernel: str
    what: str
    turns: tuple[int, ...]
    elements: int
    copies: bool = False


def im2col_case(name: str, OW: int, C: int) -> Case:
    """3 × 3 windows on rows of OW pixels."""
    blocks, _, _ = im2col_grid(CHUNK_ROWS, OW, 9 * C)
    pixels = ceil(OW / (8 * blocks))
    return Case("im2col", name, (1, pixels, 3), pixels * 3 * ceil(3 * C / 32), copies=True)


CASES = (
    im2col_case("block1_conv2, 224 pixels, 64 channels", 224, 64),
    im2col_case("block3_conv2, 56 pixels, 256 channels", 56, 256),
    im2col_case("block5_conv2, 14 pixels, 512 channels", 14, 512),
    Case("bias_relu", "eight rows a thread", (1, 8), 8),
    Case("relu", "an element a thread", (1,), 1),
    Case("not_finite", "an element a thread", (1,), 1),
    Case("winograd_tiles", "a tile and channel a thread", (1, 1), 36),
    Case("winograd_kernels", "a kernel a thread", (1, 1), 36),
    Case("winograd_outputs", "a tile and filter a thread", (1, 1), 16),
)


class Instruction(NamedTuple):
    """Its name, and the place in the listing that it jumps to, if it does."""

    name: str
    target: int | None


def read_sass(text: str) -> list[Instruction]:
    """Of cuobjdump -sass: lines such as `/*01f0*/  @P0 BRA 0x2a0 ;`, up to the padding."""
    lines = re.findall(r"^\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;", text, re.M)
    places = {int(address, 16): k for k, (address, _) in enumerate(lines)}
    found = []
    for _, line in lines:
        words = re.sub(r"^@!?U?P\w+ ", "", line).split()
        jump = re.match(r"BRA\S* .*0x([0-9a-f]+)", " ".join(words))
        found.append(Instruction(words[0], places[int(jump[1], 16)] if jump else None))
    last = max(k for k, one in enumerate(found) if one.name == "EXIT")
    return found[:last + 1]  # behind it are functions, and nothing


def read_ptx(text: str, kernel: str) -> list[Instruction]:
    """Of a kernel's body in PTX; labels and declarations are no instructions."""
    body = re.search(rf"\.entry {kernel}\(.*?\)\s*(?:\.\w+[^{{]*)?\{{(.*?)\n\}}", text, re.S)[1]
    labels, lines = {}, []
    for line in map(str.strip, body.splitlines()):
        if label := re.match(r"(\$\w+):", line):
            labels[label[1]] = len(lines)
        elif line.endswith(";") and not line.startswith((".", "//")):
            lines.append(re.sub(r"^@!?%p\d+\s+", "", line.rstrip(";")))
    return [Instruction(line.split()[0], labels[jump[1]] if (jump := re.match(
        r"bra(?:\.uni)?\s+(\$\w+)", line)) else None) for line in lines]


def loops_of(listing: list[Instruction]) -> list[tuple[int, int]]:
    """(first, last) instruction of every loop; branches to one head close one loop."""
    ends: dict[int, int] = {}
    for k, one in enumerate(listing):
        if one.target is not None and one.target <= k:
            ends[one.target] = max(k, ends.get(one.target, k))
    return sorted(ends.items())


def per_element(listing: list[Instruction], case: Case) -> float:
    """Instructions of a thread over the elements that it writes."""
    loops = loops_of(listing)
    turns: dict[tuple[int, int], float] = {}
    for loop in loops:
        depth = sum(a <= loop[0] and loop[1] <= b for a, b in loops) - 1
        if depth < len(case.turns):
            turns[loop] = case.turns[depth]
        elif case.copies:
            stores = sum(one.name.lower().startswith(("stg", "st.global"))
                         for one in listing[loop[0]:loop[1] + 1])
            turns[loop] = case.elements / prod(case.turns) / stores
        else:
            raise KernelError(f"{case.kernel}: expected {len(case.turns)} loops in each other, "
                              f"found more. Has the compiler's unrolling changed?")
    total = sum(prod(n for (a, b), n in turns.items() if a <= k <= b)
                for k in range(len(listing)))
    return total / case.elements


def listings(names: set[str], tool: str | None) -> dict[str, list[Instruction]]:
    """The kernels' instructions by their names: SASS by cuobjdump, or PTX if tool is None."""
    found = {}
    for file in sorted({kernels(KERNELS)[name].file for name in names}):
        compiled = compile_source(file.read_text("utf-8"), file.name, options(np.float32), ARCH)
        for name in names & {row.kernel for row in compiled.rows}:
            if tool is None:
                found[name] = read_ptx(compiled.ptx.decode(), name)
                continue
            with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
                cubin.write(compiled.cubin + b"\0")  # CuPy leaves the last byte out
                cubin.flush()
                done = subprocess.run([tool, "-sass", "-fun", name, cubin.name], text=True,
                                      capture_output=True, check=True)
            found[name] = read_sass(done.stdout)
    return found


def table(found: dict[str, list[Instruction]]) -> str:
    """The cases in Markdown."""
    lines = ["| kernel | at | instructions in all | instructions an element |",
             f"|{' --- |' * 4}"]
    for case in CASES:
        listing = found[case.kernel]
        lines.append(f"| {case.kernel} | {case.what} | {len(listing)} "
                     f"| {per_element(listing, case):.1f} |")
    return "\n".join(lines)


def find_tool(folder: Path | None) -> str | None:
    """cuobjdump in that folder, or in PATH; None if it is not in PATH."""
    if folder is None:
        return shutil.which("cuobjdump")
    if tool := shutil.which("cuobjdump", path=str(folder)):
        return tool
    raise ArgumentError(f"instructions: expected cuobjdump in {folder}, found none. Leave out "
                        f"--tools to count PTX.")


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, help="the folder of cuobjdump")
    parser.add_argument("--ptx", action="store_true", help="count PTX")
    given = parser.parse_args()
    try:
        tool = None if given.ptx else find_tool(given.tools)
        found = listings({case.kernel for case in CASES}, tool)
    except (ArgumentError, KernelError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (ImportError, RuntimeError) as error:  # CuPy's own, where NVRTC or headers are missing
        print(f"instructions: expected CuPy, NVRTC and CUDA's headers, found not all of them "
              f'({error}). Install the extra "test": pip install -e ".[test]".', file=sys.stderr)
        sys.exit(2)
    print(table(found))
    print(f"\nCounted in {'PTX, no machine code' if tool is None else 'machine code'} for "
          f"sm_{ARCH}, float32; an upper bound, not measured.")


if __name__ == "__main__":
    main()
