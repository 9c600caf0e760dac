"""The steps of benchmarks.gpu_day that are not commands of their own. It runs each in a process:

    python -m benchmarks.gpu_steps [--rehearse] STEP [ARGUMENT …]

The result of a step is the last line "RESULT {…}" that it prints. With --rehearse CuPy is the
stand-in of tests/standin.py, and the sizes are tiny.
"""

import argparse
import contextlib
import importlib.util
import itertools
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
import standin  # noqa: E402

SHARED = ("column_sums", "softmax", "softmax_backward", "softmax_cross_entropy", "implicit_gemm")
TOLERANCE = 1e-3  # of the difference to PyTorch, relative to the largest value
TF32_TOLERANCE = 1e-2  # the same, where one of the two or both use TF32


def report(**result: object) -> None:
    """Prints a RESULT line; the last one counts, so a step that is killed keeps the earlier one."""
    print("RESULT", json.dumps(result), flush=True)


def ceilings(rehearse: bool) -> int:
    """The rates that bound everything else: a copy in memory, and a cuBLAS product."""
    import torch

    from benchmarks.gpu import event_seconds, this_card
    from minicnn.ops import module_of, to_device

    cupy, card = module_of("cuda"), this_card()
    size, side = (1 << 10, 16) if rehearse else (1 << 28, 8192)
    x, y = cupy.zeros(size, np.float32), cupy.empty(size, np.float32)
    matrix = to_device(np.random.default_rng(0).standard_normal((side, side), np.float32), "cuda")
    product = cupy.empty_like(matrix)

    def copy() -> None:
        y[...] = x

    def multiply() -> None:
        cupy.matmul(matrix, matrix, out=product)

    rates = {}
    for name, function, amount in (("copy, GB/s", copy, 2 * x.nbytes / 1e9),
                                   ("matmul, TFLOP/s", multiply, 2 * side**3 / 1e12)):
        event_seconds(function, 3)  # the first one compiles
        rates[name] = amount / event_seconds(function, 1 if rehearse else 20)
    report(card=card.name, python=platform.python_version(), cupy=cupy.__version__,
        numpy=np.__version__, torch=torch.__version__,
        peaks={"GB/s": card.bandwidth / 1e9, "TFLOP/s": card.flops / 1e12}, measured=rates)
    return 0


def launches(rehearse: bool) -> int:
    """Microseconds per launch."""
    from benchmarks.launches import measure

    report(microseconds=measure(20 if rehearse else 2000))
    return 0


def kernels(rehearse: bool, names: Iterable[str] = (), dtypes: Iterable[str] = ()) -> int:
    """Kernels against their formulas: tests/kernels/checks.py, on "cuda"."""
    sys.path[:0] = [str(ROOT / "tests" / "kernels")]
    import checks

    checks.DEVICE = "cuda"
    right, wrong = 0, []
    for name in names or checks.CHECKS:
        for dtype in dtypes or checks.TOLERANCE:
            for large in (False, True):
                try:
                    checks.run(name, dtype, large)
                    right += 1
                except Exception as error:  # the next check may pass
                    wrong.append(f"{name} {dtype} {'large' if large else 'small'}: "
                                 f"{type(error).__name__} {str(error)[:300]}")
        report(right=right, wrong=wrong)
    return int(bool(wrong))


def ladder(rehearse: bool) -> int:
    """The seven kernels of the ladder against their formula, and the table with their times."""
    sys.path[:0] = [str(ROOT / "tests" / "kernels")]
    import ladder_checks

    from benchmarks.ladder import STEPS, table
    from minicnn.ops import module_of

    arch = int(module_of("cuda").cuda.Device().compute_capability)
    errors = {step.name: max(ladder_checks.error(step, *case, device="cuda")
                             for case in ladder_checks.CASES[-1 if rehearse else 0:])
              for step in STEPS if step.capability <= arch}
    report(errors=errors)
    if not rehearse:
        report(errors=errors, table=table(STEPS, arch, photos=8).splitlines())
    return int(max(errors.values()) > 1e-5)


def memcheck(rehearse: bool) -> int:
    """The kernels without CuPy's memory pool, so that each array is an allocation of its own, whose
    bounds compute-sanitizer knows."""
    from minicnn.ops import module_of

    cuda = module_of("cuda").cuda
    cuda.set_allocator(None)
    cuda.set_pinned_memory_allocator(None)
    return kernels(rehearse, dtypes=["float32"])


def racecheck(rehearse: bool) -> int:
    """The kernels that use shared memory."""
    return kernels(rehearse, SHARED, ["float32"])


def benchmark(rehearse: bool) -> int:
    """Every operation and VGG16 against PyTorch: the rows of benchmarks.gpu."""
    import minicnn as mc
    from benchmarks import gpu

    def tiny() -> mc.Sequential:
        return mc.Sequential([
            mc.Conv2D(5, 3, padding="same", activation="relu"), mc.MaxPool2D(2), mc.Flatten(),
            mc.Dense(6, activation="relu"), mc.Dense(3, activation="softmax")], (6, 8, 3),
            name="tiny")

    if not rehearse:
        gpu.require_gpu()  # PyTorch's processor would be no comparison
    gpu.set_up_torch()
    rows, card, (pairs, fill) = [], gpu.this_card(), (1, 0) if rehearse else (5, 0.02)
    if rehearse:
        cases = gpu.all_cases("cuda", (2, 6, 8, 3), 5, (4, 7), 40, tiny, 2)
        products = gpu.product_cases("cuda", (2, 6, 8, 3), 5, tiny, 2)
    else:
        cases, products = gpu.standard_cases(photos=32), gpu.standard_product_cases(photos=32)
    both = itertools.chain(cases, gpu.against_pytorch_as_it_comes(products))
    for result in (gpu.measure(case, gpu.event_seconds, pairs, fill) for case in both):
        rows.append({"case": result.case.name, "ours, ms": result.ours * 1e3,
                     "PyTorch, ms": result.theirs * 1e3, "ratio": result.ratio,
                     "difference": result.difference, "bytes": result.case.bytes,
                     "flops": result.case.flops})
        print(gpu.line(result, card), flush=True)
        report(card=card._asdict(), rows=rows)
    return int(any(not row["difference"] < (TF32_TOLERANCE if "ours in" in row["case"]
                                            else TOLERANCE) for row in rows))


def sums(rehearse: bool) -> int:
    """The ways to add up gradients, on a rank for each GPU; a rehearsal has two ranks."""
    from minicnn.ops import module_of

    beside = str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if mpiexec is None or importlib.util.find_spec("mpi4py") is None:
        report(left_out="no mpiexec, or no mpi4py")
        return 0
    count = 2 if rehearse else module_of("cuda").cuda.runtime.getDeviceCount()
    options = ["--rehearse"] if rehearse else []
    return subprocess.run([mpiexec, "--allow-run-as-root", "--oversubscribe", "-n", str(count),
                           sys.executable, "-m", "benchmarks.gpu_steps", *options, "rank_sums"]
                          ).returncode


def rank_sums(rehearse: bool) -> int:
    """What each rank does for `sums`: milliseconds until VGG16's gradients are added up, from the
    gradients being there to the sums being there, by each way that is possible here."""
    import minicnn as mc
    from minicnn.distributed.allreduce import CudaAwareAllreduce, PinnedAllreduce
    from minicnn.distributed.gradient_sums import GradientSums
    from minicnn.distributed.resources import allreduce_for, takes_gpu_arrays

    ranks = mc.distributed.connect()
    if rehearse:
        standin.Device.pci_bus_id = f"0000:{ranks.rank:02}:00.0"
    model = (mc.SmallCNN(3, (16, 16, 3)) if rehearse else mc.VGG16(include_top=False)).to("cuda")
    ways = [allreduce_for(ranks, "cuda"), PinnedAllreduce(ranks.comm)]
    if takes_gpu_arrays(ranks.comm):
        ways.append(CudaAwareAllreduce(ranks.comm))
    factor = sum(range(1, ranks.size + 1))
    stream, milliseconds, wrong = mc.ops.module_of("cuda").cuda.get_current_stream(), {}, []
    for way in {type(way).__name__: way for way in ways}.values():
        name, gradient_sums, times = type(way).__name__, GradientSums(model.layers, way), []
        for _ in range(2 if rehearse else 6):  # the first one connects the GPUs
            for layer in model.layers:
                layer.grads.update({key: p * (ranks.rank + 1) for key, p in layer.params.items()})
            stream.synchronize()
            ranks.wait_for_all()
            began = time.perf_counter()
            for layer in reversed(model.layers):
                gradient_sums.start(layer)
            gradient_sums.wait()
            way.settle()
            stream.synchronize()
            times.append(time.perf_counter() - began)
        right = all(np.allclose(mc.to_cpu(layer.grads[key]), factor * mc.to_cpu(p), 1e-5, 1e-5)
                    for layer in model.layers for key, p in layer.params.items())
        milliseconds[name] = 1e3 * min(max(run) for run in zip(*ranks.gather(times[1:]),
                                                               strict=True))
        wrong += [name] if not all(ranks.gather(right)) else []
    if ranks.is_first:
        report(ranks=ranks.size, milliseconds=milliseconds, wrong=wrong)
    return int(bool(wrong))


def minicnn(rehearse: bool, words: list[str]) -> int:
    """The command line; for a rehearsal of `train` it makes a folder of eight photos."""
    from minicnn.cli import main

    if rehearse and words[0] == "train":
        rng = np.random.default_rng(0)
        for k in range(8):
            file = Path(words[1], "light" if k % 2 else "dark", f"{k}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 128, (40, 48, 3)) + 127 * (k % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return main(words)


STEPS = {step.__name__: step for step in (ceilings, launches, kernels, ladder, memcheck,
                                          racecheck, benchmark, sums, rank_sums)}


def main() -> int:
    """Runs one step and returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("step", choices=[*STEPS, "minicnn"])
    parser.add_argument("words", nargs=argparse.REMAINDER, help="of `minicnn …`")
    given = parser.parse_args()
    with standin.installed() if given.rehearse else contextlib.nullcontext():
        if given.step == "minicnn":
            return minicnn(given.rehearse, given.words)
        return STEPS[given.step](given.rehearse)


if __name__ == "__main__":
    sys.exit(main())
