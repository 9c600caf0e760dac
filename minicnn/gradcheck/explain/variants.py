"""Rules that ask: of which other parameters, of which other dy, of which outputs is it right?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from .probe import GradientError, axes_of
from .words import join_words, subsets

MAX_OUTPUTS = 60  # along an axis of y, of which the parts are separated


def other_weights(w: GradientError) -> str | None:
    """dx of a parameter that is rotated, transposed, left out or another; compared in five random
    directions."""
    for key, p in w.probe.params.items() if w.name == "dx" else ():
        before = p.copy()
        projected = np.array([(w.a * d).sum() for d in w.probe.directions])
        for sentence, changed in _changes(w, key, p):
            p[...] = changed.copy()
            with np.errstate(all="ignore"):
                slopes = [(w.probe.slope(w.probe.x, d) * w.probe.dy).sum()
                          for d in w.probe.directions]
            p[...] = before
            if w.same(projected, np.array(slopes)):
                return sentence
    return None


def _changes(w: GradientError, key: str, p: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(the sentence, the parameter as a mistaken backward may use it)."""
    names = axes_of(f"d{key}", p.ndim)
    use = f"use {key} as forward does."
    for i, j in combinations(range(p.ndim), 2):
        if p.shape[i] == p.shape[j]:
            yield (f"is that of {key} with {names[i]} and {names[j]} exchanged: {use}",
                   p.swapaxes(i, j))
    if p.ndim > 2:
        yield f"is that of {key} rotated by 180° ({key}[::-1, ::-1]): {use}", p[::-1, ::-1]
    for k in range(p.ndim):
        if p.shape[k] > 1:
            name = names[k]
            yield f"is that of {key} in reverse order along {name}: {use}", np.flip(p, k)
            for index in (0, p.shape[k] - 1):
                yield (f"is that of {key} at {name} = {index} everywhere: {use}",
                       np.broadcast_to(p.take([index], k), p.shape))
            yield (f"is that of {key} summed over {name}: {use}",
                   np.broadcast_to(p.sum(k, keepdims=True), p.shape))
            yield (f"is that of the mean of {key} over {name}: {use}",
                   np.broadcast_to(p.mean(k, keepdims=True), p.shape))
    if p.size > 1:
        yield (f"is what is right for {key} = 1: is the factor {key} missing?", np.ones_like(p))
        yield f"is what is right for {key} = 0: is the part with {key} missing?", np.zeros_like(p)
        yield f"is that of −{key}: {use}", -p
        yield f"is that of {key}²: is the factor {key} there twice?", p * p
        yield f"is that of |{key}|: {use}", np.abs(p)
        yield f"is that of 1/{key}: is it divided by {key} instead of multiplied?", 1 / p
    for other, q in w.probe.params.items():
        if other != key and q.shape == p.shape:
            yield f"is that of {other} in the place of {key}.", q


def other_gradient(w: GradientError) -> str | None:
    """A parameter's gradient that is right for another parameter."""
    for key, p in w.probe.params.items():
        if w.name != "dx" and f"d{key}" != w.name and p.shape == w.a.shape and (
                w.same(w.a, w.probe.right(f"d{key}"))):
            return f"is what is right for d{key}."
    return None


def other_upstream(w: GradientError) -> str | None:
    """Right for a dy in another order, or for something else than dy."""
    for description, dy in _upstreams(w.probe.dy, w.probe.y, w.probe.x):
        if w.same(w.a, w.gradient_for(dy)):
            return f"is right for {description} in the place of dy."
    for key, p in w.probe.params.items() if w.probe.y.ndim else ():
        if p.shape == w.probe.dy.shape[-1:] and p.all():
            for description, product in _other_features(p * w.probe.dy, w.axes[-1]):
                if w.same(w.a, w.gradient_for(product / p)):
                    of = description.replace("dy", f"{key}·dy")
                    return f"is right for {of} in the place of {key}·dy."
    return None


def mirrored(w: GradientError) -> str | None:
    """A dx for which each weight of a window comes back from the wrong side."""
    if w.name != "dx" or w.g.ndim != 4 or w.probe.y.ndim != 4:
        return None
    for axes, names in (((1,), "H"), ((2,), "W"), ((1, 2), "H and W")):
        if w.same(w.a, np.flip(w.gradient_for(np.flip(w.probe.dy, axes)), axes)):
            return (f"is that of a window mirrored in {names}: where forward reads x at an offset "
                    f"of k, backward adds to dx at k, too, so it reads dy at −k.")
    return None


def _upstreams(dy: np.ndarray, y: np.ndarray, x: np.ndarray
               ) -> Iterator[tuple[str, np.ndarray]]:
    """(description, what a mistaken backward may take for dy)."""
    names = axes_of("y", dy.ndim)
    yield "ones", np.ones_like(dy)
    yield "|dy|", np.abs(dy)
    yield "dy²", dy * dy
    yield "y", y
    yield "y·dy", y * dy
    if x.shape == y.shape:
        yield "x", x
        yield "x·dy", x * dy
    for axes in subsets(dy.ndim):
        along = join_words(names[k] for k in axes)
        if all(dy.shape[k] > 1 for k in axes):
            yield f"dy in reverse order along {along}", np.flip(dy, axes)
            yield (f"the sum of dy over {along}",
                   np.broadcast_to(dy.sum(axes, keepdims=True), dy.shape))
            yield (f"the mean of dy over {along}",
                   np.broadcast_to(dy.mean(axes, keepdims=True), dy.shape))
    for k, name in enumerate(names):
        for step in (1, -1):
            yield f"dy shifted by {step} along {name}", np.roll(dy, step, k)
    for i, j in combinations(range(dy.ndim), 2):
        if dy.shape[i] == dy.shape[j]:
            yield f"dy with {names[i]} and {names[j]} exchanged", dy.swapaxes(i, j)
    if dy.ndim:
        yield from _other_features(dy, names[-1])


def _other_features(dy: np.ndarray, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """The last axis seen as blocks: in another order, or each the same."""
    size = dy.shape[-1]
    for count in range(2, size):
        if size % count == 0:
            blocks = dy.reshape(*dy.shape[:-1], count, size // count)
            yield f"dy with its {name} in another order", blocks.swapaxes(-1, -2).reshape(dy.shape)
            yield (f"dy with the {count} parts of its {name} in reverse order",
                   blocks[..., ::-1, :].reshape(dy.shape))
            yield (f"dy with each of the {count} parts of its {name} in reverse order",
                   blocks[..., ::-1].reshape(dy.shape))
            yield (f"the first of the {count} parts of dy's {name}, in all of them,",
                   np.broadcast_to(blocks[..., :1, :], blocks.shape).reshape(dy.shape))


def uncounted_outputs(w: GradientError) -> str | None:
    """A part of dy that is left out, or has the wrong sign, along an axis of y."""
    for name, count in _counts(w):
        right = np.abs(count - 1) < 1e-5
        left_out, negative = count == 0, np.abs(count + 1) < 1e-5
        if (right | left_out).all():
            return (f"leaves out what comes back from {name} = "
                    f"{join_words(np.flatnonzero(left_out))} of dy."
                    if right.sum() >= len(right) / 2 else
                    f"takes from dy only {name} = {join_words(np.flatnonzero(right))}.")
        if (right | negative).all():
            return (f"has the opposite sign for what comes back from {name} = "
                    f"{join_words(np.flatnonzero(negative))} of dy.")
    return None


def miscounted_outputs(w: GradientError) -> str | None:
    """A part of dy that is counted several times, along an axis of y."""
    for name, count in _counts(w):
        wrong = np.flatnonzero(np.abs(count - 1) > 1e-5)
        if 0 < len(wrong) < len(count):
            numbers = join_words(f"{count[j]:.4g} times {name} = {j}" for j in wrong)
            return f"counts in dy {numbers}, where each counts once."
    return None


def _counts(w: GradientError) -> Iterator[tuple[str, np.ndarray]]:
    """(axis of y, how often each of its places is counted), if that is all that is wrong."""
    dy = w.probe.dy
    for k, name in enumerate(axes_of("y", dy.ndim)):
        size = dy.shape[k]
        if (k == 0 and w.name == "dx") or not 1 < size <= min(MAX_OUTPUTS, w.a.size // 2):
            continue
        others = tuple(axis for axis in range(dy.ndim) if axis != k)
        parts = w.terms.sum(axis=others).reshape(size, -1).T
        if np.linalg.matrix_rank(parts) < size:
            continue
        count = np.linalg.lstsq(parts, w.a.reshape(-1), rcond=None)[0]
        if not w.same(w.a, (parts @ count).reshape(w.a.shape)):
            continue
        yield name, np.where(np.abs(count) < 1e-5, 0, count)


def path_through_matrix(w: GradientError) -> str | None:
    """dx that is off by something times Wᵀ, for one matrix W with fewer columns than rows.

    With q = x·W the part of dx through q is dq·Wᵀ, and the gradient of W is xᵀ·dq: from the
    difference follows its own dq, and xᵀ times that says how often the part is counted.
    """
    x = w.probe.x
    if w.name != "dx" or w.a.shape != x.shape:
        return None
    difference = (w.a - w.g).reshape(-1, x.shape[-1])
    for key, W in w.probe.params.items():
        if W.ndim != 2 or W.shape[0] != x.shape[-1] or W.shape[1] >= W.shape[0]:
            continue
        dq = difference @ np.linalg.pinv(W.T)
        if not w.same(difference, dq @ W.T):
            continue
        right = w.probe.right(f"d{key}")
        product = x.reshape(-1, x.shape[-1]).T @ dq
        count = 1 + float((product * right).sum() / (right * right).sum())
        if not w.same(product, (count - 1) * right):
            return (f"is off by something times {key}ᵀ: what comes back through x·{key} is wrong, "
                    f"the rest is right.")
        if abs(count) < 1e-5:
            return f"lacks what comes back through x·{key} (…·{key}ᵀ)."
        if abs(count + 1) < 1e-5:
            return f"has the opposite sign in what comes back through x·{key}."
        return f"has {count:.4g} times what comes back through x·{key}."
    return None
