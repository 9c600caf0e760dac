"""The GPU benchmark and the roofline estimate, on cuda-sim in tiny: so that they do not rot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minicnn as mc
from benchmarks import gpu, roofline
from benchmarks.gpu_cases import Case
from minicnn.ops.cuda import simulator
from minicnn.ops.cuda.launch import KERNELS, kernels

ROOT = Path(__file__).parents[2]


def tiny():
    return mc.Sequential([mc.Conv2D(5, 3, padding="same", activation="relu"), mc.MaxPool2D(2),
                          mc.Flatten(), mc.Dense(6, activation="relu"),
                          mc.Dense(3, activation="softmax")], (6, 8, 3), name="tiny")


def test_every_kernel_is_measured_and_agrees_with_pytorch(monkeypatch):
    launched, run = set(), simulator.run
    monkeypatch.setattr(simulator, "run", lambda code, name, *rest, **named: (
        launched.add(name), run(code, name, *rest, **named))[1])
    cases = gpu.all_cases("cuda-sim", (2, 6, 8, 3), 5, (4, 7), 40, tiny, 2)
    results = [gpu.measure(case, gpu.host_seconds, pairs=1, fill=0) for case in cases]
    assert launched == set(kernels(KERNELS))
    assert {r.case.name: r.difference for r in results if not r.difference < 1e-5} == {}
    assert len({r.case.name for r in results}) == len(results) >= 30
    assert all(r.case.bytes > 0 and r.ours > 0 and r.theirs > 0 for r in results)


def test_products_are_measured_in_both_precisions_against_pytorch_as_it_comes(monkeypatch):
    import torch

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    cases = gpu.product_cases("cuda-sim", (2, 6, 8, 3), 5, tiny, 2)
    differences, modes = {}, []
    for case in gpu.against_pytorch_as_it_comes(cases):
        modes.append(torch.backends.cudnn.allow_tf32)
        differences[case.name] = gpu.measure(case, gpu.host_seconds, pairs=1, fill=0).difference
    assert len(differences) == 2 * (6 + 4 + 4)
    for name, difference in differences.items():
        if name.endswith("ours in float32"):
            assert difference < 1e-5
        else:  # implicit GEMM is a kernel of ours, and Winograd's products are in float32
            own = "implicit_gemm", "winograd", "direct"  # kernels of ours, not products of cuBLAS
            least = 0 if any(word in name for word in own) else 1e-5
            assert name.endswith("ours in tf32") and least <= difference < 2e-3, name
    assert all(modes) and not torch.backends.cudnn.allow_tf32  # PyTorch's default, and back


def test_a_wrong_result_shows_as_a_difference():
    import torch

    a = torch.ones(3)
    case = Case("wrong", lambda: (a.numpy() * 2, a.numpy()), lambda: (a, a), 12)
    assert gpu.measure(case, gpu.host_seconds, pairs=1, fill=0).difference == 1


def test_pairs_alternate_and_the_ratio_is_their_median():
    calls, durations = [], {"ours": iter([9, 1, 2, 6]), "theirs": iter([9, 1, 1, 2])}

    def timer(function, repeats):
        calls.append(function())
        return float(next(durations[calls[-1]]))
    case = Case("two", lambda: "ours", lambda: "theirs", 10)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(gpu, "difference", lambda ours, theirs: 0.0)
    result = gpu.measure(case, timer, pairs=3)
    monkey.undo()
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert (result.ours, result.theirs, result.ratio) == (2, 1, 2)


def test_the_table_gives_rates_and_shares_of_the_peaks():
    result = gpu.Result(Case("copy", None, None, 3 * 10**9, 10**9), 0.02, 0.01, 2.0, 1e-7)
    assert gpu.line(result, roofline.Card("card", 300e9, 1e12)) == (
        "| copy | 20 | 10 | 2.00 | 150 | 50% | 50 | 5% | 1e-07 |")
    assert gpu.line(result, roofline.Card("unknown", 0, 0)).count("–") == 2


def test_without_a_gpu_the_command_says_so_in_one_sentence():
    done = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], cwd=ROOT, text=True,
                          capture_output=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpu: ") and "expected" in done.stderr
    assert done.stderr.count("\n") == 1


# The roofline estimate

@pytest.fixture(scope="module")
def vgg16():
    return mc.VGG16(include_top=False, weights=None)


def test_vgg16_costs_what_the_literature_says(vgg16):
    steps = roofline.network_steps(vgg16, 1, "im2col")
    products = [s for found in steps.values() for s in found if s.name == "matmul"]
    columns = [s for found in steps.values() for s in found if s.name == "im2col"]
    assert len(products) == len(columns) == 13
    assert sum(s.flops for s in products) == 2 * 15_346_630_656  # 15.3 billion multiply-adds
    read = sum(roofline.moved(shape) for shape, layer in zip(vgg16.shapes(), vgg16.layers,
                                                             strict=False)
               if isinstance(layer, mc.Conv2D))
    assert round((sum(s.bytes for s in columns) - read) / 1e6) == 327  # all thirteen cols


def test_implicit_gemm_saves_exactly_the_column_matrix(vgg16):
    ways = [roofline.network_steps(vgg16, 3, way) for way in ("im2col", "implicit_gemm")]
    a, b = (sum(s.bytes for s in way["block1_conv2"]) for way in ways)
    assert a - b == 2 * 4 * 3 * 224 * 224 * 9 * 64
    assert sum(s.flops for s in ways[0]["block1_conv2"]) == sum(
        s.flops for s in ways[1]["block1_conv2"])


def test_winograds_algorithm_multiplies_a_quarter_and_is_selected_for_all_but_the_first(vgg16):
    ways = [roofline.network_steps(vgg16, 32, way) for way in ("im2col", "selected")]
    assert [s.name for s in ways[1]["block1_conv1"]] == ["im2col", "matmul", "bias"]
    for layer in vgg16.layers:
        if isinstance(layer, mc.Conv2D) and layer.name != "block1_conv1":
            direct, winograd = ({s.name: s for s in way[layer.name]} for way in ways)
            assert list(winograd) == ["winograd_kernels", "winograd_tiles", "matmul",
                                      "winograd_outputs"]
            size = layer.window(vgg16.shapes()[vgg16.layers.index(layer)]).output_size[0]
            of_tiles = (-(-size // 4) * 4 / size) ** 2  # 14 pixels take 4 tiles, as 16 would
            assert winograd["matmul"].flops == direct["matmul"].flops / 4 * of_tiles


def test_a_pooling_that_the_convolution_does_writes_a_quarter_and_costs_nothing(vgg16):
    alone = roofline.forward_steps(vgg16.layers[1], (32, 224, 224, 64), (32, 224, 224, 64),
                                   "winograd")
    fused = roofline.network_steps(vgg16, 32, "selected")
    saved = sum(s.bytes for s in alone) - sum(s.bytes for s in fused["block1_conv2"])
    assert saved == 4 * 32 * 224 * 224 * 64 * 3 / 4 and fused["block1_pool"] == []


def test_the_bound_is_that_of_the_greater_part_of_the_time():
    card = roofline.Card("card", bandwidth=100, flops=1000)
    slow, fast = roofline.Step("copy", 500), roofline.Step("product", 100, 2000)
    assert roofline.estimate([slow], card) == (5, "memory")
    assert roofline.estimate([fast], card) == (2, "compute")
    assert roofline.estimate([slow, fast], card) == (7, "memory")


def test_the_roofline_table_has_a_line_for_every_layer_that_computes():
    lines = roofline.table(tiny(), 2).splitlines()
    assert [row.split()[1] for row in lines[2:]] == [
        "conv2d", "maxpool2d", "dense", "dense_1", "all"]
    assert all(row.count("|") == lines[0].count("|") for row in lines)


def test_the_summary_has_inference_by_every_way_and_a_training_step():
    rows = [row.split("|")[1:-1] for row in roofline.summary(tiny(), 2).splitlines()[2:]]
    assert [row[0].strip() for row in rows] == [
        "inference, im2col", "inference, implicit_gemm", "inference, selected", "training step"]
    for row in rows:
        h100, _, attained = map(float, row[1:])
        assert 0 < h100 < attained < 2 * h100
