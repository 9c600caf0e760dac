"""Rules that ask: of which other parameters, of which other dy, of which outputs is it right?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from ...utils.language import gettext
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
    use = gettext("use {name} as forward does.", name=key)
    for i, j in combinations(range(p.ndim), 2):
        if p.shape[i] == p.shape[j]:
            yield (gettext("is that of {name} with {axis} and {other} exchanged: {advice}",
                           name=key, axis=names[i], other=names[j], advice=use), p.swapaxes(i, j))
    if p.ndim > 2:
        yield (gettext("is that of {name} rotated by 180° ({name}[::-1, ::-1]): {advice}",
                       name=key, advice=use), p[::-1, ::-1])
    for k in range(p.ndim):
        if p.shape[k] > 1:
            name = names[k]
            yield (gettext("is that of {name} in reverse order along {axis}: {advice}", name=key,
                           axis=name, advice=use), np.flip(p, k))
            for index in (0, p.shape[k] - 1):
                yield (gettext("is that of {name} at {axis} = {index} everywhere: {advice}",
                               name=key, axis=name, index=index, advice=use),
                       np.broadcast_to(p.take([index], k), p.shape))
            yield (gettext("is that of {name} summed over {axis}: {advice}", name=key, axis=name,
                           advice=use),
                   np.broadcast_to(p.sum(k, keepdims=True), p.shape))
            yield (gettext("is that of the mean of {name} over {axis}: {advice}", name=key,
                           axis=name, advice=use),
                   np.broadcast_to(p.mean(k, keepdims=True), p.shape))
    if p.size > 1:
        yield (gettext("is what is right for {name} = 1: is the factor {name} missing?", name=key),
               np.ones_like(p))
        yield (gettext("is what is right for {name} = 0: is the part with {name} missing?",
                       name=key), np.zeros_like(p))
        yield gettext("is that of −{name}: {advice}", name=key, advice=use), -p
        yield gettext("is that of {name}²: is the factor {name} there twice?", name=key), p * p
        yield gettext("is that of |{name}|: {advice}", name=key, advice=use), np.abs(p)
        yield (gettext("is that of 1/{name}: is it divided by {name} instead of multiplied?",
                       name=key), 1 / p)
    for other, q in w.probe.params.items():
        if other != key and q.shape == p.shape:
            yield gettext("is that of {other} in the place of {name}.", other=other, name=key), q


def other_gradient(w: GradientError) -> str | None:
    """A parameter's gradient that is right for another parameter."""
    for key, p in w.probe.params.items():
        if w.name != "dx" and f"d{key}" != w.name and p.shape == w.a.shape and (
                w.same(w.a, w.probe.right(f"d{key}"))):
            return gettext("is what is right for {gradient}.", gradient=f"d{key}")
    return None


def other_upstream(w: GradientError) -> str | None:
    """Right for a dy in another order, or for something else than dy."""
    for description, dy in _upstreams(w.probe.dy, w.probe.y, w.probe.x):
        if w.same(w.a, w.gradient_for(dy)):
            return gettext("is right for {other} in the place of dy.", other=description)
    for key, p in w.probe.params.items() if w.probe.y.ndim else ():
        if p.shape == w.probe.dy.shape[-1:] and p.all():
            for description, product in _other_features(p * w.probe.dy, w.axes[-1]):
                if w.same(w.a, w.gradient_for(product / p)):
                    of = description.replace("dy", f"{key}·dy")
                    return gettext("is right for {other} in the place of {product}.", other=of,
                                   product=f"{key}·dy")
    return None


def mirrored(w: GradientError) -> str | None:
    """A dx for which each weight of a window comes back from the wrong side."""
    if w.name != "dx" or w.g.ndim != 4 or w.probe.y.ndim != 4:
        return None
    pixels = w.probe.reach().any(axis=(0, 3, 4, 7))  # (OH, OW, H, Wd): what a y depends on
    if not (pixels.sum(axis=(2, 3)) > 1).any():
        return None  # no window
    for axes, names in (((1,), "H"), ((2,), "W"), ((1, 2), gettext("H and W"))):
        if w.same(w.a, np.flip(w.gradient_for(np.flip(w.probe.dy, axes)), axes)):
            return gettext("is that of a window mirrored in {axes}: where forward reads x at an "
                           "offset of k, backward adds to dx at k, too, so it reads dy at −k.",
                           axes=names)
    return None


def _upstreams(dy: np.ndarray, y: np.ndarray, x: np.ndarray
               ) -> Iterator[tuple[str, np.ndarray]]:
    """(description, what a mistaken backward may take for dy)."""
    names = axes_of("y", dy.ndim)
    yield gettext("ones"), np.ones_like(dy)
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
            yield gettext("dy in reverse order along {axes}", axes=along), np.flip(dy, axes)
            yield (gettext("the sum of dy over {axes}", axes=along),
                   np.broadcast_to(dy.sum(axes, keepdims=True), dy.shape))
            yield (gettext("the mean of dy over {axes}", axes=along),
                   np.broadcast_to(dy.mean(axes, keepdims=True), dy.shape))
    for k, name in enumerate(names):
        for step in (1, -1):
            yield (gettext("dy shifted by {step} along {axis}", step=step, axis=name),
                   np.roll(dy, step, k))
    for i, j in combinations(range(dy.ndim), 2):
        if dy.shape[i] == dy.shape[j]:
            yield (gettext("dy with {axis} and {other} exchanged", axis=names[i], other=names[j]),
                   dy.swapaxes(i, j))
    if dy.ndim:
        yield from _other_features(dy, names[-1])


def _other_features(dy: np.ndarray, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """The last axis seen as blocks: in another order, or each the same."""
    size = dy.shape[-1]
    for count in range(2, size):
        if size % count == 0:
            blocks = dy.reshape(*dy.shape[:-1], count, size // count)
            yield (gettext("dy with its {axis} in another order", axis=name),
                   blocks.swapaxes(-1, -2).reshape(dy.shape))
            yield (gettext("dy with the {count} parts of its {axis} in reverse order", count=count,
                           axis=name),
                   blocks[..., ::-1, :].reshape(dy.shape))
            yield (gettext("dy with each of the {count} parts of its {axis} in reverse order",
                           count=count, axis=name),
                   blocks[..., ::-1].reshape(dy.shape))
            yield (gettext("the first of the {count} parts of dy's {axis}, in all of them,",
                           count=count, axis=name),
                   np.broadcast_to(blocks[..., :1, :], blocks.shape).reshape(dy.shape))


def uncounted_outputs(w: GradientError) -> str | None:
    """A part of dy that is left out, or has the wrong sign, along an axis of y."""
    for name, count in _counts(w):
        right = np.abs(count - 1) < 1e-5
        left_out, negative = count == 0, np.abs(count + 1) < 1e-5
        if (right | left_out).all():
            return (gettext("leaves out what comes back from {axis} = {indices} of dy.", axis=name,
                            indices=join_words(np.flatnonzero(left_out)))
                    if right.sum() >= len(right) / 2 else
                    gettext("takes from dy only {axis} = {indices}.", axis=name,
                            indices=join_words(np.flatnonzero(right))))
        if (right | negative).all():
            return gettext("has the opposite sign for what comes back from {axis} = {indices} of "
                           "dy.", axis=name, indices=join_words(np.flatnonzero(negative)))
    return None


def miscounted_outputs(w: GradientError) -> str | None:
    """A part of dy that is counted several times, along an axis of y."""
    for name, count in _counts(w):
        wrong = np.flatnonzero(np.abs(count - 1) > 1e-5)
        if 0 < len(wrong) < len(count):
            numbers = join_words(gettext("{count:.4g} times {axis} = {index}", count=count[j],
                                         axis=name, index=j) for j in wrong)
            return gettext("counts in dy {numbers}, where each counts once.", numbers=numbers)
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
            return gettext("is off by something times {name}ᵀ: what comes back through x·{name} is "
                           "wrong, the rest is right.", name=key)
        if abs(count) < 1e-5:
            return gettext("lacks what comes back through x·{name} (…·{name}ᵀ).", name=key)
        if abs(count + 1) < 1e-5:
            return gettext("has the opposite sign in what comes back through x·{name}.", name=key)
        return gettext("has {count:.4g} times what comes back through x·{name}.", count=count,
                       name=key)
    return None
