"""The one place that starts threads: who gets what, how many, and what becomes of errors."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_close
from threadpoolctl import threadpool_info, threadpool_limits

from minicnn import threads


def blas():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


@given(st.integers(0, 30), st.integers(1, 6))
def test_every_item_comes_to_one_worker_and_always_to_the_same(n, workers):
    shares = threads.share(list, list(range(n)), workers)
    assert sorted(sum(shares, [])) == list(range(n))
    assert shares == [list(range(n))[k::len(shares)] for k in range(len(shares))]
    assert len(shares) == max(1, min(workers, n))


def test_workers_are_threads_at_the_same_time_and_blas_has_one_meanwhile():
    meet = threading.Barrier(3, timeout=20)  # breaks unless three wait at once

    def work(items):
        meet.wait()
        return threading.get_ident(), blas()
    before = blas()
    found = threads.share(work, [1, 2, 3], 3)
    assert len({ident for ident, _ in found}) == 3
    assert all(set(seen) <= {1} for _, seen in found)
    assert blas() == before


def test_an_error_is_raised_when_all_have_ended():
    ended, before = [], blas()

    def work(items):
        if items[0] == 0:
            raise KeyError("the first")
        ended.append(items[0])
    with pytest.raises(KeyError, match="the first"):
        threads.share(work, [0, 1, 2], 3)
    assert sorted(ended) == [1, 2] and blas() == before


def test_callers_at_the_same_time_leave_blas_as_it_was_and_workers_may_share_again():
    before, found = blas(), []

    def caller():
        for _ in range(20):
            found.append(threads.share(lambda items: threads.share(sum, items, 2), [1, 2, 3], 2))
    callers = [threading.Thread(target=caller) for _ in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(60)
    assert found == [[[4], [2]]] * 80 and blas() == before


def test_as_many_threads_as_the_user_allows_blas():
    with threadpool_limits(1):
        assert threads.count() == 1
    assert threads.count("cuda") == 1
    code = "from minicnn import threads; print(threads.count())"
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                             env={**env, name: "1"}, check=True).stdout
        assert out.strip() == "1"


@given(st.integers(0, 50), st.integers(0, 60), st.integers(1, 5))
def test_cuts_are_even_small_enough_and_a_share_for_each_worker(total, most, workers):
    pieces = threads.cuts(total, most, workers)
    assert [k for piece in pieces for k in range(total)[piece]] == list(range(total))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert all(1 <= size <= max(most, 1) for size in sizes)
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert len(sizes) % workers == 0 or set(sizes) == {1}


@given(st.integers(0, 40), st.integers(0, 30), st.integers(1, 40), st.integers(1, 5),
       st.booleans())
def test_matmul_is_numpys_on_any_number_of_threads(M, K, N, workers, turned):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(M, K)), rng.normal(size=(N, K)).T if turned else rng.normal(size=(K, N))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "count", lambda device="cpu": workers)
        patch.setattr(threads, "SMALL", 0)
        product = threads.matmul(a, b)
    assert_close(product, np.einsum("mk,kn->mn", a, b), rtol=1e-12)


def test_a_thread_has_its_own_workspace_and_keeps_it():
    mine = threads.workspace(100, np.float32)
    mine[:] = 1
    meet = threading.Barrier(2, timeout=20)
    theirs = threads.share(lambda items: (meet.wait(), threads.workspace(
        100, np.float32).ctypes.data)[1], [1, 2], 2)
    assert len({mine.ctypes.data, *theirs}) == 3
    again = threads.workspace(40, np.float64)
    assert again.dtype == np.float64 and again.shape == (40,)
    assert again.ctypes.data == mine.ctypes.data
