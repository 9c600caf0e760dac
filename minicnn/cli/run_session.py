"""Run folders during `minicnn train`: locked, with checkpoints, resumable after an interruption."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..model import Sequential
from ..report import CHECKPOINTS
from ..training import Checkpoint
from ..utils.errors import FileError, NotFiniteError
from ..utils.files import lock_folder, partial_files
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..utils.live_line import LiveLine
from ..utils.ranks import current_ranks
from .run_record import options_of
from .terminal import HANDLER

# SIGUSR1 is what mpiexec passes on to the ranks, and Slurm sends before the time is up (--signal).
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1")
                if hasattr(signal, name)]  # Windows has no SIGUSR1
STOPPING = N_("Stopping after this epoch and saving. Ctrl-C again: stop now.")
STOPPING_FEATURES = N_("Stopping: no epoch has begun, so there is nothing to save.")
TERMINATING = N_("Stopping after this step and saving.")
SKIPPING = N_("Skipping the comparison.")


class Session:
    """A run in progress. checkpoint: where its trainings are kept. skipped: whether Ctrl-C ended
    the body of `with session.skippable()`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.in_comparison = self.skipped = self.terminated = False
        self.before: dict[int, Any] = {}

    def listen(self) -> None:
        """From now on the first Ctrl-C, SIGTERM or SIGUSR1 only asks the training to stop."""
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self.before.setdefault(number, signal.getsignal(number))
                signal.signal(number, self.on_signal)

    def stop_listening(self) -> None:
        """Signals do again what they did before."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.before.items():
                signal.signal(number, handler)

    def on_signal(self, number: int, frame: object) -> None:
        """Ctrl-C asks the training to stop after this epoch, the other signals, and Ctrl-C in the
        comparison, after this step. Then signals do what they did before: the next one stops at
        once."""
        self.terminated = number != signal.SIGINT
        at_once = self.terminated or self.in_comparison
        self.checkpoint.stop("step" if at_once else "epoch")
        if self.in_comparison and not self.terminated:
            message = _(SKIPPING)
        elif not self.checkpoint.shared.in_epoch:
            message = _(STOPPING_FEATURES)
        else:
            message = _(TERMINATING if self.terminated else STOPPING)
        if os.isatty(2):  # over the live line
            message = "\r" + message.ljust(LiveLine.shown.length if LiveLine.shown else 0)
        if not current_ranks().is_first:
            self.stop_listening()
            return
        text = f"{message}\n".encode(sys.stderr.encoding or "utf-8", HANDLER)
        os.write(2, text)  # print may be interrupted in the middle
        self.stop_listening()

    @contextmanager
    def skippable(self) -> Iterator[None]:
        """Ctrl-C ends the body of the with, and the run goes on; SIGTERM ends the run."""
        self.in_comparison = True
        try:
            yield
        except KeyboardInterrupt:
            if self.terminated or current_ranks().size > 1:  # mpiexec makes no difference
                raise
            self.skipped = True
            self.listen()
        finally:
            self.in_comparison = False


@contextmanager
def locked_run(output: Path) -> Iterator[Session]:
    """Locks the run's folder; -> its session, whose checkpoints are removed when the run is
    finished.

    Ctrl-C stops after the current epoch, SIGTERM after the current step, with a checkpoint, and the
    message says how to resume; so does the message of a full disk. While features are computed
    there is nothing to keep, and both stop at once.
    """
    with ExitStack() as stack:
        current_ranks().from_first(lambda: stack.enter_context(lock_folder(output)))
        known = current_ranks().from_first(lambda: known_of(output))
        with without_lost_interrupts(), resumable(output, Checkpoint(
                output / CHECKPOINTS, "vgg16", known)) as session:
            yield session


def known_of(output: Path) -> dict[str, Any]:
    """What the training of this run depends on: its options and its split. Raises FileError."""
    for path in [*partial_files(output), *partial_files(output / CHECKPOINTS)]:
        path.unlink(missing_ok=True)  # a process that was killed left it behind
    try:
        split = (output / "split.csv").read_text("utf-8", "surrogateescape")
        return {**options_of(output), "split": split}
    except (OSError, ValueError) as error:
        raise FileError(f"{output}: expected its run.json and split.csv, received: {error}. "
                        f"Put them back, or begin a new run.") from error


@contextmanager
def without_lost_interrupts() -> Iterator[None]:
    """A second Ctrl-C may fall into a destructor or the callback of a weak reference, where Python
    prints a traceback and goes on. The first one has asked the training to stop, so nothing is
    lost, and nothing is printed."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def resumable(output: Path, checkpoint: Checkpoint) -> Iterator[Session]:
    """The signal and error handling of locked_run."""
    resume = _("Go on with: {command}",
               command=f"minicnn train --resume {shlex.quote(str(output))}")
    session = Session(checkpoint)
    session.listen()
    try:
        yield session
        checkpoint.remove()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_("stopped. {resume}", resume=resume) if checkpoint.any() else
                                _("stopped.")) from None
    except NotFiniteError as error:
        if not isinstance(error.model, Sequential):
            raise
        path, model = output / "last_finite.h5", error.model
        try:
            current_ranks().alone_on_first(lambda: model.save(path))
        except FileError as save_error:
            raise NotFiniteError(f"{error} {save_error}") from error
        checkpoint.remove()  # resuming would end in the same error
        raise NotFiniteError(f"{error} The last finite weights are in {path}.") from error
    except FileError as error:
        if not current_ranks().is_first and not output.is_dir():  # it need not see the folder
            raise FileError(f"{error} If rank 0 has written a checkpoint, it stands. "
                            f"{resume}") from error
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
        session.stop_listening()
