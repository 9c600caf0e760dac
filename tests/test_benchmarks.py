"""python -m benchmarks: the statistics by hand, the peers compute what minicnn does, and a missing
one is named."""

import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minicnn as mc
from benchmarks import __main__ as benchmarks
from benchmarks import engines, flops, measuring, rows_inference
from benchmarks.flops import Flops
from benchmarks.load import Clocks, busy_ticks, share_of_others
from benchmarks.measuring import Comparison, Row, best_peer, fastest, in_turn

VARIANTS = [pytest.param(peer, variant, id=variant, marks=pytest.mark.skipif(
                bool(peer.missing()), reason=f"{peer.missing()} not installed"))
            for peer in engines.PEERS for variant in peer.variants]


@pytest.fixture
def network():
    """(two blocks of VGG16 with biases, four photos of 32 × 32, its output)."""
    model = mc.VGG16(include_top=False, weights=None, cut="block2_pool", input_shape=(32, 32, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if layer.params:
            layer.params["b"] += rng.normal(size=layer.params["b"].shape).astype(np.float32)
    x = rng.normal(size=(4, 32, 32, 3)).astype(np.float32)
    return model, x, model.forward(x, keep=False)


def without(monkeypatch, *packages):
    """From now on these packages are not installed, as far as Python can find."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name: None if name in packages else find_spec(name))


# Statistics ----------------------------------------------------------------------------------


def test_the_ratio_is_the_median_of_the_ratios_of_neighbours():
    comparison = Comparison(((2.0, 4.0), (3.0, 2.0), (9.0, 6.0)))
    assert comparison.ratios == [0.5, 1.5, 1.5]
    assert comparison.ratio == 1.5  # not 3 / 4, the ratio of the medians
    assert comparison.spread == (0.5, 1.5)
    assert (comparison.ours, comparison.theirs) == (3.0, 4.0)


def test_a_row_shows_the_ratio_and_its_spread():
    row = Row("case", "peer", Comparison(((2.0, 4.0), (3.0, 2.0), (9.0, 6.0))), "9 s")
    assert str(row) == "| case | peer | 1.50 | 0.50 … 1.50 | 9 s |"
    assert row.to_dict() == {"case": "case", "peer": "peer", "ratio": 1.5, "lowest": 0.5,
                             "highest": 1.5, "pairs": ((2, 4), (3, 2), (9, 6)), "note": "9 s",
                             "others": 0.0, "valid": True}


def test_a_row_that_other_processes_disturbed_is_marked():
    row = Row("case", "peer", Comparison(((2.0, 4.0),)), "2 s", others=0.43)
    assert str(row) == ("| case | peer | 0.50 | 0.50 … 0.50 | NOT VALID: other processes took 43% "
                        "of the processor; 2 s |")
    assert row.to_dict()["valid"] is False
    assert "NOT VALID" not in str(Row("case", "peer", row.comparison, others=0.05))


def test_busy_ticks_by_hand():
    text = ("cpu  900 900 900 900 900 900 900 900 0 0\ncpu0 10 2 3 500 7 1 1 4 0 0\n"
            "cpu1 20 0 5 600 9 0 0 0 0 0\ncpu12 99 99 99 99 99 99 99 99 0 0\nintr 5 5\n")
    assert busy_ticks(text, {0}) == 21  # 10 + 2 + 3 + 1 + 1 + 4: without idle 500 and iowait 7
    assert busy_ticks(text, {0, 1}) == 46


def test_the_share_of_others_by_hand():
    # In 10 s two cores were busy for 15 of 20 s, 11 of them for us.
    before, after = Clocks(100, 50, 3), Clocks(110, 65, 14)
    assert share_of_others(before, after, cores=2) == pytest.approx(4 / 20)
    # A tick too many in one of the two clocks is no negative share.
    assert share_of_others(Clocks(0, 0, 0), Clocks(1, 0.99, 1), cores=1) == 0


def test_each_measurement_of_a_peer_has_one_of_ours_directly_before_it():
    measured, clock = [], iter(range(1, 9))

    def measure(function):
        measured.append(function)
        return next(clock)

    comparisons = in_turn("ours", {"a": "A", "b": "B"}, 2, measure)
    assert measured == ["ours", "A", "ours", "B"] * 2
    assert comparisons == {"a": Comparison(((1, 2), (5, 6))), "b": Comparison(((3, 4), (7, 8)))}


def test_the_fastest_variant_has_the_smallest_median():
    times = {"a": iter([1, 9, 9]), "b": iter([5, 5, 30])}
    assert fastest({"a": "a", "b": "b"}, 3, lambda name: next(times[name])) == "b"
    assert fastest({"a": "a"}, 3, None) == "a"  # nothing to be measured


def test_the_best_peer_is_the_one_that_is_hardest_to_beat():
    assert best_peer({"slow": Comparison(((1.0, 3.0),)), "fast": Comparison(((1.0, 2.0),))}) == (
        "fast")


def test_seconds_measures_the_call_and_not_the_pause(monkeypatch):
    calls = []
    monkeypatch.setattr(measuring.time, "sleep", lambda pause: calls.append(pause))
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: len(calls))
    assert measuring.seconds(lambda: calls.append("call")) == 1
    assert calls == [measuring.PAUSE, "call"]


def test_sgemm_is_the_product_that_is_counted():
    product, operations = measuring.sgemm(16)
    assert product().shape == (16, 16) and product().dtype == np.float32
    assert operations == 8192  # 16·16 numbers, 16 multiplications and 16 additions each


# Peers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer, variant", VARIANTS)
def test_a_peer_computes_what_minicnn_does(peer, variant, network):
    model, x, expected = network
    y = peer.variants[variant](model, x, 1)()
    assert y.shape == expected.shape == (4, 8, 8, 128)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * expected.max())


def test_precision_and_threads_of_openvino_are_those_of_the_others(network, monkeypatch):
    openvino = pytest.importorskip("openvino")
    compiled, compile_model = [], openvino.Core.compile_model

    def spy(*arguments):
        compiled.append(compile_model(*arguments))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    engines.openvino_run(*network[:2], 1, "LATENCY")
    assert compiled[-1].get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert compiled[-1].get_property("INFERENCE_NUM_THREADS") == 1


def rounded_to_bfloat16(y):
    """y with 8 significant bits instead of 24, cut off."""
    return (y.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@pytest.mark.parametrize("change", [rounded_to_bfloat16, lambda y: y * np.nan, lambda y: 0 * y,
                                    lambda y: y[..., ::-1], lambda y: y[:1]])
def test_another_output_is_refused_before_it_is_timed(change, network):
    _, _, y = network
    assert engines.checked("engine", lambda: y * np.float32(1 + 1e-6), y)() is not None
    with pytest.raises(ValueError, match="^engine: expected .*received"):
        engines.checked("engine", lambda: change(y), y)


def test_one_photo_is_not_cut_into_parts():
    assert engines.variants_for(engines.OPENVINO, 1) == ["openvino-latency"]
    assert engines.variants_for(engines.OPENVINO, 8) == ["openvino-latency", "openvino-throughput"]


def test_a_missing_peer_is_named_and_left_out(monkeypatch):
    without(monkeypatch, "openvino", "onnxruntime", "onnx")
    assert engines.installed(engines.PEERS) == [engines.PYTORCH]
    lines = engines.missing_peers(engines.PEERS)
    assert [line.split(" not installed")[0] for line in lines] == [
        "ONNX Runtime is left out: onnxruntime and onnx", "OpenVINO is left out: openvino and onnx"]
    assert [text.split()[0] for text in engines.versions(engines.PEERS)] == ["torch"]


# The table -----------------------------------------------------------------------------------


@pytest.fixture
def small(network, monkeypatch):
    """The rows of inference measure a small network, without pauses."""
    monkeypatch.setattr(measuring, "PAUSE", 0)
    monkeypatch.setattr(rows_inference, "network_and_photos",
                        lambda N: (network[0], network[1][:N]))


def test_a_row_for_each_peer_and_for_the_best(small):
    rows = list(rows_inference.speed(2)(SimpleNamespace(pairs=2), None))
    names = [peer.name for peer in engines.installed(engines.PEERS)]
    assert [row.peer.split(" (")[0] for row in rows] == [
        *names, *([f"best of {len(names)}: " + rows[-1].peer.split(": ")[1].split(" (")[0]]
                  if len(names) > 1 else [])]
    assert all(len(row.comparison.pairs) == 2 for row in rows)
    assert len(names) == 1 or rows[-1].comparison.theirs == min(
        row.comparison.theirs for row in rows)


def test_without_peers_there_is_no_row(small, monkeypatch):
    without(monkeypatch, "torch", "onnx")
    assert list(rows_inference.speed(1)(SimpleNamespace(pairs=1), None)) == []


def test_the_share_is_of_the_rate_of_numpys_product(small, monkeypatch):
    monkeypatch.setattr(rows_inference, "sgemm", lambda: (lambda: None, 4e9))
    count = Flops(definition=8e9, products=2e9, transforms=1e9)
    monkeypatch.setattr(flops, "forward", lambda model, N: count)
    calls = []

    def in_turn(ours, theirs, pairs, measure):
        measure(lambda: calls.append(1))
        return {"sgemm": Comparison(((3.0, 2.0),) * pairs)}

    monkeypatch.setattr(rows_inference, "in_turn", in_turn)
    row, = rows_inference.share(SimpleNamespace(pairs=1), None)
    assert len(calls) == 2  # the second one is measured
    assert row.comparison.pairs == ((1.0, 2.0),)  # GFLOP/s: 3 of them in 3 s, 4 in 2 s
    assert "without the transforms 33%, by the definition (8 GFLOP) 133%" in row.note


def test_memory_compares_processes_of_the_same_round(monkeypatch):
    peaks = iter([60e6, 100e6, 80e6, 50e6, 90e6, 200e6])
    monkeypatch.setattr(engines, "PEERS", (engines.PYTORCH,))
    monkeypatch.setattr(rows_inference, "process", lambda *words: (1.0, next(peaks)))
    row, = rows_inference.memory(8)(SimpleNamespace(pairs=2), Path())
    assert (row.peer, row.comparison.pairs) == (
        "PyTorch (contiguous)", ((60e6, 100e6), (50e6, 90e6)))
    assert row.note == "55 MB against 95 MB"


def test_main_prints_the_machine_the_missing_peers_and_the_rows_asked_for(
        monkeypatch, capsys, tmp_path):
    without(monkeypatch, "openvino")
    monkeypatch.setattr(benchmarks, "machine", lambda: {"processor": "Z80", "threads": "1"})
    monkeypatch.setattr(benchmarks, "ROWS", {
        "a": lambda args, folder: [Row("case a", "peer", Comparison(((1.0, 2.0),) * args.pairs))],
        "b": lambda args, folder: [Row("case b", "peer", Comparison(((1.0, 4.0),) * args.pairs))]})
    clocks = iter([Clocks(0, 0, 0), Clocks(10, 10, 4)])
    monkeypatch.setattr(benchmarks, "read_clocks", lambda: next(clocks))
    monkeypatch.setattr(benchmarks.threads, "cores", lambda: 2)
    benchmarks.main(["--rows", "b", "--pairs", "3", "--json", str(tmp_path / "table.json")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["processor: Z80", "threads: 1"]
    assert any(line.startswith("OpenVINO is left out: openvino") for line in lines)
    assert lines[-1] == ("| case b | peer | 0.25 | 0.25 … 0.25 | NOT VALID: other processes took "
                         "30% of the processor;  |")
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["pairs"] for row in table["rows"]] == [[[1.0, 4.0]] * 3]


@pytest.mark.parametrize("words", [["--rows", "vgg19"], ["--pairs", "0"]])
def test_rows_and_pairs_that_make_no_sense_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(words)
    assert words[0] in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the benchmark reads /proc")
def test_the_heading_says_which_processor_how_many_threads_and_which_versions():
    heading = benchmarks.machine()
    assert heading["processor"] and heading["threads"].startswith("1 on ")  # tests: one thread
    assert f"numpy {np.__version__}" in heading["versions"]


def test_the_page_has_every_row():
    page = (Path(__file__).parent.parent / "docs" / "benchmarks.md").read_text("utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.M) == list(benchmarks.ROWS)
