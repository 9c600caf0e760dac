"""Rules that find the formula of a right gradient, term by term, and compare the terms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...utils.language import gettext
from ...utils.language import gettext_noop as N_
from .probe import GradientError, axes_of
from .words import join_words, subsets

Term = tuple[str, np.ndarray]  # its formula, and its numbers
NEARLY = 1e-5  # a coefficient that is 0, 1 or −1 up to rounding


def _count(number: float, what: str) -> str | None:
    """What to say of a term that is there `number` times; None if it is right."""
    if abs(number - 1) < NEARLY:
        return None
    if abs(number) < NEARLY:
        return gettext("{part} is missing", part=what)
    if abs(number + 1) < NEARLY:
        return gettext("{part} has the opposite sign", part=what)
    return gettext("{part} is there {number:.6g} times", part=what, number=number)


class _Normalisation:
    """The three parts of the derivative of y = γ·(x − μ) / σ + β, with μ and σ over `axes` of x:

        ∂y_i/∂x_j = direct·[i = j] + α_i + β_i·(x_j − μ)

    direct: from x itself; mean: Σ_i dy_i·α_i, from μ; variance: Σ_i dy_i·β_i·(x_j − μ), from σ.
    α and β are fitted to the measured derivatives with i ≠ j.
    """

    def __init__(self, direct: np.ndarray, mean: np.ndarray, variance: np.ndarray, z: np.ndarray,
                 axes: tuple[int, ...], blocks: int) -> None:
        self.direct, self.mean, self.variance, self.z = direct, mean, variance, z
        self.axes, self.blocks = axes, blocks  # the last axis may be in blocks, as in GroupNorm

    @classmethod
    def of(cls, w: GradientError) -> _Normalisation | None:
        """The parts, if the layer is a normalisation and the variance has a part in its
        derivative."""
        x, n = w.probe.x, w.probe.x.size
        if w.name != "dx" or w.probe.y.shape != x.shape or w.a.shape != x.shape or x.ndim < 2:
            return None
        jacobian = w.jacobian.reshape(n, n)
        dependent = np.abs(jacobian) > 1e-6 * np.abs(jacobian).max()
        index = np.indices(x.shape).reshape(x.ndim, -1)
        for axes in subsets(x.ndim):
            group = np.zeros(n, int)
            for k in range(x.ndim):
                if k not in axes:
                    group = group * x.shape[k] + index[k]
            if not (dependent & (group[:, None] != group)).any():
                blocks = _blocks(dependent, group, index[-1]) if x.ndim - 1 in axes else 1
                group = group * blocks + index[-1] * blocks // x.shape[-1]
                return cls._fitted(w, jacobian, group, axes, blocks)
        return None

    @classmethod
    def _fitted(cls, w: GradientError, jacobian: np.ndarray, group: np.ndarray,
                axes: tuple[int, ...], blocks: int) -> _Normalisation | None:
        x, dy = w.probe.x.reshape(-1), w.probe.dy.reshape(-1)
        mean, variance, z = np.zeros(x.size), np.zeros(x.size), np.zeros(x.size)
        for g in np.unique(group):
            members = np.flatnonzero(group == g)
            if len(members) < 5:
                return None
            z[members] = x[members] - x[members].mean()
            for i in members:
                others = members[members != i]
                design = np.stack([np.ones(len(others)), z[others]], 1)
                fit = np.linalg.lstsq(design, jacobian[i, others], rcond=None)[0]
                if np.abs(design @ fit - jacobian[i, others]).max() > (
                        1e-5 * np.abs(jacobian[i]).max()):
                    return None
                mean[members] += dy[i] * fit[0]
                variance[members] += dy[i] * fit[1] * z[members]
        if np.abs(variance).max() < 1e-5 * np.abs(w.g).max() or not mean.any():
            return None
        mean, variance, z = (part.reshape(w.g.shape) for part in (mean, variance, z))
        return cls(w.g - mean - variance, mean, variance, z, axes, blocks)


def _blocks(dependent: np.ndarray, group: np.ndarray, c: np.ndarray) -> int:
    """Into how many equal blocks the last axis falls, whose index is c, so that each y depends on
    its own block only."""
    size = int(c.max()) + 1
    for count in range(size, 1, -1):
        block = group * count + c * count // size
        if size % count == 0 and not (dependent & (block[:, None] != block)).any():
            return count
    return 1


def statistics_part(w: GradientError) -> str | None:
    """A normalisation whose mean or standard deviation is treated as a constant, or is wrong."""
    parts = _Normalisation.of(w)
    if parts is None:
        return None
    over = join_words(w.axes[k] for k in parts.axes)
    if parts.blocks > 1:
        over += gettext(", {axis} in {count} groups", axis=w.axes[-1], count=parts.blocks)
    mean, variance = (gettext("the mean's part of the derivative"),
                      gettext("the variance's part of the derivative"))
    design = np.stack([part.reshape(-1) for part in (parts.direct, parts.mean, parts.variance)], 1)
    counts = np.linalg.lstsq(design, w.a.reshape(-1), rcond=None)[0]
    if w.same(w.a, (design @ counts).reshape(w.a.shape)):
        direct, of_mean, of_variance = counts
        if abs(of_mean) < NEARLY and abs(of_variance) < NEARLY:
            wrong = _count(direct, gettext("the rest"))
            lacks = gettext("lacks the mean's and the variance's part of the derivative, since "
                            "both depend on x (they are over {axes})", axes=over)
            return lacks + (f"{gettext('; ')}{wrong}." if wrong else ".")
        phrases = [_count(of_mean, mean), _count(of_variance, variance)]
        phrases += [_count(direct, gettext("dy's direct part"))]
        size = int(np.prod([w.a.shape[k] for k in parts.axes])) // parts.blocks
        text = gettext(" and ").join(phrase for phrase in phrases if phrase)
        if any(abs(count - size) < NEARLY * size for count in counts):
            text += gettext(" ({size} = {axes}: a sum, not a mean?)", size=size,
                            axes="·".join(w.axes[k] for k in parts.axes))
        return gettext("is wrong: {problems} (mean and variance are over {axes}).", problems=text,
                       axes=over)
    return _wrong_part(w, parts, over)


def _wrong_part(w: GradientError, parts: _Normalisation, over: str) -> str | None:
    """One of the two parts has another form."""
    rest_of_mean = w.a - parts.direct - parts.variance
    rest_of_variance = w.a - parts.direct - parts.mean
    if _is_constant(w, rest_of_variance, parts.axes):
        return gettext("is wrong in the variance's part of the derivative: it is the same number "
                       "along {axes}. Is the factor x − mean missing?", axes=over)
    for rest, part in ((rest_of_mean, N_("the mean's part of the derivative")),
                       (rest_of_variance / parts.z, N_("the variance's part of the derivative"))):
        if parts.blocks > 1 and _constant_axes(w, rest):
            return gettext("is wrong in {part} only: is its sum over {axes}, as forward's is?",
                           part=gettext(part), axes=over)
        if axes := _constant_axes(w, rest):
            if axes == parts.axes:
                return gettext("is wrong in {part} only.", part=gettext(part))
            return gettext("is wrong in {part} only: its sum is not over {axes}, as it should be; "
                           "it differs along {others}.", part=gettext(part), axes=over,
                           others=join_words(w.axes[k] for k in range(w.a.ndim) if k not in axes))
    return None


def _is_constant(w: GradientError, d: np.ndarray, axes: tuple[int, ...]) -> bool:
    return w.same(d, np.broadcast_to(d.mean(axes, keepdims=True), d.shape))


def _constant_axes(w: GradientError, d: np.ndarray) -> tuple[int, ...]:
    """The most axes along which d is the same."""
    return max((axes for axes in subsets(d.ndim) if _is_constant(w, d, axes)), key=len, default=())


def missing_term(w: GradientError) -> str | None:
    """Off by numbers that are the same along an axis, or by y times such numbers."""
    d = w.a - w.g
    if axes := _constant_axes(w, d) if max(d.shape, default=0) > 1 else ():
        names = join_words(w.axes[k] for k in axes if d.shape[k] > 1)
        return gettext("is off by a number that is the same along {axes}: is a sum over {axes} "
                       "missing?", axes=names)
    y, squares = w.probe.y, (w.probe.y**2).sum(axis=-1, keepdims=True) if w.probe.y.ndim else 0
    if (w.name == "dx" and y.shape == d.shape and d.shape[-1] > 1 and np.all(squares)
            and w.same(d, y * ((d * y).sum(axis=-1, keepdims=True) / squares))):
        return gettext("is off by y times a number that is the same along {axis}: is a term like "
                       "y·Σ y·dy missing?", axis=w.axes[-1])
    return None


def two_terms(w: GradientError) -> str | None:
    """dx = u·dy + v·Σ t·dy, as softmax and log-softmax have it, with one of the terms wrong."""
    if w.name != "dx" or w.probe.y.shape != w.a.shape or w.a.ndim < 2:
        return None
    right = next(_right_formulas(w), None)
    if right is None:
        return None
    (direct_name, direct), (sum_name, total), expected = right
    if (counts := _solved(w, w.a, direct, total, or_zero=True)) is not None:
        phrases = [_count(number, gettext("the term {term}", term=term)) for number, term in
                   zip(counts / expected, (direct_name, sum_name), strict=True)]
        return gettext("is wrong: {problems}.",
                       problems=gettext(" and ").join(p for p in phrases if p))
    for name, other in _sum_terms(w):
        if w.same(w.a, expected[0] * direct + expected[1] * other):
            return has_instead(name, sum_name)
    for name, other in _direct_terms(w):
        if w.same(w.a, expected[0] * other + expected[1] * total):
            return has_instead(name, direct_name)
    return None


def has_instead(name: str, right: str) -> str:
    """What to say of a term in the place of another."""
    return gettext("has the term {name} where {right} is right.", name=name, right=right)


def _right_formulas(w: GradientError) -> Iterator[tuple[Term, Term, np.ndarray]]:
    """The pairs of terms, and their factors, of which the right gradient is the sum."""
    for direct in _direct_terms(w):
        for total in _sum_terms(w):
            if (factors := _solved(w, w.g, direct[1], total[1])) is not None:
                yield direct, total, factors


def _functions(w: GradientError) -> dict[str, np.ndarray]:
    x, y = w.probe.x, w.probe.y
    with np.errstate(over="ignore"):
        return {"": np.ones_like(y), "y·": y, "exp(y)·": np.exp(y), "x·": x, "exp(x)·": np.exp(x)}


def _direct_terms(w: GradientError) -> Iterator[Term]:
    return ((f"{name}dy", v * w.probe.dy) for name, v in _functions(w).items())


def _sum_terms(w: GradientError) -> Iterator[Term]:
    """v·Σ t·dy over some axes, and v alone."""
    functions = _functions(w)
    for axes in sorted(subsets(w.a.ndim), key=lambda axes: (len(axes), -axes[-1])):
        over = join_words(w.axes[k] for k in axes)
        for inner, t in functions.items():
            total = (t * w.probe.dy).sum(axes, keepdims=True)
            for outer, v in functions.items():
                yield (gettext("{product} over {axes}", product=f"{outer}Σ {inner}dy",
                               axes=over), v * total)
    for name, v in functions.items():
        yield name.rstrip("·") or "1", v


def _solved(w: GradientError, g: np.ndarray, first: np.ndarray, second: np.ndarray,
            or_zero: bool = False) -> np.ndarray | None:
    """The factors (p, q) with g = p·first + q·second, both not 0; None if there are none."""
    design = np.stack([first.reshape(-1), second.reshape(-1)], 1)
    square = design.T @ design
    if not np.isfinite(square).all() or np.linalg.cond(square) > 1e12:
        return None
    counts = np.linalg.solve(square, design.T @ g.reshape(-1))
    if not w.same(g, (design @ counts).reshape(g.shape)):
        return None
    return counts if or_zero or (np.abs(counts) > NEARLY).all() else None


def sum_of_products(w: GradientError) -> str | None:
    """A parameter's gradient that is a plain sum of dy times something else than is right."""
    x, y, dy, shape = w.probe.x, w.probe.y, w.probe.dy, w.a.shape
    if (w.name == "dx" or not shape or y.shape[-len(shape):] != shape or y.ndim == len(shape)
            or x.ndim != y.ndim):
        return None
    axes = tuple(range(y.ndim - len(shape)))
    factors = {"dy": np.ones_like(y), "y·dy": y}
    if x.shape == y.shape:
        factors |= {"x·dy": x, "|x|·dy": np.abs(x), "x²·dy": x * x,
                    gettext("x·dy where x > 0"): np.maximum(x, 0),
                    gettext("x·dy where x < 0"): np.minimum(x, 0),
                    gettext("dy where x > 0"): x > 0, gettext("dy where x < 0"): x < 0}
    over = join_words(axes_of("dx", x.ndim)[k] for k in axes)
    for name, v in factors.items():
        if w.same(w.a, (v * dy).sum(axes)):
            return gettext("is the sum of {product} over {axes}: it needs another factor than "
                           "that.", product=name, axes=over)
    return None
