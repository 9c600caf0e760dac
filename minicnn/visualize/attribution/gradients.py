"""Attribution by the gradient dS/dx of the score: five methods.

    gradient            a = dS/dx                                   Simonyan et al. 2014, section 3
    gradient × input    a = x · dS/dx                               Shrikumar et al. 2016
    guided backprop     a = "dS/dx" by the rule of propagation.py   Springenberg et al. 2015, 3.4
    SmoothGrad          a = mean_n dS/dx(x + ε_n),  ε_n ~ N(0, σ²)  Smilkov et al. 2017, section 3
    integrated gradients  a = (x − x₀) · ∫₀¹ dS/dx(x₀ + α (x − x₀)) dα     Sundararajan et al. 2017

The last is complete: Σ a = S(x) − S(x₀), as S along the path has the derivative <x − x₀, dS/dx>.

Quadrature: S is piecewise linear along the path (ReLU, max pooling), its slope jumps at kinks, and
the midpoint rule's sum misses the change by about 1 % at 64 steps. So the nodes go where the kinks
are: each has its S_k, its gradient g_k and its slope d_k = <x − x₀, g_k>; the intervals with the
largest error in S_{k+1} − S_k (plus 1/100 of the trapezoid rule's error) are halved next. Within an
interval of length h the gradient is h (t g_k + (1 − t) g_{k+1}), with t from the equation
t d_k + (1 − t) d_{k+1} = (S_{k+1} − S_k) / h: exact for a single kink, which lies at the fraction
t. A t outside 0 … 1 means several kinks: it is clipped to 0 … 1, and its error stays in the gap.
But if every t lies inside, the sum is right by construction, for one kink or several: the gap then
says nothing about single pixels. Their error has the order of `spread`, the difference from the
trapezoid rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...model import Sequential
from ...ops import to_cpu, to_device
from ...utils.errors import ArgumentError, check_int
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ..photos import Progress, batch_size_for, silent
from ..propagation import score_gradient
from ..target import Score, Target, as_rgb, forward, photo_input, score_of
from .result import Attribution, check_sign

GUIDED_WARNING = N_("Guided backprop hardly depends on the weights: even with a random network it "
                 "draws edges of the photo\n(Adebayo et al. 2018). It shows the photo more than "
                 "the score.")
RULES = ("adaptive", "midpoint")


@dataclass
class Integrated(Attribution):
    """change: S(x) − S(x₀); gap: |Σ values − change|, how far from complete; spread: Σ |values −
    values by the trapezoid rule| / Σ |values|, the order of the pixels' error, None for the
    midpoint rule; alphas (steps,): where on the path a gradient was computed; baseline (H, Wd, C):
    x₀, as network input."""

    change: float = 0.0
    gap: float = 0.0
    spread: float | None = None
    alphas: np.ndarray = field(default_factory=lambda: np.zeros(0))
    baseline: np.ndarray | None = None

    def __str__(self) -> str:
        share = (_(" ({share:.1e} of it)", share=self.gap / abs(self.change)) if self.change
                 else "")
        pixels = "" if self.spread is None else _(", pixels uncertain by about {share:.1%}",
                                                  share=self.spread)
        return super().__str__() + "\n" + _(
            "sum {sum:.6g}, change of the score from the baseline {change:.6g}, gap {gap:.2g}"
            "{share}, {count} gradients{pixels}", sum=self.values.sum(), change=self.change,
            gap=self.gap, share=share, count=len(self.alphas), pixels=pixels)


def gradient(model: Sequential, image: np.ndarray, target: Target = None, *,
             sign: str = "absolute") -> Attribution:
    """dS/dx: how the score changes with each pixel, per unit of network input.

    image: uint8 (H', Wd', 3), or network input, floats (H, Wd, C). values (H, Wd, C).
    Raises ArgumentError for a target or sign that does not exist.
    """
    return _by_rule(model, image, target, sign, N_("gradient"), "gradient")


def gradient_x_input(model: Sequential, image: np.ndarray, target: Target = None, *,
                     sign: str = "absolute") -> Attribution:
    """x · dS/dx, as gradient; in a network of ReLUs without biases the sum is S(x)."""
    return _by_rule(model, image, target, sign, N_("gradient × input"), "gradient",
                    times_input=True)


def guided_backprop(model: Sequential, image: np.ndarray, target: Target = None, *,
                    sign: str = "absolute") -> Attribution:
    """dS/dx with ReLUs that pass only positive signals, through active units; as gradient."""
    return _by_rule(model, image, target, sign, N_("guided backprop"), "guided", _(GUIDED_WARNING))


def _by_rule(model: Sequential, image: np.ndarray, target: Target, sign: str, method: str,
             rule: str, warning: str = "", times_input: bool = False) -> Attribution:
    check_sign(method, sign)
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    value, dx = score_gradient(score, x, rule)
    values = as_rgb(model, dx * x if times_input else dx)[0]
    return Attribution(method, score.name, pixels, values, float(value[0]), sign,
                       warning=warning, kind=score.kind)


def smooth_grad(model: Sequential, image: np.ndarray, target: Target = None, *,
                sign: str = "absolute", samples: int = 32, noise: float = 0.15, seed: int = 0,
                batch_size: int | None = None, progress: Progress = silent) -> Attribution:
    """Mean of dS/dx over `samples` noisy copies of x.

    noise: σ divided by the range max x − min x of the photo. The target is that of the clean photo.
    Raises ArgumentError for samples below 1 or a negative noise; otherwise as gradient.
    """
    check_sign("SmoothGrad", sign)
    samples = check_int(samples, "SmoothGrad, samples")
    if not 0 <= noise < np.inf:
        raise ArgumentError(f"SmoothGrad: expected a noise of at least 0 (a share of the photo's "
                            f"range), received {noise!r}.")
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    clean, rng, done = to_cpu(x), np.random.default_rng(seed), 0
    total = np.zeros(clean.shape[1:])
    sigma = noise * float(np.ptp(clean))
    for n in _batch_sizes(model, score, samples, batch_size):
        noisy = clean + sigma * rng.standard_normal((n, *clean.shape[1:])).astype(clean.dtype)
        dx = score_gradient(score, to_device(noisy.astype(clean.dtype), model.device))[1]
        total += to_cpu(dx).sum(axis=0, dtype=np.float64)
        done += n
        progress(done, samples)
    values = as_rgb(model, total / samples)
    value = float(score.values(forward(score.layers, x))[0])
    return Attribution("SmoothGrad", score.name, pixels, values, value, sign,
                       _("{count} samples, noise {noise:g} of the range", count=samples,
                         noise=float(noise)), kind=score.kind)


def integrated_gradients(model: Sequential, image: np.ndarray, target: Target = None, *,
                         sign: str = "absolute", steps: int = 64,
                         baseline: np.ndarray | None = None, batch_size: int | None = None,
                         rule: str = "adaptive", progress: Progress = silent) -> Integrated:
    """(x − x₀) times the mean gradient on the straight path from x₀ to x.

    steps: number of gradients. rule: "adaptive" (above), or "midpoint", steps equal intervals.
    baseline: x₀, in the form of `image`; None is network input 0, the preprocessing's mean colour.
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
    score, difference = score_of(model, x, target), to_cpu(x - start)[0].astype(np.float64)
    done = 0

    def evaluate(alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """alphas (n,) -> S (n,), a = (x − x₀) · dS/dx (n, H, Wd, C), d = Σ a (n,)."""
        nonlocal done
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        S_parts, a_parts, first = [], [], 0
        for n in _batch_sizes(model, score, len(alphas), batch_size):
            part = alphas[first:first + n].reshape(-1, 1, 1, 1).astype(to_cpu(x).dtype)
            value, dx = score_gradient(score, start + to_device(part, model.device) * (x - start))
            S_parts.append(to_cpu(value))
            a_parts.append((to_cpu(dx) * difference).astype(dtype))
            first += n
            done += n
            progress(done, steps)
        a = np.concatenate(a_parts)
        return np.concatenate(S_parts).astype(float), a, a.sum(axis=(1, 2, 3), dtype=np.float64)

    first, last = (float(score.values(forward(score.layers, end))[0]) for end in (start, x))
    spread = None
    if rule == "midpoint":
        alphas = (np.arange(steps) + 0.5) / steps
        weights, a = np.full(steps, 1 / steps), evaluate(alphas)[1]
    else:
        alphas, weights, a = _adaptive(evaluate, steps)
    values = np.tensordot(weights, a, axes=1)  # (steps,)·(steps, H, Wd, C)
    if rule == "adaptive":
        halves = np.diff(alphas) / 2
        trapezoid = np.tensordot(np.append(halves, 0) + np.append(0, halves), a, axes=1)
        spread = float(np.abs(values - trapezoid).sum() / max(np.abs(values).sum(), 1e-30))
    return Integrated(N_("integrated gradients"), score.name, pixels, as_rgb(model, values), last,
                      sign, kind=score.kind, change=last - first,
                      gap=abs(float(values.sum()) - (last - first)), spread=spread, alphas=alphas,
                      baseline=to_cpu(start)[0])


def _adaptive(evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
              steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes (steps,), weights (steps,) that sum to 1, and a at the nodes (steps, H, Wd, C)."""
    alphas = np.linspace(0, 1, max(2, steps // 8 + 1))
    S, a, d = evaluate(alphas)
    while len(alphas) < steps:
        h = np.diff(alphas)
        trapezoid_error = h * (d[1:] + d[:-1]) / 2 - np.diff(S)
        t = _kinks(h, S, d)
        error = h * (t * d[:-1] + (1 - t) * d[1:]) - np.diff(S)
        errors = np.abs(error) + 0.01 * np.abs(trapezoid_error)
        worst = np.argsort(-errors, kind="stable")[:min(4, steps - len(alphas))]
        middle = (alphas[worst] + alphas[worst + 1]) / 2
        order = np.argsort(np.append(alphas, middle))
        alphas = np.append(alphas, middle)[order]
        S, a, d = (np.concatenate(old_and_new)[order]
                   for old_and_new in zip((S, a, d), evaluate(middle), strict=True))
    h = np.diff(alphas)
    t = _kinks(h, S, d)
    return alphas, np.append(h * t, 0) + np.append(0, h * (1 - t)), a


def _kinks(h: np.ndarray, S: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The fraction t, 0 … 1, at which the slope of each interval jumps; 0.5 if it does not."""
    jump, t = d[:-1] - d[1:], np.full(len(h), 0.5)
    np.divide(np.diff(S) / h - d[1:], jump, out=t, where=jump != 0)
    return np.clip(t, 0, 1)


def _batch_sizes(model: Sequential, score: Score, total: int, batch_size: int | None) -> list[int]:
    """total as a sum of batches of batch_size, or if None of as many as fit into memory."""
    size = batch_size_for(model, len(score.layers), batch_size)
    return [min(size, total - first) for first in range(0, total, size)]
