"""Does the test run notice a wrong formula? Each mutant is the engine with one small change.

    python -m tests.mutation --count 210

changes an operator, a comparison, a constant, the order of two arguments or axes, …, or leaves out
a statement, and runs the tests of that file until one fails: first those on the processor, then
those on cuda-sim, then the other tests of the engine (of ops/cuda/ all on cuda-sim). Prints a line
for each mutant that survives and a table; exits with 1 where more than 5 % survive.

Nothing is written: each mutant is a process of its own, forked from this one, in which the changed
code is imported in the place of the file's. Error messages, type hints and docstrings stay as they
are. Which mutants of a file are taken depends on a checksum of their shape, the statement
without its names, so the choice is the same again, stays when something is renamed, and a change in
one file leaves that in the others.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import collections
import contextlib
import copy
import fnmatch
import functools
import gc
import importlib.machinery
import math
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import torch

ROOT = Path(__file__).parents[1]
SECONDS, MEMORY = 120, 8 << 30  # of a processor, and bytes: one that needs more counts as killed
FILES = ("initializers.py", "layers/**/*.py", "losses.py", "ops/**/*.py", "optimizers.py",
         "**/winograd.py")  # of minicnn/: where the formulas are …
NO_FORMULAS = ("__init__", "checks", "argument_checks", "array_modules", "compiler", "flat",
               "kernel_files", "launch", "library", "network", "operations", "probes", "processor",
               "protocols", "signatures", "simulator", "threads", "tuning")
# … and are not: they refuse, launch or divide the work, which tests of their own look at
ENGINE = ("ops", "layers", "test_initializers.py", "test_losses.py", "test_optimizers.py",
          "gradcheck/test_gradcheck.py", "test_model.py", "test_against_torch.py",
          "test_devices.py")  # below tests/: what runs when a file's own tests notice nothing
FIRST = {  # file of minicnn/ without a test of its name: the quick and pointed tests to begin with
    "layers/rescaling.py": ("layers/test_reshaping.py",),
    "layers/*": ("layers/test_rows.py", "layers/test_every_layer.py"),
    "ops/*/dense.py": ("layers/test_rows.py",),
    "ops/*/steps.py": ("ops/test_elementwise.py", "test_optimizers.py"),
    "ops/native/*": ("ops/test_direct_native.py", "ops/test_native.py", "test_optimizers.py"),
    "ops/cuda/accesses.py": ("kernels/test_accesses.py",),
    "ops/cuda/ladder.py": ("kernels/test_ladder.py",),
    "ops/cuda/products.py": ("ops/test_precision.py",),
}
OPTIONS = ["-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
# Mutants that no test can tell from the engine, by file and shape: the statement before and after
# the change, in which a, b, c … stand for the names in their order; (2): the second of this shape
# in the file. (--verbose prints the shapes.)
SAME = {
    "ops/native/winograd_backward.py: a = max((b.c - b.d for b in e), f=0) -> "
    "a = max((b.c + b.d for b in e), f=0)":
        "a larger buffer",
    "ops/native/steps.py: if a((b, c, d), (e,)): -> if a((c, b, d), (e,)):":
        "all three are written, and the check treats them alike",
    "layers/base.py: for a in (b.c, b.d): -> for a in (b.d, b.c):":
        "in any order",
    "layers/reshaping.py: a = ('height', 'width', 'interpolation', 'crop_to_aspect_ratio', "
    "'pad_to_aspect_ratio', 'antialias') -> a = ('width', 'height', 'interpolation', "
    "'crop_to_aspect_ratio', 'pad_to_aspect_ratio', 'antialias')":
        "in any order",
    "losses.py: return a(b, c).d(b, c) -> return a(c, b).d(b, c) (2)":
        "both are on one device",
    "ops/cuda/accesses.py: a = b.c(b.d(e[f], g=-1)) -> a = b.c(b.d(e[f], g=1))":
        "numbers begin with 0, which differs from −1 and from 1",
    "ops/cuda/conv.py: a, b = c.d[2:] -> b, a = c.d[2:] (2)":
        "the algorithm depends on the smaller of the two",
    "ops/cuda/elementwise.py: for a in (min(-(-len(b) // 64), 1024), 1): -> "
    "for a in (min(-(-len(b) // 64), 1023), 1):":
        "how many blocks share the rows; sums differ by their rounding",
    "ops/cuda/normalization.py: a(b, c(d, e), *f, g, d, e, h=(32, 8, 1)) -> "
    "a(b, c(d, e), *f, g, d, e, h=(32, 8, 2))":
        "the threads of the second layer compute the same once more",
    "ops/cuda/pooling.py: a, b, c, d = e[-1].f -> b, a, c, d = e[-1].f":
        "only the product of the two is used",
    "ops/cuda/winograd.py: a('winograd_kernels', b(c, d), e, f, c * d, c * d, c, d, 0, d) -> "
    "a('winograd_kernels', b(d, c), e, f, c * d, c * d, c, d, 0, d)":
        "how many blocks share the kernels; their loops take what is left",
    "ops/fast/im2col_blocks.py: a = max((b.c - b.d for b in e), f=0) -> "
    "a = max((b.c - b.d for b in e), f=1)":
        "without a block nothing is written to the buffer",
    "ops/fast/winograd.py: a = b * max((c.d - c.e for c in f), g=0) -> "
    "a = b * max((c.d + c.e for c in f), g=0)":
        "a larger buffer, and fewer filters at once",
    "ops/reference/elementwise.py: return a.b(c > 0, c, d * c) -> return a.b(c >= 0, c, d * c) (2)":
        "0 for x = 0, either way, as alpha is finite",
}


# ---- the changes
def pairs(text: str) -> dict[str, str]:
    """"a b, c d" -> each word with its partner."""
    both = [pair.split() for pair in text.split(", ")]
    return dict(both) | {b: a for a, b in both}


OPERATORS = {**pairs("Add Sub, Mult Div, LShift RShift, BitAnd BitOr, Lt LtE, Gt GtE, Eq NotEq, "
                     "Is IsNot, In NotIn, And Or"), "FloorDiv": "Div", "Mod": "Mult", "Pow": "Mult"}
NAMES = pairs("min max, maximum minimum, zeros ones, zeros_like ones_like, any all, log exp, "
              "argmax argmin, mean sum, sqrt abs")
EITHER_WAY = "max min maximum minimum add bitwise_and array_module swapaxes".split()
LEFT_ALONE = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
NO_VALUES = ("annotation", "returns", "decorator_list", "bases")
AT_A_TIME = ("BLOCK_ELEMENTS", "KERNEL_ELEMENTS")


def edited(node: ast.AST, **fields: object) -> ast.AST:
    """A copy of the node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def exchanged(operator: ast.AST) -> ast.AST | None:
    """+ for −, < for ≤, …"""
    other = OPERATORS.get(type(operator).__name__)
    return getattr(ast, other)() if other else None


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What can stand in the place of a node."""
    match node:
        case ast.BinOp(left, op, right):
            if other := exchanged(op):
                yield edited(node, op=other)
            if not isinstance(op, (ast.Add, ast.Mult)):
                yield edited(node, left=right, right=left)
        case ast.BoolOp(op) if other := exchanged(op):
            yield edited(node, op=other)
        case ast.Compare(ops=ops):
            for k, op in enumerate(ops):
                if other := exchanged(op):
                    yield edited(node, ops=[*ops[:k], other, *ops[k + 1:]])
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(bool(value)):
            yield edited(node, value=not value)
        case ast.Constant(int(value) | float(value)):
            yield from (edited(node, value=value + step) for step in (1, -1))
        case ast.Name(name) if name in NAMES:
            yield edited(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield edited(node, attr=NAMES[name])
        case ast.Call(ast.Name(name) | ast.Attribute(attr=name), [a, b, *more]) if (
                name not in EITHER_WAY and not isinstance(b, ast.Starred)):
            yield edited(node, args=[b, a, *more])
        case ast.Tuple(elts=[a, b, *more]) if not isinstance(b, ast.Starred):
            yield edited(node, elts=[b, a, *more])
        case ast.Slice(lower, upper):
            for name, edge in ("lower", lower), ("upper", upper):
                if edge and not isinstance(edge, ast.Constant):
                    yield edited(node, **{name: ast.BinOp(edge, ast.Add(), ast.Constant(1))})
        case ast.IfExp(test, body, orelse):
            yield edited(node, body=orelse, orelse=body)
        case ast.If(test):
            yield edited(node, test=ast.UnaryOp(ast.Not(), test))
            yield ast.Pass()
        case ast.AugAssign(op=op):
            if other := exchanged(op):
                yield edited(node, op=other)
            yield ast.Pass()
        case ast.Expr(ast.Call()) | ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def how_much(node: ast.AST) -> bool:
    """Whether it says how much is worked at a time: that is speed and memory alone."""
    parts = [getattr(node, name, None) for name in ("left", "right")]
    return any(isinstance(part, ast.Name) and part.id in AT_A_TIME
               for part in [*parts, *getattr(node, "targets", [])])


# ---- the shape of a statement
class Anonymous(ast.NodeTransformer):
    """Puts a, b, c … for the names that the engine has chosen, in the order in which they appear;
    Python's own names and those of NAMES stay, as they are what is changed."""

    KEPT = {*dir(builtins), *NAMES}

    def __init__(self) -> None:
        self.letters: dict[str, str] = {}

    def letter(self, name: str | None) -> str | None:
        if name is None or name in self.KEPT:
            return name
        k = len(self.letters)
        return self.letters.setdefault(name, "abcdefghijklmnopqrstuvwxyz"[k % 26] * (k // 26 + 1))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = copy.copy(node)
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, field, [self.visit(v) if isinstance(v, ast.AST) else v
                                      for v in value])
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
            elif field in ("id", "attr", "arg", "name"):
                setattr(node, field, self.letter(value))
        return node


def head(node: ast.AST) -> ast.AST:
    """A statement without the statements inside it, and without hints of types."""
    hidden = {"body": [ast.Pass()], "orelse": [], "finalbody": [], "handlers": [],
              "decorator_list": [], "returns": None}
    return edited(node, **{field: value for field, value in hidden.items()
                           if isinstance(getattr(node, field, None), list) or field == "returns"
                           and isinstance(node, ast.FunctionDef)})


def shape(before: ast.AST, after: ast.AST) -> str:
    """Two statements without their names: "return a + b -> return a - b"."""
    names = Anonymous()
    return " -> ".join(ast.unparse(names.visit(head(node))).splitlines()[0]
                       for node in (before, after))


def never_read(function: ast.AST) -> set[str]:
    """Arguments that the body of a function does not look at: of its base class, say."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {a.arg for a in arguments} - {
        node.id for line in function.body for node in ast.walk(line) if isinstance(node, ast.Name)}


def without_effect(function: ast.AST, default: ast.AST) -> bool:
    """Whether this is the default of an argument that its function never reads."""
    args, unread = function.args, never_read(function)
    plain = [*args.posonlyargs, *args.args]
    names = [*plain[len(plain) - len(args.defaults):], *args.kwonlyargs]
    return any(value is default and argument.arg in unread for argument, value in zip(
        names, [*args.defaults, *args.kw_defaults], strict=True))


@dataclass
class Mutant:
    """One change: in which file of minicnn/, where and what, its shape, and what then stands in
    the file. A file and a shape are met once: they stay when something is given another name."""

    file: str
    line: int
    where: str
    change: str
    shape: str
    text: Callable[[], str]

    def __str__(self) -> str:
        return f"{self.file} {self.where}: {self.change}"

    @property
    def lot(self) -> int:
        """By which it is chosen."""
        return zlib.crc32(f"{self.file} {self.shape}".encode())


@functools.cache
def mutants(file: str, text: str | None = None) -> tuple[Mutant, ...]:
    """All of a file of minicnn/, or of another text in its place, in its order."""
    tree = ast.parse((ROOT / "minicnn" / file).read_text("utf-8") if text is None else text)
    found, seen = [], collections.Counter()

    def add(node: ast.AST, shown: ast.AST, statement: ast.AST, put: Callable, new: ast.AST,
            where: str) -> None:
        def changed() -> str:
            put(new)
            text = ast.unparse(tree)
            put(node)
            return text

        before, old = ast.unparse(shown).splitlines()[0], copy.deepcopy(head(statement))
        put(new)
        after = ast.unparse(new if shown is node else shown).splitlines()[0]
        change = shape(old, new if statement is node else statement)
        put(node)
        if before != after:
            seen[change] += 1
            change += f" ({seen[change]})" * (seen[change] > 1)
            found.append(Mutant(file, node.lineno, where, f"{before} -> {after}", change, changed))

    def visit(node: ast.AST, statement: ast.AST, function: ast.AST | None, where: str) -> None:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            where = f"{where}.{node.name}".lstrip(".")
        if isinstance(node, ast.FunctionDef):
            function = node
        for field, value in ast.iter_fields(node):
            if field in NO_VALUES:
                continue
            for k, child in enumerate(value if isinstance(value, list) else [value]):
                if (not isinstance(child, ast.AST) or isinstance(child, LEFT_ALONE)
                        or getattr(child, "arg", "") == "strict" or how_much(child)
                        or isinstance(node, ast.arguments) and without_effect(function, child)):
                    continue

                def put(new: ast.AST, node=node, field=field, value=value, k=k) -> None:
                    if isinstance(value, list):
                        value[k] = new
                    else:
                        setattr(node, field, new)

                inside = child if isinstance(child, ast.stmt) else statement
                negative = isinstance(node, ast.UnaryOp) and isinstance(child, ast.Constant)
                for new in list(changes(child))[negative:]:  # -1 -> 0: reshape takes -2 for -1
                    shown = node if isinstance(node, ast.expr) else child
                    add(child, shown, inside, put, new, where)
                visit(child, inside, function, where)

    visit(tree, tree, None, "")
    return tuple(found)


# ---- which files, which tests, which mutants
def files() -> list[str]:
    """Of minicnn/: those that hold formulas."""
    home = ROOT / "minicnn"
    found = {file for pattern in FILES for file in home.glob(pattern)}
    return sorted(file.relative_to(home).as_posix() for file in found
                  if file.stem not in NO_FORMULAS)


def below_tests(*patterns: str) -> list[str]:
    """The files and folders below tests/, each once, in the order of the patterns."""
    home = ROOT / "tests"
    found = [file for pattern in patterns for file in sorted(home.glob(pattern))]
    return list(dict.fromkeys(file.relative_to(ROOT).as_posix() for file in found))


def own_tests(file: str) -> list[str]:
    """The tests of a file of minicnn/: tests/ mirrors it. Those of its name, in its folder or one
    above (ops/fast/pooling.py: ops/fast/test_pooling*.py, ops/test_pooling*.py, …), or of the first
    words of its name (im2col_blocks.py: test_im2col*.py); without any, FIRST and its whole room."""
    path = Path(file)
    words = path.stem.split("_")
    for count in range(len(words), 0, -1):
        name = "_".join(words[:count])
        if found := below_tests(*((folder / f"test_{name}{end}.py").as_posix()
                                  for folder in path.parents for end in ("", "s", "_*"))):
            return found
    first = [name for pattern, names in FIRST.items() if fnmatch.fnmatch(file, pattern)
             for name in names]
    whole_room = f"{path.parts[0]}/test_*.py"  # file by file: of a folder and a file in it pytest
    return below_tests(*first, whole_room) or below_tests(*ENGINE)  # takes the folder alone


def excused() -> dict[str, str]:
    """Those of SAME that are still to be found, each with its reason."""
    every = {f"{file}: {m.shape}" for file in files() for m in mutants(file)}
    return {key: reason for key, reason in SAME.items() if key in every}


def chosen(count: int) -> list[Mutant]:
    """That many, of every file its share; the ones that no test can tell are not among them."""
    every = {file: [m for m in mutants(file) if f"{file}: {m.shape}" not in SAME]
             for file in files()}
    share = min(1, count / max(1, sum(map(len, every.values()))))
    return [m for some in every.values()
            for m in sorted(some, key=lambda m: m.lot)[:math.ceil(share * len(some))]]


def short(count: int) -> list[Mutant]:
    """That many files in the order of a checksum, a mutant of each."""
    first = {m.file: m for m in reversed(chosen(1))}
    return sorted(first.values(), key=lambda m: m.lot)[:count]


# ---- life and death
class NoShrinking:
    """Plugin of pytest: a failing example is enough, nobody looks for the smallest."""

    def pytest_configure(self) -> None:
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile("mutation", hypothesis.settings(phases=phases))
        hypothesis.settings.load_profile("mutation")


def live(mutant: Mutant, arguments: list[str]) -> int:
    """The child's part: imports the mutant, runs the tests; what pytest returns."""
    import resource  # not on Windows, nor is os.fork

    signal.alarm(10 * SECONDS)  # where it waits for something
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    path = str(ROOT / "minicnn" / mutant.file)
    code = compile(mutant.text(), path, "exec")
    real = importlib.machinery.SourceFileLoader.get_code
    importlib.machinery.SourceFileLoader.get_code = lambda self, name: (
        code if self.path == path else real(self, name))
    try:
        importlib.import_module("minicnn")
    except Exception:  # conftest.py imports it, too, and pytest would take that for its own fault
        return pytest.ExitCode.TESTS_FAILED
    return pytest.main([*OPTIONS, *arguments], [NoShrinking()])


def stages(file: str) -> list[list[str]]:
    """Arguments of pytest, one run after the other."""
    own, engine = own_tests(file), below_tests(*ENGINE)
    if "/cuda/" in file:
        others = below_tests("kernels/test_ladder.py", "ops/test_precision.py")
        runs = [(own, "cuda or accesses or ladder or precision"), (engine, "cuda"),
                (others, "ladder or precision")]
    else:
        runs = [(own, "not cuda"), (own, "cuda-sim"), (engine, "not cuda")]
    return [[*tests, "-k", which] for tests, which in runs if tests]


def statuses(some: list[Mutant], stage: int, jobs: int) -> Iterator[tuple[Mutant, int]]:
    """What pytest returned, or minus the signal that ended it; `jobs` processes at a time."""
    waiting, running = list(reversed(some)), {}
    while waiting or running:
        if waiting and len(running) < jobs:
            child = os.fork()
            if not child:
                status = pytest.ExitCode.INTERNAL_ERROR
                try:
                    status = live(waiting[-1], stages(waiting[-1].file)[stage])
                finally:
                    os._exit(status)
            running[child] = waiting.pop()
            continue
        child, status = os.wait()
        yield running.pop(child), os.waitstatus_to_exitcode(status)


def survivors(some: list[Mutant], jobs: int = 2,
              tell: Callable[[str], None] = lambda line: None) -> list[Mutant]:
    """Those that no test notices."""
    for stage in range(3):
        some, alive = [m for m in some if len(stages(m.file)) > stage], [
            m for m in some if len(stages(m.file)) <= stage]
        for mutant, status in statuses(some, stage, jobs):
            if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                alive.append(mutant)
            elif status > pytest.ExitCode.INTERRUPTED:
                raise RuntimeError(f"{mutant}: expected a run of the tests, pytest ended with "
                                   f"{status}.")
            tell(f"{stage} {'lives ' if mutant in alive[-1:] else 'killed'} {mutant}")
        some = alive
    return some


def table(some: list[Mutant], alive: list[Mutant]) -> str:
    """A line for each file, one of all."""
    total, left = (collections.Counter(m.file for m in part) for part in (some, alive))
    lines = [f"{'file of minicnn/':<24} {'mutants':>8} {'killed':>7} {'survive':>8}"]
    for name in [*dict.fromkeys(m.file for m in some), "all"]:
        n, k = (total.total(), left.total()) if name == "all" else (total[name], left[name])
        if n:
            lines.append(f"{name:<24} {n:>8} {n - k:>7} {k:>8}")
    return "\n".join(lines)


def warm_up() -> None:
    """What the tests need, but not what they test, is loaded once, for all children."""
    for name in "numpy", "h5py", "PIL.Image", "cupy", "hypothesis.internal.conjecture.engine":
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    torch.set_num_threads(1)
    gc.freeze()  # the garbage collection of a child need not look at that again


def main() -> int:
    """The table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--count", type=int, default=210, help="how many mutants, about")
    p.add_argument("--short", type=int, metavar="N", help="instead: one of N files each")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--file", help="of this one only, as layers/dense.py")
    p.add_argument("--verbose", action="store_true", help="a line for each mutant")
    args = p.parse_args()
    os.chdir(ROOT)
    warm_up()
    some = short(args.short) if args.short else chosen(args.count)
    some = [m for m in some if args.file in (None, m.file)]
    alive = survivors(some, args.jobs, functools.partial(print, flush=True) if args.verbose
                      else lambda line: None)
    for mutant in alive:
        print(f"line {mutant.line}, {mutant}\n    shape: {mutant.file}: {mutant.shape}")
    print(table(some, alive))
    known = excused()
    for key in [key for key in SAME if key not in known]:
        print(f"excused in this file, but no longer a mutant: {key}")
    print(f"{len(known)} more change speed or memory alone, or nothing; each is named in this file")
    return int(len(alive) > 0.05 * len(some))


if __name__ == "__main__":
    sys.exit(main())
