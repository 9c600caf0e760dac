"""The rules: each completes the sentence "Your dx …", or returns None if it does not apply.

The first rule that applies is reported; so specific rules come first and vague ones last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from .probe import GradientError, axes_of


def subsets(n: int) -> Iterator[tuple[int, ...]]:
    """Of the axes 0 … n − 1, the smallest first, none empty."""
    return (axes for size in range(1, n + 1) for axes in combinations(range(n), size))


def join_words(words: Iterable[Any]) -> str:
    """a, b and c."""
    *others, last = map(str, words)
    return f"{', '.join(others)} and {last}" if others else last


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


def wrong_factor(w: GradientError) -> str | None:
    """A constant factor, −1 too; for a gradient of few elements only if the factor has a name."""
    if not w.a.any():
        return None
    f = float((w.a * w.g).sum() / (w.g * w.g).sum()) if w.g.any() else 0.0
    if not w.same(w.a, f * w.g):
        return None
    if abs(f + 1) < w.tolerance:
        return "is right but for the sign."
    sizes: dict[str, int] = {}
    arrays = {"dx": w.probe.x, "y": w.probe.y}
    if "W" in w.probe.params:
        arrays["dW"] = w.probe.params["W"]
    for name, numbers in arrays.items():
        sizes |= zip(axes_of(name, numbers.ndim), numbers.shape, strict=True)
    sizes |= {f"{p}·{q}": sizes[p] * sizes[q] for p, q in (("H", "W"), ("OH", "OW"), ("KH", "KW"))
              if p in sizes and q in sizes}
    if "OH·OW" in sizes:
        sizes["N·OH·OW"] = sizes["N"] * sizes["OH·OW"]
    names = [form for name, size in sizes.items() if size > 1
             for form, number in ((name, size), (f"1/{name}", 1 / size))
             if abs(abs(f) / number - 1) < w.tolerance]
    if not names and abs(f) not in (0.5, 2) and np.count_nonzero(w.g) < 4:
        return None
    causes = {"N": ": is a division by N missing?", "1/N": ": a mean over the batch, not its sum?"}
    return (f"is {f:.6g} times what is right" + (f" ({' or '.join(names)})" if names else "")
            + next((causes[name] for name in names if name in causes), "."))


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


def other_weights(w: GradientError) -> str | None:
    """dx of a W that is rotated or transposed; compared in five random directions."""
    for key, p in w.probe.params.items() if w.name == "dx" else ():
        names = axes_of(f"d{key}", p.ndim)
        changes = [(f"{key} with {names[i]} and {names[j]} exchanged", p.swapaxes(i, j))
                   for i, j in combinations(range(p.ndim), 2) if p.shape[i] == p.shape[j]]
        if p.ndim == 4:
            changes += [(f"{key} rotated by 180° ({key}[::-1, ::-1])", p[::-1, ::-1])]
        before = p.copy()
        for description, changed in changes:
            p[...] = changed.copy()
            slopes = [(w.probe.slope(w.probe.x, d) * w.probe.dy).sum() for d in w.probe.directions]
            p[...] = before
            if w.same(np.array([(w.a * d).sum() for d in w.probe.directions]), np.array(slopes)):
                return f"is that of {description}: use {key} as forward does."
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
    """Right in a part of the elements that can be described, and wrong in the others."""
    right, not_zero = w.elements()

    def separates(mask: np.ndarray) -> bool:
        """Right wherever mask is True, and mostly wrong elsewhere."""
        return bool((mask & not_zero).any() and right[mask].all() and (~mask & not_zero).any()
                    and (~right)[~mask & not_zero].mean() >= 0.5)

    for name, mask in _masks(w).items():
        if separates(mask):
            return f"is right where {name} and wrong elsewhere."
    for axis, name in enumerate(w.axes):
        others = tuple(k for k in range(w.g.ndim) if k != axis)
        good = right.all(axis=others)
        if good.any() and separates(np.broadcast_to(np.expand_dims(good, others), w.g.shape)):
            return (f"is right at {name} = {join_words(np.flatnonzero(good))} and wrong at {name} "
                    f"= {join_words(np.flatnonzero(~good))}.")
    return None


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


def missing_term(w: GradientError) -> str | None:
    """Off by numbers that are the same along an axis, or by y times such numbers."""
    d = w.a - w.g
    for k, name in enumerate(w.axes):
        if d.shape[k] > 1 and w.same(d, np.broadcast_to(d.mean(k, keepdims=True), d.shape)):
            return (f"is off by a number that is the same along {name}: is a sum over {name} "
                    f"missing?")
    y, squares = w.probe.y, (w.probe.y**2).sum(axis=-1, keepdims=True) if w.probe.y.ndim else 0
    if (w.name == "dx" and y.shape == d.shape and d.shape[-1] > 1 and np.all(squares)
            and w.same(d, y * ((d * y).sum(axis=-1, keepdims=True) / squares))):
        return (f"is off by y times a number that is the same along {w.axes[-1]}: is a term "
                f"like y·Σ y·dy missing?")
    return None


def missing_factor(w: GradientError) -> str | None:
    """x, y or dy is missing as a factor, or there once too often."""
    y = w.probe.y
    if w.name != "dx" or w.a.shape != y.shape:
        return None
    if w.same(w.a, w.probe.dy):
        return "is dy itself: the slope of the layer is missing."
    for name, v in (("dy", w.probe.dy), ("x", w.probe.x), ("y", y), ("(1 − y)", 1 - y)):
        if w.same(w.a * v, w.g):
            return f"lacks the factor {name}."
        if w.same(w.a, w.g * v):
            return f"has the factor {name} once too often."
    return None


def few_elements_wrong(w: GradientError) -> str | None:
    """Right in at least half of the elements."""
    right, not_zero = w.elements()
    if right[not_zero].mean() < 0.5:
        return None
    first = tuple(int(k) for k in np.argwhere(~right)[0])
    return (f"is right in {right.sum()} of {right.size} elements; the first wrong one is "
            f"{w.name}{list(first)}: expected {w.g[first]:.6g}, received {w.a[first]:.6g}.")


RULES: tuple[Callable[[GradientError], str | None], ...] = (
    not_finite_or_zero, wrong_shape, wrong_factor, exchanged_axes, reversed_axes, other_weights,
    shifted, incomplete_sum, overwritten, reduced, partly_right, missing_term, missing_factor,
    few_elements_wrong)
