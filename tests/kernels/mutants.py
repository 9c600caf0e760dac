"""Does the test run notice a wrong kernel? Each mutant is a kernel with one fault; checks.py must
fail on every one of them, by a wrong number or by the simulator's report.

    python tests/kernels/mutants.py        prints a table; exits 1 where a mutant survives

Changes that change nothing (x >= 0 for x > 0 where both branches are equal at 0) are not listed.
"""

import concurrent.futures
import faulthandler
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

import checks

from minicnn.errors import KernelError
from minicnn.ops.cuda import launch, simulator

FIRST_BARRIER = "part[threadIdx.y][threadIdx.x] = sum;\n        __syncthreads();"
# (a kernel or header, what stands there exactly once, what the mutant has instead)
MUTANTS = [
    ("im2col", "(first + row) / OH", "row / OH"),
    ("im2col", "i * SH", "i * SW"),
    ("im2col", "j * SW", "j * SH"),
    ("im2col", "j * SW", "j * SW + 1"),
    ("im2col", "p - top", "p + top"),
    ("im2col", "p - top", "p - left"),
    ("im2col", "q - left", "q - top"),
    ("im2col", "h >= 0 && ", ""),
    ("im2col", "h < H", "h <= H"),
    ("im2col", "w >= 0 && ", ""),
    ("im2col", "w < Wd", "w <= Wd"),
    ("im2col", "k / C % KW", "k / C % KH"),
    ("im2col", "(n * H + h)", "(n * Wd + h)"),
    ("im2col", "* Wd + w", "* H + w"),
    ("im2col", "row * size + k", "(first + row) * size + k"),
    ("im2col", "real value = 0", "real value = 1"),
    ("col2im", "+ top;", "- top;"),
    ("col2im", "k / C + left", "k / C + top"),
    ("col2im", "(h - KH) / SH + 1", "(h - KH) / SH"),
    ("col2im", "(h - KH) / SH + 1", "(h - KW) / SH + 1"),
    ("col2im", "h / SH < OH ? h / SH + 1 : OH", "h / SH + 1"),
    ("col2im", "if (begin < first) begin = first;", ""),
    ("col2im", "if (end > first + rows) end = first + rows;", ""),
    ("col2im", "(int)(r - n * OH) * SH", "(int)(r - n * OH) * SW"),
    ("col2im", "(w - KW) / SW + 1", "(w - KW) / SW"),
    ("col2im", "j * SW <= w", "j * SW < w"),
    ("col2im", "j < OW && ", ""),
    ("col2im", "k] += sum", "k] = sum"),
    ("col2im", "(r - first)", "r"),
    ("max_pool", "value > best", "value >= best"),
    ("max_pool", "value > best", "value < best"),
    ("max_pool", "log((real)0)", "0"),
    ("max_pool", "value != value", "false"),
    ("max_pool", "p * KW + q;", "p * KH + q;"),
    ("max_pool", "h < 0 || ", ""),
    ("max_pool", "h >= H", "h > H"),
    ("max_pool", "w >= Wd", "w > Wd"),
    ("max_pool", "q - left", "q"),
    ("max_pool", "i * SH", "i * SW"),
    ("max_pool", "y[row * (OW * C) + k]", "y[row * (OH * C) + k]"),
    ("unpool", "== here", "!= here"),
    ("unpool", "(h - i * SH) * KW", "(h - i * SH) * KH"),
    ("unpool", "k / C + left", "k / C - left"),
    ("unpool", "i * SH <= h", "i * SH < h"),
    ("unpool", "sum += y[from]", "sum = y[from]"),
    ("unpool", "row / H;", "row / OH;"),
    ("average_pool", "if (h0 < 0) h0 = 0;", ""),
    ("average_pool", "if (h1 > H) h1 = H;", ""),
    ("average_pool", "if (w1 > Wd) w1 = Wd;", ""),
    ("average_pool", "((h1 - h0) * (w1 - w0))", "(KH * KW)"),
    ("average_pool", "h < h1", "h <= h1"),
    ("average_pool", "w1 = w0 + KW", "w1 = w0 + KH"),
    ("average_pool_backward", "? top : i * SH", "? 0 : i * SH"),
    ("average_pool_backward", "? top + H : i", "? H : i"),
    ("average_pool_backward", "w0 = j * SW < left ? left", "w0 = j * SW < top ? top"),
    ("average_pool_backward", " / count", ""),
    ("average_pool_backward", "(w - KW) / SW + 1", "(w - KW) / SW"),
    ("average_pool_backward", "j * SW <= w", "j * SH <= w"),
    ("bias_relu", "k % F", "k / F"),
    ("bias_relu", "+ b[", "- b["),
    ("bias_relu", "value < 0 ? 0 : value", "value > 0 ? value : 0"),
    ("relu", "x[k] < 0 ? 0 : x[k]", "x[k] > 0 ? x[k] : 0"),
    ("relu", "x[k] < 0", "x[k] < -1"),
    ("relu_backward", "y[k] > 0", "y[k] >= 0"),
    ("relu_backward", "? dy[k] : 0", "? 0 : dy[k]"),
    ("column_sums", FIRST_BARRIER, FIRST_BARRIER.replace("__syncthreads();", "")),
    ("column_sums", "__syncthreads();  // all are read", "// all are read"),
    ("column_sums", "gridDim.y * 8", "8"),
    ("column_sums", "t = 1", "t = 0"),
    ("column_sums", "t < 8", "t < 7"),
    ("column_sums", "if (f < F)", ""),
    ("column_sums", "== 0 && f < F", "== 0"),
    ("column_sums", "blockIdx.y * (int64)F", "blockIdx.x * (int64)F"),
    ("sigmoid", "-fabs(x[k])", "-x[k]"),
    ("sigmoid", "(real)1 : e", "e : (real)1"),
    ("sigmoid", "(1 + e)", "(1 - e)"),
    ("sigmoid_backward", "(1 - y[k])", "(1 + y[k])"),
    ("sigmoid_backward", "* y[k] *", "*"),
    ("softmax", "t < K ? t : 0", "t"),
    ("softmax", "from[k] > most", "from[k] < most"),
    ("softmax", "fold(most, true)", "fold(most, false)"),
    ("softmax", "fold(sum, false)", "fold(sum, true)"),
    ("softmax", "exp(from[k] - most) / sum", "exp(from[k] - most)"),
    ("softmax", "row += gridDim.x", "row += gridDim.x + 1"),
    ("softmax_backward", "(d[k] - sum)", "(d[k] + sum)"),
    ("softmax_backward", "sum += d[k] * p[k]", "sum += d[k]"),
    ("softmax_backward", "sum = fold(sum, false);", ""),
    ("reduce.h", "part[t] = value;\n    __syncthreads();", "part[t] = value;"),
    ("reduce.h", "        __syncthreads();\n    }", "    }"),
    ("reduce.h", "part[0];\n    __syncthreads();", "part[0];"),
    ("reduce.h", "step = 128", "step = 64"),
    ("reduce.h", "step /= 2", "step /= 4"),
    ("reduce.h", "t < step", "t <= step"),
    ("reduce.h", "part[t + step]", "part[t + step - 1]"),
    ("reduce.h", "a + b", "a - b"),
    ("sigmoid_cross_entropy", "z[k] > 0 ? z[k] : 0", "z[k] > 0 ? 0 : z[k]"),
    ("sigmoid_cross_entropy", "- z[k] * t[k]", "+ z[k] * t[k]"),
    ("sigmoid_cross_entropy", "log1p(e)", "log(e)"),
    ("sigmoid_cross_entropy", "- t[k];", "+ t[k];"),
    ("softmax_cross_entropy", "log(sum) - right", "log(sum) + right"),
    ("softmax_cross_entropy", "right = fold(right, false);", ""),
    ("softmax_cross_entropy", " / sum - target[k]", " / sum"),
    ("softmax_cross_entropy", "l[row]", "l[blockIdx.x]"),
    ("softmax_cross_entropy", "< K ? threadIdx.x : 0", "< K ? threadIdx.x : K"),
    ("sgd", "-=", "+="),
    ("momentum", "+ g[k];", "- g[k];"),
    ("momentum", "nesterov ?", "!nesterov ?"),
    ("momentum", "v[k] = velocity;", ""),
    ("momentum", "mu * velocity", "mu * v[k] * mu"),
    ("rmsprop", "alpha * s[k]", "one_minus_alpha * s[k]"),
    ("rmsprop", "(sqrt(square) + eps)", "sqrt(square + eps)"),
    ("rmsprop", "* g[k] * g[k]", "* g[k]"),
    ("adam", "beta1 * m[k]", "beta2 * m[k]"),
    ("adam", "beta2 * s[k]", "beta1 * s[k]"),
    ("adam", "one_minus_beta2 * g", "one_minus_beta1 * g"),
    ("adam", " / root", ""),
    ("adam", "/ root", "* root"),
    ("adam", "lr * mean", "lr * g[k]"),
    ("implicit_gemm", "__syncthreads();  // the tiles are whole", "// the tiles are whole"),
    ("implicit_gemm", "__syncthreads();  // all have read", "// all have read"),
    ("implicit_gemm", "d0 + row < D && ", ""),
    ("implicit_gemm", "< D && f < F", "< D"),
    ("implicit_gemm", "m < M ? (int)(line % OH) * SH - top : H", "(int)(line % OH) * SH - top"),
    ("implicit_gemm", "if (m < M && f < F)", "if (f < F)"),
    ("implicit_gemm", "if (m < M && f < F)", "if (m < M)"),
    ("implicit_gemm", "d / C % KW", "d / C % KH"),
    ("implicit_gemm", "d0 += 16", "d0 += 15"),
    ("implicit_gemm", "* SH - top", "* SH + top"),
    ("implicit_gemm", "* SW - left", "* SH - left"),
    ("implicit_gemm", "(p * Wd + q)", "(p * H + q)"),
    ("implicit_gemm", "h < H", "h <= H"),
    ("implicit_gemm", "w >= 0 && ", ""),
    ("common.h", "(int64)blockDim.x + threadIdx.x; k < (size)",
     "(int64)blockDim.x + threadIdx.x; k <= (size)"),
    ("common.h", "k += (int64)gridDim.x * blockDim.x", "k += (int64)gridDim.x * blockDim.x + 1"),
    ("common.h", "row = blockIdx.y", "row = blockIdx.x"),
    ("common.h", "row < (rows)", "row <= (rows)"),
    ("common.h", "row += gridDim.y", "row += gridDim.y + 1"),
    ("common.h", "k < (size); k += gridDim.x * blockDim.x",
     "k <= (size); k += gridDim.x * blockDim.x"),
    ("common.h", "k += gridDim.x * blockDim.x", "k += gridDim.x * blockDim.x + 1"),
]
CHECKED_BY = {"common.h": ("relu", "im2col"), "reduce.h": ("softmax",)}  # else by its own check


def mutated(text, place, old, new):
    """The text of a file with one change, in the kernel `place` where it is one."""
    start = text.index(f"void {place}(") if not place.endswith(".h") else 0
    end = text.find('extern "C"', start)
    body = text[start:end if end > 0 else None]
    if body.count(old) != 1:
        raise SystemExit(f"{place}: expected {old!r} once, found it {body.count(old)} times.")
    return text[:start] + body.replace(old, new) + text[start + len(body):]


def make(folder, place, old, new):
    """A copy of kernels/ with that change."""
    shutil.copytree(launch.KERNELS, folder)
    file = folder / place if place.endswith(".h") else folder / launch.kernels(
        launch.KERNELS)[place].file.name
    file.write_text(mutated(file.read_text("utf-8"), place, old, new), "utf-8")


def death(mutant):
    """What killed it: a sentence; None where it survives."""
    faulthandler.dump_traceback_later(120, exit=True)  # one that never ends ends everything
    with tempfile.TemporaryDirectory() as folder, \
            mock.patch.dict(os.environ, MINICNN_CACHE=folder, MINICNN_SIM_FLAGS="-O0"), \
            mock.patch.object(simulator, "runs", 3):
        make(Path(folder, "kernels"), *mutant)
        with mock.patch.object(launch, "KERNELS", Path(folder, "kernels")):
            try:
                for large in False, True:
                    for name in CHECKED_BY.get(mutant[0], mutant[:1]):
                        checks.run(name, "float32", large)
                return None
            except AssertionError as error:
                return " ".join(str(error).split())
            except KernelError as error:
                if "compiles" in str(error):
                    raise
                return str(error).partition("; ")[2]
            finally:
                faulthandler.cancel_dump_traceback_later()


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    for name in checks.CHECKS:
        for large in False, True:
            checks.run(name, "float32", large)  # the kernels as they are pass
    with tempfile.TemporaryDirectory() as folder:
        for k, mutant in enumerate(MUTANTS):
            make(Path(folder, str(k)), *mutant)  # or it says which does not match
    alive = 0
    with concurrent.futures.ProcessPoolExecutor(
            os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for (place, old, new), why in zip(MUTANTS, pool.map(death, MUTANTS), strict=True):
            alive += why is None
            change = f"{' '.join(old.split())} -> {' '.join(new.split())}"
            say(f"{place:22} {change:75} {'SURVIVES' if why is None else why[:90]}")
    say(f"{len(MUTANTS)} mutants, {alive} survive")
    return min(alive, 1)


if __name__ == "__main__":
    sys.exit(main())
