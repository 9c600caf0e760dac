"""The rules: each returns what follows on "Your dx ", or None where it does not apply.

The first one that applies is said; so the sharp ones come first and the vague ones last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from .probe import TOLERANCE, Wrong, axes_of


def subsets(n: int) -> Iterator[tuple[int, ...]]:
    """Of the axes 0 … n − 1, the smallest first, none empty."""
    return (axes for size in range(1, n + 1) for axes in combinations(range(n), size))


def listed(words: Iterable[Any]) -> str:
    """a, b and c."""
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last


def nothing(w: Wrong) -> str | None:
    """No gradient at all, not a number, or zeros."""
    if w.a is None:
        where = "return it from" if w.name == "dx" else f'assign self.grads["{w.name[1:]}"] in'
        return f"is missing: {where} backward."
    if not np.isfinite(w.a).all():
        return f"is not finite at {(~np.isfinite(w.a)).sum()} of {w.a.size} places."
    if not w.a.any() and w.a.shape == w.g.shape:
        return "is zero everywhere."
    return None


def shape(w: Wrong) -> str | None:
    """Another shape than the right one's, and what makes it right."""
    a, g = w.a, w.g
    if a.shape == g.shape:
        return None
    said = f"has shape {a.shape} where {g.shape} is expected"
    if exchanged := order(w):
        return f"{said}, and {exchanged}"
    if a.size == g.size and w.same(a.reshape(g.shape), g):
        return f"{said}: its numbers are right, .reshape({g.shape}) is missing."
    for axes in subsets(a.ndim):
        if w.same(a.sum(axis=axes), g):
            axis = axes if axes[1:] else axes[0]
            return f"{said}: it is right once summed, .sum(axis={axis}) is missing."
    for axes in subsets(g.ndim):
        total = g.sum(axis=axes, keepdims=True)
        if a.size == total.size and w.same(a.reshape(total.shape), total):
            return f"{said}: it is summed over {listed(w.axes[k] for k in axes)}, do not."
    if a.ndim == g.ndim == 4 and all(u >= v for u, v in zip(a.shape, g.shape, strict=True)):
        for i, j in np.ndindex(a.shape[1] - g.shape[1] + 1, a.shape[2] - g.shape[2] + 1):
            if w.same(a[:, i:i + g.shape[1], j:j + g.shape[2]], g):
                return (f"{said}: it still has its padding, [:, {i}:{i + g.shape[1]}, "
                        f"{j}:{j + g.shape[2]}] of it is right.")
    return f"{said}."


def factor(w: Wrong) -> str | None:
    """A constant factor, −1 too; of few numbers only where the factor has a name."""
    if not w.a.any():
        return None
    f = float((w.a * w.g).sum() / (w.g * w.g).sum()) if w.g.any() else 0.0
    if not w.same(w.a, f * w.g):
        return None
    if abs(f + 1) < TOLERANCE:
        return "is right but for the sign."
    sizes = {}
    for name, numbers in (("dx", w.trial.x), ("y", w.trial.y), ("dW", w.trial.params.get("W"))):
        sizes |= zip(axes_of(name, np.ndim(numbers)), np.shape(numbers), strict=True)
    sizes |= {f"{p}·{q}": sizes[p] * sizes[q] for p, q in (("H", "W"), ("OH", "OW"), ("KH", "KW"))
              if p in sizes and q in sizes}
    if "OH·OW" in sizes:
        sizes["N·OH·OW"] = sizes["N"] * sizes["OH·OW"]
    names = [form for name, size in sizes.items() if size > 1
             for form, number in ((name, size), (f"1/{name}", 1 / size))
             if abs(abs(f) / number - 1) < TOLERANCE]
    if not names and abs(f) not in (0.5, 2) and np.count_nonzero(w.g) < 4:
        return None
    why = {"N": ": is a division by N missing?", "1/N": ": a mean over the batch, not its sum?"}
    return (f"is {f:.6g} times what is right" + (f" ({' or '.join(names)})" if names else "")
            + next((why[name] for name in names if name in why), ".")).rstrip()


def order(w: Wrong) -> str | None:
    """The right numbers with axes exchanged."""
    for p in permutations(range(w.g.ndim)) if w.a.ndim == w.g.ndim else ():
        if p != tuple(sorted(p)) and w.same(w.a.transpose(p), w.g):
            names = [w.axes[p.index(k)] for k in range(len(p))]
            moved = [k for k, place in enumerate(p) if k != place]
            what = f"has {listed(w.axes[k] for k in moved)} exchanged" if len(moved) == 2 else (
                f"has its axes in the order {', '.join(names)}")
            return f"{what}: .transpose{p} makes it right."
    return None


def flipped(w: Wrong) -> str | None:
    """The right numbers, backwards along some axes."""
    for axes in subsets(w.g.ndim):
        if w.same(np.flip(w.a, axes), w.g):
            names = listed(w.axes[k] for k in axes)
            turned = "turned by 180°" if names in ("KH and KW", "H and W") else "backwards"
            return f"is right but {turned}, in {names}."
    return None


def other_weights(w: Wrong) -> str | None:
    """dx of a W that is turned or transposed; seen in five random directions."""
    for key, p in w.trial.params.items() if w.name == "dx" else ():
        names = axes_of(f"d{key}", p.ndim)
        changes = [(f"{key} with {names[i]} and {names[j]} exchanged", p.swapaxes(i, j))
                   for i, j in combinations(range(p.ndim), 2) if p.shape[i] == p.shape[j]]
        if p.ndim == 4:
            changes += [(f"{key} turned by 180° ({key}[::-1, ::-1])", p[::-1, ::-1])]
        before = p.copy()
        for what, changed in [(what, changed.copy()) for what, changed in changes]:
            p[...] = changed
            slopes = [(w.trial.slope(w.trial.x, d) * w.trial.dy).sum() for d in w.trial.directions]
            p[...] = before
            if w.same(np.array([(w.a * d).sum() for d in w.trial.directions]), np.array(slopes)):
                return f"is that of {what}: use {key} as forward does."
    return None


def shifted(w: Wrong) -> str | None:
    """The right numbers, one or two pixels off."""
    if w.name != "dx" or w.g.ndim != 4:
        return None
    H, Wd = w.g.shape[1:3]
    for i, j in sorted(product(range(-2, 3), repeat=2), key=lambda ij: abs(ij[0]) + abs(ij[1])):
        there = w.a[:, max(i, 0):H + min(i, 0), max(j, 0):Wd + min(j, 0)]
        here = w.g[:, max(-i, 0):H + min(-i, 0), max(-j, 0):Wd + min(-j, 0)]
        if (i, j) != (0, 0) and min(there.shape[1:3]) > 1 and w.same(there, here):
            return (f"is right but shifted by {(i, j)} pixels (down, right): where does the "
                    f"padding begin?")
    return None


def only_one(w: Wrong) -> str | None:
    """What a single sample, row or column of dy gives, where all should be added up."""
    y = w.trial.y
    places = product((slice(None), -1, 0), repeat=max(y.ndim - 1, 0))
    for place in sorted(places, key=lambda p: sum(k != slice(None) for k in p)):
        if any(k != slice(None) for k in place[w.name == "dx":]):  # each sample has its own dx
            part = w.parts[place]
            if w.same(w.a, part.sum(axis=tuple(range(part.ndim - w.g.ndim)))):
                shown = ", ".join(":" if k == slice(None) else str(k) for k in place)
                which = {"-1": "the last sample", "0": "the first sample"}.get(
                    shown.removesuffix(", :" * (len(place) - 1)), "")
                return (f"is what dy[{shown}] gives alone{which and ', ' + which}: add up over all "
                        f"of dy (+=, or a sum), do not assign.")
    return None


def overwritten(w: Wrong) -> str | None:
    """dx where windows that overlap assign instead of adding."""
    if w.name != "dx" or w.trial.y.ndim != 4:
        return None
    parts = w.parts.sum(axis=3).reshape(-1, *w.g.shape)  # (windows, N, H, W, C)
    holds = w.trial.reach().any(axis=3).reshape(parts.shape)
    for which in (np.abs(parts) > 0, holds):
        for k, name in ((which.shape[0] - 1 - which[::-1].argmax(axis=0), "last"),
                        (which.argmax(axis=0), "first")):
            if w.same(w.a, np.take_along_axis(parts, k[None], axis=0)[0]):
                return (f"keeps only the {name} of the windows that hold a pixel: windows overlap, "
                        f"so add (+=), do not assign.")
    return None


def spread(w: Wrong) -> str | None:
    """A sum or mean over some axes at every place."""
    for axes in subsets(w.g.ndim):
        for name, combine in (("sum", np.sum), ("mean", np.mean)):
            v = combine(w.g, axes, keepdims=True)
            if w.same(w.a, np.broadcast_to(v, w.g.shape)):
                return (f"holds the {name} over {listed(w.axes[k] for k in axes)} of what is "
                        f"right, at every place: keep them apart.")
    return None


def where(w: Wrong) -> str | None:
    """Right at some places, which can be named, and wrong at the others."""
    right, counts = w.places()

    def split(mask: np.ndarray) -> bool:
        """Right wherever mask is, and mostly wrong elsewhere."""
        return bool((mask & counts).any() and right[mask].all() and (~mask & counts).any()
                    and (~right)[~mask & counts].mean() >= 0.5)

    x, t = w.trial.x, getattr(w.trial.layer, "t", None)
    masks = {"x > 0": x > 0, "x < 0": x < 0} if w.name == "dx" else {}
    if w.name == "dx" and np.shape(t) == x.shape[:1] and x.ndim == 2:
        masks["the class is t, the right one,"] = np.arange(x.shape[1]) == t[:, None]
        masks["the class is another than t"] = np.arange(x.shape[1]) != t[:, None]
    if w.name == "dx" and w.g.ndim == 4:
        inside = np.zeros(w.g.shape, bool)
        inside[:, 1:-1, 1:-1] = True
        masks["a pixel is not at the border of x"] = inside
    for name, mask in masks.items():
        if split(mask):
            return f"is right where {name} and wrong elsewhere."
    for axis, name in enumerate(w.axes):
        others = tuple(k for k in range(w.g.ndim) if k != axis)
        good = right.all(axis=others)
        if good.any() and split(np.broadcast_to(np.expand_dims(good, others), w.g.shape)):
            return (f"is right at {name} = {listed(np.flatnonzero(good))} and wrong at {name} = "
                    f"{listed(np.flatnonzero(~good))}.")
    return None


def missing_term(w: Wrong) -> str | None:
    """Off by something that is the same along an axis, or y times such a thing."""
    d = w.a - w.g
    for k, name in enumerate(w.axes):
        if d.shape[k] > 1 and w.same(d, np.broadcast_to(d.mean(k, keepdims=True), d.shape)):
            return (f"is off by a number that is the same along {name}: is a sum over {name} "
                    f"missing?")
    y, squares = w.trial.y, (w.trial.y**2).sum(axis=-1, keepdims=True) if w.trial.y.ndim else 0
    if w.name == "dx" and y.shape == d.shape and d.shape[-1] > 1 and np.all(squares):
        if w.same(d, y * ((d * y).sum(axis=-1, keepdims=True) / squares)):
            return (f"is off by y times a number that is the same along {w.axes[-1]}: is a term "
                    f"like y·Σ y·dy missing?")
    return None


def missing_factor(w: Wrong) -> str | None:
    """x, y or dy forgotten as a factor, or taken once too often."""
    y = w.trial.y
    if w.name != "dx" or w.a.shape != y.shape:
        return None
    if w.same(w.a, w.trial.dy):
        return "is dy itself: the slope of the layer is missing."
    for name, v in (("dy", w.trial.dy), ("x", w.trial.x), ("y", y), ("(1 − y)", 1 - y)):
        if w.same(w.a * v, w.g):
            return f"lacks the factor {name}."
        if w.same(w.a, w.g * v):
            return f"has the factor {name} once too often."
    return None


def few_places(w: Wrong) -> str | None:
    """Right at most places."""
    right, counts = w.places()
    if right[counts].mean() < 0.5:
        return None
    place = tuple(int(k) for k in np.argwhere(~right)[0])
    return (f"is right at {right.sum()} of {right.size} places; the first wrong one is "
            f"{w.name}{list(place)}: expected {w.g[place]:.6g}, received {w.a[place]:.6g}.")


RULES: tuple[Callable[[Wrong], str | None], ...] = (
    nothing, shape, factor, order, flipped, other_weights, shifted, only_one, overwritten, spread,
    where, missing_term, missing_factor, few_places)
