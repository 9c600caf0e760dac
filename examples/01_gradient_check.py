r"""Lesson 1. How do we know that a gradient is right?

Question
    A layer is a function and its derivative. A wrong derivative often still learns, only worse, so
    nobody notices. How can we be sure?

Formula
    For a small ε the slope of L is nearly

    $$L'(x) ≈ \frac{L(x + ε) − L(x − ε)}{2ε}.$$

    The error has two parts: cutting off the Taylor series costs about $ε^2 |L'''| / 6$, rounding
    costs about $u |L| / ε$, where $u$ is 1e-16 in float64 and 6e-8 in float32. So ε must be neither
    large nor tiny.

Run it:  python examples/01_gradient_check.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc

# 1. A layer of our own: softplus, y = log(1 + eˣ), a smooth cousin of ReLU -------------------


class Softplus(mc.Layer):
    """dy/dx = eˣ / (1 + eˣ) = 1 / (1 + e⁻ˣ), so dx = dy / (1 + e⁻ˣ)."""

    def forward(self, x, training=False, keep=True):
        self.cache = x if keep else None
        return np.log1p(np.exp(x))

    def backward(self, dy):
        return dy / (1 + np.exp(-self.cache))


class WrongSoftplus(Softplus):
    """The same with a sign lost on the way."""

    def backward(self, dy):
        return dy / (1 + np.exp(self.cache))


x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
print("right:", mc.gradcheck(Softplus(), x))
print("wrong:", mc.gradcheck(WrongSoftplus(), x))

# 2. The same for a layer with parameters: dW and db are checked too --------------------------

print("\nA convolution with a kernel that is not square, and stride 2:")
conv = mc.Conv2D(4, kernel_size=(3, 2), strides=2, padding="same")
with mc.ops.use("reference"):  # what you can read in minicnn/ops/reference/ is what runs
    print(mc.gradcheck(conv, x))
print("The fast operations, which run by default, pass the same check:")
print(mc.gradcheck(conv, x))

# 3. Which ε? ---------------------------------------------------------------------------------

steps = 10.0 ** np.arange(-12, 0.5, 0.5)
errors = {}
for dtype in (np.float64, np.float32):
    point, slope = dtype(0.7), 1 / (1 + np.exp(-0.7))
    errors[dtype.__name__] = [
        abs((np.log1p(np.exp(point + dtype(e))) - np.log1p(np.exp(point - dtype(e))))
            / dtype(2 * e) - slope) / slope for e in steps]

figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
ax = figure.subplots()
for (name, error), marker in zip(errors.items(), "os", strict=True):
    ax.loglog(steps, error, marker=marker, lw=2, label=name)
ax.set(xlabel="ε", ylabel="relative error of the slope",
       title="Too large: the series is cut off.  Too small: rounding.")
ax.grid(alpha=0.3)
ax.legend()
picture = Path(__file__).with_suffix(".png")
figure.savefig(picture)

best = {name: steps[int(np.argmin(error))] for name, error in errors.items()}
print("\nThe best ε:", ", ".join(f"{e:.0e} in {name}" for name, e in best.items()))
print(f"picture: {picture}")

print("""
What to notice
  - The right layer agrees to nine digits, the wrong one not even to one.
  - On the right ε is large: the error falls with ε², two digits for each digit of ε.
  - On the left ε is tiny: rounding takes the digits back, one for each digit of ε.
  - float32 has five good digits at best, which is why gradients are checked in float64.

Exercises (solutions in examples/solutions/lessons.md)
  1. Write Tanh with its backward, and check it with `minicnn gradcheck YOUR_FILE.py:Tanh`.
  2. Replace the random dy in your head by ones. Which mistakes would no longer be seen?
  3. Check ReLU at x = 0 exactly. What does gradcheck do, and what would it find otherwise?
""")
