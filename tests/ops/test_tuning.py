"""Constants of the rules that select an algorithm: measured, kept, ignored where they do not
belong, and never a reason for another result than rounding explains."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from reference import assert_close

from minicnn import ops
from minicnn.ops import Window, tuning, use
from minicnn.ops.fast import conv as fast_conv
from minicnn.ops.fast import probes as fast_probes
from minicnn.ops.fast import threads
from minicnn.ops.native import conv as native_conv
from minicnn.ops.native import probes as native_probes
from minicnn.ops.tuning import USUAL, Constants, break_even, constants, read_constants
from minicnn.utils.cache import cache_folder
from tests.ops.test_winograd import by_torch, drawn

pytestmark = pytest.mark.cpu_only
OTHERS = Constants(over_im2col=8, over_direct=48, saving=3.0, block_tiles=56, few_tiles=192)


@pytest.fixture(autouse=True)
def as_a_user(monkeypatch, tmp_path):
    """Without the constants that conftest.py gives to all tests, and with a cache of its own, in
    which the compiled kernels are already."""
    kernels = cache_folder() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kernels").symlink_to(kernels.resolve())
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINICNN_TUNING", "")
    monkeypatch.setattr(tuning, "_measured", {})
    token = tuning._given.set(None)
    yield
    tuning._given.reset(token)


@pytest.fixture
def measurements(monkeypatch):
    """The backends that are measured, in order; each comes out as OTHERS."""
    measured = []
    monkeypatch.setattr(tuning, "measure", lambda backend: measured.append(backend) or OTHERS)
    return measured


def new_process(monkeypatch):
    """What this process knows is forgotten; the cache folder stays."""
    monkeypatch.setattr(tuning, "_measured", {})


def cached_files(tmp_path):
    return sorted((tmp_path / "cache" / "tuning").iterdir())


# Break-even


@pytest.mark.parametrize("speedups, expected", [
    ({16: 0.9, 32: 1.0, 48: 1.0}, 32),    # as usual
    ({16: 1.05, 32: 1.0, 48: 1.0}, 32),   # within the margin: chance
    ({16: 1.2, 32: 1.0, 48: 1.0}, 16),
    ({16: 1.2, 32: 0.5, 48: 0.5}, 16),    # what is larger than a faster one is not asked
    ({16: 0.9, 32: 0.95, 48: 1.0}, 32),   # within the margin
    ({16: 0.9, 32: 0.8, 48: 1.0}, 48),
    ({16: 0.9, 32: 0.8, 48: 0.8, 64: 0.1}, 64),  # beyond the largest it is never asked
])
def test_break_even_is_the_smallest_size_from_which_on_it_is_faster(speedups, expected):
    assert break_even(tuple(speedups), speedups.__getitem__, 32) == expected


def test_break_even_goes_down_only_as_far_as_it_is_faster():
    assert break_even((8, 16, 24, 32), {8: 2.0, 16: 1.0, 24: 2.0}.__getitem__, 32) == 24


def test_speedup_is_a_ratio_of_times(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: clock[0])

    def takes(duration):
        def run():
            clock[0] += duration
        return run
    assert tuning.speedup(takes(2.0), takes(3.0)) == 1.5


@pytest.mark.parametrize("ratios, expected", [
    ([1.2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.9], 1.5), ([1.0, 1.05, 1.5, 1.8, 1.8, 1.8, 1.8], 1.05),
    ([0.5, 0.6, 0.6, 0.7, 0.7, 0.8, 2.0], 0.8), ([0.5, 0.5, 0.8, 1.0, 1.2, 1.4, 1.4], 1.0)])
def test_measurements_that_scatter_move_nothing(ratios, expected, monkeypatch):
    """The second smallest or the second largest of seven, whichever is nearer to 1."""
    durations = iter([value for ratio in ratios for value in (ratio, 1.0)])
    monkeypatch.setattr(tuning, "seconds", lambda run: next(durations))
    assert tuning.speedup(lambda: None, lambda: None) == expected


# What is measured


def pretend(monkeypatch, convolution_speedup):
    """Speedups are what the function says: nothing is computed."""
    monkeypatch.setattr(fast_probes, "convolution_speedup", convolution_speedup)
    monkeypatch.setattr(native_probes, "convolution_speedup", convolution_speedup)


def test_fast_measures_channels_at_whole_tiles_and_what_must_be_saved(monkeypatch):
    def faster(algorithm, other, N, side, C):
        assert (algorithm, other) == (fast_probes.conv2d_winograd, fast_probes.conv2d_im2col)
        if side == 16:
            return 1.0 if C >= 64 else 0.5
        return 1.0 if side == 10 else 0.5
    pretend(monkeypatch, faster)
    assert fast_probes.measured_constants() == Constants(over_im2col=64, saving=2.5)


def test_sides_save_what_they_stand_for():
    for saving, side in fast_probes.SIDES.items():
        tiles, outputs = (-(-side // 4)) ** 2, side ** 2
        assert saving <= 9 * outputs / (36 * tiles) < saving + 0.5


def test_native_measures_each_constant_by_itself(monkeypatch):
    def faster(algorithm, other, N, side, C):
        if other is native_probes.conv2d_direct:
            return 0.5 if C < 48 else 2.0
        if other is native_probes.conv2d_im2col:
            return 2.0 if C >= 24 and side != 5 else 0.5
        given = algorithm.args[0]
        return 2.0 if given.block_tiles == 224 or (side == 14 and N == 3) else 0.5
    pretend(monkeypatch, faster)
    assert native_probes.measured_constants() == Constants(
        over_im2col=24, over_direct=48, saving=2.0, block_tiles=224, few_tiles=48)


def test_blocks_and_few_tiles_are_compared_with_what_they_replace():
    """The two functions that are timed compute by the constants that they stand for."""
    seen = {}

    def convolution(x, W, b, window):
        seen["constants"] = constants("native")
        return x
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_probes, "conv2d_winograd", convolution)
        native_probes.by_constants(OTHERS, np.zeros(1), None, None, None)
    assert seen["constants"] == OTHERS


@pytest.mark.parametrize("backend", ["fast", "native"])
def test_a_real_measurement_takes_values_of_its_lists(backend, monkeypatch):
    monkeypatch.setattr(tuning, "ROUNDS", 2)
    measured = tuning.measure(backend)
    assert measured.over_im2col in (8, 16, 24, 32, 48, 64, 96)
    assert measured.over_direct in (16, 32, 48)
    assert measured.saving in fast_probes.SIDES
    assert measured.block_tiles in (56, 112, 224) and measured.few_tiles in (48, 96, 192)
    if backend == "fast":
        assert (measured.over_direct, measured.block_tiles, measured.few_tiles) == (32, 112, 96)


# The cache


def test_it_is_measured_once_on_a_machine(measurements, monkeypatch, tmp_path):
    assert constants("native") == constants("native") == OTHERS
    new_process(monkeypatch)
    assert constants("native") == OTHERS
    assert measurements == ["native"]
    constants("fast")
    assert measurements == ["native", "fast"] and len(cached_files(tmp_path)) == 2


@pytest.mark.parametrize("name, value", [
    ("processor_identity", lambda: "another processor"), ("KERNELS", None)])
def test_what_was_measured_elsewhere_is_ignored(name, value, measurements, monkeypatch, tmp_path):
    constants("native")
    new_process(monkeypatch)
    if name == "KERNELS":  # another version of minicnn: one kernel differs
        value = tmp_path
        (tmp_path / "winograd.cu").write_text("// another")
    monkeypatch.setattr(tuning, name, value)
    constants("native")
    assert measurements == ["native", "native"] and len(cached_files(tmp_path)) == 2


def test_another_number_of_threads_is_measured_for_itself(measurements, monkeypatch):
    for number in (1, 2, 1):
        monkeypatch.setattr(threads, "num_threads", lambda n=number: n)
        constants("fast")
    assert measurements == ["fast", "fast"]


@pytest.mark.parametrize("text", [
    "", "{", "[]", "3", "null", "{}", b"\xff\xfe", '{"over_im2col": 8}',
    json.dumps({**dataclasses.asdict(OTHERS), "another": 1}),
    *(json.dumps({**dataclasses.asdict(OTHERS), "block_tiles": value})
      for value in (0, -1, 2.5, "112", None, True)),
    json.dumps({**dataclasses.asdict(OTHERS), "saving": float("nan")}),
])
def test_a_damaged_file_is_measured_again(text, measurements, monkeypatch, tmp_path):
    constants("fast")
    [file] = cached_files(tmp_path)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    new_process(monkeypatch)
    assert constants("fast") == OTHERS and measurements == ["fast", "fast"]
    assert read_constants(file) == OTHERS


def test_a_cache_that_cannot_be_written_leaves_the_usual_constants(measurements, monkeypatch,
                                                                   tmp_path):
    """Otherwise each run would measure for itself, and two runs might differ."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "file"))
    assert constants("native") == USUAL and measurements == []


def test_of_processes_that_measure_at_once_all_take_what_the_first_one_kept(monkeypatch, tmp_path):
    """Threads here, each with a result of its own: all have measured before the first one keeps
    it, and all have seen that nothing is kept before the first one links it."""
    together, own = threading.Barrier(4), threading.local()

    def measure(backend):
        together.wait()
        return own.constants

    def unlink(path, missing_ok):
        together.wait()
    monkeypatch.setattr(tuning, "measure", measure)
    monkeypatch.setattr(tuning.Path, "unlink", unlink)
    answers = {}

    def process(number):
        own.constants = Constants(over_im2col=number)
        answers[number] = tuning.read_or_measure("native")
    processes = [threading.Thread(target=process, args=(number,)) for number in (8, 16, 24, 48)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
    [file] = cached_files(tmp_path)
    assert set(answers.values()) == {read_constants(file)} and len(answers) == 4


def test_a_file_system_without_links_keeps_them_too(measurements, monkeypatch):
    """Otherwise each process would measure, and none would have anything of it."""
    def link(*_):
        raise PermissionError(1, "Operation not permitted")
    monkeypatch.setattr(os, "link", link)
    assert constants("native") == OTHERS
    new_process(monkeypatch)
    assert constants("native") == OTHERS and measurements == ["native"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_child_that_is_forked_while_a_thread_measures_does_not_wait_for_it(measurements):
    with tuning._one_at_a_time:
        child = os.fork()
        if not child:
            os._exit(constants("native") != OTHERS)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended == (child, 0)


def test_a_disk_that_is_full_leaves_the_usual_constants(measurements, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(tuning.Path, "write_text", full)
    assert constants("native") == USUAL


def test_threads_that_share_the_work_measure_nothing_and_ask_once_it_is_measured(measurements):
    def work(items):
        return constants("fast")
    assert threads.parallel_map(work, [1, 2], 2) == [USUAL, USUAL] and measurements == []
    assert constants("fast") == OTHERS
    assert threads.parallel_map(work, [1, 2], 2) == [OTHERS, OTHERS] and measurements == ["fast"]


def test_of_two_threads_that_ask_at_once_one_measures(monkeypatch):
    measured = []

    def measure(backend):
        measured.append(backend)
        time.sleep(0.05)
        return OTHERS
    monkeypatch.setattr(tuning, "measure", measure)
    both = [threading.Thread(target=constants, args=("native",)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert measured == ["native"]


def test_it_can_be_switched_off(measurements, monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_TUNING", "0")
    assert constants("native") == constants("fast") == USUAL
    assert measurements == [] and not (tmp_path / "cache" / "tuning").exists()


@pytest.mark.parametrize("variables", [{}, {"OMP_NUM_THREADS": "1"}, {"MINICNN_BACKEND": "fast"}])
def test_a_process_measures_at_its_first_computation_and_the_next_one_does_not(variables, tmp_path):
    code = ("import numpy as np, minicnn as mc\n"
            "from minicnn.ops import tuning\n"
            "measure, calls = tuning.measure, []\n"
            "tuning.measure = lambda backend: calls.append(backend) or measure(backend)\n"
            "tuning.ROUNDS = 2\n"
            "model = mc.Sequential([mc.Conv2D(40, 3)], input_shape=(16, 16, 40), seed=0)\n"
            "y = model.forward(np.linspace(-1, 1, 81920, dtype='f4').reshape(8, 16, 16, 40))\n"
            "print(calls, repr(float(y.sum())))")

    def run():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              env={**os.environ, **variables})
        assert done.stderr == ""
        return done.stdout.split("] ")
    first, second = run(), run()
    assert first[0].startswith("['") and second[0] == "["
    assert first[1] == second[1]  # to the last bit
    assert len(cached_files(tmp_path)) == 1


# What follows from them


def test_the_constants_select_the_algorithm(monkeypatch):
    x, W = drawn((4, 12, 12, 24), 24)  # nine tiles an image, for 144 outputs: saves 4 times
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (12, 12))

    def selected(**given):
        with tuning.use_constants(Constants(**given)):
            return (native_conv.by_kernels(x, W.shape, W, window),
                    fast_conv.select_algorithm(8, 24, 24, window))
    assert selected() == (None, "im2col")
    assert selected(over_im2col=24) == ("winograd", "winograd")
    assert selected(over_im2col=24, saving=3.5) == ("winograd", "im2col")  # 8 · 9 + 32 tiles
    assert selected(over_im2col=24, saving=4.1) == (None, "im2col")
    W = drawn((1, 1, 1, 24), 16)[1]
    assert selected() == ("direct", "im2col")
    assert selected(over_direct=16)[0] == "winograd"
    assert selected(over_im2col=8)[0] == "direct"


def test_what_native_leaves_to_fast_is_im2col(monkeypatch):
    """With the constants that fast has measured for itself, NumPy's Winograd might be selected,
    with which the kernels were never compared."""
    x, W = drawn((8, 16, 16, 40), 40)
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (16, 16))
    pool_window = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (16, 16))
    measured = {"native": Constants(over_im2col=48), "fast": Constants(over_im2col=24)}
    monkeypatch.setattr(tuning, "read_or_measure", measured.get)
    monkeypatch.setattr(fast_conv, "conv2d_winograd", lambda *_: pytest.fail("Winograd's"))
    with use("native"):
        backend = ops.ops_for(x)
        backend.conv2d(x, W, np.zeros(40), window)
        backend.conv2d_max_pool(x, W, np.zeros(40), window, pool_window)
        backend.conv2d_input_grad(x, W, x.shape, window)


@pytest.mark.parametrize("backend", ["fast", "native"])
@pytest.mark.parametrize("C, F", [(8, 24), (24, 24), (40, 48), (64, 64)])
@pytest.mark.parametrize("given", [OTHERS, Constants(over_im2col=96, over_direct=48),
                                   Constants(over_im2col=1, over_direct=1, saving=0.1)])
def test_whatever_they_are_results_differ_by_rounding_alone(given, C, F, backend):
    x, W = drawn((3, 13, 10, C), F)
    b = np.linspace(-1, 1, F)
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (13, 10))
    with use(backend), tuning.use_constants(given):
        y = ops.ops_for(x).conv2d(x, W, b, window)
        single = ops.ops_for(x).conv2d(*(a.astype(np.float32) for a in (x, W, b)), window)
    expected = by_torch(x, W, ((1, 1), (1, 1))) + b
    assert_close(y, expected, rtol=1e-12)
    assert np.abs(single - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("block, few", [(56, 1), (224, 1), (112, 1000)])
def test_blocks_and_shares_change_no_bit_of_the_result(block, few):
    """245 tiles, of more channels than one part of the kernels has."""
    x, W = (a.astype(np.float32) for a in drawn((5, 28, 28, 300), 64))
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (28, 28))
    results = []
    for given in (USUAL, dataclasses.replace(USUAL, block_tiles=block, few_tiles=few)):
        with tuning.use_constants(given), use("native"):
            results.append(ops.ops_for(x).conv2d(x, W, np.zeros(64, np.float32), window))
    assert np.array_equal(*results)


def test_the_constants_hold_in_the_threads_that_share_the_work():
    threads_saw = []

    def work(items):
        threads_saw.append((threading.current_thread().name, constants("fast")))
    with tuning.use_constants(OTHERS):
        threads.parallel_map(work, [1, 2], 2)
    assert [found for _, found in threads_saw] == [OTHERS, OTHERS]
    assert threading.current_thread().name not in {name for name, _ in threads_saw}
