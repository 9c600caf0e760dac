"""Everything to check and to measure on a GPU, in ten minutes.

    python -m benchmarks.gpu_day --part 1    4 minutes, correctness: the card, launches, every
                                             kernel, all device tests, VGG16, a resumed training
    python -m benchmarks.gpu_day --part 2    6 minutes, speed: the main job, block 5 at 224 pixels,
                                             every operation against PyTorch; then memcheck and
                                             racecheck by NVIDIA's compute-sanitizer
    python -m benchmarks.gpu_day --rehearse  without a GPU: the same steps on the stand-in for CuPy
                                             (tests/standin.py), with tiny sizes

Run it in the root of the repository. It needs CuPy, PyTorch, NumPy, h5py, Pillow, Matplotlib, tqdm,
pytest, hypothesis and threadpoolctl, and nothing else.

Every step is a process of its own with a time limit, so that a step that fails or hangs does not
end the others. After each step the results so far are written to gpu-day/part-1.json (part-2.json;
day.json without --part; only.json with --only), and all output is in the .txt file beside it. The
exit status is 0 if every step succeeded.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minicnn.ops import module_of
from minicnn.utils.errors import ArgumentError

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
import standin  # noqa: E402

SECONDS = {1: 240, 2: 360}  # of each part; steps that would start later are skipped
REHEARSAL_LIMIT = 900  # seconds for a step, on any machine
DEVICE_TESTS = (["tests/ops"], ["tests/layers"],  # three processes side by side
                ["tests/test_losses.py", "tests/test_optimizers.py", "tests/test_against_torch.py",
                 "tests/test_devices.py"])
# Another machine has other plugins and versions: their warnings are no failures.
PYTEST = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-W", "default", "--tb=short"]


class Step(NamedTuple):
    """A step succeeds if all its commands, which run in parallel, exit with 0."""

    name: str
    part: int
    limit: int  # seconds
    commands: list[list[str]]
    env: dict[str, str] = {}  # in addition to environment()


def steps(rehearse: bool, folder: Path) -> list[Step]:
    """All steps, within each part the most important first. folder: for the files they write."""
    device = standin.NAME if rehearse else "cuda"

    def own(*words: str) -> list[str]:
        """A step in benchmarks.gpu_steps."""
        options = ["--rehearse"] if rehearse else []
        return [sys.executable, "-m", "benchmarks.gpu_steps", *options, *words]

    def tests(*words: str) -> list[str]:
        return [sys.executable, "-m", "pytest", *PYTEST, "-m", "not cpu_only",
                *words, "--devices", device]

    def train(name: str, *words: str, device: str = "cuda") -> list[str]:
        """`minicnn train`; a rehearsal trains on a few tiny photos for one epoch."""
        photos, small = [], []
        if rehearse:
            photos, small = [str(folder / "photos")], ["--size", "32", "--epochs", "1"]
        return own("minicnn", "train", *photos, *words, *small, "--device", device,
                   "--output", str(folder / name))

    def sanitizer(tool: str) -> list[str]:
        """The step of that name under compute-sanitizer; a rehearsal runs it without."""
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
        program = shutil.which("compute-sanitizer", path=path) or "compute-sanitizer"
        under = [program, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
        return own(tool) if rehearse else [*under, *own(tool)]

    own_cache = {"CUPY_CACHE_DIR": str(folder / "main job")}
    block5 = ["--size", "224", "--epochs", "5", "--no-scratch", "--finetune", "block5",
              "--finetune-epochs", "2"]
    all_steps = [
        Step("card", 1, 15, [["nvidia-smi"]]),
        Step("ceilings", 1, 40, [own("ceilings")]),
        Step("launches", 1, 30, [own("launches")]),
        Step("kernels", 1, 80, [own("kernels")]),
        Step("device tests", 1, 130, [tests(*files) for files in DEVICE_TESTS]),
        Step("vgg16", 1, 60, [tests("tests/models/test_vgg16_on_kernels.py")]),
        Step("resume", 1, 30, [tests("tests/training/test_checkpoints.py", "-k", "on_a_device")]),
        Step("main job", 2, 60, [train("first")], own_cache),  # includes compiling the kernels
        Step("main job again", 2, 40, [train("second")], own_cache),
        Step("block 5, 224 pixels", 2, 60, [train("block5", *block5)]),
        Step("benchmark", 2, 120, [own("benchmark")]),
        Step("ladder", 2, 40, [own("ladder")]),
        Step("sums", 2, 40, [own("sums")]),
        Step("memcheck", 2, 110, [sanitizer("memcheck")]),
        Step("racecheck", 2, 60, [sanitizer("racecheck")]),
        Step("gradcheck", 2, 30, [own("minicnn", "gradcheck", "--device", "cuda")]),
        Step("main job, processor", 2, 60, [train("cpu", device="cpu")])]
    return all_steps[1:] if rehearse else all_steps  # no nvidia-smi in a rehearsal


def run(commands: list[list[str]], env: dict[str, str], seconds: float
        ) -> tuple[list[int | str], str]:
    """Runs commands in parallel: their exit statuses, and all their output.

    The status is "timeout" for a process that was killed, with its children, after `seconds`, and
    the system's message for a command that could not be started.
    """
    end, processes, texts = time.monotonic() + seconds, [], []
    try:
        for command in commands:
            texts.append(tempfile.TemporaryFile(  # noqa: SIM115 - closed below
                "w+", encoding="utf-8", errors="replace"))
            try:
                processes.append(subprocess.Popen(
                    command, env=env, cwd=ROOT, stdout=texts[-1], stderr=subprocess.STDOUT,
                    start_new_session=True))
            except OSError as error:  # no such program
                processes.append(str(error))
        statuses = [process if isinstance(process, str) else status_of(process, end)
                    for process in processes]
    finally:
        for process in processes:
            if not isinstance(process, str) and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    output = []
    for text in texts:
        text.seek(0)
        output.append(text.read())
        text.close()
    return statuses, "\n".join(output)


def status_of(process: subprocess.Popen, end: float) -> int | str:
    """The exit status, or "timeout" at the time `end`."""
    try:
        return process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timeout"


def result_of(output: str) -> dict[str, Any]:
    """The last "RESULT {…}" line of the output; without one, the failed tests and its end."""
    lines = output.strip().splitlines()
    results = [line.removeprefix("RESULT ") for line in lines if line.startswith("RESULT ")]
    if results:
        return json.loads(results[-1])
    failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {"failed": failed, "end": lines[-6:]}


def run_steps(chosen: list[Step], env: dict[str, str], limits: bool, folder: Path, name: str
              ) -> Iterator[dict[str, Any]]:
    """Yields the result of each step, after writing all results so far to folder/name.json."""
    rows, part_start = [], {}
    with (folder / f"{name}.txt").open("w", encoding="utf-8") as log:
        for step in chosen:
            start = time.monotonic()
            left = SECONDS[step.part] - (start - part_start.setdefault(step.part, start))
            if limits and left < 10:
                row = {"step": step.name, "status": ["no time left"], "seconds": 0, "result": {}}
            else:
                seconds = min(step.limit, left - 3) if limits else REHEARSAL_LIMIT
                statuses, output = run(step.commands, env | step.env, seconds)
                log.write(f"\n===== {step.name}: {statuses}\n{output}\n")
                log.flush()
                row = {"step": step.name, "status": statuses,
                       "seconds": round(time.monotonic() - start, 1), "result": result_of(output)}
            rows.append(row)
            text = json.dumps({"rehearsal": not limits, "steps": rows}, indent=1)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
            yield row


def environment(folder: Path) -> dict[str, str]:
    """The environment of all steps; without pooch it names a cache folder for the simulator."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1",
           "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    if importlib.util.find_spec("pooch") is None:
        env.setdefault("MINICNN_CACHE", str(folder / "minicnn"))
    return env


def main() -> int:
    """Prints one line per step."""
    names = [step.name for step in steps(False, Path())]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", type=int, choices=SECONDS, help="1 or 2 (default: both)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="STEP",
                        help="some steps: " + ", ".join(names))
    parser.add_argument("--rehearse", action="store_true", help="on the stand-in, with tiny sizes")
    parser.add_argument("--output", type=Path, default=Path("gpu-day"), metavar="FOLDER",
                        help="for the results (default: gpu-day)")
    given = parser.parse_args()
    if not given.rehearse:
        try:
            module_of("cuda")
        except ArgumentError as error:
            print(f"gpu_day: {error}", file=sys.stderr)
            return 2
    given.output.mkdir(parents=True, exist_ok=True)
    name = "only" if given.only else f"part-{given.part}" if given.part else "day"
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        chosen = [step for step in steps(given.rehearse, Path(folder))
                  if given.part in (None, step.part) and step.name in (given.only or names)]
        env = environment(Path(folder))
        for row in run_steps(chosen, env, not given.rehearse, given.output, name):
            succeeded = set(row["status"]) == {0}
            ok &= succeeded
            print(f"{row['step']:<20} {'ok' if succeeded else row['status']!s:<12} "
                  f"{row['seconds']:>6} s", flush=True)
    print(f"results: {given.output / name}.json")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
