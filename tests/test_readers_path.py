"""The reader's path stays short: what a layer or fit runs through, under the reference backend."""

import pytest
import readers_path
from readers_path import PACKAGE, imports, paths, size, statements_of_fit, traced

LIMITS = {  # functions, files, lines
    "Conv2D.forward": (18, 6, 150),
    "Conv2D.backward": (20, 6, 180),
    "Dense.forward": (12, 5, 90),
    "Dense.backward": (12, 5, 90),
    "fit to the first update": (30, 12, 370),
}


@pytest.fixture(scope="module")
def measured():
    return paths()


@pytest.mark.parametrize("name", LIMITS)
def test_a_path_keeps_within_its_limits(name, measured):
    functions, files, lines = size(measured[name])
    most = LIMITS[name]
    assert functions <= most[0] and files <= most[1] and lines <= most[2], measured[name]


def test_the_paths_hold_what_they_are_about(measured):
    """Not cut short: the product is in each, and fit reaches its first gradient."""
    names = {name: [function for _, function, _ in found] for name, found in measured.items()}
    assert {"conv2d", "im2col"} <= set(names["Conv2D.forward"])
    assert {"conv2d_weight_grad", "conv2d_input_grad"} <= set(names["Conv2D.backward"])
    assert "dense" in names["Dense.forward"]
    assert "TerminateOnNaN.on_backward_end" in names["fit to the first update"]


def test_fit_has_at_most_twenty_statements_and_ten_parameters():
    from inspect import signature

    from minicnn.training import fit

    assert 10 <= statements_of_fit() <= 20
    assert len(signature(fit).parameters) <= 10


def test_the_convolution_imports_few_files(measured):
    files = imports(PACKAGE / "layers/conv2d.py",
                    measured["Conv2D.forward"] + measured["Conv2D.backward"])
    assert PACKAGE / "ops/reference/conv.py" in files and PACKAGE / "layers/base.py" in files
    assert len(files) <= 10
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 900


def test_a_call_is_traced_each_function_once_and_up_to_the_one_named():
    from minicnn.utils.errors import as_pair, check_int

    def call():
        as_pair(3, "x")
        as_pair(4, "x")
        check_int(5, "x")

    assert [name for _, name, _ in traced(call)] == ["as_pair", "is_int", "check_int"]
    assert [name for _, name, _ in traced(call, before="check_int")] == ["as_pair", "is_int"]
    assert [name for _, name, _ in traced(call, steps={"as_pair"})] == ["check_int", "is_int"]
    assert readers_path.size(traced(call))[:2] == (3, 1)
