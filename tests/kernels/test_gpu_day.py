"""benchmarks.gpu_day: steps are independent of each other, and results are written at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import checks
import pytest
import standin

from benchmarks import gpu_day, gpu_steps, launches
from benchmarks.gpu_day import Step, result_of, run

ROOT = Path(__file__).parents[2]


def python(code):
    return [sys.executable, "-c", code]


def run_all(chosen, output, limits=True):
    return gpu_day.run_steps(chosen, dict(os.environ), limits, output, "day")


def written(output):
    return json.loads((output / "day.json").read_text("utf-8"))["steps"]


# Steps


def test_two_parts_of_ten_minutes_hold_all_steps(tmp_path):
    steps = gpu_day.steps(False, tmp_path)
    assert {step.part for step in steps} == set(gpu_day.SECONDS) == {1, 2}
    assert sum(gpu_day.SECONDS.values()) == 600
    names = [step.name for step in steps]
    assert len(set(names)) == len(names) >= 15
    assert [step.name for step in gpu_day.steps(True, tmp_path)] == names[1:]  # all but nvidia-smi
    assert all(step.limit <= gpu_day.SECONDS[step.part] for step in steps)


def test_only_a_rehearsal_uses_the_standin(tmp_path):
    for rehearse in (False, True):
        said = [" ".join(command) for step in gpu_day.steps(rehearse, tmp_path)
                for command in step.commands]
        assert any("compute-sanitizer" in command for command in said) != rehearse
        assert any(standin.NAME in command for command in said) == rehearse
        assert any("--rehearse" in command for command in said) == rehearse
        assert any(command.endswith("--devices cuda") for command in said) != rehearse


def test_the_last_result_line_is_the_result():
    assert result_of('RESULT {"a": 1}\nnoise\nRESULT {"a": 2}\nmore noise\n') == {"a": 2}
    found = result_of("...F\nFAILED tests/a.py::b - no\nERROR tests/c.py\n1 failed, 3 passed")
    assert found["failed"] == ["FAILED tests/a.py::b - no", "ERROR tests/c.py"]
    assert found["end"][-1] == "1 failed, 3 passed"
    assert result_of("") == {"failed": [], "end": []}


def test_commands_run_in_parallel_and_each_has_its_status():
    statuses, said = run([python("print('one')"), python("import sys; sys.exit('two')"),
                          ["/no/such/program"]], dict(os.environ), 60)
    assert statuses[:2] == [0, 1] and "/no/such/program" in statuses[2]
    assert said.split() == ["one", "two"]


def test_a_step_that_takes_too_long_is_killed_with_its_children(tmp_path):
    late = tmp_path / "late"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(late)!r}).touch()"
    code = (f"import subprocess, sys; print('begun', flush=True); "
            f"subprocess.run([sys.executable, '-c', {child!r}])")
    statuses, said = run([python(code), python("pass")], dict(os.environ), 1)
    assert statuses == ["timeout", 0] and said.split() == ["begun"]
    time.sleep(3)
    assert not late.exists()


# Running them


def test_after_each_step_the_results_so_far_are_in_the_file(tmp_path):
    chosen = [Step("one", 1, 60, [python("print('RESULT {\"k\": 5}')")]),
              Step("two", 1, 60, [python("import sys; sys.exit(3)")]),
              Step("three", 2, 60, [["/no/such/program"]])]
    for count, row in enumerate(run_all(chosen, tmp_path), 1):
        assert len(written(tmp_path)) == count and written(tmp_path)[-1] == row
    one, two, three = written(tmp_path)
    assert (one["status"], one["result"]) == ([0], {"k": 5})
    assert two["status"] == [3] and "/no/such/program" in three["status"][0]
    assert "===== two: [3]" in (tmp_path / "day.txt").read_text("utf-8")


def test_a_step_without_time_left_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_day, "SECONDS", {1: 9, 2: 100})
    chosen = [Step("one", 1, 60, [python("pass")]), Step("two", 2, 60, [python("pass")])]
    assert [row["status"] for row in run_all(chosen, tmp_path)] == [["no time left"], [0]]
    assert [row["status"] for row in run_all(chosen, tmp_path, limits=False)] == [[0], [0]]


def test_a_rehearsal_exits_with_0_and_writes_its_results(tmp_path):
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu_day", "--rehearse", "--only",
                           "launches", "ladder", "racecheck", "--output", str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "only.json").read_text("utf-8"))
    assert found["rehearsal"] is True
    launched, climbed, raced = found["steps"]
    assert set(launched["result"]["microseconds"]) == {"bias_relu", "im2col", "adam", "own"}
    assert len(climbed["result"]["errors"]) == 7
    assert max(climbed["result"]["errors"].values()) < 1e-6
    assert raced["result"] == {"right": 2 * len(gpu_steps.SHARED), "wrong": []}


def test_without_a_gpu_there_is_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu_day", "--output",
                           str(tmp_path / "new")], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpu_day: cuda: expected") and done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_wrong_kernel_is_reported_and_the_others_are_checked(monkeypatch, capsys):
    def wrong(dtype, rng, large):
        if large:
            raise AssertionError("off by 1")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(checks, "DEVICE", checks.DEVICE)
    monkeypatch.setattr(checks, "CHECKS", {"relu": wrong, "sgd": checks.CHECKS["sgd"]})
    with standin.installed():
        assert gpu_steps.kernels(True, dtypes=["float32"]) == 1
    found = result_of(capsys.readouterr().out)
    assert found["right"] == 3
    assert found["wrong"] == ["relu float32 large: AssertionError off by 1"]


def test_launches_are_timed_without_their_kernels(monkeypatch):
    def run(*arguments, **options):
        raise AssertionError("a kernel ran")
    monkeypatch.setattr("minicnn.ops.cuda.simulator.run", run)
    with launches.standin_without_kernels():
        found = launches.measure(repeats=2)
    assert all(times["python"] > 0 for times in found.values())
    with standin.installed(), pytest.raises(AssertionError, match="a kernel ran"):
        launches.measure(repeats=2)
