r"""Lesson 7. Write a CUDA kernel, and fix one, without a GPU.

Question
    A kernel is one function that thousands of threads run at once. Which of them does what? And
    how does one find a fault that no single thread can see?

Formula
    Thread number $k = \text{blockIdx.x} · \text{blockDim.x} + \text{threadIdx.x}$ takes
    element $k$, then every $\text{gridDim.x} · \text{blockDim.x}$ further: each element has
    exactly one thread, whatever the grid's size. The edges of a photo, from its slopes $g_x$ to the
    right and $g_y$ downward:

    $$y = \sqrt{g_x^2 + g_y^2}$$

Run it:  python examples/07_write_a_kernel.py        then fix examples/kernels/edges.cu, run again
         python examples/07_write_a_kernel.py --solution
"""

import sys
import tempfile
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import ops
from minicnn.ops.cuda import ladder, simulator
from minicnn.ops.cuda.accesses import record
from minicnn.ops.cuda.launch import by_rows, flat, launch, read_kernels
from minicnn.utils.errors import KernelError

# The kernels on the processor, watched. On an NVIDIA GPU ("cuda") the lesson runs, too, but nobody
# watches: neither a read outside an array nor a missing barrier is reported there.
DEVICE = "cuda-sim"
here = Path(__file__)
kernels = here.parent / "kernels"
file = kernels / ("edges_solution.cu" if "--solution" in sys.argv[1:] else "edges.cu")

# How a fault shows, the lines of edges.cu that have it, how they should read, and a question.
FAULTS = [
    (" x[", "    if (i > H) i = H;\n",
     "    if (i >= H) i = H - 1;\n",
     "How many rows has the photo, and which number has the last one?"),
    ("another order", "        step[t] = below - above;\n    }\n\n",
     "        step[t] = below - above;\n    }\n"
     "    __syncthreads();  // all 258 columns are there\n\n",
     "Behind this loop threads read what others have written. Have they?"),
    ("as NumPy", "    if (j >= H) j = H - 1;\n",
     "    if (j >= Wd) j = Wd - 1;\n",
     "How many columns has the photo? With a square one nobody would notice."),
]

try:
    ops.module_of(DEVICE)
except mc.MiniCNNError as error:  # no C++ compiler, or no GPU
    print(error, file=sys.stderr)
    sys.exit(2)

# 1. Who takes what? A tiny grid that prints --------------------------------------------------

print("2 blocks of 4 threads, 11 elements:", flush=True)
x = ops.to_device(np.zeros(11, np.float32), DEVICE)
launch(read_kernels(kernels / "who.cu")["who"], (2, 1, 1), x, x.size, block=(4, 1, 1))

# The numbers that the threads have left in x -------------------------------------------------

print("x, 10 · block + thread:", ops.to_cpu(x).astype(int))
print(f"In earnest blocks have 256 threads: flat(1_000_000) is a grid of {flat(1_000_000)} blocks,"
      f"\nby_rows(300, 451), for 300 rows of 451 pixels, one of {by_rows(300, 451)}.")

# 2. The photo, and what NumPy says about its edges -------------------------------------------

photo = mc.data.read_image(mc.data.photos()["chelsea"])
grey = (photo @ [0.299, 0.587, 0.114] / 255).astype(np.float32)  # (H, Wd)
H, Wd = grey.shape
p = np.pad(grey.astype(np.float64), 1, mode="edge")
smooth, step = p[:-2] + 2 * p[1:-1] + p[2:], p[2:] - p[:-2]  # (H, Wd + 2)
right = np.hypot(smooth[:, 2:] - smooth[:, :-2],
                 step[:, :-2] + 2 * step[:, 1:-1] + step[:, 2:])


# 3. One kernel, judged -----------------------------------------------------------------------

def complaint(path, pictures):
    """Runs the kernel of `path` on the photo: what is wrong with it, "" if nothing is."""
    x = ops.to_device(grey, DEVICE)
    y = ops.to_device(np.full_like(grey, np.nan), DEVICE)
    try:
        launch(read_kernels(path)["edges"], by_rows(H, Wd), x, y, H, Wd)
    except KernelError as error:
        return str(error)
    y = ops.to_cpu(y)
    pictures.append(y)
    error = np.abs(y - right) / right.max()
    print(f"Largest difference from NumPy: {np.nanmax(error):.0e} of the steepest edge.")
    rows, columns = np.nonzero(~(error < 1e-6))
    if not len(rows):
        return ""
    i, j = rows[0], columns[0]
    return (f"edges: expected y[{i}, {j}] = {right[i, j]:.4f}, as NumPy, received {y[i, j]:.4f}. "
            f"Wrong are {len(rows):,} of {y.size:,} pixels, all in rows {rows.min()} to "
            f"{rows.max()}, columns {columns.min()} to {columns.max()}; H is {H}, Wd is {Wd}.")


simulator.runs = 2  # every launch twice, in different orders of blocks and threads
text, num_fixed, pictures = file.read_text(encoding="utf-8"), 0, []
print(f"\n{file.relative_to(here.parent.parent)}, on a photo of {H} rows and {Wd} columns")
with tempfile.TemporaryDirectory() as folder:
    path = file
    while wrong := complaint(path, pictures):
        print(fill(wrong, 99))
        fault = next((f for f in FAULTS if f[0] in wrong and f[1] in text), None)
        if fault is None:
            print("-> A fault that this lesson does not know: it is yours to find."
                  if DEVICE == "cuda-sim" else
                  "-> A GPU does not say which thread it was: run this lesson on cuda-sim.")
            break
        _, bad, good, question = fault
        number = text[:text.index(bad)].count("\n") + 1
        print(f"-> line {number}:  {bad.splitlines()[0].strip()}\n   {question}\n")
        text, num_fixed = text.replace(bad, good), num_fixed + 1
        print(f"With {num_fixed} line{'s' * (num_fixed > 1)} fixed (here only, not in your file):")
        path = Path(folder, f"edges_{num_fixed}.cu")
        path.write_text(text, encoding="utf-8")
if not wrong:
    print("Right!" if not num_fixed else f"Right. Now fix {file.name} yourself and run me again.")

# 4. What the kernels have drawn --------------------------------------------------------------

titles = ["wrong"] * len(pictures)
if not wrong:
    titles[-1] = "right"
figure = Figure(figsize=(5.2 * (1 + len(pictures)), 3.8), dpi=110, layout="constrained")
panels = figure.subplots(1, 1 + len(pictures), squeeze=False)[0]
panels[0].imshow(grey, cmap="gray")
panels[0].set_title("photo", fontsize=17)
for ax, y, title in zip(panels[1:], pictures, titles, strict=True):
    ax.imshow(y, cmap="magma", vmin=0, vmax=np.quantile(right, 0.995))
    ax.set_title(f"edges, {title}", fontsize=17)
for ax in panels:
    ax.axis("off")
picture = here.with_suffix(".png")
figure.savefig(picture)
print(f"\npicture: {picture}")

# 5. Right, and fast? One convolution in seven kernels ----------------------------------------

if DEVICE == "cuda-sim":  # which counts what a GPU keeps to itself
    x = ops.to_device(np.ones((1, 16, 16, 32), np.float32), DEVICE)
    W = ops.to_device(np.ones((1, 1, 32, 32), np.float32), DEVICE)
    window = ops.Window((1, 1), (1, 1), ((0, 0), (0, 0)), (16, 16))
    print("\nPieces of 32 bytes of memory that a warp, 32 threads, fetches or writes at a time:")
    with record() as launches:
        for rung in ladder.STEPS[:3]:
            ladder.conv2d(rung, x, W, window)
    print("\n".join(f"  {accesses}" for accesses in launches))
    print("These are the first steps of kernels/ladder/: seven kernels, each with one idea more.\n"
          "python -m benchmarks.ladder says what the compiler makes of them, and their times.")

print("""
What to notice
  - Neighbouring threads take neighbouring elements: a GPU fetches them in one piece.
    Here the threads come one after the other, on a GPU all at once.
  - A thread outside its arrays is named: block (0, 299, 0) works on row 299, the last one.
    A GPU itself reads what lies there and goes on, or stops without naming the thread.
  - The missing barrier is no thread's own fault. It shows when the order of the threads changes,
    on a GPU perhaps once in a thousand runs: the worst kind of fault.
  - The third fault breaks no rule of CUDA. Only an independent answer finds it: NumPy's.
  - naive and coalesced differ in which index follows threadIdx.x. A warp of the first fetches 32
    pieces for 32 numbers of x, one of the second at most 4. All seven give the same result, but
    for the rounding of the last one, whose tensor cores keep 11 of 24 binary digits.

Exercises (solutions in examples/solutions/lessons.md)
  1. Fix edges.cu until this lesson says that it is right.
  2. Then move the __syncthreads() to the beginning of `if (j < Wd) {`. Who complains, and why
     only in blocks (1, ·, 0)?
  3. Let thread (0, 0, 0) of block (0, 0, 0) printf what it reads, in `pixel`.
  4. Write a kernel `blur` of your own: each pixel the mean of the 3 × 3 around it. Which of the
     two arrays in shared memory do you still need?
""")
