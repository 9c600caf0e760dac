"""python -m pytest -m quick: of every room some tests, and no others are even read."""

import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_house import FLOOR_OF

TESTS = Path(__file__).parent


@pytest.fixture
def conftest(pytestconfig):
    """tests/conftest.py; `import conftest` finds that of a folder of tests, if one came last."""
    return pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))


@pytest.mark.parametrize("room", FLOOR_OF)
def test_every_room_has_quick_tests(conftest, room):
    files = [file.relative_to(TESTS).as_posix() for file in TESTS.rglob("test_*.py")]
    for pattern in conftest.QUICK[room]:
        quick = fnmatch.filter(files, pattern)
        assert quick, pattern
        assert all("def test_" in (TESTS / file).read_text("utf-8") for file in quick)


@pytest.mark.parametrize("name, chosen", [
    ("ops/test_windows.py", True), ("test_losses.py", True), ("models/test_vgg16.py", False),
    ("test_quick.py", False)])
def test_with_quick_other_files_are_not_even_read(conftest, name, chosen):
    assert conftest.is_quick(TESTS / name) == chosen
    for words, ignored in ("quick", None if chosen else True), ("", None), ("not quick", None):
        config = SimpleNamespace(option=SimpleNamespace(markexpr=words))
        assert conftest.pytest_ignore_collect(TESTS / name, config) is ignored
