"""All that a GPU has to tell about minicnn, in ten minutes.

    python -m benchmarks.gpu_day --part 1    4 minutes: is it right? The card, launches, every
                                             kernel, all tests of devices, VGG16, a resumed training
    python -m benchmarks.gpu_day --part 2    6 minutes: how fast is it? The main job, block 5 at 224
                                             pixels, every operation against PyTorch, then memcheck
                                             and racecheck, which NVIDIA's compute-sanitizer does
    python -m benchmarks.gpu_day --rehearse  without a GPU: every step on the stand-in for CuPy
                                             (tests/standin.py), in tiny

Run it in the repository's root. Besides CuPy and PyTorch it needs NumPy, h5py, Pillow, Matplotlib,
tqdm, pytest, hypothesis and threadpoolctl, and nothing else.

Every step is a process of its own with a limit of time, so none takes the others with it. After
each of them gpu-day/part-1.json (part-2.json, or what --output and --only say) is written anew:
what is known stays known. Beside it part-1.txt holds all that the steps have printed. The exit
status is 0 where every step is well.
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

from tests import standin

ROOT = Path(__file__).resolve().parents[1]
SECONDS = {1: 240, 2: 360}  # of the parts; what has not begun by then is not begun
REHEARSAL = 900  # seconds of a step at most, on whatever machine
DEVICE_TESTS = (["tests/ops"], ["tests/layers"],  # three processes side by side
                ["tests/test_losses.py", "tests/test_optimizers.py", "tests/test_against_torch.py",
                 "tests/test_devices.py"])
# Another machine has other plugins and versions, whose warnings are not ours.
PYTEST = ["-p", "no:cacheprovider", "-p", "no:benchmark", "-W", "default", "--tb=short"]


class Step(NamedTuple):
    """commands: side by side; the step is well where all of them exit with 0."""

    name: str
    part: int
    limit: int  # seconds
    commands: list[list[str]]


def steps(rehearse: bool, folder: Path) -> list[Step]:
    """All of them, in each part the most telling first. folder: for what they write."""
    device = standin.NAME if rehearse else "cuda"

    def own(*words: str) -> list[str]:
        """A step of benchmarks.gpu_steps."""
        options = ["--rehearse"] if rehearse else []
        return [sys.executable, "-m", "benchmarks.gpu_steps", *options, *words]

    def tests(*words: str) -> list[str]:
        return [sys.executable, "-m", "pytest", *PYTEST, "-m", "not cpu_only",
                *words, "--devices", device]

    def train(name: str, *words: str, device: str = "cuda") -> list[str]:
        """`minicnn train`; in a rehearsal on a few tiny photos, for an epoch."""
        photos, small = [], []
        if rehearse:
            photos, small = [str(folder / "photos")], ["--size", "32", "--epochs", "1"]
        return own("minicnn", "train", *photos, *words, *small, "--device", device,
                   "--output", str(folder / name))

    def sanitizer(tool: str) -> list[str]:
        """The step `tool` under compute-sanitizer; in a rehearsal, without it."""
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
        program = shutil.which("compute-sanitizer", path=path) or "compute-sanitizer"
        under = [program, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
        return own(tool) if rehearse else [*under, *own(tool)]

    block5 = ["--size", "224", "--epochs", "5", "--no-scratch", "--finetune", "block5",
              "--finetune-epochs", "2"]
    found = [
        Step("card", 1, 15, [["nvidia-smi"]]),
        Step("ceilings", 1, 40, [own("ceilings")]),
        Step("launches", 1, 30, [own("launches")]),
        Step("kernels", 1, 80, [own("kernels")]),
        Step("device tests", 1, 130, [tests(*files) for files in DEVICE_TESTS]),
        Step("vgg16", 1, 60, [tests("tests/models/test_vgg16_on_kernels.py")]),
        Step("resume", 1, 30, [tests("tests/training/test_checkpoints.py", "-k", "on_a_device")]),
        Step("main job", 2, 60, [train("first")]),  # the first: kernels are compiled
        Step("main job again", 2, 40, [train("second")]),
        Step("block 5, 224 pixels", 2, 60, [train("block5", *block5)]),
        Step("benchmark", 2, 120, [own("benchmark")]),
        Step("memcheck", 2, 110, [sanitizer("memcheck")]),
        Step("racecheck", 2, 60, [sanitizer("racecheck")]),
        Step("gradcheck", 2, 30, [own("minicnn", "gradcheck", "--device", "cuda")]),
        Step("main job, processor", 2, 60, [train("cpu", device="cpu")])]
    return found[1:] if rehearse else found


def run(commands: list[list[str]], env: dict[str, str], seconds: float
        ) -> tuple[list[int | str], str]:
    """(exit statuses, all that was printed) of processes side by side. Those that are not done in
    time are ended, with all that they have started: their status is "too late"."""
    end, processes, texts, statuses = time.monotonic() + seconds, [], [], []
    try:
        for command in commands:
            texts.append(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
            try:
                processes.append(subprocess.Popen(
                    command, env=env, cwd=ROOT, stdout=texts[-1], stderr=subprocess.STDOUT,
                    start_new_session=True))
            except OSError as error:  # no such program
                processes.append(str(error))
        for process in processes:
            statuses.append(process if isinstance(process, str) else status_of(process, end))
    finally:
        for process in processes:
            if not isinstance(process, str) and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = []
    for text in texts:
        text.seek(0)
        said.append(text.read())
        text.close()
    return statuses, "\n".join(said)


def status_of(process: subprocess.Popen, end: float) -> int | str:
    """The exit status, or "too late" once that moment has passed."""
    try:
        return process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "too late"


def result_of(said: str) -> dict[str, Any]:
    """What a step has found: its last line "RESULT {…}"; of others, failed tests and the end."""
    lines = said.strip().splitlines()
    results = [line.removeprefix("RESULT ") for line in lines if line.startswith("RESULT ")]
    if results:
        return json.loads(results[-1])
    failed = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return {"failed": failed, "end": lines[-6:]}


def day(chosen: list[Step], env: dict[str, str], limits: bool, output: Path, name: str
        ) -> Iterator[dict[str, Any]]:
    """What each step has found, written down before the next one begins."""
    found, began = [], {}
    with open(output / f"{name}.txt", "w", encoding="utf-8") as log:
        for step in chosen:
            start = time.monotonic()
            left = SECONDS[step.part] - (start - began.setdefault(step.part, start))
            if limits and left < 10:
                row = {"step": step.name, "status": ["no time left"], "seconds": 0, "result": {}}
            else:
                seconds = min(step.limit, left - 3) if limits else REHEARSAL
                statuses, said = run(step.commands, env, seconds)
                log.write(f"\n===== {step.name}: {statuses}\n{said}\n")
                log.flush()
                row = {"step": step.name, "status": statuses,
                       "seconds": round(time.monotonic() - start, 1), "result": result_of(said)}
            found.append(row)
            text = json.dumps({"rehearsal": not limits, "steps": found}, indent=1)
            (output / f"{name}.json").write_text(text, encoding="utf-8")
            yield row


def environment(folder: Path) -> dict[str, str]:
    """What the steps find in theirs: CuPy's cache is new, so that the first main job compiles, and
    without pooch somebody has to say where the simulator's cache is."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "CUPY_CACHE_DIR": str(folder / "cupy"),
           "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    if importlib.util.find_spec("pooch") is None:
        env.setdefault("MINICNN_CACHE", str(folder / "minicnn"))
    return env


def main() -> int:
    """Prints a line a step."""
    names = [step.name for step in steps(False, Path())]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", type=int, choices=SECONDS, help="1 or 2 (default: both)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="STEP",
                        help="some steps: " + ", ".join(names))
    parser.add_argument("--rehearse", action="store_true", help="on the stand-in, in tiny")
    parser.add_argument("--output", type=Path, default=Path("gpu-day"), metavar="FOLDER",
                        help="for the results (default: gpu-day)")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    name = "only" if given.only else f"part-{given.part}" if given.part else "day"
    well = True
    with tempfile.TemporaryDirectory() as folder:
        chosen = [step for step in steps(given.rehearse, Path(folder))
                  if given.part in (None, step.part) and step.name in (given.only or names)]
        for row in day(chosen, environment(Path(folder)), not given.rehearse, given.output, name):
            good = set(row["status"]) == {0}
            well &= good
            print(f"{row['step']:<20} {'well' if good else row['status']!s:<12} "
                  f"{row['seconds']:>6} s", flush=True)
    print(f"results: {given.output / name}.json")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
