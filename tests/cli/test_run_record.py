"""run.json: the options as they were given, and under "used" what they came to and where it ran."""

import html
import json
import re
import socket
from datetime import datetime
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from makers import run_command

import minicnn as mc
from minicnn.cli import run_record
from minicnn.training.callbacks import checkpoint

FAST = ["--sample", "fashion", "--size", "32", "--cut", "block1_pool", "--epochs", "2",
        "--per-class", "4", "--no-scratch"]


def train(capsys, *words):
    return run_command(capsys, "train", *words)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("record") / "run"
    assert mc_train(*FAST, "--output", output) == 0
    return output


def mc_train(*words):
    from minicnn.cli import main
    return main(["train", *map(str, words)])


def test_it_says_what_was_used(run):
    document = json.loads((run / "run.json").read_text("utf-8"))
    used = document.pop("used")
    assert document["lr"] is None and document["classes"] is None  # as given
    assert 0 < used["learning_rate"] < 0.1
    assert (used["cut"], used["size"], used["epochs"], used["device"]) == (
        "block1_pool", 32, 2, "cpu")
    assert used["classes"] == ["sandal", "sneaker"]
    assert used["photos"] == {"train": 8, "test": 200}
    assert used["minicnn"] == mc.__version__ and used["numpy"] == np.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", used["python"])
    assert used["command"].startswith("minicnn train --sample fashion --size 32")
    assert datetime.fromisoformat(used["started"]).tzinfo is not None
    assert used["seconds"] > 0 and used["cores"] >= 1 and used["processor"]
    assert used["constants"]["over_im2col"] == 32  # the usual ones: nothing is measured in tests
    assert "verbose" not in document and "quiet" not in document


def test_labels_are_checked_unless_it_is_told_not_to(tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr(import_module("minicnn.training.transfer"), "out_of_fold",
                        lambda *words, **options: checked.append(words))
    for name, words in (("a", []), ("b", ["--no-label-check"])):
        assert mc_train(*FAST, *words, "--output", tmp_path / name) == 0
        assert len(checked) == 1


def test_it_does_not_say_whose_machine_it_was(run):
    used = json.loads((run / "run.json").read_text("utf-8"))["used"]
    used.pop("command")
    assert socket.gethostname() not in json.dumps(used)


def test_the_page_shows_the_options_without_what_was_used(run):
    assert '["used"' not in (run / "report.html").read_text("utf-8")


def test_a_config_takes_the_options_only(run, tmp_path, capsys):
    assert train(capsys, "--config", run / "run.json", "--output", tmp_path / "b")[0] == 0
    first, second = (json.loads((folder / "run.json").read_text("utf-8"))
                     for folder in (run, tmp_path / "b"))
    assert first.pop("used")["learning_rate"] == second.pop("used")["learning_rate"]
    assert first == second


def without_record(page):
    """The page without the command, and when and where it ran."""
    shorter, count = re.subn(r'<(pre|div)[^>]* class="record">.*?</\1>', "", page, flags=re.S)
    assert count == 2
    return shorter


@pytest.mark.parametrize("old", [False, True], ids=["of today", "of 0.2, without what was used"])
def test_a_run_that_goes_on_keeps_its_record(old, run, tmp_path, monkeypatch, capsys):
    stopping = checkpoint.Checkpoint.save_if_due

    def save_if_due(self, *args, **options):
        self.stop()
        return stopping(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "save_if_due", save_if_due)
        assert train(capsys, *FAST, "--output", tmp_path / "run")[0] == 130
    file = tmp_path / "run" / "run.json"
    document = json.loads(file.read_text("utf-8"))
    began = document["used"]["started"]
    if old:
        del document["used"]
        file.write_text(json.dumps(document), "utf-8")
    assert train(capsys, "--resume", tmp_path / "run", "-q")[0] == 0
    used = json.loads(file.read_text("utf-8"))["used"]
    assert used["cut"] == "block1_pool" and len(used["resumed"]) == 1
    assert used.get("started") == (None if old else began)
    for name in ("history.csv", "predictions.csv", "model.h5"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes(), name
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert old or without_record(page) == without_record((run / "report.html").read_text("utf-8"))
    assert "duration since then" in page and used["resumed"][0][:10] in page


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux only")
def test_the_processor_is_the_one_the_system_names():
    assert run_record.processor() in Path("/proc/cpuinfo").read_text("utf-8")


@pytest.mark.parametrize("key", ["val_accuracy", "held_out_accuracy"])
def test_compare_reads_the_histories_of_today_and_of_0_2(key, tmp_path):
    from minicnn.cli.compare import read_run

    (tmp_path / "predictions.csv").write_text("photo,true,predicted\nx.png,a,a\n")
    (tmp_path / "history.csv").write_text(f"epoch,loss,{key}\n1,0.5,0.25\n2,0.25,0.75\n")
    (tmp_path / "split.csv").write_text("photo,class,part\nx.png,a,test\n")
    run = read_run(tmp_path)
    assert run.history == [0.25, 0.75] and not run.validated


def test_the_page_says_what_was_used_beside_the_options(run):
    text = (run / "report.html").read_text("utf-8")
    used = json.loads((run / "run.json").read_text("utf-8"))["used"]
    section = text[text.index("What was used"):]
    section = section[:section.index("</table>")]
    for words in (f"{used['learning_rate']:.3g}", used["cut"], f"minicnn {mc.__version__}",
                  f"NumPy {np.__version__}", f"Python {used['python']}", "train 8, test 200",
                  "32 × 32 pixels"):
        assert words in section, words


def test_the_page_says_which_command_it_was_when_and_how_long(run):
    text = (run / "report.html").read_text("utf-8")
    used = json.loads((run / "run.json").read_text("utf-8"))["used"]
    assert f">{html.escape(used['command'])}</pre>" in text
    record = text[text.index("When and where"):]
    record = dict(re.findall(r'scope="row">(.*?)</th><td[^>]*>(.*?)</td>',
                             record[:record.index("</table>")]))
    assert record["started"] == used["started"][:16].replace("T", " ")
    minutes, seconds = re.fullmatch(r"(?:(\d+) min )?(\d+) s", record["duration"]).groups("0")
    # rounded, and the page is written before the end
    assert 60 * int(minutes) + int(seconds) <= used["seconds"] + 2
    assert html.escape(used["processor"]) in record["machine"]
