"""What `minicnn train` prints of its results."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation import Evaluation
from ..report.run_labels import doubtful_labels
from ..training import Setting, TransferResult
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .terminal import say


def result_line(title: str, result: Evaluation) -> str:
    """"VGG16: 102 of 120 right, 85.0 % (95 % interval 77.5 … 90.3 %)"."""
    low, high = result.interval
    return _("{title}: {correct} of {count} right, {accuracy:.1f} % (95 % interval {low:.1f} … "
             "{high:.1f} %)", title=title, correct=result.num_correct, count=len(result.labels),
             accuracy=100 * result.accuracy, low=100 * low, high=100 * high)


def print_notes(notes: Sequence[str], verbose: bool) -> None:
    """Prints the warnings among the notes; with verbose also what was chosen, which the page and
    run.json have in any case."""
    for note in notes:
        if verbose or not isinstance(note, Setting):
            say(note[:1].upper() + note[1:])


def print_doubtful_labels(result: TransferResult) -> None:
    """Prints how many photos may have a wrong label, of the training (if they were checked) and
    held out; the page shows them."""
    held_out = len(doubtful_labels(result.evaluation))
    training = len(doubtful_labels(result.training)) if result.training else 0
    if training:
        say(ngettext("{num} photo may have a wrong label ({training} of the training, {held_out} "
                     "held out): see report.html",
                     "{num} photos may have a wrong label ({training} of the training, {held_out} "
                     "held out): see report.html", training + held_out, training=training,
                     held_out=held_out))
    elif held_out:
        say(ngettext("{num} held-out photo may have a wrong label: see report.html",
                     "{num} held-out photos may have a wrong label: see report.html", held_out))
