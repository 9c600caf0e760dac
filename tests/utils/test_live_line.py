"""The live line: its width, its bar, and who may see it."""

import io

import pytest

from minicnn.utils.live_line import LiveLine, compose, no_live_lines


class Terminal(io.StringIO):
    """A standard error that says it is a terminal, of the given encoding."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(LiveLine, "stream", stream := Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    yield stream
    assert LiveLine.shown is None


def test_the_bar_takes_what_the_texts_leave():
    assert compose("VGG16  epoch 3/4", 0.75, ["loss 0.5", "held-out 90.0 %"], 63) == (
        "VGG16  epoch 3/4 " + "▇" * 14 + "▁" * 5 + "  loss 0.5  held-out 90.0 %")


@pytest.mark.parametrize("width", [79, 99, 200])
@pytest.mark.parametrize("fraction", [0, 0.5, 1, 7])
def test_a_line_is_exactly_as_wide_as_it_may_be(width, fraction):
    line = compose("from scratch (Ctrl-C skips)  epoch  7/60", fraction,
                   ["loss 0.682", "held-out 50.0 %"], width)
    cells = line.count("▇") + line.count("▁")
    assert len(line) == width and cells >= 10
    assert line.count("▇") == {0: 0, 0.5: round(cells / 2), 1: cells, 7: cells}[fraction]


def test_in_a_narrow_window_the_last_texts_go_first_and_ten_cells_stay():
    texts = ["loss 0.5", "held-out 90.0 %"]
    assert compose("epoch 3/4", 1, texts, 40) == f"epoch 3/4 {'▇' * 20}  loss 0.5"
    assert compose("epoch 3/4", 1, texts, 25) == f"epoch 3/4 {'▇' * 15}"
    assert compose("epoch 3/4", 1, texts, 15) == f"epoc {'▇' * 10}"
    assert compose("epoch 3/4", 1, texts, 5) == "▇" * 5


def test_without_unicode_the_bar_is_ascii():
    assert compose("a", 0.5, [], 14, ascii_only=True) == "a ######------"
    assert compose("a", 0.5, [], 14, ascii_only=True).isascii()


@pytest.mark.parametrize("encoding, full", [("utf-8", "▇"), ("ascii", "#"), ("latin-1", "#"),
                                            ("cp1252", "#"), (None, "#"), ("nonsense", "#")])
def test_the_bar_follows_the_terminal_s_encoding(encoding, full, terminal):
    terminal.encoding = encoding
    line = LiveLine()
    line.draw("a", 1)
    line.close()
    assert terminal.getvalue().startswith(f"\ra {full * 57}\r")


def test_a_shorter_line_covers_the_longer_one_and_the_end_leaves_nothing(terminal, monkeypatch):
    line = LiveLine()
    line.draw("first", 1)
    monkeypatch.setenv("COLUMNS", "40")
    line.draw("2", 0, now=True)
    line.close()
    first, second, spaces = (part for part in terminal.getvalue().split("\r") if part)
    assert len(first) == 59 and second == "2 " + "▁" * 37 + " " * 20
    assert not spaces.strip() and len(spaces) == 39


def test_drawings_that_follow_at_once_are_left_out(terminal):
    line = LiveLine()
    for k in range(1000):
        line.draw("a", k / 1000)
    line.draw("end", 1, now=True)
    line.close()
    drawn = [part for part in terminal.getvalue().split("\r") if part.strip()]
    assert 2 <= len(drawn) < 500 and drawn[-1].startswith("end")


def test_there_is_one_line_at_a_time(terminal):
    first, second = LiveLine(), LiveLine()
    first.draw("first", 0)
    second.draw("second", 0, now=True)
    second.close()
    assert "second" not in terminal.getvalue()
    first.close()
    second.draw("second", 0, now=True)
    second.close()
    assert "second" in terminal.getvalue()


def test_nothing_is_drawn_in_silence_or_without_a_terminal(terminal, monkeypatch):
    line = LiveLine()
    with no_live_lines():
        line.draw("a", 0, now=True)
    assert terminal.getvalue() == ""
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(LiveLine, "stream", stream)
        line.draw("a", 0, now=True)
        line.close()
        assert stream is None or stream.getvalue() == ""


def test_a_terminal_that_is_gone_stops_nothing(terminal, monkeypatch):
    def broken(text):
        raise BrokenPipeError

    monkeypatch.setattr(terminal, "write", broken)
    line = LiveLine()
    line.draw("a", 0)
    line.close()
