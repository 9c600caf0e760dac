"""What every test shares: quick, repeatable drawing of shapes, one thread, one generator, and the
devices: every test of an op, a layer, a loss or an optimizer runs on each of them."""

import contextlib
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import reference
import torch

from minicnn.errors import ArgumentError
from minicnn.ops import module_of, use
from minicnn.ops.cuda import simulator

torch.set_num_threads(1)
hypothesis.settings.register_profile("minicnn", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("minicnn")

ON_EVERY_DEVICE = ("ops", "layers", "test_losses.py", "test_optimizers.py", "test_against_torch.py",
                   "test_devices.py")


def devices():
    """Where the tests of operations run: "cpu" by both backends, "cuda-sim", and "cuda" if CuPy
    finds a GPU."""
    found = ["cpu", "cpu (reference)", "cuda-sim"]
    try:
        module_of("cuda")
    except ArgumentError:
        return found
    return [*found, "cuda"]


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="damaged files, kills, full disks and "
                     "mutants in the numbers that the README names, which takes an hour or so; "
                     "without it some of each")


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu_only: looks inside NumPy, or computes nothing")


def pytest_generate_tests(metafunc):
    part = Path(metafunc.definition.path).relative_to(Path(__file__).parent).parts[0]
    if part in ON_EVERY_DEVICE and not metafunc.definition.get_closest_marker("cpu_only"):
        metafunc.parametrize("device", devices(), indirect=True)


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """Where reference.array puts its numbers. On cuda-sim each launch runs twice, the second time
    with its blocks and threads backwards: a result that depends on their order is an error."""
    device, _, backend = getattr(request, "param", "cpu").partition(" ")
    monkeypatch.setattr(reference, "DEVICE", device)
    if device == "cuda-sim":
        monkeypatch.setattr(simulator, "runs", 2)
    with use("reference") if backend else contextlib.nullcontext():
        yield device


@pytest.fixture
def full(request):
    """Whether --full was given."""
    return request.config.getoption("full")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
