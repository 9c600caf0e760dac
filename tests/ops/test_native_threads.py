"""The threads of the native backend (kernels/threads.cpp) do what the caller would have done."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minicnn.ops.fast.threads import parallel_map
from minicnn.ops.native.library import library

pytestmark = pytest.mark.cpu_only

def tripled(parts):
    """Whether 60 numbers are what they should be after two calls for each part of them."""
    x = np.arange(60.0)
    pieces = [x[k * (60 // parts):(k + 1) * (60 // parts)] for k in range(parts)]
    velocities = [piece.copy() for piece in pieces]
    # v <- 1·v + x, and p <- p - 0·v; twice, so that the second call needs the result of the first
    library("float64").on_threads([
        [("momentum", piece.copy(), piece, v, piece.size, 0.0, 1.0, 0)] * 2
        for piece, v in zip(pieces, velocities, strict=True)])
    return bool(np.array_equal(np.concatenate(velocities), 3 * x))


def os_threads():
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def in_a_process(code):
    begin = "from tests.ops.test_native_threads import tripled\n"
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True,
                          timeout=60, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 20])
def test_the_calls_of_each_part_are_made_in_order_on_any_number_of_threads(parts):
    for _ in range(50):
        assert tripled(parts)


def test_threads_that_have_fallen_asleep_are_woken():
    for pause in (0, 0.0001, 0.0002, 0.0003, 0.02) * 5:
        time.sleep(pause)
        assert tripled(4)


def test_no_parts_are_done_at_once_and_empty_ones_too():
    library("float64").on_threads([])
    library("float64").on_threads([[], []])


def test_threads_of_python_may_call_at_the_same_time():
    results = []

    def call():
        results.extend(tripled(3) for _ in range(200))
    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 800 and all(results)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_each_part_has_a_thread_which_is_kept():
    out = in_a_process("""
import os
tripled(1)
before = len(os.listdir("/proc/self/task"))
for parts in (1, 3, 2, 3):
    tripled(parts)
    print(len(os.listdir("/proc/self/task")) - before, end=" ")
""")
    assert out.split() == ["0", "2", "2", "2"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_a_worker_of_parallel_map_makes_all_calls_itself():
    together = threading.Barrier(2, timeout=60)
    parallel_map(lambda items: together.wait(), range(2), 2)  # both of its threads have started

    def work(items):
        before = os_threads()
        return [tripled(12) for _ in items], os_threads() - before
    assert parallel_map(work, range(2), 2) == [([True], 0), ([True], 0)]


@pytest.mark.parametrize("before", ["", "tripled(3)"])
def test_a_forked_process_starts_threads_of_its_own(before):
    out = in_a_process(f"""
import os
{before}
child = os.fork()
if child == 0:
    os._exit(0 if all(tripled(3) for _ in range(20)) else 1)
print(os.waitpid(child, 0)[1], tripled(3))
""")
    assert out.split() == ["0", "True"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_where_the_system_grants_no_thread_the_caller_does_all():
    out = in_a_process("""
import os, re, resource
tripled(1)
kilobytes = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
limit = (kilobytes << 10) + (4 << 20)  # less than a thread's stack
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = len(os.listdir("/proc/self/task"))
print(tripled(3), len(os.listdir("/proc/self/task")) - before)
""")
    right, started = out.split()
    assert right == "True" and int(started) < 2  # one may get the stack of a thread that has ended


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_signals_are_left_to_pythons_threads():
    out = in_a_process("""
import os, re
before = set(os.listdir("/proc/self/task"))
tripled(3)
for task in set(os.listdir("/proc/self/task")) - before:
    status = open(f"/proc/self/task/{task}/status").read()
    print(bool(int(re.search(r"SigBlk:\\s+(\\w+)", status)[1], 16) & 1 << 1))  # SIGINT
""")
    assert out.split() == ["True", "True"]
