r"""Lesson 8. One convolution, three algorithms.

Question
    A convolution of 3 × 3 on 512 channels takes 9 · 512 multiplications for every output number.
    Must it? And why does the order of the same multiplications change the time so much?

Formula
    The definition, for C channels and F filters, takes $9 C F$ multiplications a pixel:

    $$z_{i,j,f} = \sum_{p,q,c} x_{i+p,\,j+q,\,c} \; W_{p,q,c,f}$$

    - im2col: one product of matrices, (pixels, 9 C) · (9 C, F), so $9 C F$ a pixel, too;
    - implicit GEMM: nine products, (pixels, C) · (C, F), added up: $9 C F$ again;
    - Winograd: 36 products for each tile of 4 × 4 pixels, (tiles, C) · (C, F): only
      $36 C F / 16 = 2.25 C F$ a pixel.

    Winograd's 36 come from polynomials: see minicnn/ops/fast/winograd.py. What it saves it pays
    in part with transforms, $36 · 36 C + 16 · 36 F$ a tile, and $36 · 9 C F$ for the kernels.

Run it:  python examples/08_three_convolutions.py
"""

import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.fast.conv import conv2d_im2col, conv2d_implicit_gemm
from minicnn.ops.fast.winograd import conv2d_winograd

ALGORITHMS = {"im2col": conv2d_im2col, "implicit_gemm": conv2d_implicit_gemm,
              "winograd": conv2d_winograd}
rng = np.random.default_rng(0)


# 1. In one dimension, by hand ----------------------------------------------------------------

# Two outputs of a correlation with three taps: 6 multiplications by the definition, 4 here.
d, g = rng.normal(size=4), rng.normal(size=3)
m = [(d[0] - d[2]) * g[0], (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2,
     (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2, (d[1] - d[3]) * g[2]]
four = np.array([m[0] + m[1] + m[2], m[1] - m[2] - m[3]])
print("F(2, 3) with 4 multiplications:", four, "by the definition:", np.correlate(d, g))


# 2. On the layers of VGG16 -------------------------------------------------------------------

def multiplications(algorithm, H, C, F):
    """Of one photo of H × H pixels, "same" padding; tiles and kernels transformed once. Where the
    kernels are many, minicnn's threads transform some twice, which is quicker than to wait."""
    if algorithm != "winograd":
        return 9 * H * H * C * F
    T = (-(-H // 4)) ** 2
    return 36 * T * C * F + 36 * 36 * T * C + 16 * 36 * T * F + 36 * 9 * C * F


def seconds(function, *arguments, **options):
    """Median of five calls, and what the last one gives."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        y = function(*arguments, **options)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])), y


LAYERS = {"block1_conv1": (224, 3, 64), "block1_conv2": (224, 64, 64),
          "block2_conv2": (112, 128, 128), "block3_conv2": (56, 256, 256),
          "block4_conv2": (28, 512, 512), "block5_conv2": (14, 512, 512)}
table = {}
print(f"\n{'layer':<14}{'':14}{'multiplications':>16}{'ms':>8}{'error':>12}")
for name, (H, C, F) in LAYERS.items():
    x = rng.normal(size=(1, H, H, C)).astype(np.float32)
    W = rng.normal(size=(3, 3, C, F)).astype(np.float32)
    b, window = np.zeros(F, np.float32), mc.ops.Window.on_image((H, H), (3, 3), (1, 1), "same")
    exact = conv2d_im2col(*(array.astype(np.float64) for array in (x, W, b)), window)
    for algorithm, conv2d in ALGORITHMS.items():
        took, y = seconds(conv2d, x, W, b, window)
        error = np.abs(y - exact).max() / np.abs(exact).max()
        count = multiplications(algorithm, H, C, F)
        table[name, algorithm] = count, 1000 * took
        print(f"{name:<14}{algorithm:<14}{count / 1e6:>14,.0f} M{1000 * took:>8.1f}{error:>12.0e}")

# 3. What minicnn selects ---------------------------------------------------------------------

model = mc.VGG16(include_top=False, weights=None, input_shape=(224, 224, 3))
x, whole = rng.normal(size=(1, 224, 224, 3)).astype(np.float32), {}
for algorithm in ALGORITHMS:
    with use_algorithm(algorithm):
        whole[algorithm] = seconds(model.forward, x, keep=False)[0]
whole["selected"] = seconds(model.forward, x, keep=False)[0]
print("\nthe whole base, ms:", ", ".join(f"{name} {1000 * t:.0f}" for name, t in whole.items()))

# The picture ---------------------------------------------------------------------------------

figure = Figure(figsize=(12, 5.4), dpi=100, layout="constrained")
axes = figure.subplots(1, 2)
for k, (algorithm, colour) in enumerate(zip(ALGORITHMS, ("#0072b2", "#e69f00", "#d55e00"),
                                            strict=True)):
    for ax, part, scale in ((axes[0], 0, 1e-9), (axes[1], 1, 1)):
        ax.bar(np.arange(len(LAYERS)) + 0.27 * (k - 1),
               [scale * table[name, algorithm][part] for name in LAYERS], 0.25, color=colour,
               label=algorithm)
for ax, label in zip(axes, ("billion multiplications", "milliseconds"), strict=True):
    ax.set_xticks(range(len(LAYERS)), [name.replace("_", "\n") for name in LAYERS], fontsize=11)
    ax.set_ylabel(label, fontsize=13)
axes[1].margins(y=0.3)  # room for the legend
axes[1].legend(fontsize=13, loc="upper right")
figure.suptitle("one photo of 224 pixels through a layer of VGG16", fontsize=15)
picture = Path(__file__).with_suffix(".png")
figure.savefig(picture)
print(f"picture: {picture}")

print("""
What to notice
  - im2col and implicit GEMM multiply alike, and take different times: what differs is how often the
    numbers travel between memory and cache. im2col copies each pixel nine times, a block at a time,
    so that one large product can follow; implicit GEMM adds up nine products, each as large as z.
  - Winograd does fewer multiplications, and its time falls by less: the transforms move as many
    numbers as before. With 3 channels, or with few tiles, it does not pay.
  - The price is an error about twenty times as large: at the points 2 and −2 terms grow and cancel.

Exercises (solutions in examples/solutions/lessons.md)
  1. F(2, 3) above took 4 multiplications. Write down its matrices A, B and G, then F(2×2, 3×3) with
     16 multiplications a tile instead of 36. Why does minicnn take F(4×4, 3×3)?
  2. Set minicnn.ops.fast.winograd.BLOCK_ELEMENTS to a 16th and to 64 times what it is. Which
     cache do you see?
  3. At which batch size does Winograd overtake im2col in block5_conv2? Compare with the rule,
     select_algorithm in minicnn/ops/fast/conv.py.
""")
