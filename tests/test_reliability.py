"""The table of reliability: it reads what the commands print, and says where something is wrong."""

import json
from pathlib import Path

import pytest

from tests import mutation, reliability

PRINTED = {
    "tests.data.fuzz": "format photos read\nall 5,000 1,800 3,200 0 0.31 s 12 MB\n5000 photos",
    "tests.weights.fuzz": "all 20,000 9,000 11,000 0 0.52 s 40 MB",
    "tests/training/interruptions.py": "run …\nhead 25 9 9 5 5\nten classes 75 30 30 15 15",
    "tests.mutation": mutation.table([], []) + "\nall 219 215 4\n8 more",
    "-c": "Accuracy …\n250.4"}


@pytest.fixture
def printed(monkeypatch):
    """What the commands print, to be changed; none is run."""
    texts = dict(PRINTED)
    monkeypatch.setattr(reliability, "said", lambda *words: texts[
        words[1] if words[0] == "-m" else words[0]])
    monkeypatch.setattr("sys.argv", ["reliability"])
    return texts


def test_a_line_for_each_command(printed, capsys):
    assert reliability.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["| what | result | command |", "| --- | --- | --- |"]
    assert lines[2] == ("| damaged photos | 5,000: 1,800 read, 3,200 refused with an error "
                        "message, 0 failures; at most 0.31 s and 12 MB | "
                        "`python -m tests.data.fuzz --count 200` |")
    assert "| 100 kills, 39 trainings: 39 end with every file the same" in lines[4]
    assert "| 20: 20 end with every file the same" in lines[5]
    assert "288 MB of features, a budget of 100 MB: a training takes 250 MB" in lines[6]
    assert "| 219 mutants: 215 killed by the tests, 4 not |" in lines[7]
    assert len(lines) == 8


@pytest.mark.parametrize("command, old, new, what", [
    ("tests.data.fuzz", " 0 0.31", " 1 0.31", "photos"),
    ("tests.weights.fuzz", " 0 0.52", " 2 0.52", "weight files"),
    ("tests/training/interruptions.py", "30 30", "30 29", "killed"),
    ("tests/training/interruptions.py", "15 15", "15 14", "full"),
    ("-c", "250.4", "400.1", "memory"), ("tests.mutation", "215 4", "207 12", "formulas")])
def test_what_is_wrong_is_said(command, old, new, what, printed, capsys):
    printed[command] = printed[command].replace(old, new)
    assert reliability.main() == 1
    (wrong,) = [line for line in capsys.readouterr().out.splitlines() if "WRONG" in line]
    assert what in wrong


def test_the_line_of_the_coverage_names_lines_and_branches(printed, monkeypatch):
    totals = {"percent_statements_covered": 99.18, "num_statements": 16_435,
              "percent_branches_covered": 97.68, "num_branches": 4180}

    def said(*words):
        if words[:3] == ("-m", "coverage", "json"):
            Path(words[-1]).write_text(json.dumps({"totals": totals}))
        return ""

    monkeypatch.setattr(reliability, "said", said)
    _, result, right, _ = reliability.coverage()
    assert result == "99.2 % of 16,435 lines, 97.7 % of 4,180 branches" and right
    totals["percent_branches_covered"] = 91.9
    assert not reliability.coverage()[2]
