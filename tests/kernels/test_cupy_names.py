"""What runs on a GPU uses names that CuPy has, and NumPy's own functions only on the host's values.

Importing CuPy needs no GPU, so both are checked here without one.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "minicnn").rglob("*.py"))
# Layers, losses and optimizers see device arrays. In them np. may only name types and what looks at
# shapes, whatever the device…
ON_THE_HOST = {"ndarray", "generic", "dtype", "float32", "float64", "uint8", "int32", "integer",
               "random", "shape", "ndim", "prod"}
# … and, file by file, functions that are given nothing but numbers, lists and NumPy's arrays.
ALSO = {"losses.py": {"asarray",        # class_weight: a list of numbers
                      "unravel_index",  # of t, which targets() has brought to the processor
                      "eye", "allclose"},
        "optimizers.py": {"isfinite"},  # settings: plain numbers
        "argument_checks.py": {"floating", "inf", "isinf", "isfinite", "asarray", "array",
                                     "nan"},
        "rescaling.py": {"maximum", "sqrt"}}  # both: numbers and lists of the user's or a file's


def dotted(node):
    """The names of a.b.c from left to right, array_module(…) as xp; [] for anything else."""
    names = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return ["xp", *names] if node.func.id == "array_module" else []
    return [node.id, *names] if isinstance(node, ast.Name) else []


def attributes(source, roots):
    """(line, name without its root) of every attribute of these modules: xp.linalg.norm."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            names = dotted(node)
            if names and names[0] in roots:
                yield node.lineno, ".".join(names[1:])


def missing_in_cupy(source):
    """The attributes of xp that CuPy lacks, with their lines."""
    import cupy

    def has(name):
        value = cupy
        for part in name.split("."):
            if not hasattr(value, part):
                return False
            value = getattr(value, part)
        return True

    return [(line, name) for line, name in attributes(source, {"xp", "cupy"}) if not has(name)]


def on_device_arrays():
    folder = ROOT / "minicnn"
    return [*sorted((folder / "layers").glob("*.py")), folder / "losses.py",
            folder / "optimizers.py"]


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_cupy_has_every_name_that_is_asked_of_it(file):
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    assert missing_in_cupy(file.read_text(encoding="utf-8")) == []


def test_a_name_that_cupy_lacks_is_found():
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    source = ("xp = array_module(x)\ny = xp.exp(x)\ny = xp.no_such(x)\n"
              "y = array_module(x).linalg.expm(x)\n"
              "y = np.no_such(x)\ncupy.cuda.runtime.no_such()\ny = xp.linalg.norm(xp.nope)")
    assert sorted(missing_in_cupy(source)) == [
        (3, "no_such"), (4, "linalg.expm"), (6, "cuda.runtime.no_such"), (7, "nope")]


def test_the_names_are_really_found_in_the_package():
    found = [name for file in PACKAGE
             for _, name in attributes(file.read_text(encoding="utf-8"), {"xp"})]
    assert len(found) > 20


@pytest.mark.parametrize("file", on_device_arrays(), ids=lambda f: str(f.relative_to(ROOT)))
def test_numpy_itself_is_not_given_device_arrays(file):
    allowed = ON_THE_HOST | ALSO.get(file.name, set())
    found = {(line, name) for line, name in attributes(file.read_text(encoding="utf-8"), {"np"})
             if name.split(".")[0] not in allowed}
    assert sorted(found) == []


def test_no_exception_outlives_its_reason():
    for file in on_device_arrays():
        used = {name.split(".")[0]
                for _, name in attributes(file.read_text(encoding="utf-8"), {"np"})}
        assert ALSO.get(file.name, set()) <= used, file
    assert set(ALSO) <= {file.name for file in on_device_arrays()}
