"""Commands under mpiexec: which of them share their work, who prints, and how all ranks end."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

from .. import __version__
from ..data import Dataset
from ..distributed import DataParallel, connect, digest, launched_as_first
from ..model import Sequential
from ..training.feature_file import weights_digest
from ..utils.errors import ArgumentError, MiniCNNError
from ..utils.live_line import no_live_lines
from ..utils.ranks import current_ranks, working_with
from .terminal import wrapped

# The commands, and methods of look, that share their work; the others are run by rank 0 alone.
SHARED = ("features", "train", "predict", "evaluate", "atlas")
SHARED_METHODS = ("top-patches", "probes", "transfer-curve")
Outcome = tuple[int, str]  # exit status, error message


def check_same_photos(command: str, args: argparse.Namespace, parts: Mapping[str, Dataset],
                      model: Sequential | None = None) -> None:
    """Raises ArgumentError on all ranks unless they have the same photos, options and version, and
    the same model, if there is one: a path may lead to another file on each machine."""
    ranks = current_ranks()
    if ranks.size == 1:
        return
    facts = {
        "version of minicnn": __version__,
        **{f"{name} photos (and their hash)": digest(part) for name, part in parts.items()},
        **{f"option {key}": str(value) for key, value in vars(args).items() if not callable(value)},
    }
    if model is not None:
        facts["model (by the hash of its layers, weights and classes)"] = model_digest(model)
    ranks.check_same(command, facts)


def model_digest(model: Sequential) -> str:
    """A hash of what the model computes with: its layers, recipe and weights; and of its classes.
    """
    content = hashlib.blake2b(weights_digest(model).encode(), digest_size=8)
    content.update(repr((model.layers, model.classes)).encode("utf-8", "surrogateescape"))
    return content.hexdigest()


def check_enough_photos(command: str, count: int) -> None:
    """Raises ArgumentError if there are more ranks than photos."""
    size = current_ranks().size
    if 1 < size and count < size:
        raise ArgumentError(f"{command}: expected at most as many ranks as photos, {count}, "
                            f"received {size}. Start fewer: mpiexec -n {count}.")


def shares_work(words: Sequence[str]) -> bool:
    """Whether these words of the command line are of a command whose work ranks share."""
    return words[:1] != [] and (words[0] in SHARED or (
        words[0] == "look" and words[1:2] != [] and words[1] in SHARED_METHODS))


def without_exit(outcome_of: Callable[[Sequence[str]], Outcome], words: Sequence[str]) -> Outcome:
    """The outcome; also of argparse's exit after --help and wrong options, which has printed: no
    rank may leave before the others."""
    try:
        return outcome_of(words)
    except SystemExit as ended:
        return (ended.code if isinstance(ended.code, int) else int(bool(ended.code))), ""


def run_as_rank(words: Sequence[str], outcome_of: Callable[[Sequence[str]], Outcome]) -> int:
    """Runs a command on all ranks that mpiexec has started, of which rank 0 prints; -> the exit
    status of all. outcome_of: runs the command."""
    try:
        ranks = connect()
    except MiniCNNError as error:
        if not launched_as_first():
            time.sleep(1)  # mpiexec ends all once the first has failed in the same way
        print(wrapped(f"minicnn: {error}", sys.stderr), file=sys.stderr)
        return 2
    ranks.callbacks = [DataParallel]
    with ExitStack() as stack:
        stack.enter_context(working_with(ranks))
        if not ranks.is_first:
            silence = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(silence))
            stack.enter_context(redirect_stderr(silence))
            stack.enter_context(no_live_lines())
        if shares_work(words):
            outcome = without_exit(outcome_of, words)
        else:
            by_first = ranks.alone_on_first(lambda: without_exit(outcome_of, words))
            outcome = ranks.from_first(lambda: by_first or (0, ""))
    status, text = ranks.agree_on_end(*outcome)
    if text and ranks.is_first:
        print(wrapped(text, sys.stderr), file=sys.stderr, flush=True)
    ranks.wait_for_all()  # mpiexec ends all once one ends with an error
    return status
