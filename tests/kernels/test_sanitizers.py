"""AddressSanitizer and UndefinedBehaviorSanitizer builds of all kernels (without --full, those of
every third check): no report. The simulator's own fences find the same faults; here others look,
who know nothing of them."""

import os
import subprocess
import sys
from pathlib import Path

import checks
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library of g++")
FLAGS = ("-fsanitize=address,undefined -fno-sanitize-undefined-trap-on-error "
         "-fno-sanitize-recover=all -Werror")


def start(*arguments):
    """Python under both sanitizers."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parent,
        env={**os.environ, "CXX": "g++", "LD_PRELOAD": library.stdout.strip(),
             "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
             "MINICNN_SIM_FLAGS": FLAGS})


def test_no_sanitizer_and_no_warning_of_the_compiler_in_any_kernel(full):
    names = list(checks.CHECKS) if full else list(checks.CHECKS)[::3]
    middle = len(names) // 2
    halves = [(start(checks.__file__, *half), half) for half in (names[:middle], names[middle:])]
    for process, half in halves:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert said == "".join(f"{name}: agrees\n" for name in half)  # and nothing else


FAULTS = {  # a kernel over x and y of 700 elements, and the report
    "reads behind its array": ("EACH(k, size) y[k] = x[k + 1];", "heap-buffer-overflow"),
    "writes before its array": ("EACH(k, size) y[k - 1] = x[k];", "heap-buffer-overflow"),
    "leaves its shared memory": (
        "__shared__ real part[256]; part[threadIdx.x + 1] = x[0]; y[size - 1] = part[0];",
        "index 256 out of bounds"),
    "overflows an int": (
        "EACH(k, size) y[k] = x[k] + (size + 2147483647);", "signed integer overflow")}
LAUNCH = """
import sys
from pathlib import Path
import numpy as np
from checks import launch, there

x, y = (there(np.zeros(700, np.float32)) for _ in range(2))
launch.launch(launch.read_kernels(Path(sys.argv[1]))["mine"], launch.flat(700), x, y, 700)
"""


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_sanitizers_report_a_kernel_that(fault, tmp_path):
    body, report = FAULTS[fault]
    file = tmp_path / "mine.cu"
    file.write_text('#include "common.h"\nextern "C" __global__ void mine(const real* x, real* y, '
                    f"int size) {{\n{body}\n}}\n")
    process = start("-c", LAUNCH, file)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert report in said
    assert "mine.cu:3" in said  # and where
