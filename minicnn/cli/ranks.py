"""Commands under mpiexec: which of them share their work, who prints, and how all ranks end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path

from ..distributed import DataParallel, connect, launched_as_first
from ..utils.errors import MiniCNNError
from ..utils.live_line import no_live_lines
from ..utils.ranks import working_with
from .terminal import wrapped

SHARED = ("train", "predict", "evaluate")  # the others are run by rank 0 alone
Outcome = tuple[int, str]  # exit status, error message


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
        if words and words[0] in SHARED:
            outcome = outcome_of(words)
        else:
            by_first = ranks.alone_on_first(lambda: outcome_of(words))
            outcome = ranks.from_first(lambda: by_first or (0, ""))
    status, text = ranks.agree_on_end(*outcome)
    if text and ranks.is_first:
        print(wrapped(text, sys.stderr), file=sys.stderr, flush=True)
    ranks.wait_for_all()  # mpiexec ends all once one ends with an error
    return status
