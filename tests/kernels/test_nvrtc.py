"""NVIDIA's compiler accepts every kernel without a warning: with --full for every architecture,
else for the oldest and the H100's. It needs no GPU."""

import numpy as np
import pytest

from benchmarks.kernels import (
    LIMITS,
    REPORT,
    compile_all,
    compile_source,
    cupy_options,
    occupancy,
    supported_archs,
    table,
    variants,
)
from minicnn.ops.cuda.launch import KERNELS, kernels, options
from minicnn.utils.errors import KernelError

pytest.importorskip("cupy", reason="there is no CuPy for macOS")

FILES = sorted(KERNELS.glob("*.cu"))
GIVEN = options(np.float32)
GOOD = """
extern "C" __global__ void scale(float* x, int size) {
    int k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k < size) x[k] *= 2;
}"""


@pytest.fixture(scope="module")
def archs(request):
    every = supported_archs()
    assert len(every) >= 7
    if request.config.getoption("full"):
        return every
    return [every[0], 90]


@pytest.fixture(scope="module")
def compiled(archs):
    return compile_all(archs)


def test_every_kernel_compiles_for_every_card_dtype_and_type_of_switch(compiled, archs):
    expected = {(name, k.file.name, arch, given) for name, k in kernels(KERNELS).items()
                for arch in archs for given in variants(k.file)}
    rows = [row for one in compiled for row in one.rows]
    assert {(row.kernel, row.file, row.arch, row.options) for row in rows} == expected
    assert len(rows) == len(expected) >= 20 * 2 * len(archs)
    assert all(one.cubin[:4] == b"\x7fELF" and b".entry" in one.ptx for one in compiled)


def test_max_pool_is_compiled_for_narrow_and_for_wide_switches():
    defined = {option for given in variants(KERNELS / "max_pool.cu") for option in given}
    assert {"-DSWITCH=unsigned char", "-DSWITCH=int", "-DREAL=float", "-DREAL=double"} < defined


def test_no_kernel_gives_a_warning(compiled):
    assert [line for one in compiled for line in one.complaints] == []


def test_no_kernel_spills_registers_into_memory(compiled):
    assert [row for one in compiled for row in one.rows
            if row.stack or row.spill_stores or row.spill_loads] == []


def test_the_table_has_a_line_for_every_kernel(compiled):
    lines = table(one for one in compiled
                  if one.rows[0].arch == 90 and one.rows[0].options == GIVEN).splitlines()
    assert sorted(line.split()[1] for line in lines[2:]) == sorted(kernels(KERNELS))


@pytest.mark.parametrize("arch", supported_archs())
def test_the_options_are_those_that_cupy_gives(arch, monkeypatch):
    """CuPy's own way from RawModule to NVRTC, stopped where it would hand over the program."""
    from cupy._core import core
    from cupy.cuda import compiler

    class HandedOverError(Exception):
        pass

    def program(source, *arguments, **named):
        if not source:  # CuPy first compiles nothing, to learn the compiler's version
            return type("Empty", (), {"compile": lambda self, given: (b"", None)})()
        return type("Program", (), {"compile": compile_})()

    def compile_(self, given, log_stream=None):
        raise HandedOverError(given)

    choose = compiler._get_arch_for_options_for_nvrtc.__wrapped__  # less its question for a GPU
    monkeypatch.setattr(compiler, "_get_arch_for_options_for_nvrtc", choose)
    monkeypatch.setattr(compiler, "_NVRTCProgram", program)
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")  # nothing comes from an earlier run
    with pytest.raises(HandedOverError) as handed:
        core.compile_with_cache(GOOD, GIVEN, arch=str(arch), prepend_cupy_headers=False)
    assert handed.value.args[0] == cupy_options(GIVEN, arch)


# The same functions find what is wrong

def test_a_clean_kernel_gives_no_complaint():
    assert compile_source(GOOD, "good.cu", GIVEN, 86).complaints == []


@pytest.mark.parametrize("line, message", [
    ("int unused = 3;", "never referenced"),
    ("float y; x[0] = y;", "used before its value is set"),
    ("unsigned char c = 300; x[c] = 1;", "truncation"),
    ("if (size = 3) x[0] = 1;", "may have been intended"),
])
def test_a_warning_is_found(line, message):
    found = compile_source(GOOD.replace("int k", f"{line} int k"), "w.cu", GIVEN, 86).complaints
    assert any(message in text for text in found), found


def test_a_kernel_that_spills_is_found():
    every = "#pragma unroll\nfor (int i = 0; i < 100; i++)"  # holds 100 numbers in 32 registers
    spilling = GOOD.replace("void scale", "void __launch_bounds__(1024, 2) scale").replace(
        "if (k", f"float y[100];\n{every} y[i] = x[k * 100 + i];\n__syncthreads();\n"
                 f"{every} x[k * 100 + i] = y[99 - i];\nif (k")
    row, = compile_source(spilling, "spill.cu", GIVEN, 90).rows
    assert min(row.stack, row.spill_stores, row.spill_loads) > 200


def test_a_kernel_that_does_not_compile_says_where():
    with pytest.raises(KernelError, match=r"bad\.cu.*bad\.cu\(4\): error: .*nothing"):
        compile_source(GOOD.replace("x[k] *=", "nothing *="), "bad.cu", GIVEN, 86)


def test_the_log_may_hold_the_report_and_nothing_else():
    assert REPORT.match("ptxas info    : Used 26 registers, used 0 barriers")
    assert not REPORT.match("ptxas warning : Stack size for entry function")


@pytest.mark.parametrize("registers, shared, arch, expected", [
    (32, 0, 86, (6, 1.0, "threads")),       # 8 warps a block, 48 an SM
    (64, 0, 86, (4, 2 / 3, "registers")),   # 65,536 / (64 · 256)
    (72, 0, 86, (3, 0.5, "registers")),     # 7 warps in each quarter of an SM: 28, not 32
    (32, 32 * 1024, 86, (3, 0.5, "shared memory")),  # 100 KB / (32 + 1) KB
    (32, 32 * 1024, 75, (2, 0.5, "shared memory")),  # 64 KB / 32 KB
    (32, 1024, 90, (8, 1.0, "threads and registers")),
])
def test_occupancy_is_that_of_a_calculation_by_hand(registers, shared, arch, expected):
    blocks, share, limit = occupancy(registers, shared, arch)
    assert (blocks, limit) == (expected[0], expected[2])
    assert share == pytest.approx(expected[1])


def test_every_limit_is_known_by_its_architecture():
    assert set(supported_archs()) <= set(LIMITS)
