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
# The house, from the ground up: utils, and seven floors on it. A room imports from the floors below
# it, or from its own floor.
FLOORS = [
    ["utils"],
    ["ops"],
    ["layers", "losses", "optimizers", "initializers", "preprocessing", "gradcheck"],
    ["data", "weights", "plotting"],
    ["model", "models", "summary", "inference"],
    ["training", "evaluation"],
    ["visualize", "experiments", "report", "distributed"],
    ["cli"],
    ["__main__"],  # python -m minicnn
]
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def module_name(file):
    """minicnn/layers/dense.py -> minicnn.layers.dense; a package's __init__.py is the package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in PACKAGE}


def imported(name):
    """The modules of minicnn that a module imports, anywhere in it, for types too."""
    file = MODULES[name]
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        base = package[:len(package) - node.level + 1]
        base = ".".join([*base, *node.module.split(".")] if node.module else base)
        for alias in node.names:
            module = f"{base}.{alias.name}"
            found.add(module if module in MODULES else base)
    return found - {name}


def absolute_imports(tree):
    """What a module imports of minicnn by its full name, past the eyes of `imported`: by import,
    from … import, or import_module with a text."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        elif (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
                and ast.unparse(node.func).split(".")[-1] == "import_module"):
            names = [node.args[0].value]
        yield from (name for name in names if name.split(".")[0] == "minicnn")


def names_of_the_root(tree, package):
    """What a module imports from minicnn/__init__.py, which has names of every floor."""
    return [alias.name for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level == len(package) and not node.module
            for alias in node.names if f"minicnn.{alias.name}" not in MODULES]


def test_imports_that_could_hide_are_seen():
    tree = ast.parse("import minicnn.cli\nfrom minicnn.cli import main\n"
                     "import_module('minicnn.cli')\nfrom .. import fit, losses\n")
    assert sorted(absolute_imports(tree)) == ["minicnn.cli"] * 3
    assert names_of_the_root(tree, ["minicnn", "layers"]) == ["fit"]


@pytest.mark.parametrize("name", list(MODULES))
def test_imports_are_relative_and_of_the_root_only_the_version(name):
    file = MODULES[name]
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert list(absolute_imports(tree)) == []
    if name != "minicnn":
        assert set(names_of_the_root(tree, package)) <= {"__version__"}


def room(name):
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_has_at_most_300_lines_of_at_most_100_columns(file):
    text = file.read_text(encoding="utf-8").splitlines()
    assert len(text) <= 300
    assert [line for line in text if len(line) > 100] == []


def test_every_room_has_its_floor_and_few_files_stand_on_the_ground_floor():
    assert {room(name) for name in MODULES} - {""} == set(FLOOR_OF)
    assert len([f for f in PACKAGE if f.parent == ROOT / "minicnn" and f.stem != "__init__"]) <= 8


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_imports_point_downward(name):
    for target in imported(name):
        if room(target):  # the package itself: its version
            assert FLOOR_OF[room(target)] <= FLOOR_OF[room(name)], f"{name} imports {target}"


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in (
    "layers", "losses", "optimizers", "initializers", "preprocessing", "model", "models",
    "inference", "summary")])
def test_the_mathematics_knows_the_seam_only(name):
    """No backend, no device's module, no thread: they stand behind minicnn.ops."""
    allowed = {"minicnn.ops", "minicnn.ops.window", "minicnn.ops.precision"}
    assert {target for target in imported(name) if room(target) == "ops"} <= allowed
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names}
    names |= {node.module for node in ast.walk(tree)
              if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert not names & {"threading", "concurrent", "concurrent.futures", "cupy", "threadpoolctl"}


def circles(graph):
    """The first circle of a graph {node: nodes}, or []."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return [*path[path.index(node):], node]
        if node in done:
            return []
        path.append(node)
        for target in sorted(graph.get(node, ())):
            if found := visit(target):
                return found
        path.pop()
        done.add(node)
        return []
    return next(filter(None, map(visit, sorted(graph))), [])


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circle_of_modules_and_none_of_rooms():
    modules = {name: imported(name) for name in MODULES if name != "minicnn"}
    assert circles(modules) == []
    rooms = {}
    for name, targets in modules.items():
        rooms.setdefault(room(name), set()).update(map(room, targets))
    assert circles({name: targets - {name, ""} for name, targets in rooms.items()}) == []


def test_public_names_are_listed_not_starred():
    for file in PACKAGE:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        stars = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                 and any(alias.name == "*" for alias in node.names)]
        assert stars == [], file


# Names that this project once coined, or bent from their meaning. None of them may name a function,
# a class, an argument or a variable again; each has a word of the field in its place. Words that
# are right elsewhere (parts of a data set, a kernel's shared memory, the sides of a square) are not
# among them.
COINED_NAMES = frozenset("""
    finish taps tap kept Place place dice Tally teller whole is_whole cuts stacked SMALL UNPACKED
    quota _Own _sharing share_columns let_go bytes_held copy_ahead smoothed choose turned joined
    _copied _pieces by_itself EACH_BY_ITSELF _like SMALLEST linear_shape into few most ends_at
    Best weights_of not_finite Recipe Trained fed told room seen watched step_size warnings_of
    Photos Drawn flaw stretched replacing drafts held reserved LEFT room_for check_room judge MOST
    DEEPEST tell_given taken refuse_strays next_step said why Shown Wrong Trial Asked MAYBE OWN
    one found some epochs_done""".split())
# The same for what docstrings, comments, errors and help texts say: no German in English words.
COINED_PHRASES = {
    r"step sizes?": "learning rate",
    r"throws? (the )?(same )?dice|the dice": "random number generator",
    r"is no number any more": "is NaN",
    r"learns? by heart": "overfits",
    r"with open eyes": "busy-waits",
    r"\bmend(s|ed)?\b": "fix",
    r"\b(is|are|was|were) (told|said)\b": "is reported",
    r"\blearnt\b": "trained",
    r"or a sentence\b": "or raises",
    r"\bnothing kept\b": "empty cache",
    r"\bwho(ever)? (calls|has written|is told)\b": "a subject",
    r"\bRaises \w+( \w+)? where\b": "Raises … if",
}


def names_given(tree):
    """The names that a module gives: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno


def coined_names(tree):
    return [f"line {line}: {name}" for name, line in names_given(tree) if name in COINED_NAMES]


def coined_phrases(text):
    """The phrases in a text, which may break its lines anywhere, strings' quotes included."""
    words = re.sub(r"[\"'#]|\bf(?=\")", " ", text)
    words = re.sub(r"\s+", " ", words)
    return [f"{match[0]!r}: {better}" for phrase, better in COINED_PHRASES.items()
            for match in re.finditer(phrase, words, re.IGNORECASE)]


def test_coined_words_are_noticed():
    code = "class Place:\n    def f(self, dice):\n        self.told = [one for one in dice]\n"
    assert coined_names(ast.parse(code)) == [
        "line 1: Place", "line 2: dice", "line 3: told", "line 3: one"]
    assert coined_phrases('raise Error("a step "\n      f"size of 0")') == [
        "'step size': learning rate"]
    assert coined_phrases("# The one found most often, kept in place; as the loop steps.") == []


@pytest.mark.parametrize("file", PACKAGE, ids=lambda f: str(f.relative_to(ROOT)))
def test_no_coined_word(file):
    text = file.read_text(encoding="utf-8")
    assert coined_names(ast.parse(text)) == []
    assert coined_phrases(text) == []


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
    exec(blocks[0], names)
    assert names["history"]["loss"][0] > names["history"]["loss"][-1]
    # Another machine rounds differently: a photo or two may be on the other side.
    said, photos, share = re.search(r"# (\d+) of (\d+) photos right: (\S+ %)", blocks[0]).groups()
    printed = re.match(r"(\d+) of (\d+) photos right", capsys.readouterr().out)
    assert abs(int(printed[1]) - int(said)) <= 2 and printed[2] == photos
    assert share == f"{100 * int(said) / int(photos):.1f} %"
    names["model"].save("m.h5")  # and `minicnn predict m.h5 PHOTO` needs nothing else
    Image.fromarray(names["test"].read(0)).save("photo.png")
    assert cli.main(["predict", "m.h5", "photo.png"]) == 0
    assert re.match(r"photo.png: [\d.]+ % (cirrus|cumulus), ", capsys.readouterr().out)
