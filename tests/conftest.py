"""What every test shares: quick, repeatable drawing of shapes, one thread, one generator, and the
devices: every test of an op, a layer, a loss or an optimizer runs on each of them."""

import contextlib
import fnmatch
import functools
import gc
import io
import os
import signal
import sys
from pathlib import Path

# One thread in each process of pytest -n, and in its children: more would wait for each other on
# the same cores, several times as long as they compute. Before NumPy loads BLAS. (tests/
# ops/test_threads.py, ops/test_winograd.py, training/test_thread_parallel.py ask for several.)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
# Tests start hundreds of processes that import minicnn: Python keeps what it has compiled, even
# where PYTHONDONTWRITEBYTECODE is set.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["MINICNN_TUNING"] = "0"  # the same algorithms are selected on every machine
os.environ["LANGUAGE"] = "en"  # of the commands, wherever the tests run
os.environ.setdefault("KERAS_BACKEND", "torch")  # whichever file imports Keras first
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in the background of a shell, and what a
    signal.signal(signal.SIGINT, signal.default_int_handler)  # test starts would not hear Ctrl-C

import hypothesis
import numpy as np
import pytest
import reference
import standin
import torch
from PIL import Image

from minicnn.ops import module_of, tuning, use
from minicnn.ops.cuda import simulator
from minicnn.ops.native import direct as native_direct
from minicnn.ops.native import flat as native_flat
from minicnn.ops.native import pooling as native_pooling
from minicnn.plotting import drawing
from minicnn.training.callbacks import checkpoint
from minicnn.utils.errors import ArgumentError

torch.set_num_threads(1)
# On processors without AVX-512, the oneDNN in PyTorch 2.13 writes a zero behind an array in the
# backward pass of some small convolutions (one filter, one channel), and the process crashes now or
# later, without minicnn, too. PyTorch's own kernels compute the same.
torch.backends.mkldnn.enabled = False

ON_EVERY_DEVICE = ("ops", "layers", "test_losses.py", "test_optimizers.py", "test_against_torch.py",
                   "test_devices.py")

# python -m pytest -m quick: some of every room, on the processor alone, in less than a minute.
QUICK = {
    "ops": ["ops/test_[!t]*"],
    "layers": ["layers/*"],
    "losses": ["test_losses*"],
    "optimizers": ["test_optimizers*"],
    "model": ["test_model*"],
    "distributed": ["distributed/test_mpiexec*"],
    "training": ["training/test_loop*", "training/test_thread_parallel*"],
    "initializers": ["test_initializers*"],
    "preprocessing": ["test_model*"],
    "gradcheck": ["gradcheck/test_gradcheck*"],
    "inference": ["test_inference*"],
    "summary": ["test_model*"],
    "models": ["test_model*", "test_inference*"],
    "plotting": ["plotting/*"],
    "experiments": ["experiments/test_probes*"],
    "utils": ["data/test_[abdirs]*", "cli/test_data*"],
    "evaluation": ["evaluation/*"],
    "data": ["data/test_[abdirs]*"],
    "weights": ["weights/test_[acrw]*"],
    "visualize": ["visualize/test_[adfimoprs]*", "visualize/test_t[ao]*"],
    "report": ["report/test_report*", "report/test_class_curves*"],
    "cli": ["cli/test_data*"],
    "__main__": ["cli/test_entry_points*"],
}


# With pytest -n a file is run by one process: those that take longest come first, so that none is
# still at work when the others have finished.
LONGEST = ["training/test_interruptions.py", "cli/test_train.py", "training/test_memory.py",
           "test_mutation.py", "weights/test_fuzz_weights.py"]

REFERENCE = "cpu (reference)"
FAST = "cpu (fast)"
# "cpu" is native where there is a compiler. What native computes otherwise than fast, these test.
BY_FAST_TOO = ["ops/test_parity.py", "ops/test_conv.py", "test_against_torch.py"]


def devices(path):
    """Where the tests of operations run: "cpu" by its backends, "cuda-sim", the stand-in for CuPy,
    and "cuda" if CuPy finds a GPU."""
    found = ["cpu", REFERENCE, "cuda-sim", standin.NAME]
    if any(path.match(file) for file in BY_FAST_TOO):
        found.insert(1, FAST)
    try:
        module_of("cuda")
    except ArgumentError:
        return found
    return [*found, "cuda"]


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="damaged files, kills, full disks and "
                     "mutants in the numbers that docs/reliability.md names, every architecture, "
                     "every sanitized kernel and more shapes, which takes an hour or so; without "
                     "it a sample of each")
    parser.addoption("--devices", nargs="+", metavar="DEVICE", help="run the tests of "
                     "devices on these only: cpu, cuda-sim, cuda, 'cuda (stand-in)'")


def pytest_configure(config):
    for profile, examples in (("minicnn", 40 if config.getoption("full") else 25), ("few", 6)):
        hypothesis.settings.register_profile(profile, deadline=None, derandomize=True,
                                             max_examples=examples)
    hypothesis.settings.load_profile("minicnn")
    config.addinivalue_line("markers", "cpu_only: looks inside NumPy, or computes nothing")
    config.addinivalue_line("markers", "on_devices(NAME, …): runs on these, or on --devices")
    config.addinivalue_line("markers", "full: runs with --full only")
    config.addinivalue_line("markers", "pictures: looks at the pixels of figures, in tests/cli")
    config.addinivalue_line("markers", "quick: a minute's worth of every room, for the inner loop")


@functools.cache
def is_quick(path):
    """Whether QUICK names this file."""
    name = path.relative_to(Path(__file__).parent).as_posix()
    return any(fnmatch.fnmatch(name, pattern) for patterns in QUICK.values()
               for pattern in patterns)


def pytest_ignore_collect(collection_path, config):
    """With -m quick the other files are not even imported: Keras alone takes seconds."""
    if (config.option.markexpr == "quick" and collection_path.suffix == ".py"
            and not is_quick(collection_path)):
        return True
    return None  # another plugin decides


def pytest_collection_modifyitems(config, items):
    if not config.getoption("full"):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("full")])
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    items.sort(key=lambda item: not any(item.path.match(file) for file in LONGEST))
    for item in items:
        on = getattr(item, "callspec", None) and item.callspec.params.get("device")
        if is_quick(item.path) and not str(on).startswith("cuda"):
            item.add_marker("quick")


def pytest_generate_tests(metafunc):
    part = Path(metafunc.definition.path).relative_to(Path(__file__).parent).parts[0]
    given = metafunc.config.getoption("devices")
    if marker := metafunc.definition.get_closest_marker("on_devices"):
        metafunc.parametrize("device", given or marker.args, indirect=True)
    elif part in ON_EVERY_DEVICE and not metafunc.definition.get_closest_marker("cpu_only"):
        metafunc.parametrize("device", given or devices(metafunc.definition.path), indirect=True)


def pytest_collection(session):
    """What is imported and collected stays to the end: no garbage is looked for among it …"""
    gc.disable()


def pytest_collection_finish(session):
    """… nor in all that is left of it, millions of objects, again and again during the tests."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """The device of the test: reference.array creates its arrays there.

    On cuda-sim each launch runs twice, the second time with blocks and threads in reverse order: a
    result that depends on the order is an error. On the stand-in a launch runs once and hypothesis
    draws fewer shapes, because there the Python code around CuPy is under test, not the kernels.
    The native backend's kernels compute with small images and small arrays, too.
    """
    name = getattr(request, "param", "cpu")
    if hasattr(request, "param"):  # other tests compare what several processes compute
        monkeypatch.setattr(native_flat, "MIN_SIZE", 1)
        monkeypatch.setattr(native_direct, "MULTIPLE", 1)
        monkeypatch.setattr(native_direct, "MIN_WIDTH", 1)
        monkeypatch.setattr(native_pooling, "MIN_CHANNELS", 1)
    if name == "cuda-sim":
        monkeypatch.setattr(simulator, "runs", 2)
    if name == standin.NAME:
        hypothesis.settings.load_profile("few")
    usual = tuning.Constants(few_tiles=1) if hasattr(request, "param") else tuning.USUAL
    backend = {REFERENCE: use("reference"), FAST: use("fast")}.get(name, contextlib.nullcontext())
    on = "cpu" if name in (REFERENCE, FAST) else name
    with tuning.use_constants(usual), backend, standin.use_device(on) as device_name:
        monkeypatch.setattr(reference, "DEVICE", device_name)
        yield device_name
    hypothesis.settings.load_profile("minicnn")


@pytest.fixture(autouse=True)
def blank_pictures(request, monkeypatch):
    """Tests of commands meet figures as files: their pixels, half of the time of a short training,
    are white, unless @pytest.mark.pictures says that the test looks at them, or with --full.
    (Figures have tests of their own, in plotting/, report/ and visualize/; what fixtures of a
    module make is drawn.)"""
    looks = request.config.getoption("full") or request.node.get_closest_marker("pictures")
    if request.path.parent.name == "cli" and not looks:
        monkeypatch.setattr(drawing, "png", blank_png)


def blank_png(figure):
    """A white PNG of the figure's size."""
    width, height = (round(inches * figure.dpi) for inches in figure.get_size_inches())
    Image.new("RGB", (width, height), "white").save(buffer := io.BytesIO(), "png")
    return buffer.getvalue()


@pytest.fixture
def checkpoint_every_step(monkeypatch):
    """Checkpoints are written after every step, however short it is."""
    monkeypatch.setattr(checkpoint, "MIN_SECONDS", 0)
    monkeypatch.setattr(checkpoint, "MIN_TIMES", 0)


@pytest.fixture
def full(request):
    """Whether --full was given."""
    return request.config.getoption("full")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
