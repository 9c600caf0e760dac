"""Explains in words what is wrong with a hand-written backward.

Central differences give more than the gradient: moving one element of x (or of W, b) shows what it
does to every y. So the wrong gradients that people usually compute (from one sample only, with
windows that overwrite each other, with W rotated) can be computed too, and compared. There
is a hint only if that comparison, or the correct gradient with that mistake put in, agrees to six
digits.
"""

from __future__ import annotations

import copy

import numpy as np

from ...utils.language import gettext
from ...utils.language import gettext_noop as N_
from ..check import Gradcheck, gradcheck
from ..checkable import Checkable
from ..compare import Row
from ..point import (
    CALLED_TWICE,
    FIRST,
    FORWARD_TWICE,
    INFERENCE,
    LARGE,
    SECOND,
    SINGLE,
    forward,
    kept_random_state,
    make_points,
)
from .calls import cause_in_inference, cause_in_second_call
from .probe import GradientError, Probe
from .rules import RULES, RULES_FOR_SMALL_ELEMENTS, missing_gradient
from .words import join_words

MAX_ELEMENTS = 10_000_000  # of the table "each element of x against each y"
WHERE = {FIRST: N_("Your"), SECOND: N_("For other numbers your"),
         INFERENCE: N_("In inference your"), CALLED_TWICE: N_("In a second call your"),
         LARGE: N_("For large numbers your"), SINGLE: N_("For one sample (N = 1) your"),
         FORWARD_TWICE: N_("After two forwards your")}


def hints(layer: Checkable, x: np.ndarray, seed: int = 0) -> list[str]:
    """Says which gradients of a layer at x are right, and what is wrong with the others.

    layer: as for gradcheck, a single layer; hints works on a copy. x (N, …).
    Returns a sentence for all gradients that are right, then one for each wrong gradient that a
    rule explains; none for the other wrong ones.
    """
    return explain(gradcheck(layer, x, seed=seed))


@kept_random_state()
def explain(result: Gradcheck) -> list[str]:
    """The hints for a result of gradcheck, at the points where it was checked; they are found on
    the processor, wherever that was."""
    values = result.points[0].values
    if hasattr(result.points[0].layer, "layers"):  # of a network dx only
        values = {"dx": values["dx"]}
    rows = [row for row in result.rows if row.name in values]
    for row in rows:
        if row.point and row.point.dy.size * max(row.point.values[name].size for name in values
                                                 ) > MAX_ELEMENTS:
            return [gettext("For hints x {shape} is too large; take a smaller one.",
                            shape=row.point.x.shape)]
    wrong = {row.name: row for row in reversed(rows) if row.note != "ok"}
    right = [row.name for row in rows if row.name not in wrong]
    with np.errstate(all="ignore"):  # of wrong numbers, whatever they are
        sentences = [_sentence(result, row) for row in rows if wrong.get(row.name) is row]
    if right:
        names = join_words(right)
        sentences.insert(0, gettext("Your {names} is right.", names=names) if len(right) == 1 else
                         gettext("Your {names} are right.", names=names))
    return [sentence for sentence in sentences if sentence]


def _sentence(result: Gradcheck, row: Row) -> str | None:
    """What is wrong with that row's gradient; None if no rule applies."""
    if row.point is None:
        return None
    point = copy.copy(row.point)
    point.device = "cpu"
    your = gettext(WHERE[point.label])
    if point.x.shape[1:] != result.points[0].x.shape[1:]:
        your = gettext("On x of shape {shape}, {your}", shape=point.x.shape,
                       your=your[0].lower() + your[1:])
    probe = Probe(point, result.precision)
    try:
        gradient = point.gradients(probe.run()[0])[row.name]
    except Exception as stop:  # the user's own, in inference
        question = (gettext("does it squeeze or reshape away an axis of size 1?")
                    if point.label == SINGLE else
                    gettext("does forward keep what it needs only if training?"))
        return gettext("{your} backward stops with {kind} ({error}): {question}", your=your,
                       kind=type(stop).__name__, error=stop, question=question)
    if gradient is None:
        return f"{your} {row.name} {missing_gradient(row.name)}"
    error = GradientError(probe, row.name, point.values[row.name], gradient)
    if not np.isfinite(error.g).all() or error.is_zero:  # wrong on another device only
        return None
    special = {INFERENCE: cause_in_inference, CALLED_TWICE: cause_in_second_call,
               FORWARD_TWICE: cause_in_second_call}.get(point.label)
    cause = special(error) if special else None
    rules = RULES_FOR_SMALL_ELEMENTS if error.is_small else RULES
    cause = cause or next(filter(None, (rule(error) for rule in rules)), None)
    if cause is None and special:
        cause = (gettext("is wrong, though right in training.") if point.label == INFERENCE else
                 gettext("is wrong, though right in the first: something of the first call is "
                         "left over."))
    return f"{your} {row.name} {cause}" if cause else None


@kept_random_state()
def accumulated(layer: Checkable, x: np.ndarray, seed: int = 0) -> list[str]:
    """Names of the gradients that a second forward and backward doubles: added, not assigned."""
    point = make_points(layer, x, seed)[0]
    replica, _ = point.run()
    first = point.gradients(replica)
    forward(replica, point.x.copy(), training=True)
    second = point.gradients(replica)
    return [name for name, a in first.items() if _is_doubled(a, second[name])]


def _is_doubled(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Whether the second gradient is twice the first one, which is not zero."""
    if first is None or second is None or not first.any():
        return False
    return second.shape == first.shape and np.allclose(second, 2 * first, 1e-9, 0)
