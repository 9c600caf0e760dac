"""The rules: each completes the sentence "Your dx …", or returns None if it does not apply.

The first rule that applies is reported; so specific rules come first and vague ones last.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations, product

import numpy as np

from ...utils.language import gettext
from ...utils.language import gettext_noop as N_
from .factors import factor_along_axes, missing_factor, wrong_factor
from .formulas import missing_term, statistics_part, sum_of_products, two_terms
from .probe import GradientError, axes_of
from .variants import (
    mirrored,
    miscounted_outputs,
    other_gradient,
    other_upstream,
    other_weights,
    path_through_matrix,
    uncounted_outputs,
)
from .words import join_words, subsets


def missing_gradient(name: str) -> str:
    """What to say if backward has not computed the gradient `name` at all."""
    if name == "dx":
        return gettext("is missing: return it from backward.")
    return gettext('is missing: assign self.grads["{name}"] in backward.', name=name[1:])


def not_finite_or_zero(w: GradientError) -> str | None:
    """NaN, infinities, or zeros everywhere."""
    if not np.isfinite(w.a).all():
        return gettext("is not finite in {count} of {total} elements.",
                       count=(~np.isfinite(w.a)).sum(), total=w.a.size)
    if not w.a.any() and w.a.shape == w.g.shape:
        return gettext("is zero everywhere.")
    return None


def wrong_shape(w: GradientError) -> str | None:
    """A shape that differs from the correct one, and what makes it right."""
    a, g = w.a, w.g
    if a.shape == g.shape:
        return None
    problem = gettext("has shape {shape} where {expected} is expected", shape=a.shape,
                      expected=g.shape)
    if exchanged := exchanged_axes(w):
        return gettext("{problem}, and {exchanged}", problem=problem, exchanged=exchanged)
    if a.size == g.size and w.same(a.reshape(g.shape), g):
        return gettext("{problem}: its numbers are right, .reshape({shape}) is missing.",
                       problem=problem, shape=g.shape)
    for axes in subsets(a.ndim):
        if w.same(a.sum(axis=axes), g):
            axis = axes if axes[1:] else axes[0]
            return gettext("{problem}: it is right once summed, .sum(axis={axis}) is missing.",
                           problem=problem, axis=axis)
    dy = w.probe.dy
    for axes in subsets(dy.ndim) if w.name != "dx" else ():
        if w.same(a, dy.sum(axis=axes)):
            names = join_words(axes_of("y", dy.ndim)[k] for k in axes)
            return gettext("{problem}: it is the sum of dy over {axes}; sum over the other axes.",
                           problem=problem, axes=names)
    for axes in subsets(g.ndim):
        total = g.sum(axis=axes, keepdims=True)
        if a.size == total.size and w.same(a.reshape(total.shape), total):
            names = join_words(w.axes[k] for k in axes)
            return gettext("{problem}: it is summed over {axes}; do not sum.", problem=problem,
                           axes=names)
    if a.ndim == g.ndim == 4 and all(u >= v for u, v in zip(a.shape, g.shape, strict=True)):
        for i, j in np.ndindex(a.shape[1] - g.shape[1] + 1, a.shape[2] - g.shape[2] + 1):
            if w.same(a[:, i:i + g.shape[1], j:j + g.shape[2]], g):
                return gettext("{problem}: it still has its padding, {part} of it is right.",
                               problem=problem,
                               part=f"[:, {i}:{i + g.shape[1]}, {j}:{j + g.shape[2]}]")
    return f"{problem}."


def exchanged_axes(w: GradientError) -> str | None:
    """The right numbers with axes exchanged."""
    for p in permutations(range(w.g.ndim)) if w.a.ndim == w.g.ndim else ():
        if p != tuple(sorted(p)) and w.same(w.a.transpose(p), w.g):
            names = [w.axes[p.index(k)] for k in range(len(p))]
            moved = [axis for k, axis in enumerate(w.axes) if k != p[k]]
            problem = (gettext("has {axes} exchanged", axes=join_words(moved)) if len(moved) == 2
                       else gettext("has its axes in the order {axes}", axes=", ".join(names)))
            return gettext("{problem}: .transpose{order} makes it right.", problem=problem, order=p)
    return None


def reversed_axes(w: GradientError) -> str | None:
    """The right numbers, in reverse order along some axes."""
    for axes in subsets(w.g.ndim):
        if w.same(np.flip(w.a, axes), w.g):
            names = [w.axes[k] for k in axes]
            return (gettext("is right but rotated by 180°, in {axes}.", axes=join_words(names))
                    if names in (["KH", "KW"], ["H", "W"]) else
                    gettext("is right but in reverse order, in {axes}.", axes=join_words(names)))
    return None


def shifted(w: GradientError) -> str | None:
    """The right numbers, one or two pixels off."""
    if w.name != "dx" or w.g.ndim != 4:
        return None
    H, Wd = w.g.shape[1:3]
    for i, j in sorted(product(range(-2, 3), repeat=2), key=lambda ij: abs(ij[0]) + abs(ij[1])):
        a = w.a[:, max(i, 0):H + min(i, 0), max(j, 0):Wd + min(j, 0)]
        g = w.g[:, max(-i, 0):H + min(-i, 0), max(-j, 0):Wd + min(-j, 0)]
        if (i, j) != (0, 0) and min(a.shape[1:3]) > 1 and w.same(a, g):
            return gettext("is right but shifted by {pixels} pixels (down, right): where does the "
                           "padding begin?", pixels=(i, j))
    return None


def incomplete_sum(w: GradientError) -> str | None:
    """What a single sample, row or column of dy gives, without the sum over all of them."""
    every = slice(None)
    choices: tuple[slice | int, ...] = (every, -1, 0)
    indices = [index for index in product(choices, repeat=max(w.probe.y.ndim - 1, 0))
               if any(k != every for k in index[w.name == "dx":])]  # each sample has its own dx
    for index in sorted(indices, key=lambda index: sum(k != every for k in index)):
        terms = w.terms[index]
        if w.same(w.a, terms.sum(axis=tuple(range(terms.ndim - w.g.ndim)))):
            shown = ", ".join(":" if k == every else str(k) for k in index)
            sample = {"-1": gettext(", the last sample"), "0": gettext(", the first sample")}.get(
                shown.removesuffix(", :" * (len(index) - 1)), "")
            return gettext("is what dy[{index}] gives alone{sample}: add up over all of dy (+=, or "
                           "a sum), do not assign.", index=shown, sample=sample)
    return None


def overwritten(w: GradientError) -> str | None:
    """A dx to which overlapping windows have been assigned instead of added."""
    if w.name != "dx" or w.probe.y.ndim != 4:
        return None
    terms = w.terms.sum(axis=3).reshape(-1, *w.g.shape)  # (windows, N, H, W, C)
    in_window = w.probe.reach().any(axis=3).reshape(terms.shape)
    for written in (np.abs(terms) > 0, in_window):
        for k, cause in (
                (len(written) - 1 - written[::-1].argmax(axis=0),
                 N_("keeps only the last of the windows that hold a pixel: windows overlap, so add "
                    "(+=), do not assign.")),
                (written.argmax(axis=0),
                 N_("keeps only the first of the windows that hold a pixel: windows overlap, so "
                    "add (+=), do not assign."))):
            if w.same(w.a, np.take_along_axis(terms, k[None], axis=0)[0]):
                return gettext(cause)
    return None


def reduced(w: GradientError) -> str | None:
    """A sum or mean over some axes, repeated in every element."""
    for axes in subsets(w.g.ndim):
        for cause, combine in (
                (N_("holds the sum over {axes} of what is right, in every element: do not reduce "
                    "over {axes}."), np.sum),
                (N_("holds the mean over {axes} of what is right, in every element: do not reduce "
                    "over {axes}."), np.mean)):
            v = combine(w.g, axes, keepdims=True)
            if w.same(w.a, np.broadcast_to(v, w.g.shape)):
                return gettext(cause, axes=join_words(w.axes[k] for k in axes))
    return None


def partly_right(w: GradientError) -> str | None:
    """Right in a part of the elements that x or the layer describes, and wrong in the others."""
    for name, mask in _masks(w).items():
        if _separates(w, mask):
            return gettext("is right where {condition} and wrong elsewhere.",
                           condition=gettext(name))
    return None


def right_along_axis(w: GradientError) -> str | None:
    """Right at some places of an axis, and wrong at the others."""
    right, _ = w.elements()
    for axis, name in enumerate(w.axes):
        others = tuple(k for k in range(w.g.ndim) if k != axis)
        good = right.all(axis=others)
        if good.any() and _separates(w, np.broadcast_to(np.expand_dims(good, others), w.g.shape)):
            return gettext("is right at {axis} = {right} and wrong at {axis} = {wrong}.", axis=name,
                           right=join_words(np.flatnonzero(good)),
                           wrong=join_words(np.flatnonzero(~good)))
    return None


def _separates(w: GradientError, mask: np.ndarray) -> bool:
    """Right wherever mask is True, and mostly wrong elsewhere."""
    right, not_zero = w.elements()
    return bool((mask & not_zero).any() and right[mask].all() and (~mask & not_zero).any()
                and (~right)[~mask & not_zero].mean() >= 0.5)


def _masks(w: GradientError) -> dict[str, np.ndarray]:
    """{description: mask of dx}: the parts that a wrong backward often treats alike."""
    if w.name != "dx":
        return {}
    x, t = w.probe.x, getattr(w.probe.layer, "t", None)
    masks = {"x > 0": x > 0, "x < 0": x < 0}
    if t is not None and np.shape(t) == x.shape[:1] and x.ndim == 2:
        is_class = np.arange(x.shape[1]) == np.asarray(t)[:, None]
        masks[N_("the class is t, the right one,")] = is_class
        masks[N_("the class is another than t")] = ~is_class
    if w.g.ndim == 4:
        inside = np.zeros(w.g.shape, bool)
        inside[:, 1:-1, 1:-1] = True
        masks[N_("a pixel is not at the border of x")] = inside
    return masks


def zeros(w: GradientError) -> str | None:
    """Right but for what is, or is not, zero: a mask or a maximum."""
    right, _ = w.elements()
    is_zero, should_be = w.a == 0, np.abs(w.g) <= w.probe.noise
    if should_be.all() or not should_be.any():
        return None
    if right[~should_be].all() and not is_zero[should_be].all():
        return gettext("is right where it is not 0, and not 0 in {count} elements where it has to "
                       "be: is a mask missing?", count=(~is_zero & should_be).sum())
    if is_zero[~should_be].all() and not is_zero[should_be].any():
        return gettext("is 0 exactly where it must not be, and not 0 where it has to be: a mask "
                       "inverted?")
    return None


def one_slice(w: GradientError) -> str | None:
    """Zero at some places of an axis, right or not at others; or one slice everywhere."""
    for k, name in enumerate(w.axes):
        size, others = w.g.shape[k], tuple(axis for axis in range(w.g.ndim) if axis != k)
        if size < 2:
            continue
        for index in range(size):
            if w.same(w.a, np.broadcast_to(w.g.take([index], k), w.g.shape)):
                return gettext("holds at each {axis} what is right at {axis} = {index}.",
                               axis=name, index=index)
        zero = ~w.a.any(axis=others) & w.g.any(axis=others)
        if zero.any():
            return gettext("is zero at {axis} = {indices}.", axis=name,
                           indices=join_words(np.flatnonzero(zero)))
    for i, j in combinations(range(w.g.ndim), 2):
        for m, n in np.ndindex(w.g.shape[i], w.g.shape[j]):
            piece = w.g.take([m], i).take([n], j)
            if w.same(w.a, np.broadcast_to(piece, w.g.shape)):
                return gettext("holds everywhere what is right at {axis} = {index}, {other} = "
                               "{number}.", axis=w.axes[i], index=m, other=w.axes[j], number=n)
    return None


def few_elements_wrong(w: GradientError) -> str | None:
    """Right in at least half of the elements."""
    right, not_zero = w.elements()
    if right[not_zero].mean() < 0.5 or w.tolerance > 1e-3:  # float32: small ones seem right
        return None
    first = tuple(int(k) for k in np.argwhere(~right)[0])
    return gettext("is right in {count} of {total} elements; the first wrong one is {element}: "
                   "expected {expected:.6g}, received {received:.6g}.", count=right.sum(),
                   total=right.size, element=f"{w.name}{list(first)}", expected=w.g[first],
                   received=w.a[first])


RULES: tuple[Callable[[GradientError], str | None], ...] = (
    not_finite_or_zero, wrong_shape, wrong_factor, exchanged_axes, reversed_axes, other_weights,
    shifted, mirrored, other_gradient, incomplete_sum, overwritten, reduced, statistics_part,
    partly_right, missing_term, two_terms, missing_factor, factor_along_axes, path_through_matrix,
    uncounted_outputs, other_upstream, right_along_axis, zeros, sum_of_products,
    miscounted_outputs, one_slice, few_elements_wrong)
RULES_FOR_SMALL_ELEMENTS = (right_along_axis, zeros, few_elements_wrong)  # beside large right ones
