"""Which pixels move the score S(x)? Five answers from its gradient dS/dx.

    gradient            a = dS/dx                                   Simonyan et al. 2014, section 3
    gradient × input    a = x · dS/dx                               Shrikumar et al. 2016
    guided backprop     a = "dS/dx" by the rule of propagation.py   Springenberg et al. 2015, 3.4
    SmoothGrad          a = mean_n dS/dx(x + ε_n),  ε_n ~ N(0, σ²)  Smilkov et al. 2017, section 3
    integrated gradients  a = (x − x₀) · ∫₀¹ dS/dx(x₀ + α (x − x₀)) dα     Sundararajan et al. 2017

The last is complete: Σ a = S(x) − S(x₀), as S along the path has the derivative <x − x₀, dS/dx>.

Quadrature: S is piecewise linear along the path (ReLU, max pooling), its slope jumps at kinks, and
the midpoint rule's sum misses the change by about 1 % at 64 steps. So the nodes go where the kinks
are: each carries its S_k, its gradient g_k and its slope d_k = <x − x₀, g_k>; the intervals that
miss S_{k+1} − S_k most (a trapezoid's miss counts 1/100) are halved next. Within an interval of
length h the gradient is h (t g_k + (1 − t) g_{k+1}), with t from t d_k + (1 − t) d_{k+1} =
(S_{k+1} − S_k) / h: exact for a single kink, which lies at the fraction t. A t outside 0 … 1 means
several kinks: it is cut to 0 … 1, and its error stays in the gap. But where every t lies inside,
the sum is right by construction, whether one kink is there or several: the gap then says nothing
of single pixels. Their error has the order of `spread`, the way from here to the trapezoid rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...model import Sequential
from ...ops import to_cpu, to_device
from ...utils.errors import ArgumentError, check_int
from ..photos import Progress, bounded, silent
from ..propagation import score_gradient
from ..target import Asked, Score, as_rgb, photo_input, run, score_of
from .result import Attribution, check_sign

GUIDED_NOTE = ("Guided backprop hardly depends on the weights: it draws edges of the photo, with a "
               "random network too\n(Adebayo et al. 2018). It shows the photo more than the score.")
RULES = ("adaptive", "midpoint")


@dataclass
class Integrated(Attribution):
    """change: S(x) − S(x₀); gap: |Σ values − change|, how far from complete; spread: Σ |values −
    those by the trapezoid| / Σ |values|, the order of the pixels' error, None for the midpoint
    rule; alphas (steps,): the places on the path where a gradient was taken; baseline (H, Wd, C):
    x₀, as network input."""

    change: float = 0.0
    gap: float = 0.0
    spread: float | None = None
    alphas: np.ndarray | None = None
    baseline: np.ndarray | None = None

    def __str__(self) -> str:
        share = f" ({self.gap / abs(self.change):.1e} of it)" if self.change else ""
        pixels = "" if self.spread is None else f", pixels uncertain by about {self.spread:.1%}"
        return (f"{super().__str__()}\nsum {self.values.sum():.6g}, change of the score from the "
                f"baseline {self.change:.6g}, gap {self.gap:.2g}{share}, {len(self.alphas)} "
                f"gradients{pixels}")


def gradient(model: Sequential, image: np.ndarray, target: Asked = None, *,
             sign: str = "absolute") -> Attribution:
    """dS/dx: how the score moves with each pixel, in score a unit of network input.

    image: uint8 (H', Wd', 3), or network input, floats (H, Wd, C). values (H, Wd, C).
    Raises ArgumentError for a target or sign that does not exist.
    """
    return _by_rule(model, image, target, sign, "gradient", "gradient")


def gradient_x_input(model: Sequential, image: np.ndarray, target: Asked = None, *,
                     sign: str = "absolute") -> Attribution:
    """x · dS/dx, as gradient; of a network without biases and of ReLUs the sum is S(x)."""
    return _by_rule(model, image, target, sign, "gradient × input", "gradient", times_input=True)


def guided_backprop(model: Sequential, image: np.ndarray, target: Asked = None, *,
                    sign: str = "absolute") -> Attribution:
    """dS/dx where every ReLU lets only positive signals through active units; as gradient."""
    return _by_rule(model, image, target, sign, "guided backprop", "guided", GUIDED_NOTE)


def _by_rule(model: Sequential, image: np.ndarray, target: Asked, sign: str, method: str,
             rule: str, note: str = "", times_input: bool = False) -> Attribution:
    check_sign(method, sign)
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    value, dx = score_gradient(score, x, rule)
    values = as_rgb(model, dx * x if times_input else dx)[0]
    return Attribution(method, score.name, pixels, values, float(value[0]), sign, note)


def smooth_grad(model: Sequential, image: np.ndarray, target: Asked = None, *,
                sign: str = "absolute", samples: int = 32, noise: float = 0.15, seed: int = 0,
                batch_size: int | None = None, progress: Progress = silent) -> Attribution:
    """Mean of dS/dx over `samples` noisy copies of x.

    noise: σ over the range max x − min x of the photo. The target is that of the clean photo.
    Raises ArgumentError for samples below 1 or a negative noise; else as gradient.
    """
    check_sign("SmoothGrad", sign)
    samples = check_int(samples, "SmoothGrad, samples")
    if not 0 <= noise < np.inf:
        raise ArgumentError(f"SmoothGrad: expected a noise of at least 0 (a share of the photo's "
                            f"range), received {noise!r}.")
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    clean, rng, total, done = to_cpu(x), np.random.default_rng(seed), 0.0, 0
    sigma = noise * float(np.ptp(clean))
    for n in _batch_sizes(model, score, samples, batch_size):
        noisy = clean + sigma * rng.standard_normal((n, *clean.shape[1:])).astype(clean.dtype)
        _, dx = score_gradient(score, to_device(noisy.astype(clean.dtype), model.device))
        total = total + to_cpu(dx).sum(axis=0, dtype=np.float64)
        done += n
        progress(done, samples)
    values = as_rgb(model, total / samples)
    value = float(score.values(run(score.layers, x))[0])
    return Attribution("SmoothGrad", score.name, pixels, values, value, sign,
                       f"{samples} samples, noise {noise:g} of the range")


def integrated_gradients(model: Sequential, image: np.ndarray, target: Asked = None, *,
                         sign: str = "absolute", steps: int = 64,
                         baseline: np.ndarray | None = None, batch_size: int | None = None,
                         rule: str = "adaptive", progress: Progress = silent) -> Integrated:
    """(x − x₀) times the mean gradient on the straight way from x₀ to x.

    steps: gradients taken. rule: "adaptive" (above), or "midpoint", steps equal intervals.
    baseline: x₀ as `image` is given; None is network input 0, the recipe's mean colour.
    Keeps all gradients: steps photos in memory.
    Raises ArgumentError for steps below 2, another rule or a baseline of another shape.
    """
    check_sign("integrated gradients", sign)
    steps = check_int(steps, "integrated gradients, steps", least=2)
    if rule not in RULES:
        raise ArgumentError(f"integrated gradients: expected a rule of {', '.join(RULES)}, "
                            f"received {rule!r}.")
    pixels, x = photo_input(model, image)
    start = x * 0 if baseline is None else photo_input(model, baseline)[1].astype(x.dtype)
    score, way = score_of(model, x, target), to_cpu(x - start)[0].astype(np.float64)
    done = 0

    def at(alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """alphas (n,) -> S (n,), a = (x − x₀) · dS/dx (n, H, Wd, C), d = Σ a (n,)."""
        nonlocal done
        S, a, first = [], [], 0
        for n in _batch_sizes(model, score, len(alphas), batch_size):
            part = alphas[first:first + n].reshape(-1, 1, 1, 1).astype(to_cpu(x).dtype)
            value, dx = score_gradient(score, start + to_device(part, model.device) * (x - start))
            S.append(to_cpu(value))
            a.append((to_cpu(dx) * way).astype(way.dtype if x.dtype == np.float64 else np.float32))
            first += n
            done += n
            progress(done, steps)
        a = np.concatenate(a)
        return np.concatenate(S).astype(float), a, a.sum(axis=(1, 2, 3), dtype=np.float64)

    first, last = (float(score.values(run(score.layers, end))[0]) for end in (start, x))
    spread = None
    if rule == "midpoint":
        alphas = (np.arange(steps) + 0.5) / steps
        weights, a = np.full(steps, 1 / steps), at(alphas)[1]
    else:
        alphas, weights, a = _adaptive(at, steps)
    values = np.tensordot(weights, a, axes=1)  # (steps,)·(steps, H, Wd, C)
    if rule == "adaptive":
        halves = np.diff(alphas) / 2
        trapezoid = np.tensordot(np.append(halves, 0) + np.append(0, halves), a, axes=1)
        spread = float(np.abs(values - trapezoid).sum() / max(np.abs(values).sum(), 1e-30))
    return Integrated("integrated gradients", score.name, pixels, as_rgb(model, values), last, sign,
                      change=last - first, gap=abs(float(values.sum()) - (last - first)),
                      spread=spread, alphas=alphas, baseline=to_cpu(start)[0])


def _adaptive(at: Callable, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (steps,), weights (steps,) that sum to 1, and a at the nodes (steps, H, Wd, C)."""
    alphas = np.linspace(0, 1, max(2, steps // 8 + 1))
    S, a, d = at(alphas)
    while len(alphas) < steps:
        h = np.diff(alphas)
        trapezoid = h * (d[1:] + d[:-1]) / 2 - np.diff(S)
        t = _kinks(h, S, d)
        left_over = h * (t * d[:-1] + (1 - t) * d[1:]) - np.diff(S)
        errors = np.abs(left_over) + 0.01 * np.abs(trapezoid)
        worst = np.argsort(-errors, kind="stable")[:min(4, steps - len(alphas))]
        middle = (alphas[worst] + alphas[worst + 1]) / 2
        more = at(middle)
        order = np.argsort(np.append(alphas, middle))
        alphas = np.append(alphas, middle)[order]
        S, a, d = (np.concatenate(both)[order] for both in zip((S, a, d), more, strict=True))
    h = np.diff(alphas)
    t = _kinks(h, S, d)
    return alphas, np.append(h * t, 0) + np.append(0, h * (1 - t)), a


def _kinks(h: np.ndarray, S: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Of each interval the fraction t, 0 … 1, at which its slope jumps; 0.5 where it does not."""
    fall, t = d[:-1] - d[1:], np.full(len(h), 0.5)
    np.divide(np.diff(S) / h - d[1:], fall, out=t, where=fall != 0)
    return np.clip(t, 0, 1)


def _batch_sizes(model: Sequential, score: Score, total: int, batch_size: int | None) -> list[int]:
    """total as a sum of batches of batch_size, or of as many as memory bounds."""
    most = bounded(model, len(score.layers), batch_size)
    return [min(most, total - first) for first in range(0, total, most)]
