"""python -m benchmarks.scaling: its model by hand, and what it prints of a rank that is given."""

import json
import re

import numpy as np
import pytest

from benchmarks import scaling, scaling_compute
from benchmarks.scaling_model import (
    Block,
    Compute,
    Line,
    Link,
    halving,
    merge,
    ring,
    step_seconds,
    tree,
)

LINK = Link(latency=1e-3, gigabits=8, adding=0.5e-9)  # β = 1 ns a byte
# At 4 photos forward takes 2 + 4 · 1 = 6 s, backward 4 · 2 = 8 s, the optimizer 1 s: 15 s.
COMPUTE = Compute(Line(2.0, 1.0), Line(0.0, 2.0), 1.0,
                  (Block(1, 0.5), Block(3, 0.25), Block(2, 0.25)))


@pytest.mark.parametrize("allreduce, p, milliseconds", [
    # 4 MB; a message of m bytes takes 1 ms + m ns, adding them m / 2 ns.
    (ring, 2, 2 * (1 + 2) + 1),          # 2 steps of 2 MB; 2 MB are added
    (ring, 4, 6 * (1 + 1) + 1.5),        # 6 steps of 1 MB; 3 MB are added
    (ring, 5, 8 * (1 + 0.8) + 1.6),      # 8 steps of 0.8 MB; 4 · 0.8 MB are added
    (tree, 2, 2 * (1 + 4) + 2),          # to rank 0 and back; 4 MB are added once
    (tree, 4, 4 * (1 + 4) + 4),
    (tree, 5, 6 * (1 + 4) + 6),          # as deep as for 8
    (halving, 2, 2 * (1 + 2) + 1),       # 2 MB there, 2 MB back
    (halving, 8, 6 * 1 + 2 * (2 + 1 + 0.5) + 3.5 / 2)])
def test_allreduce_by_hand(allreduce, p, milliseconds):
    assert allreduce(LINK, p, 4e6) == pytest.approx(1e-3 * milliseconds)


def test_the_bandwidth_is_in_bits_and_beta_in_bytes():
    assert Link(0, 10).beta == pytest.approx(0.8e-9)  # 1.25 GB/s
    assert Link(0, 100).beta == pytest.approx(0.08e-9)


def test_halving_needs_a_power_of_two():
    with pytest.raises(ValueError, match="power of two.*6"):
        halving(LINK, 6, 100)


def test_a_line_goes_through_both_measurements():
    line = Line.through(1, 3.0, 3, 7.0)
    assert line == Line(fixed=1.0, per_photo=2.0)
    assert line(10) == 21.0


@pytest.mark.parametrize("few, many", [(3.0, 2.0), (0.5, 7.0)])  # falling; −2.75 s without a photo
def test_measurements_that_allow_no_line_count_in_proportion(few, many):
    assert Line.through(1, few, 3, many) == Line(0.0, many / 3)


def test_small_blocks_are_merged_and_what_is_left_is_the_last_block():
    blocks = [Block(1, 0.1), Block(2, 0.2), Block(3, 0.3), Block(4, 0.4)]
    assert merge(blocks, 1) == blocks
    assert merge(blocks, 3) == [Block(3, pytest.approx(0.3)), Block(3, 0.3), Block(4, 0.4)]
    assert merge(blocks, 5) == [Block(6, pytest.approx(0.6)), Block(4, 0.4)]
    assert merge(blocks, 100) == [Block(10, pytest.approx(1.0))]


def test_a_step_without_overlap_by_hand():
    assert COMPUTE.seconds(4) == 15.0
    assert step_seconds(COMPUTE, 4, 1, ring) == 15.0  # nobody to talk to
    assert step_seconds(COMPUTE, 4, 2, lambda p, n: 10 * p + n) == 15.0 + 20 + 6


def test_a_step_with_overlap_by_hand():
    # Gradients are there 4, 6 and 8 s after backward began, and take 1, 3 and 2 s: through after 5,
    # 6 + 3 = 9 and 9 + 2 = 11 s, 3 s after backward.
    assert step_seconds(COMPUTE, 4, 2, lambda p, n: n, COMPUTE.blocks) == 6 + 11 + 1
    # Ten times as fast a network: after 4.1, 6.3 and 8.2 s.
    assert step_seconds(COMPUTE, 4, 2, lambda p, n: n / 10, COMPUTE.blocks) == pytest.approx(
        6 + 8.2 + 1)
    # Ten times as slow: the first begins after 4 s, then 10 + 30 + 20 s.
    assert step_seconds(COMPUTE, 4, 2, lambda p, n: 10 * n, COMPUTE.blocks) == 6 + 64 + 1


def test_a_rank_that_is_faster_computes_faster_and_sends_as_much():
    fast = COMPUTE.faster(5)
    assert fast.seconds(4) == pytest.approx(3.0)
    assert fast.bytes == COMPUTE.bytes == 6


def test_the_rows_are_efficiency_and_speed_up(monkeypatch):
    monkeypatch.setattr(scaling, "ALGORITHMS", {"slow": lambda link, p, n: 5.0 * p})
    # Weak: 15 s alone; 15 + 10 after backward; one block, ready after 8 s, is no quicker.
    assert scaling.weak(COMPUTE, 4, 2, [LINK], block=6) == ["60 → 60"]
    # Blocks of 1, 3 and 2 bytes, 10 s each: through after 14, 24, 34 s; 6 + 34 + 1 = 41 s.
    assert scaling.weak(COMPUTE, 4, 2, [LINK], block=1) == ["60 → 37"]
    # Strong, 7 photos: 9 + 14 + 1 = 24 s alone; the larger share is 4 photos, 25 s.
    assert scaling.strong(COMPUTE, 7, 2, [LINK], block=6) == ["0.96 → 0.96"]


def test_gradients_have_their_bytes_the_last_layer_first():
    blocks = scaling_compute.gradient_blocks(scaling_compute.small_cnn(28), 4)
    # 64 + 1, 1568·64 + 64, 9·16·32 + 32 and 9·3·16 + 16 numbers of 4 bytes
    assert [block.bytes for block in blocks] == [260, 401_664, 18_560, 1_792]
    assert sum(block.share for block in blocks) == pytest.approx(1)
    assert min(block.share for block in blocks) > 0


@pytest.mark.parametrize("name, numbers", [
    ("VGG16 base", 14_714_688 + 512 + 1), ("head only", 2 * 2 * 512 + 1), ("SmallCNN", 105_569)])
def test_the_networks_are_trained_whole(name, numbers):
    build, _ = scaling_compute.CASES[name]
    model = build(32)
    assert sum(p.size for layer in model.layers for p in layer.params.values()) == numbers
    assert all(layer.trainable for layer in model.layers)
    assert model.shapes()[-1] == (1,)


def test_what_is_measured_are_seconds_of_three_phases():
    times = scaling_compute.step_times(scaling_compute.small_cnn(28), 4)
    assert times.shape == (3,) and (np.array(times) > 0).all()


@pytest.fixture
def saved(tmp_path):
    """A file as --save writes it, of two cases."""
    measured = {"machine": {"processor": "abacus"}, "size": 64, "adding": 1e-10, "features": 0.25,
                "others": 0.01,
                "cases": {"SmallCNN": COMPUTE, "head only": COMPUTE}}
    scaling_compute.save(tmp_path / "rank.json", measured)
    assert scaling_compute.read(tmp_path / "rank.json") == measured
    return tmp_path / "rank.json"


def test_it_prints_assumptions_then_tables_of_what_is_given(saved, capsys):
    scaling.main(["--compute", str(saved), "--cases", "SmallCNN", "--photos", "4",
                  "--latency", "2e6", "1e6", "--ranks", "1", "2", "4"])
    printed = capsys.readouterr().out
    assert printed.startswith("COMPUTED by the α-β model")
    assert "NOT VALID" not in printed
    assert "processor: abacus" in printed and "photos of 64 pixels" in printed
    assert "α = 2e+06 µs at 10 Gbit/s, 1e+06 µs at 100 Gbit/s" in printed
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", printed.split("strong: speed-up")[0], re.M))
    assert set(rows) == {"1", "2", "4"} and rows["1"] == " | ".join(["100 → 100"] * 6)
    # 15 s alone. 4 ranks at 2 s a message: ring 6, tree and halving 4 of them; at 1 s half as long.
    assert rows["4"].split(" | ") == ["56 → 56", "65 → 65", "65 → 65", "71 → 71", "79 → 79",
                                      "79 → 79"]


def test_a_disturbed_measurement_is_marked(saved, capsys):
    saved.write_text(saved.read_text("utf-8").replace('"others": 0.01', '"others": 0.43'), "utf-8")
    scaling.main(["--compute", str(saved), "--cases", "SmallCNN", "--ranks", "1"])
    assert "NOT VALID: other processes took 43% of the processor." in capsys.readouterr().out


def test_the_features_of_a_frozen_base_count_once(saved, capsys):
    scaling.main(["--compute", str(saved), "--cases", "head only", "--photos", "100", "--epochs",
                  "2", "--latency", "1e6", "1", "--ranks", "1", "2"])
    # 1000 photos: 250 s, then 2 · 10 steps of 102 + 200 + 1 = 303 s: 6310 s; two messages of 1 s a
    # step more: 6350 s.
    assert "99 % at 10 Gbit/s, 100 % at 100 Gbit/s on 2 ranks" in capsys.readouterr().out


@pytest.mark.parametrize("words, expected", [
    (["--ranks", "3"], "power of two"), (["--ranks", "0"], "power of two"),
    (["--photos", "0"], "whole number above 0"), (["--faster", "-1"], "number above 0"),
    (["--batch", "512"], "a photo for each of 1024 ranks, received 512")])
def test_impossible_options_are_refused(words, expected, capsys):
    with pytest.raises(SystemExit) as end:
        scaling.main(words)
    assert end.value.code == 2 and expected in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"cases": {"SmallCNN": {}}})])
def test_another_file_is_refused(text, tmp_path):
    (tmp_path / "rank.json").write_text(text)
    with pytest.raises(SystemExit, match="rank.json: expected a file that --save has written"):
        scaling.main(["--compute", str(tmp_path / "rank.json")])


def test_a_file_without_the_case_is_refused(saved):
    with pytest.raises(SystemExit, match="expected VGG16 base, found SmallCNN, head only"):
        scaling.main(["--compute", str(saved)])
