"""How many instructions a kernel executes for an element: the counter, and what it must find."""

import pytest

from benchmarks import instructions
from benchmarks.instructions import CASES, Case, Instruction, find_tool, loops_of, per_element
from minicnn.utils.errors import ArgumentError, KernelError

pytest.importorskip("cupy", reason="there is no CuPy for macOS")

MOST = {"im2col": 25, "bias_relu": 25, "relu": 50, "not_finite": 50, "winograd_tiles": 40,
        "winograd_kernels": 15, "winograd_outputs": 80}  # instructions an element
DIVISIONS = ("div.", "rem.")


@pytest.fixture(scope="module")
def ptx():
    return instructions.listings(set(MOST), tool=None)


def depth(listing, k):
    return sum(a <= k <= b for a, b in loops_of(listing))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kernel}, {case.what}")
def test_a_kernel_executes_at_most_so_many_instructions_an_element_in_ptx(case, ptx):
    assert 5 < per_element(ptx[case.kernel], case) <= MOST[case.kernel]


def test_im2col_divides_once_a_row_and_bias_relu_never(ptx):
    """In PTX, where a division is one instruction; in im2col only the loop over rows has one."""
    depths = [depth(ptx["im2col"], k) for k, one in enumerate(ptx["im2col"])
              if one.name.startswith(DIVISIONS)]
    assert depths and max(depths) == 1 < max(depth(ptx["im2col"], k)
                                            for k in range(len(ptx["im2col"])))
    for name in ("bias_relu", "relu", "not_finite", "winograd_kernels"):
        assert not any(one.name.startswith(DIVISIONS) for one in ptx[name]), name


@pytest.mark.skipif(find_tool(None) is None, reason="needs cuobjdump in PATH")
def test_the_machine_code_keeps_to_the_same_numbers():
    found = instructions.listings(set(MOST), find_tool(None))
    for case in CASES:
        assert 5 < per_element(found[case.kernel], case) <= MOST[case.kernel], case


# The counter itself

SASS = """
\t\tFunction : copy
        /*0000*/                   S2R R0, SR_TID.X ;   /* 0x1 */
                                                        /* 0x2 */
        /*0010*/                   MOV R1, R0 ;
        /*0020*/                   LDG.E R2, [R1] ;
        /*0030*/                   STG.E [R1], R2 ;
        /*0040*/                   STG.E [R1+0x80], R2 ;
        /*0050*/              @!P0 BRA 0x20 ;
        /*0060*/              @P1  BRA 0x10 ;
        /*0070*/                   EXIT ;
        /*0080*/                   BRA 0x80;
        /*0090*/                   NOP;
"""
PTX = """
.visible .entry other(
\t.param .u64 x
)
{
\tret;
}
.visible .entry copy(
\t.param .u64 x
)
.maxntid 256
{
\t.reg .pred \t%p<2>;
\tmov.u32 \t%r0, %tid.x;
$L__BB0_1:
\tmov.u32 \t%r1, %r0;
$L__BB0_2:
\tld.global.f32 \t%f1, [%rd1];
\tst.global.f32 \t[%rd1], %f1;
\tst.global.f32 \t[%rd1+128], %f1;
\t@!%p0 bra \t$L__BB0_2;
\t@%p1 bra \t$L__BB0_1;
\tret;
}
"""


@pytest.mark.parametrize("listing", [instructions.read_sass(SASS),
                                     instructions.read_ptx(PTX, "copy")], ids=["SASS", "PTX"])
def test_a_listing_is_counted_as_by_hand(listing):
    assert len(listing) == 8
    assert loops_of(listing) == [(1, 6), (2, 5)]
    # 2 once; 2 in a loop of 3 turns; in it 4, whose 10 elements a turn are 5 turns of 2 stores
    copying, twice = Case("copy", "", (3,), 30, copies=True), Case("copy", "", (3, 7), 30)
    assert per_element(listing, copying) == (2 + 3 * 2 + 15 * 4) / 30
    assert per_element(listing, twice) == (2 + 3 * 2 + 21 * 4) / 30


def test_two_branches_to_one_place_are_one_loop():
    listing = [Instruction("A", None), Instruction("BRA", 0), Instruction("BRA", 0)]
    assert loops_of(listing) == [(0, 2)]


def test_a_loop_more_than_is_known_is_refused():
    with pytest.raises(KernelError, match="copy: expected 1 loops"):
        per_element(instructions.read_sass(SASS), Case("copy", "", (3,), 30))


def test_a_folder_without_the_tool_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="cuobjdump"):
        find_tool(tmp_path)
    (tmp_path / "cuobjdump").touch(mode=0o755)
    assert find_tool(tmp_path) == str(tmp_path / "cuobjdump")


def test_the_command_prints_a_line_for_every_case(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["instructions", "--ptx"])
    instructions.main()
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines()[2:2 + len(CASES)]] == [
        case.kernel for case in CASES]
    assert "PTX" in out and "not measured" in out
