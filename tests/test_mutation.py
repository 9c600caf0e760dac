"""Small changes to the engine's formulas are noticed by its tests: some, with --full all chosen."""

import os
import subprocess
import sys

import pytest

from tests import mutation

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True,
                          cwd=mutation.ROOT)


@forks
def test_the_tests_notice_a_changed_formula(full):
    count = 210 if full else len(mutation.TESTS)
    done = python("-m", "tests.mutation", "--count", str(count))
    assert done.returncode == 0, done.stdout + done.stderr
    name, tried, killed, alive = done.stdout.splitlines()[-2].split()
    assert name == "all" and int(tried) >= count
    assert int(killed) + int(alive) == int(tried)
    assert int(killed) >= 0.95 * int(tried)


def test_every_file_is_changed_and_every_mutant_is_another():
    files = {m.file for m in mutation.chosen(len(mutation.TESTS))}
    assert files == set(mutation.TESTS)
    every = [m for file in mutation.TESTS for m in mutation.mutants(file)]
    assert len({str(m) for m in every}) == len(every) > 2000
    assert len({(m.file, m.text()) for m in mutation.chosen(300)}) == len(mutation.chosen(300))
    for mutant in mutation.chosen(100):
        compile(mutant.text(), mutant.file, "exec")


def test_what_is_excused_is_a_mutant_and_has_a_reason():
    every = {str(m) for file in mutation.TESTS for m in mutation.mutants(file)}
    assert sorted(set(mutation.SAME) - every) == []
    assert all(mutation.SAME.values())


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
    ("def f(x: a[1]=b) -> c[2]:\n    'x + 1'\n    return x", [])])
def test_the_changes_of_a_line(line, changed):
    assert [mutant.text() for mutant in mutation.mutants("losses.py", line)] == changed


ADDED = {  # to a file of the engine: does it live?
    "": True, "raise ValueError": False, "import os; os.abort()": False, "while True: pass": False,
    "Flatten.backward = lambda self, dy: 2 * dy.reshape(self.kept())": False,
    "Flatten.forward = lambda self, x, training=False, keep=True: bytes(9 << 30)": False}


@forks
def test_what_dies_and_what_lives():
    done = python("-c", f"""if True:
        from tests import mutation
        mutation.TESTS["layers/flatten.py"] = mutation.ENGINE = "layers/test_rows.py"
        mutation.SECONDS = 10
        mutation.warm_up()
        text = (mutation.ROOT / "minicnn/layers/flatten.py").read_text()
        some = [mutation.Mutant("layers/flatten.py", 1, "", line, lambda line=line: text + line)
                for line in {list(ADDED)}]
        print([mutant.change for mutant in mutation.survivors(some)])""")
    assert done.stdout == f"{[line for line, lives in ADDED.items() if lives]}\n", done.stderr


@forks
def test_a_run_of_the_tests_that_fails_for_another_reason_is_an_error():
    done = python("-c", """if True:
        from tests import mutation
        mutation.OPTIONS += ["--no-such-option"]
        mutation.survivors(mutation.chosen(1))""")
    assert done.returncode and "expected a run of the tests, pytest ended with 4" in done.stderr
