"""What a reader has to read: the functions that a call runs through, counted by tracing it.

    python -m tests.readers_path

prints, for each path, functions, files and lines (bodies with docstrings), under the reference
backend; then what layers/conv2d.py imports; with -v each of them. tests/test_readers_path.py holds
the limits.

A layer's path ends at its product with the bias added. That of fit ends at the first update, and
does not descend into the steps that fit itself names (forward, loss, backward, step) nor into the
shapes of layers. Functions without a body of their own (a docstring only) are not counted, nor
lambdas and comprehensions, which stand in a function that is.
"""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from types import CodeType

import numpy as np

import minicnn as mc
from minicnn.ops import use
from minicnn.training import loop

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "minicnn"


STEPS = {"ThreadParallel.forward", "ThreadParallel.backward", "Loss.forward", "Loss.backward",
         "Optimizer.step", "Sequential.shapes"}


class Stop(Exception):
    """Raised to end a traced call where its path ends."""


def is_empty(code: CodeType) -> bool:
    """Whether the function has a docstring only."""
    return all(instruction.opname in ("RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST")
               for instruction in dis.get_instructions(code))


def traced(call: Callable[[], object], before: str = "", steps: Collection[str] = ()
           ) -> list[tuple[Path, str, int]]:
    """(file, function, lines) of minicnn's functions that the call enters, in order, each once,
    up to the function `before`, those left out that are called from one of `steps`."""
    found: dict[object, tuple[Path, str, int]] = {}

    def tracer(frame, event, _):
        code = frame.f_code
        file = Path(code.co_filename)
        if event != "call" or PACKAGE not in file.parents or code.co_name[0] == "<":
            return
        if code.co_name == before:
            raise Stop
        caller = frame
        while caller is not None:
            if name_of(caller.f_code) in steps:
                return
            caller = caller.f_back
        if is_empty(code):
            return
        last = max(line for _, _, line in code.co_lines() if line is not None)
        for inner in code.co_consts:
            if hasattr(inner, "co_lines"):
                last = max(last, *(line for _, _, line in inner.co_lines() if line is not None))
        found.setdefault(code, (file, name_of(code), last - code.co_firstlineno + 1))

    outer = sys.gettrace()
    sys.settrace(tracer)
    try:
        call()
    except Stop:
        pass
    finally:
        sys.settrace(outer)
    return list(found.values())


def name_of(code: CodeType) -> str:
    """Class.method, or the function's name (before Python 3.11 the method's name alone)."""
    return getattr(code, "co_qualname", code.co_name)


def paths() -> dict[str, list[tuple[Path, str, int]]]:
    """The paths of DESIGN's table: {name: functions}."""
    rng = np.random.default_rng(0)
    images, rows = rng.normal(size=(2, 6, 7, 3)), rng.normal(size=(4, 5))
    conv = mc.Conv2D(4, 3, padding="same")
    dense = mc.Dense(3)
    for layer, x in ((conv, images), (dense, rows)):
        layer.build(x.shape[1:], rng)
        layer.forward(x)
    dy = rng.normal(size=(2, 6, 7, 4))
    small = mc.Sequential([mc.Conv2D(2, 3), mc.Flatten(), mc.Dense(3), mc.Softmax()], (5, 5, 1))
    data = rng.normal(size=(8, 5, 5, 1)), rng.integers(0, 3, 8)

    loss, optimizer = mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1)

    def fit():
        mc.fit(small, data, loss, optimizer, epochs=1)

    with use("reference"):
        return {
            "Conv2D.forward": traced(lambda: conv.forward(images), before="activation_forward"),
            "Conv2D.backward": traced(lambda: conv.backward(dy)),
            "Dense.forward": traced(lambda: dense.forward(rows), before="activation_forward"),
            "Dense.backward": traced(lambda: dense.backward(rng.normal(size=(4, 3)))),
            "fit to the first update": traced(fit, before="sgd_step", steps=STEPS),
        }


def size(functions: list[tuple[Path, str, int]]) -> tuple[int, int, int]:
    """(functions, files, lines)."""
    return (len(functions), len({file for file, _, _ in functions}),
            sum(lines for _, _, lines in functions))


def statements_of_fit() -> int:
    """Statements in fit's own body, nested ones counted, its docstring not."""
    tree = ast.parse(Path(loop.__file__).read_text(encoding="utf-8"))
    fit = next(node for node in tree.body
               if isinstance(node, ast.FunctionDef) and node.name == "fit")
    return sum(isinstance(node, ast.stmt) for node in ast.walk(fit)) - 2  # itself, the docstring


def imports(file: Path, functions: list[tuple[Path, str, int]]) -> set[Path]:
    """The files that `file` imports, transitively, as they are executed; beyond the seam, which
    chooses a backend when it is called, those whose functions are entered."""
    files, waiting = set(), [file, *(path for path, _, _ in functions)]
    while waiting:
        current = waiting.pop()
        if current in files:
            continue
        files.add(current)
        package = list(current.relative_to(ROOT).with_suffix("").parts)
        package = package if current.name == "__init__.py" else package[:-1]
        package = [part for part in package if part != "__init__"]
        for node in ast.parse(current.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[:len(package) - node.level + 1]
                base += node.module.split(".") if node.module else []
                for name in node.names:
                    for parts in ([*base, name.name], base):
                        path = ROOT.joinpath(*parts)
                        found = next((p for p in (path.with_suffix(".py"), path / "__init__.py")
                                      if p.is_file()), None)
                        if found:
                            waiting.append(found)
                            break
    return files


def main() -> None:
    """The table."""
    traced_paths = paths()
    print(f"{'path, under the reference':<28}{'functions':>10}{'files':>7}{'lines':>7}")
    for name, functions in traced_paths.items():
        print(f"{name:<28}{'{:>10}{:>7}{:>7}'.format(*size(functions))}")
    files = imports(PACKAGE / "layers/conv2d.py",
                    traced_paths["Conv2D.forward"] + traced_paths["Conv2D.backward"])
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    print(f"{'layers/conv2d.py imports':<28}{'':>10}{len(files):>7}{lines:>7}")
    print(f"{'statements in fit':<28}{statements_of_fit():>10}")
    if "-v" in sys.argv:
        for name, functions in traced_paths.items():
            print(f"\n{name}")
            for file, function, count in functions:
                print(f"  {file.relative_to(PACKAGE)!s:<28}{function:<36}{count:>4}")
        print("\nlayers/conv2d.py imports")
        for file in sorted(files):
            print(f"  {file.relative_to(PACKAGE)}  "
                  f"{len(file.read_text(encoding='utf-8').splitlines())}")


if __name__ == "__main__":
    main()
