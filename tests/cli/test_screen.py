"""Sentences in the terminal's width and encoding, and the bar of commands that read many photos."""

import io

import pytest

from minicnn.cli import terminal
from minicnn.cli.progress import Bar, describe
from minicnn.utils.live_line import LiveLine


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def spoken(monkeypatch, text, columns, stream=None):
    stream = stream or Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(terminal.sys, "stdout", stream)
    terminal.say(text)
    return stream.getvalue()


def test_a_sentence_is_broken_between_words_and_not_before_a_percent_sign(monkeypatch):
    assert spoken(monkeypatch, "one two 33 % four\nnext", 21) == "one two 33 % four\nnext\n"
    assert spoken(monkeypatch, "one two three 33 % four", 20 + 1) == (
        "one two three 33 %\n  four\n")
    assert spoken(monkeypatch, "one two three fo 33 % x", 21) == "one two three fo\n  33 % x\n"


def test_a_word_that_is_too_long_stays_whole(monkeypatch):
    path = "runs/" + 40 * "x"
    assert spoken(monkeypatch, f"Open {path} now", 30) == f"Open\n  {path}\n  now\n"


def test_in_a_pipe_no_line_is_broken(monkeypatch):
    text = "word " * 60
    assert spoken(monkeypatch, text, 20, io.StringIO()) == text + "\n"


@pytest.mark.parametrize("encoding, written", [
    ("utf-8", "77.5 … 90.3 %, 64 × 64, café"), ("ascii", "77.5 ... 90.3 %, 64 x 64, cafe"),
    ("latin-1", "77.5 ... 90.3 %, 64 × 64, café")])
def test_what_an_encoding_lacks_is_written_in_ascii(encoding, written):
    text = "77.5 … 90.3 %, 64 × 64, café"
    assert text.encode(encoding, terminal.HANDLER).decode(encoding) == written


def test_bytes_of_file_names_are_escaped():
    assert b"\xff.jpg".decode("utf-8", "surrogateescape").encode("utf-8", terminal.HANDLER) == (
        b"\\udcff.jpg")


def test_the_bar_counts_and_goes(monkeypatch):
    monkeypatch.setattr(LiveLine, "stream", stream := Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    bar = Bar("evaluate")
    for done in range(1, 9):
        bar(done, 8)
    shown = [part for part in stream.getvalue().split("\r") if part.strip()]
    assert shown[0].startswith("evaluate ▇") and shown[0].endswith("▁  1/8")
    assert shown[-1].endswith("▇  8/8") and LiveLine.shown is None
    assert not stream.getvalue().split("\r")[-2].strip()


def test_an_epoch_s_line_names_its_photos():
    logs = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.25, "val_accuracy": 1.0}
    assert describe(logs) == "training loss 0.500, 75.0 %; validation loss 0.250, 100.0 %"
    assert describe({"loss": 0.5, "held_out_loss": 2.0}) == (
        "training loss 0.500; held-out loss 2.000")
