"""Every kernel, in float and double, computes its formula; each launch is repeated with blocks and
threads in three other orders, which must change no bit."""

import checks
import numpy as np
import pytest

from minicnn.ops.cuda import simulator
from minicnn.ops.cuda.launch import KERNELS, kernels


@pytest.mark.parametrize("large", [False, True], ids=["small", "larger than the grid"])
@pytest.mark.parametrize("dtype", list(checks.TOLERANCE))
@pytest.mark.parametrize("name", list(checks.CHECKS))
def test_a_kernel_agrees_with_its_formula_in_four_orders(name, dtype, large, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 4)
    assert checks.run(name, dtype, large) is None  # an assertion inside would have failed


def test_every_kernel_has_its_check():
    assert set(checks.CHECKS) == set(kernels(KERNELS))


@pytest.mark.parametrize("wrong", [1.0 + 2e-5, np.nan, np.inf])
def test_a_check_fails_on_one_wrong_number(wrong):
    with pytest.raises(AssertionError):
        checks.agree(np.float32([1, wrong]), [1, 1])


def test_a_check_allows_rounding_and_no_more():
    assert checks.agree(np.float32([1, 0.5 + 9e-6, np.nan]), [1, 0.5, np.nan]) is None
    with pytest.raises(AssertionError):
        checks.agree(np.array([1, 0.5 + 9e-6]), [1, 0.5])  # in double


def test_large_checks_give_a_thread_several_elements(monkeypatch):
    launched, launch = [], checks.launch.launch

    def noted(kernel, grid, *values, **options):
        launched.append((kernel, grid))
        return launch(kernel, grid, *values, **options)
    monkeypatch.setattr(checks.launch, "launch", noted)
    checks.run("relu", "float32", large=True)
    checks.run("max_pool", "float32", large=True)
    assert ("relu", (2, 1, 1)) in launched  # 512 threads for 3001 elements
    assert ("max_pool", (2, 3, 1)) in launched  # 512 threads for 552 in a row
