"""docs/distributed.md can be typed: its commands are accepted, its script is bash, its Python runs,
its links lead somewhere, and its table is what the command prints."""

import re
import shlex
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import scaling
from minicnn.cli import parser

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "distributed.md").read_text("utf-8")
BLOCKS = [(language, re.sub(r" *\\\n *", " ", block))  # lines that go on
          for language, block in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.M | re.S)]
FLAGS = {"--oversubscribe"}  # of mpiexec: options that take no value
needs_bash = pytest.mark.skipif(not shutil.which("bash") or not hasattr(signal, "SIGUSR1"),
                                reason="no bash")


def code(language):
    """The blocks in that language."""
    return [block for name, block in BLOCKS if name == language]


def typed():
    """The words of each minicnn command, in blocks or lines, behind whatever starts it."""
    lines = [line for block in [*code("sh"), *code("bash")] for line in block.splitlines()]
    spans = re.findall(r"(?<!`)`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.S))
    for line in [*lines, *spans]:
        if found := re.match(r"(?:(?:mpiexec|srun) .*?)?minicnn (?![….])(.+)", line):
            yield found[1]


@pytest.mark.parametrize("command", sorted(set(typed())))
def test_every_command_is_accepted(command):
    words = [word for word in shlex.split(command, comments=True) if word != "&"]
    words = [part for word in words for part in (
        ["--resume", "runs/a"] if word == "${what[@]}" else [] if word == "…" else [word])]
    parser().parse_args(words)


def test_mpiexec_has_options_with_values_and_a_command():
    calls = re.findall(r"^mpiexec (.+)$", "\n".join(block for _, block in BLOCKS), re.M)
    assert len(calls) >= 6
    for call in calls:
        words = shlex.split(call, comments=True)
        while words[0].startswith("-"):
            words = words[1 if words[0] in FLAGS else 2:]
        assert words[0] in ("minicnn", "python"), call


@pytest.fixture
def slurm_script(tmp_path):
    """The command that runs the script of the page, with stand-ins for Slurm and mpiexec: that of
    mpiexec prints its arguments, and waits for SIGUSR1 if there is a file named wait."""
    (script,) = code("bash")
    assert script.startswith("#!/bin/bash\n#SBATCH ")  # Slurm reads them up to the first command
    assert re.findall(r"^#SBATCH", script, re.M) == re.findall(
        r"^#SBATCH", script[:script.index("module")], re.M)
    script = re.sub(r"^source .*$", "", script, flags=re.M).replace("/shared", str(tmp_path))
    stand_ins = """
        module() { :; }
        mpiexec() {
            trap 'echo stopping; exit 130' USR1
            echo "$OMP_NUM_THREADS threads: $*"
            while [ -e wait ]; do sleep 0.05; done
        }
        SLURM_CPUS_PER_TASK=2 SLURM_NTASKS_PER_NODE=8
    """
    return ["bash", "-uc", stand_ins + script]


@needs_bash
def test_the_slurm_script_starts_the_ranks_and_resumes_what_is_there(slurm_script, tmp_path):
    runs = tmp_path / "runs" / "clouds"
    for expected in (f"{tmp_path}/photos/ --output {runs}", f"--resume {runs}"):
        done = subprocess.run(slurm_script, capture_output=True, text=True, cwd=tmp_path,
                              timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"2 threads: --map-by ppr:8:node:PE=2 minicnn train {expected}\n"
        (runs / "checkpoints").mkdir(parents=True, exist_ok=True)


@needs_bash
def test_the_slurm_script_passes_the_warning_on_and_waits_for_the_ranks(slurm_script, tmp_path):
    (tmp_path / "wait").touch()
    with subprocess.Popen(slurm_script, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout.readline().startswith("2 threads: ")
        time.sleep(0.3)  # it comes to its wait
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "stopping\n"
    assert process.returncode == 130


@pytest.mark.skipif(not find_spec("mpi4py"), reason="mpi4py is not installed")
def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = code("python")
    names = {}
    exec(block, names)
    assert names["parallel"].ranks.size == 1 and Path("fashion.h5").is_file()


def test_every_link_leads_to_a_file_and_every_option_is_known():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    known = {option for command in next(
        action.choices for action in parser()._actions if hasattr(action.choices, "values")
    ).values() for option in command._option_string_actions}
    assert set(re.findall(r"(?<!`)`(--[\w-]+)`", PAGE)) <= known
    for file in re.findall(r"`((?:minicnn|benchmarks|examples|tests)/[^` ]+)`", PAGE):
        assert (ROOT / file).exists(), file


def test_its_tables_are_what_the_commands_print(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    commands = re.findall(r"`python -m benchmarks.scaling (--compute [^`]+)`", PAGE)
    for command in commands:
        scaling.main(shlex.split(command))
    printed = capsys.readouterr().out
    tables = re.findall(r"^\*\*.+\*\*\n\n\| ranks \| ring, 10 Gbit/s.*\n(?:\|.*\|\n)+", PAGE,
                        re.M)
    assert len(commands) == 2 and len(tables) == 5
    assert [table for table in tables if table not in printed] == []
    assert "NOT VALID" not in printed
    features = re.search(r"efficiency of (98 % at .*? Gbit/s) on 1,024\s", PAGE, re.S)[1]
    assert features in printed
    for seconds, photos in (("11.6", "12 s"), ("0.00205", "2 ms"), ("0.00533", "5 ms")):
        assert f"; {seconds} s for 32 photos" in printed and photos in PAGE
