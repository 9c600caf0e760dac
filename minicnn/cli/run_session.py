"""The folder of a run while `minicnn train` is at work in it: held, kept, and taken up again."""

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

from ..report import CHECKPOINTS
from ..training import Checkpoint
from ..utils.errors import FileError, NotFiniteError
from ..utils.files import lock_folder, partial_files


@contextmanager
def kept(output: Path) -> Iterator[Checkpoint]:
    """The run's checkpoints, taken away when it is done; nobody else works in the folder meanwhile.
    Ctrl-C and SIGTERM end the step, write where it stands, and the command that goes on is said; so
    it is where a disk is full."""
    with lock_folder(output):
        for path in [*partial_files(output), *partial_files(output / CHECKPOINTS)]:
            path.unlink(missing_ok=True)  # a process that was killed left it behind
        try:
            options = json.loads((output / "run.json").read_text("utf-8"))
            split = (output / "split.csv").read_text("utf-8", "surrogateescape")
        except (OSError, ValueError) as problem:
            raise FileError(f"{output}: expected its run.json and split.csv, received: {problem}. "
                            f"Put them back, or begin a new run.") from problem
        with stoppable(output, Checkpoint(output / CHECKPOINTS, "vgg16", {
                **options, "split": split})) as checkpoint:
            yield checkpoint


@contextmanager
def stoppable(output: Path, checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """What `kept` does with signals and errors."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.getsignal(number) for number in numbers]

    def stop(number: int, frame: object) -> None:
        os.write(2, b"stopping after this step, where it is the last one after the report; once "
                    b"more stops at once\n")  # print may be at work
        checkpoint.stop()
        signals(before)

    def signals(handlers: list) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)

    go_on = f"Go on with: minicnn train --resume {shlex.quote(str(output))}"
    signals([stop, stop])
    try:
        yield checkpoint
        checkpoint.remove()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped. {go_on}" if checkpoint.any() else "stopped.") from None
    except NotFiniteError as error:
        path = output / "last_finite.h5"
        try:
            error.model.save(path)
        except FileError as other:
            raise NotFiniteError(f"{error} {other}") from error
        checkpoint.remove()  # to go on would end in the same place
        raise NotFiniteError(f"{error} The last finite weights are in {path}.") from error
    except FileError as error:
        if not output.is_dir():
            raise FileError(f"{error} The folder of this run is gone; where it was moved, go on "
                            f"there with minicnn train --resume.") from error
        if not checkpoint.any():
            raise
        raise FileError(f"{error} What was learnt until then is kept. {go_on}") from error
    except OSError:  # of what is printed
        if checkpoint.any():
            print(go_on, file=sys.stderr)
        raise
    finally:
        signals(before)
