"""Run folders during `minicnn train`: locked, with checkpoints, resumable after an interruption."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..model import Sequential
from ..report import CHECKPOINTS
from ..training import Checkpoint
from ..utils.errors import FileError, NotFiniteError
from ..utils.files import lock_folder, partial_files


@contextmanager
def locked_run(output: Path) -> Iterator[Checkpoint]:
    """Locks the run's folder; -> its checkpoints, which are removed when the run is finished.

    Ctrl-C and SIGTERM stop after the current step, with a checkpoint, and the message says how to
    resume; so does the message of a full disk.
    """
    with lock_folder(output):
        for path in [*partial_files(output), *partial_files(output / CHECKPOINTS)]:
            path.unlink(missing_ok=True)  # a process that was killed left it behind
        try:
            options = json.loads((output / "run.json").read_text("utf-8"))
            split = (output / "split.csv").read_text("utf-8", "surrogateescape")
        except (OSError, ValueError) as error:
            raise FileError(f"{output}: expected its run.json and split.csv, received: {error}. "
                            f"Put them back, or begin a new run.") from error
        with stop_on_signals(output, Checkpoint(output / CHECKPOINTS, "vgg16", {
                **options, "split": split})) as checkpoint:
            yield checkpoint


@contextmanager
def stop_on_signals(output: Path, checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """The signal and error handling of locked_run."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.getsignal(number) for number in numbers]

    def stop(number: int, frame: object) -> None:
        os.write(2, b"stopping after this step (after the last one: when the report is written); "
                    b"once more stops at once\n")  # print may be interrupted in the middle
        checkpoint.stop()
        signals(before)

    def signals(handlers: list) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)

    resume = f"Go on with: minicnn train --resume {shlex.quote(str(output))}"
    signals([stop, stop])
    try:
        yield checkpoint
        checkpoint.remove()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped. {resume}" if checkpoint.any() else "stopped.") from None
    except NotFiniteError as error:
        if not isinstance(error.model, Sequential):
            raise
        path = output / "last_finite.h5"
        try:
            error.model.save(path)
        except FileError as save_error:
            raise NotFiniteError(f"{error} {save_error}") from error
        checkpoint.remove()  # resuming would end in the same error
        raise NotFiniteError(f"{error} The last finite weights are in {path}.") from error
    except FileError as error:
        if not output.is_dir():
            raise FileError(f"{error} The folder of this run is gone; if it was moved, go on "
                            f"there with minicnn train --resume.") from error
        if not checkpoint.any():
            raise
        raise FileError(f"{error} The training up to the last checkpoint is saved. {resume}"
                        ) from error
    except OSError:  # from printing
        if checkpoint.any():
            print(resume, file=sys.stderr)
        raise
    finally:
        signals(before)
