"""AddressSanitizer and UndefinedBehaviorSanitizer builds of all kernels: no report. The simulator's
own fences find the same faults; here others look, who know nothing of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import checks
import ladder_checks
import mutants
import pytest

from minicnn.ops.cuda import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library of g++")
FLAGS = ("-fsanitize=address,undefined -fno-sanitize-undefined-trap-on-error "
         "-fno-sanitize-recover=all -Werror")


def start(*arguments, script=checks.__file__):
    """checks.py, or another script, under both sanitizers."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True)
    return subprocess.Popen(
        [sys.executable, script, *map(str, arguments)], stdout=subprocess.PIPE,
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


def test_no_sanitizer_and_no_warning_in_the_ladder_and_in_what_a_warp_can_do():
    names = ladder_checks.CHECKS
    halves = names[:5], names[5:]
    for process, half in [(start(*half, script=ladder_checks.__file__), half) for half in halves]:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert said == "".join(f"{name}: agrees\n" for name in half)


LADDER_WRONG = {
    "copies from behind its array": (
        ("6_double_buffered.cu", "&& f < F;\n            copy", ";\n            copy"),
        "double_buffered", "AddressSanitizer: heap-buffer-overflow"),
    "leaves a tile": (
        ("7_tensor_cores.cu", "[mine + 32 * a]", "[mine + 33 * a]"), "tensor_cores",
        "index 128 out of bounds"),
}


@pytest.mark.parametrize("fault", list(LADDER_WRONG))
def test_the_sanitizers_report_a_step_of_the_ladder_that(fault, tmp_path):
    (file, old, new), name, report = LADDER_WRONG[fault]
    shutil.copytree(launch.KERNELS, tmp_path / "kernels")
    path = tmp_path / "kernels" / "ladder" / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    process = start("--kernels", tmp_path / "kernels", name, script=ladder_checks.__file__)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert report in said


def test_the_sanitizers_report_a_kernel_that_leaves_its_dynamic_shared_memory(tmp_path):
    script = tmp_path / "small.py"
    script.write_text(f"import sys\nsys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
                      "import ladder_checks\nladder_checks.check_warps(shared_memory=64)\n")
    process = start(script=script)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in said
    assert "warps.cu" in said


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
