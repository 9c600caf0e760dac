"""Processes under a real mpiexec: as many ranks as a test asks for, on however few cores."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_STARTED = 213  # as Open MPI's mpiexec ends, now and then, having failed before any rank began
BESIDE_PYTHON = str(Path(sys.executable).parent)  # where the wheel of Open MPI puts mpiexec


def mpiexec():
    """The path of mpiexec; None if there is none, or no mpi4py."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    return shutil.which("mpiexec", path=BESIDE_PYTHON) or shutil.which("mpiexec")


def rank_command(count, *words):
    """The command line that runs `python WORDS…` on so many ranks."""
    return [mpiexec(), "--allow-run-as-root", "--oversubscribe", "-n", str(count), sys.executable,
            *map(str, words)]


def rank_environment(**more):
    """For those processes: this minicnn, one thread each."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | more


def start_ranks(count, *words, cwd=None, **environment):
    """Starts them; -> the process of mpiexec, its output and errors readable as text."""
    return subprocess.Popen(rank_command(count, *words), stdout=subprocess.PIPE, cwd=cwd,
                            stderr=subprocess.PIPE, env=rank_environment(**environment), text=True)


def run_ranks(count, *words, cwd=None, timeout=60, **environment):
    """(exit status, standard output, standard error) of them, once all have ended. If mpiexec has
    failed by itself (no program here ends with that status), it is started once more: each may take
    `timeout` seconds."""
    for _ in range(2):
        process = start_ranks(count, *words, cwd=cwd, **environment)
        try:
            out, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode != NOT_STARTED or out or sentences(errors):
            break
        print(f"mpiexec could not start the ranks:\n{errors}")
    return process.returncode, out, errors


def sentences(errors):
    """What minicnn has said among the lines on standard error: without mpiexec's own."""
    return [line for line in errors.splitlines() if line.startswith("minicnn: ")]
