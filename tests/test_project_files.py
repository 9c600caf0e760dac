"""The files beside the code say the truth: the version is everywhere the same, what CONTRIBUTING.md
names exists, and the workflow runs what .ci/run runs, on every Python that setup.py promises."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml

import minicnn

ROOT = Path(__file__).parent.parent
CONTRIBUTING, CHANGELOG, CITATION, WORKFLOW, SETUP = (
    (ROOT / name).read_text("utf-8") for name in (
        "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", ".github/workflows/ci.yml", "setup.py"))
TREES = "minicnn|kernels|tests|examples|benchmarks|docs|\\.ci"
PATHS = sorted(set(re.findall(rf"`((?:{TREES})/[^` ]*)`", CONTRIBUTING)))
RELEASES = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.M)


def test_the_version_is_the_last_one_of_the_changelog_and_that_of_the_citation():
    version, date = RELEASES[0]
    assert version == minicnn.__version__
    assert re.search(r"^version: (.+)$", CITATION, re.M)[1] == version
    assert re.search(r'^date-released: "(.+)"$', CITATION, re.M)[1] == date


def test_the_changelog_is_in_order_and_has_a_place_for_what_comes():
    assert CHANGELOG.index("## [Unreleased]") < CHANGELOG.index(f"## [{RELEASES[0][0]}]")
    assert RELEASES == sorted(RELEASES, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("path", PATHS)
def test_what_contributing_names_exists(path):
    if "NAME" in path:  # a file to be written, in a folder that is there
        path = path[:path.index("NAME")]
    assert (ROOT / path).exists()


def test_contributing_names_many_files_and_links_to_those_that_are_there():
    assert len(PATHS) > 40
    for target in re.findall(r"\]\(([^)#:]+)\)", CONTRIBUTING):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("module", sorted(set(re.findall(r"`python -m ([\w.]+)", CONTRIBUTING))))
def test_what_contributing_runs_exists(module):
    assert importlib.util.find_spec(module)


def test_contributing_names_what_the_code_has():
    for file, name in (("minicnn/layers/activations.py", "ACTIVATIONS"),
                       ("minicnn/weights/keras_layers.py", "READERS"),
                       ("minicnn/weights/layer_entries.py", "KERAS_CLASSES"),
                       ("minicnn/gradcheck/suite.py", "check_all"),
                       ("minicnn/cli/methods.py", "METHODS"),
                       ("minicnn/cli/__init__.py", "parser"),
                       ("minicnn/visualize/result.py", "Result"),
                       ("tests/ops/test_parity.py", "compare")):
        assert re.search(rf"`{name}(?:\(\))?`", CONTRIBUTING), name
        code = (ROOT / file).read_text("utf-8")
        assert re.search(rf"^(?:def |class )?{name}\b", code, re.M), name


def test_the_workflow_runs_the_ci_script_and_the_quick_tests():
    commands = [shlex.split(line) for line in re.findall(r"^ +- run: (.+)$", WORKFLOW, re.M)]
    assert ["bash", ".ci/run"] in commands
    assert ["python", "-m", "pytest", "-m", "quick"] in commands
    assert {"macos-latest", "windows-latest"} <= set(re.findall(r"\w+-latest", WORKFLOW))


def test_the_workflow_tests_every_python_that_setup_promises():
    start, stop = re.search(r"range\((\d+), (\d+)\)", SETUP).groups()
    promised = [f"3.{minor}" for minor in range(int(start), int(stop))]
    linux = re.search(r"^  linux:.*?python: \[(.*?)\]", WORKFLOW, re.M | re.S)[1]
    assert re.findall(r'"([\d.]+)"', linux) == promised


@pytest.mark.parametrize("name", [".github/workflows/ci.yml", ".pre-commit-config.yaml",
                                  "CITATION.cff"])
def test_yaml_can_be_read(name):
    text = (ROOT / name).read_text("utf-8")
    assert "\t" not in text and text.endswith("\n")
    assert isinstance(yaml.safe_load(text), dict)


def test_the_type_hints_are_shipped():
    assert (ROOT / "minicnn" / "py.typed").is_file()
    assert '"py.typed"' in SETUP
