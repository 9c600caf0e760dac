"""The house rules of the code itself: its size, its arrows, its docstrings, its README."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from minicnn import cli

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "minicnn").rglob("*.py"))
# From top to bottom; a module imports only what stands below it (or beside it in its own folder).
HOUSE = ["cli", "progress", "report", "visualize", "training", "data", "models",
         "selfcheck", "hints", "gradcheck", "model", "summary", "weights", "losses", "optimizers",
         "inference", "layers", "initializers", "preprocessing", "ops", "cache", "drawing", "files",
         "errors"]


def house_part(file):
    """minicnn/layers/dense.py -> layers."""
    return file.relative_to(ROOT / "minicnn").with_suffix("").parts[0]


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_has_at_most_300_lines_of_at_most_100_columns(file):
    text = file.read_text(encoding="utf-8").splitlines()
    assert len(text) <= 300
    assert [line for line in text if len(line) > 100] == []


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_downward(file):
    part = house_part(file)
    if part == "__init__":
        return
    package = ["minicnn", *file.relative_to(ROOT / "minicnn").parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        target = package[:len(package) - node.level + 1] + (node.module or "").split(".")
        names = [target[1]] if len(target) > 1 and target[1] else [a.name for a in node.names]
        for name in set(names) - {part, "__version__"}:
            assert HOUSE.index(name) > HOUSE.index(part), f"{file}: imports {name}"


def public_functions():
    for file in PACKAGE:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"]
        for owner in [tree, *classes]:
            for node in owner.body:
                if isinstance(node, ast.FunctionDef) and node.name[0] != "_":
                    yield pytest.param(node, id=f"{file.relative_to(ROOT)}:{node.name}")


@pytest.mark.parametrize("node", list(public_functions()))
def test_public_functions_have_hints_and_docstrings(node):
    arguments = node.args.args + node.args.kwonlyargs
    bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
    assert bare == []
    assert node.returns is not None
    assert ast.get_docstring(node)


def test_import_loads_nothing_heavy():
    heavy = ["h5py", "PIL", "matplotlib", "pooch", "tqdm", "torch", "keras"]
    code = f"import sys, minicnn; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.strip() == "[]", out.stderr


def test_readme_lists_two_set_up_lines_for_the_ci_script():
    found = re.findall(r"^python3 -m venv.*$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert len(found) == 2
    assert found[0].endswith("minicnn train")
    assert found[1].endswith("-m pytest -n auto")


def test_readme_python_runs_learns_and_its_model_predicts(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert len(blocks) == 1
    names = {}
    exec(blocks[0].replace("epochs=20", "epochs=3"), names)
    assert names["history"]["loss"][0] > names["history"]["loss"][-1]
    assert names["history"]["val_accuracy"][-1] > 0.8
    names["model"].save("m.h5")  # and `minicnn predict m.h5 PHOTO` needs nothing else
    Image.fromarray(names["test"].read(0)).save("photo.png")
    assert cli.main(["predict", "m.h5", "photo.png"]) == 0
    assert re.match(r"photo.png: [\d.]+ % (sandal|sneaker), ", capsys.readouterr().out)
