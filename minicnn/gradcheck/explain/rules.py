"""The rules: each completes the sentence "Your dx …", or returns None if it does not apply.

The first rule that applies is reported; so specific rules come first and vague ones last.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations, product

import numpy as np

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
    advice = "return it from" if name == "dx" else f'assign self.grads["{name[1:]}"] in'
    return f"is missing: {advice} backward."


def not_finite_or_zero(w: GradientError) -> str | None:
    """NaN, infinities, or zeros everywhere."""
    if not np.isfinite(w.a).all():
        return f"is not finite in {(~np.isfinite(w.a)).sum()} of {w.a.size} elements."
    if not w.a.any() and w.a.shape == w.g.shape:
        return "is zero everywhere."
    return None


def wrong_shape(w: GradientError) -> str | None:
    """A shape that differs from the correct one, and what makes it right."""
    a, g = w.a, w.g
    if a.shape == g.shape:
        return None
    problem = f"has shape {a.shape} where {g.shape} is expected"
    if exchanged := exchanged_axes(w):
        return f"{problem}, and {exchanged}"
    if a.size == g.size and w.same(a.reshape(g.shape), g):
        return f"{problem}: its numbers are right, .reshape({g.shape}) is missing."
    for axes in subsets(a.ndim):
        if w.same(a.sum(axis=axes), g):
            axis = axes if axes[1:] else axes[0]
            return f"{problem}: it is right once summed, .sum(axis={axis}) is missing."
    dy = w.probe.dy
    for axes in subsets(dy.ndim) if w.name != "dx" else ():
        if w.same(a, dy.sum(axis=axes)):
            names = join_words(axes_of("y", dy.ndim)[k] for k in axes)
            return f"{problem}: it is the sum of dy over {names}; sum over the other axes."
    for axes in subsets(g.ndim):
        total = g.sum(axis=axes, keepdims=True)
        if a.size == total.size and w.same(a.reshape(total.shape), total):
            names = join_words(w.axes[k] for k in axes)
            return f"{problem}: it is summed over {names}; do not sum."
    if a.ndim == g.ndim == 4 and all(u >= v for u, v in zip(a.shape, g.shape, strict=True)):
        for i, j in np.ndindex(a.shape[1] - g.shape[1] + 1, a.shape[2] - g.shape[2] + 1):
            if w.same(a[:, i:i + g.shape[1], j:j + g.shape[2]], g):
                return (f"{problem}: it still has its padding, [:, {i}:{i + g.shape[1]}, "
                        f"{j}:{j + g.shape[2]}] of it is right.")
    return f"{problem}."


def exchanged_axes(w: GradientError) -> str | None:
    """The right numbers with axes exchanged."""
    for p in permutations(range(w.g.ndim)) if w.a.ndim == w.g.ndim else ():
        if p != tuple(sorted(p)) and w.same(w.a.transpose(p), w.g):
            names = [w.axes[p.index(k)] for k in range(len(p))]
            moved = [axis for k, axis in enumerate(w.axes) if k != p[k]]
            problem = (f"has {join_words(moved)} exchanged" if len(moved) == 2 else
                       f"has its axes in the order {', '.join(names)}")
            return f"{problem}: .transpose{p} makes it right."
    return None


def reversed_axes(w: GradientError) -> str | None:
    """The right numbers, in reverse order along some axes."""
    for axes in subsets(w.g.ndim):
        if w.same(np.flip(w.a, axes), w.g):
            names = join_words(w.axes[k] for k in axes)
            order = "rotated by 180°" if names in ("KH and KW", "H and W") else "in reverse order"
            return f"is right but {order}, in {names}."
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
            return (f"is right but shifted by {(i, j)} pixels (down, right): where does the "
                    f"padding begin?")
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
            sample = {"-1": ", the last sample", "0": ", the first sample"}.get(
                shown.removesuffix(", :" * (len(index) - 1)), "")
            return (f"is what dy[{shown}] gives alone{sample}: add up over all of dy (+=, or a "
                    f"sum), do not assign.")
    return None


def overwritten(w: GradientError) -> str | None:
    """A dx to which overlapping windows have been assigned instead of added."""
    if w.name != "dx" or w.probe.y.ndim != 4:
        return None
    terms = w.terms.sum(axis=3).reshape(-1, *w.g.shape)  # (windows, N, H, W, C)
    in_window = w.probe.reach().any(axis=3).reshape(terms.shape)
    for written in (np.abs(terms) > 0, in_window):
        for k, name in ((len(written) - 1 - written[::-1].argmax(axis=0), "last"),
                        (written.argmax(axis=0), "first")):
            if w.same(w.a, np.take_along_axis(terms, k[None], axis=0)[0]):
                return (f"keeps only the {name} of the windows that hold a pixel: windows overlap, "
                        f"so add (+=), do not assign.")
    return None


def reduced(w: GradientError) -> str | None:
    """A sum or mean over some axes, repeated in every element."""
    for axes in subsets(w.g.ndim):
        for name, combine in (("sum", np.sum), ("mean", np.mean)):
            v = combine(w.g, axes, keepdims=True)
            if w.same(w.a, np.broadcast_to(v, w.g.shape)):
                names = join_words(w.axes[k] for k in axes)
                return (f"holds the {name} over {names} of what is right, in every element: do "
                        f"not reduce over {names}.")
    return None


def partly_right(w: GradientError) -> str | None:
    """Right in a part of the elements that x or the layer describes, and wrong in the others."""
    for name, mask in _masks(w).items():
        if _separates(w, mask):
            return f"is right where {name} and wrong elsewhere."
    return None


def right_along_axis(w: GradientError) -> str | None:
    """Right at some places of an axis, and wrong at the others."""
    right, _ = w.elements()
    for axis, name in enumerate(w.axes):
        others = tuple(k for k in range(w.g.ndim) if k != axis)
        good = right.all(axis=others)
        if good.any() and _separates(w, np.broadcast_to(np.expand_dims(good, others), w.g.shape)):
            return (f"is right at {name} = {join_words(np.flatnonzero(good))} and wrong at {name} "
                    f"= {join_words(np.flatnonzero(~good))}.")
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
        masks["the class is t, the right one,"] = is_class
        masks["the class is another than t"] = ~is_class
    if w.g.ndim == 4:
        inside = np.zeros(w.g.shape, bool)
        inside[:, 1:-1, 1:-1] = True
        masks["a pixel is not at the border of x"] = inside
    return masks


def zeros(w: GradientError) -> str | None:
    """Right but for what is, or is not, zero: a mask or a maximum."""
    right, _ = w.elements()
    is_zero, should_be = w.a == 0, np.abs(w.g) <= w.probe.noise
    if should_be.all() or not should_be.any():
        return None
    if right[~should_be].all() and not is_zero[should_be].all():
        return (f"is right where it is not 0, and not 0 in {(~is_zero & should_be).sum()} elements "
                f"where it has to be: is a mask missing?")
    if is_zero[~should_be].all() and not is_zero[should_be].any():
        return "is 0 exactly where it must not be, and not 0 where it has to be: a mask inverted?"
    return None


def one_slice(w: GradientError) -> str | None:
    """Zero at some places of an axis, right or not at others; or one slice everywhere."""
    for k, name in enumerate(w.axes):
        size, others = w.g.shape[k], tuple(axis for axis in range(w.g.ndim) if axis != k)
        if size < 2:
            continue
        for index in range(size):
            if w.same(w.a, np.broadcast_to(w.g.take([index], k), w.g.shape)):
                return f"holds at each {name} what is right at {name} = {index}."
        zero = ~w.a.any(axis=others) & w.g.any(axis=others)
        if zero.any():
            return f"is zero at {name} = {join_words(np.flatnonzero(zero))}."
    for i, j in combinations(range(w.g.ndim), 2):
        for m, n in np.ndindex(w.g.shape[i], w.g.shape[j]):
            piece = w.g.take([m], i).take([n], j)
            if w.same(w.a, np.broadcast_to(piece, w.g.shape)):
                return (f"holds everywhere what is right at {w.axes[i]} = {m}, "
                        f"{w.axes[j]} = {n}.")
    return None


def few_elements_wrong(w: GradientError) -> str | None:
    """Right in at least half of the elements."""
    right, not_zero = w.elements()
    if right[not_zero].mean() < 0.5 or w.tolerance > 1e-3:  # float32: small ones seem right
        return None
    first = tuple(int(k) for k in np.argwhere(~right)[0])
    return (f"is right in {right.sum()} of {right.size} elements; the first wrong one is "
            f"{w.name}{list(first)}: expected {w.g[first]:.6g}, received {w.a[first]:.6g}.")


RULES: tuple[Callable[[GradientError], str | None], ...] = (
    not_finite_or_zero, wrong_shape, wrong_factor, exchanged_axes, reversed_axes, other_weights,
    shifted, mirrored, other_gradient, incomplete_sum, overwritten, reduced, statistics_part,
    partly_right, missing_term, two_terms, missing_factor, factor_along_axes, path_through_matrix,
    uncounted_outputs, other_upstream, right_along_axis, zeros, sum_of_products,
    miscounted_outputs, one_slice, few_elements_wrong)
RULES_FOR_SMALL_ELEMENTS = (right_along_axis, zeros, few_elements_wrong)  # beside large right ones
