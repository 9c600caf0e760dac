"""Does the test run notice a wrong kernel? Each mutant is a kernel with one fault; checks.py must
fail on it, by a wrong number or by the simulator's report.

    python tests/kernels/mutants.py --count 40     of each file its share; without --count all

Prints a line for each mutant and a sum; exits with 1 where more than 5 % survive, or one whose kind
no kernel may have (SURE: a barrier left out, …).

No mutant is written down: they are found in the sources by kinds of changes (KINDS), and known by
the file, the kind and the shape of the line, in which a, b, c … stand for the names in their order.
So none is lost when something is renamed or moved. Each is a process of its own, forked from this
one. Those that change nothing are named in SAME, by shape, with the reason.
"""

from __future__ import annotations

import argparse
import collections
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import checks

from minicnn.ops.cuda import launch, simulator
from minicnn.utils.errors import KernelError

SECONDS = 5  # of a processor: what takes longer never ends; right kernels take a third of one
CHECKED_BY = {  # else by its own check; those that add to an array see what is done twice
    "common.h": ("relu", "im2col", "sgd", "col2im"), "reduce.h": ("softmax",),
    "winograd.h": ("winograd_kernels", "winograd_tiles", "winograd_outputs",
                   "winograd_gradient_tiles", "winograd_weight_grads"),
    "convolve_pixels": ("direct_convolution",), "add_rows": ("direct_weight_grads",),
    "pool_pixel": ("max_pool",), "first_window": ("unpool",), "end_of_windows": ("unpool",),
    "unpool_pixel": ("unpool",),
    "transform_kernel": ("winograd_kernels",), "transform_tile": ("winograd_tiles",),
    "transform_outputs": ("winograd_outputs",), "transform_gradients": ("winograd_gradient_tiles",),
    "larger": ("winograd_outputs",)}
SURE = ("barrier",)  # kinds of which none may survive
# Mutants that no check can tell from the kernel: "file kind: shape": why.
SAME = {
    "activations.cu comparison: a[b] = c[b] * (c[b] >= 0 ? (real) 1 : d) / (1 + d); -> a[b] = c[b]"
    " * (c[b] > 0 ? (real) 1 : d) / (1 + d);":
        "e is 1 at 0",
    "activations.cu comparison: const real a = (b[c] >= 0 ? (real) 1 : d) / (1 + d); -> const real "
    "a = (b[c] > 0 ? (real) 1 : d) / (1 + d);":
        "e is 1 at 0",
    "activations.cu comparison: a[b] = c[b] * (d[b] >= 0 ? (real) 1 : e) / (1 + e); -> a[b] = c[b]"
    " * (d[b] > 0 ? (real) 1 : e) / (1 + e);":
        "e is 1 at 0",
    "activations.cu comparison: a[b] = c < 0 ? (real) 0 : c > d ? d : c; -> a[b] = c <= 0 ? "
    "(real) 0 : c > d ? d : c;":
        "0 becomes 0",
    "activations.cu comparison: a[b] = (c[b] >= 0 ? (real) 1 : d) / (1 + d); -> a[b] = (c[b] > 0 "
    "? (real) 1 : d) / (1 + d);":
        "e is 1 at 0",
    "activations.cu comparison: a (b, c) d[b] = (e[b] < 0 ? (real) 0 : e[b]) + log1p (exp (- fabs "
    "(e[b]))); -> a (b, c) d[b] = (e[b] <= 0 ? (real) 0 : e[b]) + log1p (exp (- fabs (e[b])));":
        "0 becomes 0",
    "cross_entropy.cu comparison: a[b] = (c[b] >= 0 ? (real) 1 : d) / (1 + d) - e[b]; -> a[b] = "
    "(c[b] > 0 ? (real) 1 : d) / (1 + d) - e[b];":
        "e is 1 at 0",
    "activations.cu comparison: a (b, c) d[b] = e[b] > 0 ? e[b] : f * g (e[b]); -> a (b, c) "
    "d[b] = e[b] >= 0 ? e[b] : f * g (e[b]);":
        "both are 0 at 0",
    "activations.cu comparison: a (b, c) d[b] = e[b] > 0 ? e[b] : f * e[b]; -> a (b, c) d[b] = "
    "e[b] >= 0 ? e[b] : f * e[b];":
        "both are 0 at 0",
    "activations.cu comparison: a[b * c + d] = e > 0 ? e : f * e; -> a[b * c + d] = e >= 0 ? e "
    ": f * e;":
        "both are 0 at 0",
    "activations.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31)":
        "some columns are computed twice, to the same",
    "activations.cu constant: a += gridDim.y * 8) -> a += gridDim.y * 7)":
        "some rows are computed twice, to the same",
    "activations.cu operand: a += gridDim.x * 32) -> a += gridDim.x)":
        "some columns are computed twice, to the same",
    "activations.cu operand: a += gridDim.y * 8) -> a += gridDim.y)":
        "some rows are computed twice, to the same",
    "activations.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31) (2)":
        "some columns are computed twice, to the same",
    "activations.cu constant: a += gridDim.y * 8) -> a += gridDim.y * 7) (2)":
        "some rows are computed twice, to the same",
    "activations.cu operand: a += gridDim.x * 32) -> a += gridDim.x) (2)":
        "some columns are computed twice, to the same",
    "activations.cu operand: a += gridDim.y * 8) -> a += gridDim.y) (2)":
        "some rows are computed twice, to the same",
    "batch_norm.cu comparison: a < b; -> a <= b;":
        "one more turn, in which no column is there",
    "batch_norm.cu constant: for (int a = blockIdx.x * 32; -> for (int a = blockIdx.x * 31;":
        "some columns are computed twice, to the same",
    "batch_norm.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31)":
        "some columns are computed twice, to the same",
    "batch_norm.cu operand: a += gridDim.x * 32) -> a += gridDim.x)":
        "some columns are computed twice, to the same",
    "batch_norm.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31) (2)":
        "some columns are computed twice, to the same",
    "batch_norm.cu constant: a += gridDim.y * 8) -> a += gridDim.y * 7) (2)":
        "some rows are computed twice, to the same",
    "batch_norm.cu operand: a += gridDim.x * 32) -> a += gridDim.x) (2)":
        "some columns are computed twice, to the same",
    "batch_norm.cu operand: a += gridDim.y * 8) -> a += gridDim.y) (2)":
        "some rows are computed twice, to the same",
    "batch_norm.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31) (3)":
        "some columns are computed twice, to the same",
    "batch_norm.cu constant: a += gridDim.y * 8) -> a += gridDim.y * 7) (3)":
        "some rows are computed twice, to the same",
    "batch_norm.cu operand: a += gridDim.x * 32) -> a += gridDim.x) (3)":
        "some columns are computed twice, to the same",
    "batch_norm.cu operand: a += gridDim.y * 8) -> a += gridDim.y) (3)":
        "some rows are computed twice, to the same",
    "average_pool.cu constant: if (a < 0) a = 0; -> if (a < 1) a = 0;": "0 becomes 0",
    "average_pool.cu constant: if (a < 0) a = 0; -> if (a < 1) a = 0; (2)": "0 becomes 0",
    "bias_relu.cu comparison: a < b; -> a <= b;": "one more turn, in which no column is there",
    "bias_relu.cu constant: a += gridDim.x * 32) -> a += gridDim.x * 31)":
        "some columns are summed twice, to the same",
    "bias_relu.cu constant: for (int a = blockIdx.x * 32; -> for (int a = blockIdx.x * 31;":
        "the same",
    "bias_relu.cu operand: for (int a = blockIdx.x * 32; -> for (int a = blockIdx.x;": "the same",
    "bias_relu.cu operand: a += gridDim.x * 32) -> a += gridDim.x)": "the same",
    "cross_entropy.cu axis: a += blockDim.x) -> a += blockDim.y) (3)":
        "a row's block has one row of threads: each does all that is left, to the same",
    "cross_entropy.cu axis: a += blockDim.x) -> a += blockDim.y)": "the same",
    "cross_entropy.cu axis: a += gridDim.x) -> a += gridDim.y)":
        "the grid has one row of blocks: each does all rows that are left, to the same",
    "cross_entropy.cu axis: real a = b[(int) threadIdx.x < c ? threadIdx.x : 0]; -> real a = "
    "b[(int) threadIdx.x < c ? threadIdx.y : 0];":
        "any number of the row will do to begin with",
    "cross_entropy.cu guard: if (threadIdx.x == 0) a[b] = log (c) - d; -> if (true) a[b] = log "
    "(c) - d;":
        "all threads have the same sums",
    "cross_entropy.cu axis: if (threadIdx.x == 0) a[b] = log (c) - d; -> if (threadIdx.y == 0) "
    "a[b] = log (c) - d;":
        "the same",
    "cross_entropy.cu constant: if (threadIdx.x == 0) a[b] = log (c) - d; -> if (threadIdx.x == "
    "1) a[b] = log (c) - d;":
        "the same",
    "cross_entropy.cu comparison: if (threadIdx.x == 0) a[b] = log (c) - d; -> if (threadIdx.x !="
    " 0) a[b] = log (c) - d;":
        "the same",
    "cross_entropy.cu condition: if (a[b] > c || a[b] != a[b]) c = a[b]; -> if (a[b] > c) c = "
    "a[b];":
        "the sum of exponentials is NaN all the same",
    "cross_entropy.cu comparison: if (a[b] > c || a[b] != a[b]) c = a[b]; -> if (a[b] >= c || "
    "a[b] != a[b]) c = a[b];":
        "equal numbers",
    "im2col.cu comparison: if (a >= b) continue; -> if (a > b) continue;":
        "the loop has no turn, and 0 is added",
    "implicit_gemm.cu constant: a[b][c % 64] = d + b < e && f < g ? h[(int64) (d + b) * g + f] : "
    "(real) 0; -> a[b][c % 64] = d + b < e && f < g ? h[(int64) (d + b) * g + f] : (real) 1;":
        "the other tile holds 0 there",
    "implicit_gemm.cu condition: if (a < b && c >= 0 && c < d && e >= 0 && e < f) g = h[i[j] + "
    "(int64) (k * f + l) * m + n]; -> if (c >= 0 && c < d && e >= 0 && e < f) g = h[i[j] + "
    "(int64) (k * f + l) * m + n];":
        "the other tile holds 0 there: an infinite pixel alone could tell",
    "implicit_gemm.cu comparison: if (a < b && c >= 0 && c < d && e >= 0 && e < f) g = h[i[j] + "
    "(int64) (k * f + l) * m + n]; -> if (a <= b && c >= 0 && c < d && e >= 0 && e < f) g = "
    "h[i[j] + (int64) (k * f + l) * m + n];":
        "the other tile holds 0 there: an infinite pixel alone could tell",
    "direct.cu constant: a ((b + c - 1) / c, d, e, f + (g * h + i * j) * k * l, m, n, o + (p + q) "
    "* b * d, k, l, b, d, r, s, t, u); -> a ((b + c - 0) / c, d, e, f + (g * h + i * j) * k * l, m,"
    " n, o + (p + q) * b * d, k, l, b, d, r, s, t, u);":
        "a thread too many, beyond the row, writes nothing",
    "direct.cu operand: a ((b + c - 1) / c, d, e, f + (g * h + i * j) * k * l, m, n, o + (p + q) "
    "* b * d, k, l, b, d, r, s, t, u); -> a ((b + c) / c, d, e, f + (g * h + i * j) * k * l, m, n, "
    "o + (p + q) * b * d, k, l, b, d, r, s, t, u);":
        "the same",
    "direct.cu arithmetic: a ((b + c - 1) / c, d, e, f + (g * h + i * j) * k * l, m, n, o + (p + q)"
    " * b * d, k, l, b, d, r, s, t, u); -> a ((b + c + 1) / c, d, e, f + (g * h + i * j) * k * l, "
    "m, n, o + (p + q) * b * d, k, l, b, d, r, s, t, u);":
        "the same",
    "direct.cu operand: a ((b + c - 1) / c, d, e, f + (g * h + i * j) * k * l, m, n, o + (p + q) "
    "* b * d, k, l, b, d, r, s, t, u); -> a ((b + c - 1), d, e, f + (g * h + i * j) * k * l, m, n,"
    " o + (p + q) * b * d, k, l, b, d, r, s, t, u);":
        "the same",
    "direct.cu operand: if (a % 12 == 0) { -> if (a == 0) {":
        "fewer numbers in registers, the same sums",
    "direct.cu operand: else if (a % 9 == 0) { -> else if (a == 0) {": "the same",
    "direct.cu operand: else if (a % 3 == 0) { -> else if (a == 0) {": "the same",
    "max_pool.cu comparison: a = (b > a) | (b != b) ? b : a; -> a = (b >= a) | (b != b) ? b : a;":
        "an equal number is the same",
    "direct.cu operand: const int a = b * c * d, e = c * d; -> const int a = b * c * d, e = c;":
        "the same: what divides KW divides the run",
    "softmax.cu axis: a += blockDim.x) -> a += blockDim.y)":
        "a row's block has one row of threads: each does all that is left, to the same",
    "softmax.cu axis: a += blockDim.x) -> a += blockDim.y) (3)": "the same",
    "softmax.cu axis: a += blockDim.x) -> a += blockDim.y) (5)": "the same",
    "softmax.cu axis: a += gridDim.x) -> a += gridDim.y) (2)":
        "the grid has one row of blocks: each does all rows that are left, to the same",
    "softmax.cu axis: a += gridDim.x) -> a += gridDim.y)":
        "the grid has one row of blocks: each does all rows that are left, to the same",
    "softmax.cu comparison: a = b[c] > a || b[c] != b[c] ? b[c] : a; -> a = b[c] >= a || b[c] != "
    "b[c] ? b[c] : a;":
        "equal numbers",
    "softmax.cu condition: a = b[c] > a || b[c] != b[c] ? b[c] : a; -> a = b[c] > a ? b[c] : a;":
        "the sum of exponentials is NaN all the same",
    "implicit_gemm.cu comparison: a < b; -> a <= b;": "one more step adds 0",
    'common.h constant: a (" b 1 ") # -> a (" b 0 ") #':
        "how the compiler unrolls changes no number",
    "im2col.cu constant: a += 32) -> a += 31)": "some numbers are copied twice",
    "im2col.cu operand: a += gridDim.x * blockDim.y) -> a += gridDim.x)":
        "pixels are copied several times",
    "winograd.cu comparison: a < 4; -> a <= 4;": "what is not of the tile's 4 × 4 is left out",
    "winograd.cu comparison: a < 4; -> a <= 4; (2)": "the same",
    "winograd.cu comparison: return (a > b) | (a != a) ? a : b; -> return (a >= b) | (a != a) ? a "
    ": b;":
        "equal numbers",
}

# ---- the tokens of a kernel
TOKEN = re.compile(r"(?P<skip>\s+|\\\n|//[^\n]*|/\*.*?\*/)|(?P<head>#(?:include|pragma)[^\n]*|"
                   r"#define \w+(?:\([^)]*\))?)|(?P<name>[A-Za-z_]\w*)|(?P<number>\.?\d[\w.]*)|"
                   r"(?P<sign><<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|->|[-+*/%&|^]=|.)", re.S)
TYPES = "bool char const double float int int64 long place real switch_t unsigned void".split()
WORDS = [*TYPES, *"break continue else extern for if return typedef while __device__ __global__ "
         "__shared__ __syncthreads blockDim blockIdx gridDim threadIdx true false exp fabs "
         "log log1p sqrt".split()]
CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
ASSIGN = ("=", "+=", "-=", "*=", "/=")


@dataclass(frozen=True)
class Token:
    """A word, number or sign, where it begins in the file and where it ends."""

    text: str
    start: int
    end: int


def tokens(text: str, start: int = 0, end: int | None = None) -> list[Token]:
    """Those between two places, without comments; "#" is the head of a preprocessor line."""
    found = TOKEN.finditer(text, start, len(text) if end is None else end)
    return [Token("#" if m.lastgroup == "head" else m[0], m.start(), m.end()) for m in found
            if m.lastgroup != "skip"]


def partner(code: list[Token], k: int) -> int:
    """Where the bracket that opens at k closes."""
    depth = 0
    for n in range(k, len(code)):
        depth += (code[n].text in CLOSED_BY) - (code[n].text in CLOSED_BY.values())
        if not depth:
            return n
    raise ValueError(f"a bracket that opens at {code[k].start} never closes")


def until(code: list[Token], k: int, stops: tuple[str, ...], step: int = 1) -> int:
    """The first place from k on with one of the stops, or with the end of the bracket around k."""
    opens, closes = set(CLOSED_BY), set(CLOSED_BY.values())
    if step < 0:
        opens, closes = closes, opens
    depth = 0
    while 0 <= k < len(code):
        text = code[k].text
        if not depth and (text in stops or text in closes):
            return k
        depth += (text in opens) - (text in closes)
        k += step
    return k


def body(text: str, place: str) -> list[Token]:
    """The tokens of a kernel, or of a function that kernels call, from its { to its }; or of a
    whole header."""
    if place.endswith(".h"):
        return tokens(text)
    found = re.search(rf"(?:__global__\s+void|__device__\s+\w+)\s+{place}\s*\(", text)
    if not found:
        raise SystemExit(f"{place}: expected a kernel of this name, found none.")
    code = tokens(text, found.start())
    first = next(k for k, token in enumerate(code) if token.text == "{")
    return code[first:partner(code, first) + 1]


# ---- the kinds of changes: each gives (first token, token behind the last, what stands there)
Edit = tuple[int, int, str]


def exchange(partners: dict[str, str]) -> Callable[[list[Token]], Iterator[Edit]]:
    """One sign or name for another."""
    def changes(code: list[Token]) -> Iterator[Edit]:
        for k, token in enumerate(code):
            if token.text in partners:
                yield k, k + 1, partners[token.text]
    return changes


def both_ways(text: str) -> dict[str, str]:
    """"a b, c d" -> each word with its partner."""
    pairs = [pair.split() for pair in text.split(", ")]
    return dict(pairs) | {b: a for a, b in pairs}


def comparison(code: list[Token]) -> Iterator[Edit]:
    """< as <=, == as !=, …; but for a < b ? b : a and if (a < b) a = b, the same where a is b."""
    others = both_ways("< <=, > >=, == !=")
    text = [token.text for token in code]
    stops = ("&&", "||", "?", ":", ";", ",", "=", "return")
    for k, sign in enumerate(text):
        if sign not in others or (sign == "<" and text[k + 2:k + 3] == [">"]) or (
                sign == ">" and text[k - 2] == "<"):  # Tile<real> compares nothing
            continue
        first, end = until(code, k - 1, stops, -1) + 1, until(code, k + 1, stops)
        left, right = text[first:k], text[k + 1:end]
        clamps = [[*left, "=", *right, ";"]]
        begin = end + 1
        if text[end:end + 1] == ["?"]:
            clamps = [[*a, ":", *b] for a, b in ((left, right), (right, left))]
        if sign in ("==", "!=") or not any(text[begin:begin + len(c)] == c for c in clamps):
            yield k, k + 1, others[sign]


def is_binary(code: list[Token], k: int) -> bool:
    """Whether + - * / % at k stands between two values: not a sign, a pointer or a cast's guest."""
    before = code[k - 1].text if k else "("
    if before == ")":  # (int)-x, but not (a + b) - x
        first = k - 1
        while code[first].text != "(":
            first -= 1
        return not all(token.text in TYPES for token in code[first + 1:k - 1])
    return before == "]" or bool(re.match(r"\w", before)) and before not in WORDS[:len(TYPES)]


def arithmetic(code: list[Token]) -> Iterator[Edit]:
    """− for +, + for −, / for %."""
    others = {"+": "-", "-": "+", "%": "/"}
    for k, token in enumerate(code):
        if token.text in others and is_binary(code, k):
            yield k, k + 1, others[token.text]


def negation(code: list[Token]) -> Iterator[Edit]:
    """A sign − left out."""
    for k, token in enumerate(code):
        if token.text == "-" and not is_binary(code, k):
            yield k, k + 1, ""


def operand(code: list[Token]) -> Iterator[Edit]:
    """a + b as a: an operand on the right, left out with its sign."""
    weak = ("+", "-", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "?", ":", ";", ",", *ASSIGN)
    for k, token in enumerate(code):
        if token.text in "+-*/%" and is_binary(code, k):
            stops = weak if token.text in "+-" else (*weak, "*", "/", "%")
            yield k, until(code, k + 1, stops), ""


def constant(code: list[Token]) -> Iterator[Edit]:
    """A whole number less one, 1 for 0."""
    for k, token in enumerate(code):
        if token.text.isdigit():
            yield k, k + 1, str(int(token.text) - 1) if int(token.text) else "1"


def axis(code: list[Token]) -> Iterator[Edit]:
    """The other axis: SW for SH, left for top, threadIdx.y for threadIdx.x."""
    names = {token.text for token in code}
    sizes = both_ways("H Wd, OH OW, KH KW, SH SW, top left")
    for k, token in enumerate(code):
        if sizes.get(token.text) in names:
            yield k, k + 1, sizes[token.text]
        elif token.text in "xy" and k and code[k - 1].text == ".":
            yield k, k + 1, "yx"["xy".index(token.text)]


def condition(code: list[Token]) -> Iterator[Edit]:
    """One side of && or || left out."""
    stops = ("&&", "||", "?", ":", ";", ",", "=", "return")
    for k, token in enumerate(code):
        if token.text in ("&&", "||"):
            yield until(code, k - 1, stops, -1) + 1, k + 1, ""
            yield k, until(code, k + 1, stops), ""


def branches(code: list[Token]) -> Iterator[Edit]:
    """c ? a : b as c ? b : a."""
    for k, token in enumerate(code):
        if token.text == "?":
            middle = until(code, k + 1, (":",))
            end = until(code, middle + 1, (":", ";", ","))
            first, second = (" ".join(token.text for token in part)
                             for part in (code[k + 1:middle], code[middle + 1:end]))
            yield k + 1, end, f"{second} : {first}"


def barrier(code: list[Token]) -> Iterator[Edit]:
    """A __syncthreads() left out."""
    for k, token in enumerate(code):
        if token.text == "__syncthreads" and code[k + 3].text == ";":
            yield k, k + 4, ""


def statement(code: list[Token]) -> Iterator[Edit]:
    """An assignment left out."""
    for k, token in enumerate(code):
        if k and code[k - 1].text in (";", "{", "}", ")", "else") and re.match(r"[a-z]\w*$",
                                                                               token.text):
            end = until(code, k, (";",))
            words = [token.text for token in code[k:end]]
            if (token.text not in WORDS and end < len(code) and code[end].text == ";"
                    and any(sign in words for sign in ASSIGN)):
                yield k, end, ""


def guard(code: list[Token]) -> Iterator[Edit]:
    """What stands behind an if is done always."""
    for k, token in enumerate(code):
        if token.text == "if":
            yield k + 1, partner(code, k + 1) + 1, "(true)"


def stride(code: list[Token]) -> Iterator[Edit]:
    """A loop's step of one more."""
    for k, token in enumerate(code):
        if token.text == "for":
            end = partner(code, k + 1)
            last = max(n for n in range(k, end) if code[n].text == ";")
            if any(token.text == "+=" for token in code[last:end]):
                yield end, end, " + 1 "


def narrow_number(code: list[Token]) -> Iterator[Edit]:
    """A number of 32 bits where 64 were. Only arrays of more than 2^31 elements can tell."""
    for k, token in enumerate(code):
        if token.text == "int64" and code[k - 1].text != "long":  # but for its own typedef
            yield k, k + 1, "int"


def narrow_index(code: list[Token]) -> Iterator[Edit]:
    """An index made of a number of 64 bits, cut to 32. Only such arrays can tell. In calls, and
    where a pointer begins: what is added to another one, for image n or a matrix of Winograd's."""
    text = [token.text for token in code]
    wide = {text[k + 1] for k in range(len(text)) if text[k] == "int64"}
    wide |= {text[k + 2] for k in range(len(text)) if text[k] == "EACH_ROW"}
    for k, token in enumerate(code):
        if token.text == "+" and text[k - 2] == "=":  # const real* image = x + n * …;
            behind = until(code, k, (";",))
            if any(name.isidentifier() for name in wide & set(text[k + 1:behind])):
                yield k + 1, behind, f"(int)({' '.join(text[k + 1:behind])})"
        if token.text in ("EACH_CHANNEL", "EACH_LANE", "read", "write"):
            end = partner(code, until(code, k, ("(",)))
            for n in range(k, end):
                behind = min(until(code, n + 1, (",",)), end)
                if text[n] == "+" and text[n - 1].isidentifier() and text[n - 2] in ("(", ",") and \
                        {"n", "matrix"} & set(text[n + 1:behind]):
                    yield n + 1, behind, f"(int)({' '.join(text[n + 1:behind])})"
        if token.text == "[":
            inside = text[k + 1:partner(code, k)]
            if len(inside) > 1 and wide & set(inside):
                yield k + 1, partner(code, k), f"(int)({' '.join(inside)})"


KINDS = {
    "arithmetic": arithmetic, "axis": axis, "barrier": barrier, "branches": branches,
    "comparison": comparison, "condition": condition, "constant": constant, "guard": guard,
    "negation": negation, "operand": operand, "statement": statement, "stride": stride,
    "sum": exchange({"+=": "=", "-=": "+="}),
    "function": exchange(both_ways("true false, sqrt fabs") | {"exp": "log", "log1p": "log",
                                                               "log": "log1p"}),
}


# ---- mutants
@dataclass(frozen=True)
class Mutant:
    """One fault of a kernel, or of a header: `text` is the file's with it."""

    place: str
    kind: str
    change: str
    shape: str
    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.place:22} {self.kind:10} {self.change}"

    @property
    def key(self) -> str:
        return f"{self.file} {self.kind}: {self.shape}"

    @property
    def lot(self) -> int:
        """By which it is chosen."""
        return zlib.crc32(self.key.encode())


def spaced(words: list[str]) -> str:
    """Words as a line of code."""
    return re.sub(r" (?=[\])};,.\[])|(?<=[\[(.!]) ", "", " ".join(words))


def anonymous(words: list[str], letters: dict[str, str]) -> str:
    """Words with a, b, c … for the names, but for those of C++ and CUDA."""
    def letter(word: str, before: str) -> str:
        if not re.match(r"[A-Za-z_]", word) or word in WORDS or before == ".":
            return word
        k = len(letters)
        return letters.setdefault(word, "abcdefghijklmnopqrstuvwxyz"[k % 26] * (k // 26 + 1))
    return spaced(list(map(letter, words, ["", *words])))


def line_ends(code: list[Token]) -> set[int]:
    """The last tokens of lines of code: ; { } and the ) of for (…)."""
    loops = {partner(code, k + 1) for k, token in enumerate(code) if token.text == "for"}
    return loops | {k for k, token in enumerate(code) if token.text in ";{}#"}


def mutants_of(place: str, file: str, text: str, kinds: dict[str, Callable],
               seen: collections.Counter | None = None) -> list[Mutant]:
    """All of a kernel or a header, whose file holds this text. seen: the shapes so far."""
    code, found = body(text, place), []
    ends, seen = line_ends(code), collections.Counter() if seen is None else seen
    for kind, changes in kinds.items():
        for first, behind, new in changes(code):
            start, end = first, max(behind, first + 1)
            while start and start - 1 not in ends:
                start -= 1
            while end < len(code) and end - 1 not in ends:
                end += 1
            old = [token.text for token in code[start:end]]
            changed = [*(token.text for token in code[start:first]),
                       *(token.text for token in tokens(new)),
                       *(token.text for token in code[behind:end])]
            letters: dict[str, str] = {}
            shape = f"{anonymous(old, letters)} -> {anonymous(changed, letters)}"
            seen[kind, shape] += 1
            shape += f" ({seen[kind, shape]})" * (seen[kind, shape] > 1)
            begin = code[first].start
            stop = code[behind - 1].end if behind > first else begin
            found.append(Mutant(place, kind, f"{spaced(old)} -> {spaced(changed)}", shape,
                                file, text[:begin] + new + text[stop:]))
    return found


def places(folder: Path) -> dict[str, Path]:
    """The kernels and the headers that they include, with their files."""
    headers = {file.name: file for file in sorted(folder.glob("*.h")) if file.name in CHECKED_BY}
    called = {name: file for file in sorted(folder.glob("*.cu")) for name in CHECKED_BY
              if re.search(rf"__device__\s+\w+\s+{name}\s*\(", file.read_text("utf-8"))}
    return {name: kernel.file
            for name, kernel in launch.kernels(folder).items()} | called | headers


def mutants(kinds: dict[str, Callable] = KINDS, folder: Path = launch.KERNELS) -> list[Mutant]:
    """All, with those that no check can tell."""
    seen = collections.defaultdict(collections.Counter)
    return [m for place, file in places(folder).items()
            for m in mutants_of(place, file.name, file.read_text("utf-8"), kinds, seen[file])]


def chosen(count: int | None) -> list[Mutant]:
    """That many, of every kernel its share, or all; those that no check can tell are left out."""
    every = collections.defaultdict(list)
    for mutant in mutants():
        if mutant.key not in SAME:
            every[mutant.place].append(mutant)
    total = sum(map(len, every.values()))
    share = min(1, (total if count is None else count) / total)
    return [m for some in every.values()
            for m in sorted(some, key=lambda m: m.lot)[:math.ceil(share * len(some))]]


def make(folder: Path, mutant: Mutant) -> None:
    """A copy of kernels/ with that fault."""
    shutil.copytree(launch.KERNELS, folder)
    (folder / mutant.file).write_text(mutant.text, "utf-8")


def death(mutant: Mutant, cache: Path) -> str | None:
    """What killed it: a sentence; None where it survives. cache: a folder for what is compiled."""
    with tempfile.TemporaryDirectory() as folder, \
            mock.patch.dict(os.environ, MINICNN_CACHE=str(cache), MINICNN_SIM_FLAGS="-O0"), \
            mock.patch.object(simulator, "runs", 3):
        make(Path(folder, "kernels"), mutant)
        with mock.patch.object(launch, "KERNELS", Path(folder, "kernels")):
            try:
                for large in False, True:
                    for name in CHECKED_BY.get(mutant.place, (mutant.place,)):
                        checks.run(name, "float32", large)
                return None
            except AssertionError as error:
                return " ".join(str(error).split())
            except KernelError as error:
                if "compiles" in str(error):
                    raise
                return str(error).partition("; ")[2]


def live(mutant: Mutant, answer: Path) -> None:
    """The child's part: writes "survives" or what killed the mutant."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    signal.alarm(10 * SECONDS)
    try:
        said = death(mutant, answer.parent)
        answer.write_text("survives" if said is None else f"killed: {said}", "utf-8")
    except KernelError as error:
        answer.write_text(f"error: {error}", "utf-8")


def deaths(some: list[Mutant], jobs: int) -> Iterator[tuple[Mutant, str | None]]:
    """Each mutant with what killed it, as they come; `jobs` processes at a time."""
    waiting, running = list(reversed(list(enumerate(some)))), {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            if waiting and len(running) < jobs:
                number, mutant = waiting.pop()
                answer = Path(folder, str(number))
                sys.stdout.flush()
                child = os.fork()
                if not child:
                    try:
                        live(mutant, answer)
                    finally:
                        os._exit(0)
                running[child] = mutant, answer
                continue
            child, status = os.wait()
            mutant, answer = running.pop(child)
            said = answer.read_text("utf-8") if answer.exists() else (
                f"killed: ended by {os.waitstatus_to_exitcode(status)}, as it took too long")
            if said.startswith("error"):
                raise SystemExit(f"{mutant}: expected a kernel that compiles. {said}")
            yield mutant, None if said == "survives" else said.partition(": ")[2]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """The table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--count", type=int, help="how many mutants, about")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    args = p.parse_args()
    some = chosen(args.count)
    for name in dict.fromkeys(m.place for m in some if m.place in checks.CHECKS):
        for large in False, True:
            checks.run(name, "float32", large)  # the kernels as they are pass
    alive = []
    for mutant, why in deaths(some, args.jobs):
        say(f"{mutant} | {'SURVIVES' if why is None else why[:90]}")
        if why is None:
            alive.append(mutant)
            say(f"    shape: {mutant.key}")
    found = {m.key for m in mutants()}
    for key in [key for key in SAME if key not in found]:
        say(f"excused in this file, but no longer a mutant: {key}")
    say(f"{len(some)} mutants, {len(alive)} survive")
    return int(len(alive) > 0.05 * len(some) or any(m.kind in SURE for m in alive))


if __name__ == "__main__":
    sys.exit(main())
