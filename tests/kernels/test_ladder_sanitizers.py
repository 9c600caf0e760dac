"""AddressSanitizer and UndefinedBehaviorSanitizer builds of the ladder, and of what a warp can do:
no report; and planted faults are reported."""

import shutil
import sys
from pathlib import Path

import ladder_checks
import pytest
from test_sanitizers import start

from minicnn.ops.cuda import launch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library of g++")


def test_no_sanitizer_and_no_warning_in_the_ladder_and_in_what_a_warp_can_do():
    names = ladder_checks.CHECKS
    halves = names[:5], names[5:]
    for process, half in [(start(ladder_checks.__file__, *half), half) for half in halves]:
        said = process.communicate()[0]
        assert process.returncode == 0, said
        assert said == "".join(f"{name}: agrees\n" for name in half)


WRONG = {
    "copies from behind its array": (
        ("6_double_buffered.cu", "&& f < F;\n            copy", ";\n            copy"),
        "double_buffered", "AddressSanitizer: heap-buffer-overflow"),
    "leaves a tile": (
        ("7_tensor_cores.cu", "[mine + 32 * a]", "[mine + 33 * a]"), "tensor_cores",
        "index 128 out of bounds"),
}


@pytest.mark.parametrize("fault", list(WRONG))
def test_the_sanitizers_report_a_step_of_the_ladder_that(fault, tmp_path):
    (file, old, new), name, report = WRONG[fault]
    shutil.copytree(launch.KERNELS, tmp_path / "kernels")
    path = tmp_path / "kernels" / "ladder" / file
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    process = start(ladder_checks.__file__, "--kernels", tmp_path / "kernels", name)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert report in said


def test_the_sanitizers_report_a_kernel_that_leaves_its_dynamic_shared_memory(tmp_path):
    script = tmp_path / "small.py"
    script.write_text(f"import sys\nsys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
                      "import ladder_checks\nladder_checks.check_warps(shared_memory=64)\n")
    process = start(script)
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in said
    assert "warps.cu" in said
