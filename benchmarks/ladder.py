"""One convolution in seven steps, from a naive kernel to tensor cores: kernels/ladder/*.cu.

    python -m benchmarks.ladder                compute capability of the GPU, else 9.0
    python -m benchmarks.ladder --arch 86

The table says what NVIDIA's compiler makes of each step (benchmarks.kernels explains the columns).
It needs no GPU. Instructions per multiply-add are counted in the machine code: those of the
smallest loop that holds half of all multiply-adds or more, over the multiply-adds of that loop. A
tensor core's instruction is worth 32 of them for each thread. It needs NVIDIA's nvdisasm:
pip install nvidia-cuda-nvdisasm.

If there is a GPU, each step is timed on a layer like VGG16's block3_conv2, and TFLOP/s are those
of its multiply-adds, two flops each.
"""

import argparse
import functools
import re
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.gpu import event_seconds
from benchmarks.kernels import LIMITS, Compiled, compile_source, occupancy, supported_archs
from minicnn.ops import Window, module_of
from minicnn.ops.cuda.ladder import STEPS, Step, conv2d
from minicnn.ops.cuda.launch import options
from minicnn.utils.errors import ArgumentError, KernelError

# Multiply-adds of one instruction for each thread: HMMA.1688, 16 × 8 × 8 of them by 32 threads.
MULTIPLY_ADDS = {"FFMA": 1, "FFMA2": 2, "HMMA": 16 * 8 * 8 // 32}
LABEL = re.compile(r"^\s*(\.L\w+):")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)\S*(.*?);")


class Loop(NamedTuple):
    """A loop of the machine code: all its instructions, and the multiply-adds among them."""

    instructions: int
    multiply_adds: int


def compile_step(step: Step, arch: int) -> Compiled:
    """What NVIDIA's compiler makes of a step. Raises KernelError if it does not compile."""
    file = step.kernel.file
    return compile_source(file.read_text("utf-8"), file.name, options(np.float32), arch)


@functools.cache
def nvdisasm() -> str | None:
    """NVIDIA's disassembler: on the path, or from its wheel; None if it is not installed."""
    places = [Path(folder, "nvidia").glob("cu*/bin/nvdisasm") for folder in site.getsitepackages()]
    return shutil.which("nvdisasm") or next((str(file) for place in places for file in place), None)


def disassemble(cubin: bytes) -> str:
    """The machine code in words. Raises KernelError if nvdisasm does not read it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(cubin + b"\0")  # which CuPy takes for the end of a text, and leaves out
        done = subprocess.run([nvdisasm(), "-c", file], capture_output=True, text=True)
    if done.returncode:
        raise KernelError(f"nvdisasm: expected machine code that it reads, received from it: "
                          f"{done.stderr.strip()}. Install a newer one.")
    return done.stdout


def main_loop(text: str) -> Loop | None:
    """The smallest loop that holds at least half of the multiply-adds; None if there is none."""
    labels, work, loops = {}, [], []
    for line in text.splitlines():
        if label := LABEL.match(line):
            labels[label[1]] = len(work)
        elif found := INSTRUCTION.match(line):
            name, operands = found.groups()
            work.append(MULTIPLY_ADDS.get(name, 0))
            target = re.search(r"\.L\w+", operands)
            if name == "BRA" and target and target[0] in labels:  # backward
                loops.append(work[labels[target[0]]:])
    large = [Loop(len(loop), sum(loop)) for loop in loops if 2 * sum(loop) >= sum(work) > 0]
    return min(large, default=None)


def seconds(step: Step, photos: int) -> float:
    """Of one convolution on the GPU: the median of seven timings."""
    cupy, window = module_of("cuda"), Window((3, 3), (1, 1), ((1, 1), (1, 1)), (56, 56))
    x = cupy.ones((photos, 56, 56, 256), np.float32)
    W = cupy.ones((3, 3, 256, 256), np.float32)
    conv2d(step, x, W, window)  # compiles, and warms up
    return median(event_seconds(lambda: conv2d(step, x, W, window), 3) for _ in range(7))


def table(steps: Iterable[Step], arch: int, photos: int = 0) -> str:
    """A line a step, in Markdown. photos: how many a convolution on the GPU has, 0: none is run."""
    lines = [f"| step | idea | threads a block | registers | shared memory, B | occupancy "
             f"| instructions per multiply-add | ms | TFLOP/s |\n|{' --- |' * 9}"]
    for step in steps:
        threads, time, rate, count = int(np.prod(step.block)), "–", "–", "–"
        if arch < step.capability:
            lines.append(f"| {step.name} | {step.idea} | {threads} | needs compute capability "
                         f"{step.capability / 10:.1f} |{' – |' * 5}")
            continue
        compiled = compile_step(step, arch)
        row, = compiled.rows
        share = occupancy(row.registers, row.shared, arch, threads)[1]
        if nvdisasm() and (loop := main_loop(disassemble(compiled.cubin))):
            count = f"{loop.instructions / loop.multiply_adds:.2f}"
        if photos:
            each = seconds(step, photos)
            flops = 2 * photos * 56 * 56 * 9 * 256 * 256
            time, rate = f"{1e3 * each:.2f}", f"{flops / each / 1e12:.1f}"
        lines.append(f"| {step.name} | {step.idea} | {threads} | {row.registers} | {row.shared} "
                     f"| {share:.0%} | {count} | {time} | {rate} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, choices=LIMITS,
                        help="compute capability without its point, for the compiler's columns "
                             "(default: the GPU's, else 90)")
    parser.add_argument("--photos", type=int, default=32, help="of the timed convolution")
    arguments = parser.parse_args()
    photos, arch = 0, arguments.arch or 90
    try:
        cupy = module_of("cuda")
        photos, arch = arguments.photos, arguments.arch or int(
            cupy.cuda.Device().compute_capability)
    except ArgumentError:  # no GPU
        pass
    try:
        if arch not in supported_archs():
            raise ArgumentError(f"ladder: expected one of {supported_archs()}, which this compiler "
                                f"knows, received {arch}. Choose --arch.")
        print(table(STEPS, arch, photos))
    except (ArgumentError, KernelError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except (ImportError, RuntimeError) as error:  # CuPy's own, where NVRTC or headers are missing
        print(f"ladder: expected CuPy, NVRTC and CUDA's headers, found not all of them ({error}). "
              f'Install the extra "test": pip install -e ".[test]".', file=sys.stderr)
        sys.exit(2)
    print(f"\nsm_{arch}, float32; 3 × 3 on {photos} photos of 56 × 56 × 256, 256 filters."
          if photos else f"\nsm_{arch}, float32. No GPU here: nothing is timed.")
    if not nvdisasm():
        print("Instructions are not counted: pip install nvidia-cuda-nvdisasm.")


if __name__ == "__main__":
    main()
