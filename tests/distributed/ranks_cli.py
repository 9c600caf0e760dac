"""`minicnn WORDS…` on every rank, each in its own folder.

    mpiexec -n 3 python tests/distributed/ranks_cli.py FOLDER WORDS…

runs it in FOLDER/<rank> if there is one, else in FOLDER; so ranks may see different photos. A file
FOLDER/fail-<rank> lets that rank fail in its third step: with an error of minicnn if it contains
"error", with one of the programmer if "bug"; with "pause" all steps take a tenth of a second.
"""

import os
import sys
import time
from pathlib import Path

from minicnn import cli
from minicnn.training import state as training_state
from minicnn.training.callbacks import checkpoint
from minicnn.utils.errors import FileError

RANK = os.environ.get("OMPI_COMM_WORLD_RANK", "0")


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
        if len(steps) == 3 and kind == "error":
            raise FileError("photo.png: expected a photo, received noise. Remove it.")
        if len(steps) == 3 and kind == "bug":
            raise ZeroDivisionError("of the test")
        if kind == "pause":
            time.sleep(0.1)
        end_batch(self, y)

    training_state.TrainingState.end_batch = end_batch_or_fail
    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
