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

import minicnn as mc
from minicnn.ops.fast import threads

pytestmark = pytest.mark.cpu_only  # threads of the processor


@pytest.fixture(autouse=True, scope="module")
def three_threads():
    """For BLAS, here and in the processes that are started here; all other tests have one."""
    threads.num_threads()  # where a container has a limit it is set now, not later
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(3, "blas"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "3")
        yield


def blas():
    return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]


def test_a_network_on_three_threads_computes_what_it_does_on_one():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(7, 28, 28, 3)), rng.normal(size=(7, 10))
    seen = []
    for workers in (1, 3):
        with threadpool_limits(workers, "blas"):
            assert threads.num_threads() == workers
            model = mc.SmallCNN(10)
            y = model.forward(x)
            seen.append([y, model.backward(dy), *(
                layer.grads[name] for layer in model.layers for name in sorted(layer.grads))])
    assert len(seen[0]) > 6
    for one, three in zip(*seen, strict=True):
        assert_close(three, one, rtol=1e-12)


@given(st.integers(0, 30), st.integers(1, 6))
def test_every_item_comes_to_one_worker_and_always_to_the_same(n, workers):
    shares = threads.parallel_map(list, list(range(n)), workers)
    assert sorted(sum(shares, [])) == list(range(n))
    assert shares == [list(range(n))[k::len(shares)] for k in range(len(shares))]
    assert len(shares) == max(1, min(workers, n))


def test_workers_are_threads_at_the_same_time_and_blas_has_one_meanwhile():
    meet = threading.Barrier(3, timeout=20)  # breaks unless three wait at once

    def work(items):
        meet.wait()
        return threading.get_ident(), blas()
    before = blas()
    found = threads.parallel_map(work, [1, 2, 3], 3)
    assert len({ident for ident, _ in found}) == 3
    assert set(before) == {3} and all(set(seen) == {1} for _, seen in found)
    assert blas() == before


def test_an_error_is_raised_when_all_have_ended():
    ended, before = [], blas()

    def work(items):
        if items[0] == 0:
            raise KeyError("the first")
        ended.append(items[0])
    with pytest.raises(KeyError, match="the first"):
        threads.parallel_map(work, [0, 1, 2], 3)
    assert sorted(ended) == [1, 2] and blas() == before


def test_callers_at_the_same_time_leave_blas_as_it_was_and_workers_may_share_again():
    before, found = blas(), []

    def caller():
        found.extend([threads.parallel_map(lambda items: threads.parallel_map(sum, items, 2),
                                           [1, 2, 3], 2) for _ in range(20)])
    callers = [threading.Thread(target=caller) for _ in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join(60)
    assert found == [[[4], [2]]] * 80 and blas() == before


def test_as_many_threads_as_the_user_allows_blas():
    with threadpool_limits(1):
        assert threads.num_threads() == 1
    code = "from minicnn.ops.fast import threads; print(threads.num_threads())"
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        env = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                             env={**env, name: "1"}, check=True).stdout
        assert out.strip() == "1"


@pytest.mark.parametrize("text, expected", [
    ("100000 100000\n", 1), ("50000 100000\n", 1), ("150000 100000\n", 2), ("0 100000", 1),
    ("max 100000\n", sys.maxsize), ("100000 0", sys.maxsize), ("", sys.maxsize),
    (None, sys.maxsize)])
def test_a_containers_limit_of_processor_time_limits_the_threads(text, expected, tmp_path,
                                                                 monkeypatch):
    file = tmp_path / "cpu.max"
    if text is not None:
        file.write_text(text)
    found = threads.cgroup_cpu_limit(str(file))
    assert found == expected
    monkeypatch.setattr(threads, "cgroup_cpu_limit", lambda: found)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    assert threads.cores() == min(64, expected)
    before = threads.blas_libraries()
    threads.blas_libraries.cache_clear()  # as at the first call
    with before.limit(limits=2):
        assert threads.num_threads() == min(2, expected)
        assert set(blas()) == {threads.num_threads()}  # products of BLAS' own, too
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "process_cpu_count", lambda: 5, raising=False)
    assert threads.cores() == min(5, expected)


@pytest.mark.parametrize("M, K, N, expected", [
    (6400, 27, 16, 4), (6400, 27, 16000, 1), (100, 1000, 1000, 1), (130, 10**4, 1, 2),
    (127, 10**5, 1, 1), (0, 3, 4, 1)])
def test_stacks_have_products_of_a_million_multiplications_and_64_rows(M, K, N, expected):
    a = np.arange(M * K, dtype=np.float32).reshape(M, K)
    assert threads.as_matmul_batch(a, N).shape == (expected, M // expected, K)
    assert np.shares_memory(a, threads.as_matmul_batch(a, N)) == (M > 0)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(1, 5))
def test_cuts_are_even_small_enough_and_a_share_for_each_worker(total, most, workers):
    pieces = threads.chunk_slices(total, most, workers)
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
        patch.setattr(threads, "num_threads", lambda: workers)
        patch.setattr(threads, "MIN_PARALLEL_MULTIPLIES", 0)
        product = threads.matmul(a, b)
    assert_close(product, np.einsum("mk,kn->mn", a, b), rtol=1e-12)


def test_a_thread_has_its_own_workspace_and_keeps_it():
    mine = threads.workspace(100, np.float32)
    mine[:] = 1
    meet = threading.Barrier(2, timeout=20)
    theirs = threads.parallel_map(lambda items: (meet.wait(), threads.workspace(
        100, np.float32).ctypes.data)[1], [1, 2], 2)
    assert len({mine.ctypes.data, *theirs}) == 3
    again = threads.workspace(40, np.float64)
    assert again.dtype == np.float64 and again.shape == (40,)
    assert again.ctypes.data == mine.ctypes.data


def test_a_thread_whose_first_workspace_is_empty_gets_one():
    found = []
    one = threading.Thread(target=lambda: found.append(threads.workspace(0, np.float32)))
    one.start()
    one.join()
    assert found[0].shape == (0,) and found[0].dtype == np.float32


def test_a_batch_of_no_photos_is_computed_in_a_fresh_process():
    code = ("import numpy as np, minicnn as mc; x = np.zeros((0, 28, 28, 3), np.float32); "
            "m = mc.SmallCNN(3); print(m.forward(x).shape, m.backward(m.forward(x)).shape)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "(0, 3) (0, 28, 28, 3)"


def test_who_asks_meanwhile_is_told_the_count_of_before_so_that_cuts_stay_the_same():
    before, told = threads.num_threads(), []
    start, go_on = threading.Event(), threading.Event()

    def work(items):
        start.set()
        go_on.wait(20)
    sharing = threading.Thread(target=threads.parallel_map, args=(work, [1, 2], 2))
    sharing.start()
    assert start.wait(20)
    told.append(threads.num_threads())
    go_on.set()
    sharing.join(20)
    assert told == [before] and threads.num_threads() == before


RUN = """
import os, signal, sys, threading, time
from minicnn.ops.fast import threads
from threadpoolctl import threadpool_info
blas = lambda: [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
before, ended, begun = blas(), [], threading.Event()
def work(items):
    begun.set()
    time.sleep(0.5)
    ended.append(items)
"""


def test_ctrl_c_leaves_no_worker_behind():
    code = RUN + """
def interrupt():
    begun.wait(20)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    threads.parallel_map(work, [1, 2], 2)
except KeyboardInterrupt:
    print(len(ended), blas() == before, threads.parallel_map(sum, [1, 2], 2))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "2 True [1, 2]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_process_forked_while_others_share_computes_on():
    code = RUN + """
thread = threading.Thread(target=threads.parallel_map, args=(work, [1, 2], 2))
thread.start()
begun.wait(20)
child = os.fork()
if not child:
    signal.alarm(10)
    print(threads.parallel_map(sum, [1, 2], 2), blas() == before, flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
thread.join()
print(status)
"""
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                         text=True, check=True)
    assert out.stdout.split("\n")[:2] == ["[1, 2] True", "0"]


def test_the_threads_are_as_many_as_were_needed_at_once():
    code = """
import threading
from minicnn.ops.fast import threads
for n in range(2, 8):
    threads.parallel_map(list, list(range(n)), 8)
print(sum(one.name.startswith("minicnn-compute") for one in threading.enumerate()))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 <= int(out.stdout) <= 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_does_not_write_into_its_parents_workspace():
    code = """
import os
from minicnn.ops.fast import threads
mine = threads.workspace(10, "f4")
mine[:] = 1
child = os.fork()
theirs = threads.workspace(10, "f4")
theirs[:] = 1 if child else 2
if not child:
    os._exit(0)
os.waitpid(child, 0)
print(mine.sum())
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "10.0"
