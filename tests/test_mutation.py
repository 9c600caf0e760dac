"""Small changes to the engine's formulas are noticed by its tests: some, with --full all chosen."""

import os
import subprocess
import sys

import pytest

from tests import mutation

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
SHORT = 3  # mutants of the run without --full, each in another file


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True,
                          cwd=mutation.ROOT)


# The engine


@forks
def test_the_tests_notice_a_changed_formula(full):
    options = ["--count", "210"] if full else ["--short", str(SHORT), "--jobs", "1"]
    done = python("-m", "tests.mutation", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = [line for line in done.stdout.splitlines() if line.startswith("all ")]
    tried, killed, alive = map(int, summary[0].split()[1:])
    assert tried >= (210 if full else SHORT)
    assert killed + alive == tried
    assert killed >= 0.95 * tried
    if full:
        assert "no longer a mutant" not in done.stdout


def test_every_file_is_changed_and_every_mutant_is_another():
    files = mutation.files()
    assert len(files) > 15
    assert {m.file for m in mutation.chosen(1)} == set(files)  # each has some
    every = [m for file in files for m in mutation.mutants(file)]
    assert len({(m.file, m.shape) for m in every}) == len(every) > 2000
    some = mutation.chosen(100)
    assert len({(m.file, m.text()) for m in some}) == len(some)
    for mutant in some:
        compile(mutant.text(), mutant.file, "exec")


def test_the_short_run_takes_mutants_of_different_files():
    some = mutation.short(SHORT)
    assert len({m.file for m in some}) == len(some) == SHORT
    assert {m.file for m in mutation.short(1000)} == set(mutation.files())


def test_what_is_excused_has_a_shape_and_a_reason():
    for key, reason in mutation.SAME.items():
        file, _, change = key.partition(": ")
        assert file.endswith(".py") and " -> " in change and reason


def test_every_pattern_of_files_and_of_tests_finds_some():
    for pattern in mutation.FILES:
        assert list((mutation.ROOT / "minicnn").glob(pattern)), pattern
    for pattern in (*mutation.ENGINE, *sum(mutation.FIRST.values(), ())):
        assert mutation.below_tests(pattern), pattern


# The changes


@pytest.mark.parametrize("line, changed", [
    ("y = a + b", ["y = a - b"]), ("y = a @ b", ["y = b @ a"]),
    ("y = a ** b", ["y = a * b", "y = b ** a"]), ("y = -a", ["y = a"]),
    ("y = a < b <= c", ["y = a <= b <= c", "y = a < b < c"]),
    ("y = not a or b", ["y = not a and b", "y = a or b"]),
    ("y = x[2:n]", ["y = x[2:n + 1]", "y = x[3:n]", "y = x[1:n]"]),
    ("y = x.max(axis=1, keepdims=True)", [
        "y = x.min(axis=1, keepdims=True)", "y = x.max(axis=2, keepdims=True)",
        "y = x.max(axis=0, keepdims=True)", "y = x.max(axis=1, keepdims=False)"]),
    ("y = f(a, b)", ["y = f(b, a)"]), ("y = a if b else c", ["y = c if b else a"]),
    ("N, C = x", ["C, N = x"]), ("p -= g", ["p += g", "pass"]), ("f(a)", ["pass"]),
    ("x.y = a", ["pass"]), ("if a:\n    f", ["if not a:\n    f", "pass"]),
    ('y: "a + 1" = "b + 1"', []), ("raise Error(a - 1)", []), ('y = f"{a - 1}"', []),
    ("def f(x: a[1]=b) -> c[2]:\n    'x + 1'\n    return x", []),
    ("def f(x=1):\n    return 'x is never read'", []),
    ("def f(x=True):\n    return x", ["def f(x=False):\n    return x"])])
def test_the_changes_of_a_line(line, changed):
    assert [mutant.text() for mutant in mutation.mutants("losses.py", line)] == changed


BEFORE = '''
class Square(Layer):
    def backward(self, dy):
        """dx = 2 x dy."""
        grad = 2 * self.x * dy
        if self.frozen and len(grad) > 0:
            grad = np.maximum(grad, 0.5)
        return grad
'''
RENAMED = '''
class Quadrat(Schicht):
    def rueckwaerts(self, dy, unbenutzt: int = 3):
        dx = 2 * self.cache * dy
        if self.trainable and len(dx) > 0:
            dx = xp.maximum(dx, 0.5)
        return dx
'''


def test_a_mutant_stays_the_same_when_its_names_change():
    before, after = mutation.mutants("a.py", BEFORE), mutation.mutants("a.py", RENAMED)
    assert [m.shape for m in before] == [m.shape for m in after]
    assert [m.lot for m in before] == [m.lot for m in after]
    assert [str(m) for m in before] != [str(m) for m in after]
    assert before[0].shape == "a = 2 * b.c * d -> a = 2 * b.c / d"
    assert "if a.b and len(c) > 0: -> if a.b or len(c) > 0:" in [m.shape for m in before]
    assert "a = b.maximum(a, 0.5) -> a = b.minimum(a, 0.5)" in [m.shape for m in before]


def test_shapes_that_occur_again_are_numbered():
    shapes = [m.shape for m in mutation.mutants("a.py", "x = a + b\ny = c + d\nz = c + c")]
    assert shapes == ["a = b + c -> a = b - c", "a = b + c -> a = b - c (2)",
                      "a = b + b -> a = b - b"]


def test_a_name_that_is_changed_itself_is_part_of_the_shape():
    shapes = [m.shape for m in mutation.mutants("a.py", "y = np.log(x)")]
    assert shapes == ["a = b.log(c) -> a = b.exp(c)"]


# Which tests belong to a file


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty house with these files, and no others."""
    def house(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("y = a + b\n")
        monkeypatch.setattr(mutation, "ROOT", tmp_path)
        mutation.mutants.cache_clear()
    yield house
    mutation.mutants.cache_clear()


def test_files_with_formulas_are_found(house):
    house(*(f"minicnn/{name}" for name in (
        "losses.py", "ops/__init__.py", "ops/fast/winograd.py", "ops/reference/conv.py",
        "layers/checks.py", "layers/dense.py", "cli/main.py")))
    assert mutation.files() == ["layers/dense.py", "losses.py", "ops/fast/winograd.py",
                                "ops/reference/conv.py"]


@pytest.mark.parametrize("file, expected", [
    ("ops/reference/conv.py", ["ops/reference/test_conv.py", "ops/test_conv.py",
                               "ops/test_conv_shapes.py"]),
    ("ops/fast/conv_blocks.py", ["ops/test_conv.py", "ops/test_conv_shapes.py"]),
    ("losses.py", ["test_losses.py"]),
    ("layers/convolutions.py", ["layers/test_conv2d.py", "layers/test_convexity.py"]),
    ("unheard_of.py", ["ops", "layers", "test_losses.py"])])
def test_tests_stand_where_their_file_stands(file, expected, house):
    house(*(f"tests/{name}" for name in (
        "ops/test_conv.py", "ops/test_conv_shapes.py", "ops/reference/test_conv.py",
        "layers/test_conv2d.py", "layers/test_convexity.py", "test_losses.py")))
    assert mutation.own_tests(file) == [f"tests/{name}" for name in expected]


def test_what_no_test_can_tell_is_not_chosen_and_a_stale_excuse_is_seen(house, monkeypatch):
    house("minicnn/losses.py")
    assert [m.shape for m in mutation.chosen(9)] == ["a = b + c -> a = b - c"]
    monkeypatch.setattr(mutation, "SAME", {"losses.py: a = b + c -> a = b - c": "for a test",
                                           "losses.py: a = b - c -> a = b + c": "is gone"})
    assert mutation.chosen(9) == []
    assert mutation.excused() == {"losses.py: a = b + c -> a = b - c": "for a test"}


# Life and death


ADDED = {  # to a file of the engine: does it live?
    "": True, "raise ValueError": False, "import os; os.abort()": False, "while True: pass": False,
    "PLAIN = 2": False, "PLAIN = bytes(9 << 30)": False}


@forks
def test_what_dies_and_what_lives(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import minicnn\n\ndef test_plain():\n    assert getattr(minicnn, 'PLAIN', 1) == 1\n")
    done = python("-c", f"""if True:
        from tests import mutation
        mutation.own_tests = lambda file: [{str(tmp_path / "test_plain.py")!r}]
        mutation.ENGINE = ()
        mutation.SECONDS = 5
        mutation.warm_up()
        text = (mutation.ROOT / "minicnn/__init__.py").read_text()
        some = [mutation.Mutant("__init__.py", 1, "", line, "",
                                lambda line=line: text + line + chr(10))
                for line in {list(ADDED)}]
        print([mutant.change for mutant in mutation.survivors(some)])""")
    assert done.stdout == f"{[line for line, lives in ADDED.items() if lives]}\n", done.stderr


@forks
def test_a_run_of_the_tests_that_fails_for_another_reason_is_an_error():
    done = python("-c", """if True:
        from tests import mutation
        mutation.OPTIONS += ["--no-such-option"]
        mutation.survivors(mutation.short(1))""")
    assert done.returncode and "expected a run of the tests, pytest ended with 4" in done.stderr
