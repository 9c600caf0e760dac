"""Rules for a gradient that is right but for a factor: a number, or a number for each channel."""

from __future__ import annotations

import numpy as np

from ...utils.language import gettext
from ...utils.language import gettext_noop as N_
from ..point import Point
from ..sides import sides_of
from .probe import GradientError, axes_of
from .words import join_words, subsets

MAX_ROOT = 1_000  # of which integer a factor can be the root


def wrong_factor(w: GradientError) -> str | None:
    """A constant factor, −1 too; for a gradient of few elements only if the factor has a name."""
    if not w.a.any():
        return None
    f = float((w.a * w.g).sum() / (w.g * w.g).sum()) if w.g.any() else 0.0
    if not w.same(w.a, f * w.g):
        return None
    if abs(f + 1) < w.tolerance:
        return gettext("is right but for the sign.")
    names = _names_of(w, f)
    if not names and abs(f) not in (0.5, 2) and np.count_nonzero(w.g) < 4:
        return None
    cause = "."
    if names == ["N"]:
        cause = gettext(": is a division by N missing?")
    if names == ["1/N"]:
        cause = gettext(": a mean over the batch, not its sum?")
    shown = f" ({gettext(' or ').join(names)})" if names else ""
    return gettext("is {factor:.6g} times what is right", factor=f) + shown + cause


def _names_of(w: GradientError, f: float) -> list[str]:
    """Sizes, their products and the layer's own numbers that are |f| or 1/|f|, on this x and on
    larger ones; else a root."""
    names = _fitting(_sizes(w, w.probe.point, w.probe.y), f, w.tolerance)
    for axis in range(w.probe.x.ndim) if names else ():
        try:
            point, other = _factor_on_longer(w, axis)
        except Exception:  # a layer or a loss that takes this shape only
            continue
        names = [name for name in names
                 if name in _fitting(_sizes(w, point, point.dy), other, 1e-3)]
    for square, form in ((f * f, "√{}"), (1 / (f * f), "1/√{}")):
        number = round(square)
        if not names and 1 < number < MAX_ROOT and abs(square / number - 1) < w.tolerance and (
                round(number ** 0.5) ** 2 != number):
            return [form.format(number)]
    return names


def _fitting(sizes: dict[str, float], f: float, tolerance: float) -> list[str]:
    """The names of the sizes that are |f|, and 1/… of those that are 1/|f|."""
    inverse = {name: f"1/({name})" if " " in name else f"1/{name}" for name in sizes}
    return [form for name, size in sizes.items() if size not in (0, 1)
            for form, number in ((name, size), (inverse[name], 1 / size))
            if abs(abs(f) / number - 1) < tolerance]


def _sizes(w: GradientError, point: Point, y: np.ndarray) -> dict[str, float]:
    """{"N": 2, "H·W": 42, "1 − rate": 0.6, …}: of x, y and W, products, and the layer's floats."""
    sizes: dict[str, float] = {}
    arrays = {"dx": point.x, "y": y}
    if w.probe.params.get("W", np.zeros(0)).ndim in (2, 4):
        arrays["dW"] = w.probe.params["W"]
    for name, numbers in arrays.items():
        sizes |= zip(axes_of(name, numbers.ndim), numbers.shape, strict=True)
    products = [("H", "W"), ("OH", "OW"), ("KH", "KW"), ("N", "OH", "OW"), ("H", "W", "C")]
    sizes |= {"·".join(axes): float(np.prod([sizes[axis] for axis in axes])) for axes in products
              if all(axis in sizes for axis in axes)}
    own = {key: value for key, value in vars(w.probe.layer).items() if isinstance(value, float)}
    return sizes | own | {f"1 − {key}": 1 - value for key, value in own.items() if 0 < value < 1}


def _factor_on_longer(w: GradientError, axis: int) -> tuple[Point, float]:
    """The same factor on an x that is longer by one along an axis."""
    x = w.probe.x
    point = w.probe.point.with_input(np.concatenate([x, 0.9 * x.take([0], axis)], axis))
    gradient = point.gradients(point.run()[0])[w.name]
    value, y = point.values[w.name], point.output()
    slopes, projected = [], []
    for direction in np.random.default_rng(0).normal(size=(3, *value.shape)):
        sides = sides_of(point, value, direction, w.probe.precision.eps, y, np.zeros(y.shape))
        slopes.append((sides.central * point.dy).sum())
        projected.append((gradient * direction).sum())
    return point, float(np.dot(projected, slopes) / np.dot(slopes, slopes))


def factor_along_axes(w: GradientError) -> str | None:
    """A factor that depends on some axes only, γ or σ of each channel for example."""
    a, g = w.a, w.g
    if not a.any() or not g.any():
        return None
    for axes in subsets(g.ndim):
        others = tuple(k for k in range(g.ndim) if k not in axes)
        groups = int(np.prod([g.shape[k] for k in axes]))
        if groups < 2 or g.size // groups < 3:
            continue
        squares = (g * g).sum(axis=others, keepdims=True)
        factor = (a * g).sum(axis=others, keepdims=True) / np.where(squares > 0, squares, 1)
        if (squares > 0).all() and w.same(a, factor * g):
            return _name_factor(w, factor, axes, others)
    return None


def _name_factor(w: GradientError, factor: np.ndarray, axes: tuple[int, ...],
                 others: tuple[int, ...]) -> str | None:
    along = join_words(w.axes[k] for k in axes)
    numbers = factor.reshape(-1)
    if np.allclose(np.abs(numbers), 1, atol=1e-5) and len(axes) == 1:
        where = join_words(np.flatnonzero(numbers < 0))
        return gettext("has the opposite sign at {axis} = {where}, and is right elsewhere.",
                       axis=along, where=where)
    if (np.abs(numbers - 1) < 1e-5).any():
        return None  # partly_right says where
    for key, p in w.probe.params.items():
        if p.size == numbers.size and np.allclose(numbers, p.reshape(-1), 1e-5):
            return once_too_often(key)
        if p.size == numbers.size and np.allclose(numbers * p.reshape(-1), 1, 1e-5):
            return lacks(key)
    for key, value in vars(w.probe.run()[0]).items():  # what forward has kept
        if isinstance(value, np.ndarray) and value.size == numbers.size:
            for form, number in ((f"self.{key}", value), (f"1/self.{key}", 1 / value)):
                if np.allclose(numbers, number.reshape(-1), 1e-5):
                    return gettext("is {form} times what is right.", form=form)
    if w.name == "dx" and numbers.all():
        variance = w.probe.x.var(axis=others).reshape(-1)
        causes = {1: N_("a division by it is missing"), -1: N_("it is divided once too often"),
                  2: N_("it is a factor where it has to divide")}
        for power, cause in causes.items():
            rest = np.abs(numbers) ** (2 / power) - variance  # the ε of √(variance + ε)
            if np.ptp(rest) < 1e-5 * variance.max() and abs(rest[0]) < 0.1 * variance.min():
                return gettext("is right but for the standard deviation of x, one for each "
                               "{axis}: {cause}.", axis=along, cause=gettext(cause))
    shown = ", ".join(f"{number:.4g}" for number in numbers[:4]) + (", …" * (numbers.size > 4))
    return gettext("is right but for a factor for each {axis}: {numbers}.", axis=along,
                   numbers=shown)


def lacks(name: str) -> str:
    """What to say of a missing factor."""
    return gettext("lacks the factor {name}.", name=name)


def once_too_often(name: str) -> str:
    """What to say of a factor that is there twice."""
    return gettext("has the factor {name} once too often.", name=name)


def missing_factor(w: GradientError) -> str | None:
    """x, y, dy or a parameter is missing as a factor, or there once too many times."""
    y = w.probe.y
    if w.name != "dx":
        return _parameter_as_factor(w)
    if w.a.shape != y.shape:
        return None
    if w.same(w.a, w.probe.dy):
        return gettext("is dy itself: the slope of the layer is missing.")
    for name, v in (("dy", w.probe.dy), ("x", w.probe.x), ("y", y), ("(1 − y)", 1 - y)):
        if w.same(w.a * v, w.g):
            return lacks(name)
        if w.same(w.a, w.g * v):
            return once_too_often(name)
    return None


def _parameter_as_factor(w: GradientError) -> str | None:
    """The same for a parameter's gradient of at least three elements."""
    for key, p in w.probe.params.items() if w.a.size > 2 else ():
        if p.shape == w.a.shape:
            if w.same(w.a, w.g * p):
                return once_too_often(key)
            if w.same(w.a * p, w.g):
                return lacks(key)
    return None
