"""The ladder's seven kernels compute the same convolution, for every card that has what they ask
for; planted faults are noticed; benchmarks.ladder prints what the compiler makes of them."""

import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import standin
from ladder_checks import CASES, STEPS, check_warps, error
from reference import assert_refused

from benchmarks import ladder as benchmark
from benchmarks.kernels import compile_source, supported_archs
from minicnn.ops import Window, to_device
from minicnn.ops.cuda import ladder, launch, simulator
from minicnn.ops.cuda.launch import options
from minicnn.utils.errors import KernelError, MiniCNNError

ODD = ((2, 5, 7, 3), Window((3, 2), (2, 3), ((1, 2), (0, 1)), (5, 7)), 5)


@pytest.mark.parametrize("name, each", [
    ("naive", 1), ("coalesced", 1), ("tiles", 1), ("registers", 4 * 4), ("vectorized", 8 * 8),
    ("double_buffered", 8 * 8), ("tensor_cores", 16 * 8 * 16 // 32)])  # 16 tiles of 16 × 8 a warp
def test_the_threads_of_a_block_share_its_tile(name, each):
    step = STEPS[name]
    assert step.pixels * step.filters == each * math.prod(step.block)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
@pytest.mark.parametrize("name", list(STEPS))
def test_a_step_convolves_in_four_orders_of_blocks_warps_and_threads(name, case, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 4)
    assert error(STEPS[name], *case) < 1e-6


@pytest.mark.parametrize("dtype, most", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if not step.in_fours])
def test_the_steps_without_float4_take_any_channels_and_doubles(name, dtype, most, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 2)
    assert error(STEPS[name], *ODD, dtype) < most


def test_a_step_runs_through_cupy_too():
    with standin.installed():
        assert error(STEPS["tensor_cores"], *CASES[2], device="cuda") < 1e-6


def test_the_seven_steps_are_the_kernels_of_the_folder_in_their_order():
    files = sorted((launch.KERNELS / "ladder").glob("*.cu"))
    assert [file.name for file in files] == [f"{k}_{name}.cu" for k, name in enumerate(STEPS, 1)]
    assert set(launch.kernels(launch.KERNELS / "ladder")) == set(STEPS)


# What a step refuses

def random_case(C=4, F=4, dtype=np.float32):
    return (to_device(np.ones((1, 3, 3, C), dtype), "cuda-sim"),
            to_device(np.ones((1, 1, C, F), dtype), "cuda-sim"),
            Window((1, 1), (1, 1), ((0, 0), (0, 0)), (3, 3)))


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.in_fours])
@pytest.mark.parametrize("case, words", [
    ({"C": 6}, ["multiples of 4", "6 and 4"]), ({"F": 3}, ["multiples of 4", "4 and 3"]),
    ({"dtype": np.float64}, ["float32", "float64"])], ids=str)
def test_what_cannot_be_read_in_fours_is_refused(name, case, words):
    with assert_refused(name, *words, "steps before it"):
        ladder.conv2d(STEPS[name], *random_case(**case))


def test_channels_that_differ_are_refused():
    x, _, window = random_case()
    with assert_refused("naive", "W of 16 elements"):
        ladder.conv2d(STEPS["naive"], x, random_case(C=8)[1], window)


@pytest.mark.parametrize("name", ["double_buffered", "tensor_cores"])
def test_a_gpu_that_is_too_old_is_refused(name, monkeypatch):
    monkeypatch.setattr(standin.Device, "compute_capability", "75")
    with standin.installed(), assert_refused(name, "compute capability 8.0", "7.5", "steps before"):
        error(STEPS[name], *CASES[2], device="cuda")


# NVIDIA's compiler

@pytest.fixture(scope="module")
def archs():
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    return supported_archs()


@pytest.mark.parametrize("name", list(STEPS))
def test_a_step_compiles_for_every_card_without_spills_and_warnings(name, archs):
    step = STEPS[name]
    archs = [arch for arch in archs if arch >= step.capability]
    with ThreadPoolExecutor() as pool:
        every = list(pool.map(lambda arch: benchmark.compile_step(step, arch), archs))
    for compiled in every:
        row, = compiled.rows
        assert (row.stack, row.spill_stores, row.spill_loads) == (0, 0, 0)
        assert compiled.complaints == []
        assert (b"mma.sync" in compiled.ptx) == (name == "tensor_cores")
        assert (b"cp.async" in compiled.ptx) == (step.capability == 80)


@pytest.mark.parametrize("name", ["double_buffered", "tensor_cores"])
def test_the_compiler_says_which_cards_a_step_needs(name, archs):
    with pytest.raises(KernelError, match="expected a GPU of compute capability 8.0 or newer"):
        benchmark.compile_step(STEPS[name], 75)


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step.in_fours])
def test_the_compiler_refuses_doubles_where_floats_are_read_in_fours(name, archs):
    file = STEPS[name].kernel.file
    with pytest.raises(KernelError, match="expected float32"):
        compile_source(file.read_text("utf-8"), file.name, options(np.float64), 90)


# Planted faults: (kernel or header, what stands there once, what the mutant has instead)

BARRIER = "__syncthreads();  // "
FAULTS = [
    ("naive", "m >= M || ", ""), ("naive", "continue;", "break;"), ("naive", "q < KW", "q < KH"),
    ("coalesced", " || f >= F", ""), ("coalesced", "W[(int64)(d + c)", "W[(int64)(d + p)"),
    ("tiles", f"{BARRIER}the tiles are whole", ""), ("tiles", f"{BARRIER}all have read", "//"),
    ("tiles", "d0 + ty < D && ", ""),
    ("registers", f"{BARRIER}the tiles are whole", ""),
    ("registers", f"{BARRIER}all have read", "//"), ("registers", "< D && f < F", "< D"),
    ("vectorized", "[4 * s + 1][row] = four.y", "[4 * s + 1][row] = four.z"),
    ("vectorized", "64 * h + 4 * ty", "64 * h + 4 * tx"),
    ("vectorized", "a / 4 * 64 + 4 * ty", "a / 4 * 32 + 4 * ty"),
    ("vectorized", "&W[(int64)(d0 + row) * F + f]", "&W[(int64)(d0 + row) * F + f + 1]"),
    ("double_buffered", "wait_copies<1>();", ""),
    ("double_buffered", "wait_copies<1>();", "wait_copies<2>();"),
    ("double_buffered", "__syncthreads();   // …", "// …"),
    ("double_buffered", f"{BARRIER}all have read", "//"),
    ("double_buffered", "copy_next(now ^ 1);", "copy_next(now);"),
    ("double_buffered", "next += 16, ", "next += 15, "),
    ("tensor_cores", "wait_copies<1>();", ""),
    ("tensor_cores", "__syncthreads();   // …", "// …"),
    ("tensor_cores", f"{BARRIER}all have read", "//"),
    ("tensor_cores", "e % 2 * 8][k + s + e / 2 * 4", "e / 2 * 8][k + s + e % 2 * 4"),
    ("tensor_cores", "tf32(tile_W[now][k + s + 4 * e][n0 + 8 * j + group])",
     "__builtin_bit_cast(unsigned, tile_W[now][k + s + 4 * e][n0 + 8 * j + group])"),
    ("tensor_cores", "2 * s + e % 2", "2 * s + e / 2"),
    ("ladder.h", "++d.q == g.KW", "++d.q == g.KH"), ("ladder.h", "h < g.H", "h <= g.H"),
    ("ladder.h", "t / 4 % 2 * 4;", "t / 4 % 2 * 3;"),
]
CHECKED_BY = {"ladder.h": "tensor_cores"}


def notice(place, old, new, folder):
    """What is noticed of a fault: a sentence, or how far off the result is; None if nothing is."""
    shutil.copytree(launch.KERNELS, folder)
    step = STEPS[CHECKED_BY.get(place, place)]
    file = folder / "ladder" / (place if place.endswith(".h") else step.kernel.file.name)
    text = file.read_text("utf-8")
    assert text.count(old) == 1, f"{place}: {old} stands there {text.count(old)} times"
    file.write_text(text.replace(old, new), "utf-8")
    with mock.patch.object(launch, "KERNELS", folder):
        try:
            off = max(error(step, *case) for case in CASES[:2])
        except MiniCNNError as found:
            assert "compiles" not in str(found)
            return str(found)
    return f"off by {off}" if off > 1e-5 else None


def test_a_fault_planted_in_a_step_is_noticed(tmp_path, monkeypatch, full):
    monkeypatch.setattr(simulator, "runs", 3)
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setenv("MINICNN_SIM_FLAGS", "-O0")
    chosen = FAULTS if full else FAULTS[::3]
    found = {fault: notice(*fault, tmp_path / str(k)) for k, fault in enumerate(chosen)}
    assert [fault for fault, noticed in found.items() if noticed is None] == []
    assert {place for place, *_ in chosen} == {*STEPS, "ladder.h"}


# The table

MACHINE_CODE = """
        /*0000*/                   LDC R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   FFMA R3, R1, R2, R3 ;
        /*0020*/              @P0  BRA `(.L_x_1) ;
.L_x_2:
        /*0030*/                   LDS.128 R4, [R2] ;
        /*0040*/                   HMMA.1688.F32.TF32 R4, R8, R6, R4 ;
        /*0050*/              @!P1 BRA `(.L_x_3) ;
        /*0060*/                   FFMA R3, R1, R2, R3 ;
.L_x_3:
        /*0070*/             @!UP0 BRA `(.L_x_2) ;
        /*0080*/                   EXIT ;
.L_x_4:
        /*0090*/                   BRA `(.L_x_4);
"""


def test_the_loop_with_most_of_the_multiply_adds_is_found_in_the_machine_code():
    assert benchmark.main_loop(MACHINE_CODE) == (5, 32 + 1)
    assert benchmark.main_loop(MACHINE_CODE.replace("HMMA.1688", "LDS")) == (2, 1)
    assert benchmark.main_loop(MACHINE_CODE.replace("FFMA", "FADD").replace("HMMA", "LDS")) is None


def lines(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ladder", *arguments])
    benchmark.main()
    return capsys.readouterr().out.splitlines()


def test_the_table_has_a_line_for_each_step(archs, capsys, monkeypatch):
    rows = [line.split(" | ") for line in lines(capsys, monkeypatch, "--arch", "80")]
    assert [row[0].strip("| ") for row in rows[2:9]] == list(STEPS)
    assert [int(row[4]) for row in rows[2:9]] == [0, 0, 2048, 8192, 12544, 28672, 29696]
    assert all(int(row[3]) <= 255 for row in rows[2:9])
    assert "No GPU here: nothing is timed." in rows[10][0]


def test_below_8_0_the_table_says_what_the_last_steps_need(archs, capsys, monkeypatch):
    rows = lines(capsys, monkeypatch, "--arch", "75")[2:9]
    assert [k for k, row in enumerate(rows) if "needs compute capability 8.0" in row] == [5, 6]
    assert {row.count("|") for row in rows} == {10}


def test_without_nvdisasm_the_instructions_are_not_counted(archs, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "nvdisasm", lambda: None)
    said = lines(capsys, monkeypatch)
    assert said[2].split(" | ")[6] == "–"
    assert said[-1] == "Instructions are not counted: pip install nvidia-cuda-nvdisasm."


def test_nvdisasm_is_given_the_machine_code_and_its_refusal_is_a_sentence(tmp_path, monkeypatch):
    tool = tmp_path / "nvdisasm"
    tool.write_text('#!/bin/sh\nif [ "$(wc -c < "$2")" = 4 ]; then echo ".L_x_1:"; '
                    "else echo no >&2; exit 1; fi\n")
    tool.chmod(0o755)
    monkeypatch.setattr(benchmark, "nvdisasm", lambda: str(tool))
    assert benchmark.disassemble(b"ELF") == ".L_x_1:\n"  # with the 0 that CuPy leaves out
    with assert_refused("nvdisasm", "no", "newer"):
        benchmark.disassemble(b"")


def test_on_a_gpu_the_steps_are_timed(archs, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(benchmark, "conv2d", lambda step, x, W, window: timed.append(x.shape))
    monkeypatch.setattr(benchmark, "compile_step", lambda step, arch: benchmark.Compiled(
        b"", b"", [benchmark_row(arch)], []))
    monkeypatch.setattr(benchmark, "nvdisasm", lambda: None)
    with standin.installed():
        said = lines(capsys, monkeypatch, "--photos", "2")
    assert set(timed) == {(2, 56, 56, 256)}
    assert all(float(line.split(" | ")[-2]) >= 0 for line in said[2:9])
    assert "3 × 3 on 2 photos of 56 × 56 × 256" in said[-2]


def benchmark_row(arch):
    from benchmarks.kernels import Row

    return Row("k", "k.cu", arch, (), 32, 0, 0, 0, 0)


def test_warps_add_and_exchange_what_copies_bring(monkeypatch):
    monkeypatch.setattr(simulator, "runs", 4)
    check_warps()  # an assertion inside would have failed


def test_the_ladder_is_a_part_of_the_package(tmp_path):
    pytest.importorskip("setuptools")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path],
                          cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shipped, here = ({str(file.relative_to(folder)) for file in folder.rglob("*.*")}
                     for folder in (tmp_path / "minicnn" / "kernels", root / "kernels"))
    assert shipped == here
    assert "ladder/7_tensor_cores.cu" in shipped
