"""`minicnn WORDS…` on every rank, each in its own folder.

    mpiexec -n 3 python tests/distributed/ranks_cli.py FOLDER WORDS…

runs it in FOLDER/<rank> if there is one, else in FOLDER; so ranks may see different photos. With
@FILE in place of the words, a JSON list of commands, it runs them one after the other, and rank 0
prints their statuses and outputs as JSON. A file FOLDER/fail-<rank> lets that rank fail in its
third step: with an error of minicnn if it contains "error", of the programmer if "bug", since its
disk is full from then on if "full"; if "full at once" its disk is full from the beginning.
FOLDER/failed-<rank> tells when. With "late" it begins each of several commands later than the
others, which may have written their files by then; with "slow" each shard of features takes a fifth
of a second, so that it can be interrupted.
"""

import io
import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from minicnn import cli
from minicnn.distributed import connect
from minicnn.training import feature_shards
from minicnn.training import state as training_state
from minicnn.training.callbacks import checkpoint
from minicnn.utils.errors import FileError

FREE_BYTES = 8_000
RANK = os.environ.get("OMPI_COMM_WORLD_RANK", "0")


def fill_disk():
    """From now on no file of this process can grow beyond a few KB."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (FREE_BYTES, resource.RLIM_INFINITY))


def main(folder, *words):
    own = folder / RANK
    os.chdir(own if own.is_dir() else folder)
    checkpoint.MIN_SECONDS = checkpoint.MIN_TIMES = 0  # after every step
    plan = folder / f"fail-{RANK}"
    kind = plan.read_text() if plan.exists() else ""
    steps = []
    end_batch = training_state.TrainingState.end_batch

    def end_batch_or_fail(self, y):
        steps.append(y)
        if len(steps) == 3 and kind in ("error", "bug", "full"):
            (folder / f"failed-{RANK}").touch()
        if len(steps) == 3 and kind == "error":
            raise FileError("photo.png: expected a photo, received noise. Remove it.")
        if len(steps) == 3 and kind == "bug":
            raise ZeroDivisionError("of the test")
        if len(steps) == 3 and kind == "full":
            fill_disk()
        end_batch(self, y)

    if kind == "full at once":
        connect()  # MPI has files of its own
        (folder / f"failed-{RANK}").touch()
        fill_disk()
    if kind == "slow":
        write_shard = feature_shards.write_shard
        feature_shards.write_shard = lambda *args: [time.sleep(0.2), write_shard(*args)]
    training_state.TrainingState.end_batch = end_batch_or_fail
    if words[0][0] != "@":
        return cli.main(words)
    answers = []
    for command in json.loads(Path(words[0][1:]).read_text()):
        if kind == "late":
            time.sleep(0.3)
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as screen:
            status = cli.main(command)
            screen.flush()
        answers.append([status, screen.buffer.getvalue().decode()])
    if RANK == "0":
        print(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
