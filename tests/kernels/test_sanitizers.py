"""AddressSanitizer and UndefinedBehaviorSanitizer builds of all kernels: no report. The simulator's
own fences find the same faults; here others look, who know nothing of them."""

import os
import subprocess
import sys
from pathlib import Path

import checks
import mutants
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library of g++")
FLAGS = ("-fsanitize=address,undefined -fno-sanitize-undefined-trap-on-error "
         "-fno-sanitize-recover=all -Werror")


def start(*arguments):
    """checks.py under both sanitizers."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True)
    return subprocess.Popen(
        [sys.executable, checks.__file__, *map(str, arguments)], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "CXX": "g++", "LD_PRELOAD": library.stdout.strip(),
             "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
             "MINICNN_SIM_FLAGS": FLAGS})


def test_no_sanitizer_and_no_warning_of_the_compiler_in_any_kernel():
    names = list(checks.CHECKS)
    for process, half in [(start(*half), half) for half in (names[:10], names[10:])]:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert said == "".join(f"{name}: agrees\n" for name in half)  # and nothing else


WRONG = {
    "reads behind its array": (
        ("im2col", "h < H", "h <= H"), "im2col", "AddressSanitizer: heap-buffer-overflow"),
    "writes before its array": (
        ("im2col", "cols[row * size + k]", "cols[row * size + k - 1]"), "im2col",
        "AddressSanitizer: heap-buffer-overflow"),
    "leaves its shared memory": (
        ("reduce.h", "t < step", "t <= step"), "softmax", "index 256 out of bounds"),
    "overflows an int": (
        ("im2col", "OW * KH * KW * C;", "(OW + 2147483647) * KH * KW * C;"), "im2col",
        "signed integer overflow"),
}


@pytest.mark.parametrize("fault", list(WRONG))
def test_the_sanitizers_report_a_kernel_that(fault, tmp_path):
    mutant, name, report = WRONG[fault]
    mutants.make(tmp_path / "kernels", *mutant)
    process = start("--kernels", tmp_path / "kernels", name)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert report in said
    assert f"{Path(mutant[0]).stem}." in said  # and where: im2col.cu:51
