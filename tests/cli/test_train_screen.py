"""What `minicnn train` shows: in a terminal of a given width, without Unicode, and in a pipe."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from makers.terminals import COMMAND as MINICNN
from makers.terminals import UNDRAWN, command_in_terminal

from minicnn import cli

QUICK = ["--sample", "fashion", "--size", "32", "--epochs", "3", "--per-class", "4", "--cut",
         "block1_pool"]
COMMAND = [*MINICNN, "train"]
BARS = "▇▁#"


def in_terminal(columns, folder, *words, **environment):
    return command_in_terminal(columns, folder, "train", *words, **environment)


@pytest.mark.parametrize("columns", [80, 100])
def test_a_live_line_then_five_lines_that_fit(columns, tmp_path):
    status, screen = in_terminal(columns, tmp_path, *QUICK)
    assert status == 0 and screen.wrapped == 0
    assert [re.match(r"\w[\w-]*", line)[0] for line in screen.text if line[0] != " "] == [
        "sandal", "VGG16", "Small", "Open", "Next"]
    assert not set("".join(screen.text)) & set(BARS)
    drawn = [frame for frame in screen.frames if set(frame) & set(BARS)]
    assert all(len(frame.rstrip()) < columns and sum(map(frame.count, BARS)) >= 10
               for frame in drawn)
    shown = {name: next(frame for frame in drawn if name in frame) for name in (
        "VGG16  features", "VGG16  held-out features", "VGG16  epoch 3/3", "VGG16  label check",
        "from scratch (Ctrl-C skips)  epoch 3/3")}
    for name in ("VGG16  epoch 3/3", "from scratch (Ctrl-C skips)  epoch 3/3"):
        assert re.search(r"▇  loss \d\.\d{3}  held-out [\d.]+ %$", shown[name])
        assert len(shown[name]) == columns - 1  # the bar takes all that is left


def test_without_unicode_everything_is_ascii(tmp_path):
    status, screen = in_terminal(80, tmp_path, *QUICK, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert status == 0 and screen.wrapped == 0
    assert "".join([*screen.text, *screen.frames]).isascii()
    assert any("####" in frame for frame in screen.frames)
    assert re.search(r"\(95 % interval [\d.]+ \.\.\. [\d.]+ %\)", " ".join(screen.text))
    assert "\\" not in "".join(screen.text)


def test_verbose_prints_a_line_for_each_epoch_and_quiet_the_result_only(tmp_path):
    status, screen = in_terminal(80, tmp_path, *QUICK, "-v", "--output", "verbose")
    assert status == 0 and screen.wrapped == 0
    lines = [line for line in screen.text if line.startswith("epoch ")]
    assert len(lines) == 6 and all(re.fullmatch(
        r"epoch \d/3  training loss [\d.]+, [\d.]+ %; held-out loss [\d.]+, [\d.]+ %", line)
        for line in lines)
    shown = [line.split(":")[0] for line in screen.text if not line.startswith(("epoch ", " "))]
    assert shown == ["sandal or sneaker? 4 + 4 training photos, 200 held-out photos.",
                     "VGG16, new head", "Small CNN from scratch", "Learning rate, measured",
                     "Network from scratch", "Open", "Next"]
    status, screen = in_terminal(80, tmp_path, *QUICK, "--quiet", "--output", "quiet")
    assert status == 0 and screen.frames.count("") == len(screen.frames) - len(screen.text)
    assert [line.split(":")[0] for line in screen.text] == [
        "VGG16, new head", "Small CNN from scratch"]


def test_in_a_pipe_there_are_plain_lines_only(tmp_path):
    done = subprocess.run([*COMMAND, *QUICK], cwd=tmp_path, capture_output=True, check=True,
                          env={**os.environ, "PYTHONUTF8": "1", "COLUMNS": "40"})
    assert done.stderr == b""
    text = done.stdout.decode()
    assert not set(text) & {*BARS, "\r", "\x1b"}
    assert len(text.splitlines()) == 5  # no line is broken: another program may read it
    assert "Next: minicnn predict " in text or "predict runs/" in text


def test_verbose_and_quiet_exclude_each_other_and_are_not_in_run_json(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "-v", "-q"])
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_tmux_of_80_columns_no_line_is_broken_within_a_word(tmp_path):
    server = f"minicnn-test-{os.getpid()}"

    def tmux(*words):
        return subprocess.run(["tmux", "-L", server, *words], capture_output=True, text=True,
                              check=True).stdout

    command = f"{shlex.join([*UNDRAWN, 'train', *QUICK])}; echo finished $?; sleep 60"
    variables = [f"{key}={value}" for key, value in os.environ.items() if key == "PYTHONPATH"]
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(tmp_path),
         "env", *variables, "PYTHONUTF8=1", "sh", "-c", command)
    try:
        deadline, seen = time.monotonic() + 120, set()
        while "finished" not in (text := tmux("capture-pane", "-p")):
            assert time.monotonic() < deadline, text
            seen.update(text.splitlines())
            time.sleep(0.02)
        text, joined = (tmux("capture-pane", "-p", *more) for more in ([], ["-J"]))
    finally:
        tmux("kill-server")
    assert [line.rstrip() for line in joined.splitlines()] == text.splitlines()  # none was broken
    lines = [line for line in text.splitlines() if line.strip()]
    assert "finished 0" in lines
    assert any("features" in line and max(map(line.count, "▇▁_#")) for line in seen)
    assert lines[1].startswith("VGG16, new head: ") and lines[1].endswith(" %)")
    assert lines[2].startswith("Small CNN from scratch: ") and lines[2].endswith(" %)")


# Ctrl-C


@pytest.fixture
def long_comparison(tmp_path):
    """A process whose answer is printed, and which compares now."""
    process = subprocess.Popen(
        [*UNDRAWN[:2], "import minicnn.cli.train as t; "
         "t.comparable_training = lambda *_, **__: (32, 5000); "
         + UNDRAWN[2], "train", *QUICK, "--output", "run"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    for line in process.stdout:
        if line.startswith("VGG16, new head"):
            break
    yield process
    process.kill()
    process.communicate()


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_skips_the_comparison_and_the_run_is_complete(times, long_comparison, tmp_path):
    run = tmp_path / "run"
    wait_for((run / "report.html").exists)  # the page of the answer is there first
    time.sleep(1)
    for _ in range(times):
        long_comparison.send_signal(signal.SIGINT)
        time.sleep(0.01)
    out, err = long_comparison.communicate()
    assert long_comparison.returncode == 0, err
    assert err.startswith("Skipping the comparison.\n") and "Traceback" not in err
    assert "skipped" not in out and "Open: " in out and "Next: " in out
    assert not (run / "checkpoints").exists()
    assert {"model.h5", "history.csv", "scores.json", "report.html"} <= {
        path.name for path in run.iterdir()}
