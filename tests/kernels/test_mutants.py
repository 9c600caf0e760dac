"""The checks notice wrong kernels: some, with --full over a thousand, each wrong in one place."""

import subprocess
import sys

import mutants
import pytest

from minicnn.ops.cuda.launch import KERNELS, kernels
from minicnn.utils.errors import KernelError

SHORT = 4  # mutants of the run without --full


# The kernels


def test_the_checks_notice_a_wrong_kernel(full):
    count = [] if full else ["--count", str(SHORT), "--jobs", "1"]
    done = subprocess.run([sys.executable, mutants.__file__, *count], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tried, _, alive, _ = done.stdout.splitlines()[-1].split()
    assert int(tried) >= (1000 if full else SHORT)
    assert int(alive) <= 0.05 * int(tried)
    if full:
        assert "no longer a mutant" not in done.stdout


def test_every_kernel_and_header_has_mutants_and_every_mutant_is_another():
    every = mutants.mutants()
    assert len({m.key for m in every}) == len(every) > 1000
    assert {m.place for m in every} == {*kernels(KERNELS), *mutants.CHECKED_BY}
    assert {m.kind for m in every} == set(mutants.KINDS)
    assert {m.place for m in mutants.chosen(SHORT)} == {m.place for m in every}
    for mutant in every:
        assert mutant.text != (KERNELS / mutant.file).read_text("utf-8")


def test_what_is_excused_has_a_shape_and_a_reason():
    for key, reason in mutants.SAME.items():
        file, kind, *_ = key.split(" ")
        assert (KERNELS / file).suffix in (".cu", ".h") and kind[:-1] in mutants.KINDS
        assert " -> " in key and reason


# The changes, of kernels made for this


def changes(body, *kinds):
    """What can become of the body of a kernel."""
    text = ('extern "C" __global__ void mine(const real* x, real* y, int H, int Wd) {\n'
            f"{body}\n}}\n")
    some = mutants.mutants_of("mine", "mine.cu", text, {kind: mutants.KINDS[kind]
                                                        for kind in kinds or mutants.KINDS})
    return [m.text.partition("{\n")[2].rpartition("\n}")[0] for m in some]


@pytest.mark.parametrize("kind, body, changed", [
    ("arithmetic", "y[k] = -a + b - c;", ["y[k] = -a - b - c;", "y[k] = -a + b + c;"]),
    ("arithmetic", "int c = k % C;", ["int c = k / C;"]),
    ("axis", "h = H * Wd + threadIdx.x;",
     ["h = Wd * Wd + threadIdx.x;", "h = H * H + threadIdx.x;", "h = H * Wd + threadIdx.y;"]),
    ("axis", "h = H;", []),  # there is no Wd to exchange it with
    ("barrier", "a = b; __syncthreads();  // all\n c = d;", ["a = b;   // all\n c = d;"]),
    ("branches", "a = b ? c + d : f(e, g);", ["a = b ? f ( e , g ) : c + d;"]),
    ("comparison", "if (a < b) c = d >= e;", ["if (a <= b) c = d >= e;", "if (a < b) c = d > e;"]),
    ("comparison", "a = b < c[d] ? b : c[d]; if (e > f) e = f; g = h > e ? a : h;",
     ["a = b < c[d] ? b : c[d]; if (e > f) e = f; g = h >= e ? a : h;"]),
    ("condition", "if (a >= 0 && b[a] < c) d = e;", ["if ( b[a] < c) d = e;",
                                                     "if (a >= 0 ) d = e;"]),
    ("constant", "a = 0 + 16;  // 3", ["a = 1 + 16;  // 3", "a = 0 + 15;  // 3"]),
    ("function", "a = sqrt(b) + fold(c, true);", ["a = fabs(b) + fold(c, true);",
                                                  "a = sqrt(b) + fold(c, false);"]),
    ("guard", "if (a < (b)) c = d;", ["if (true) c = d;"]),
    ("negation", "a = exp(-b) - c;", ["a = exp(b) - c;"]),
    ("operand", "a = b * c + (int)d / e;", ["a = b  + (int)d / e;", "a = b * c ;",
                                            "a = b * c + (int)d ;"]),
    ("statement", "int a = b; c[a] = d; f(c);", ["int a = b; ; f(c);"]),
    ("stride", "for (int k = 0; k < n; k += 16) f(k);", [
        "for (int k = 0; k < n; k += 16 + 1 ) f(k);"]),
    ("sum", "a += b; c -= d;", ["a = b; c -= d;", "a += b; c += d;"])])
def test_the_changes_of_a_line(kind, body, changed):
    assert changes(body, kind) == changed


def test_pointers_types_and_comments_are_no_products():
    assert changes("const real *from = x; const real* to = y;  // a * b < c + 1") == []


def test_a_mutant_stays_the_same_when_its_names_change():
    before, after = (mutants.mutants_of(
        name, "a.cu", f'extern "C" __global__ void {name}(real* x) {{ {body} }}', mutants.KINDS)
        for name, body in (
            ("mine", "real sum = 0; if (sum < x[k + 1]) sum += exp(x[k]);"),
            ("other", "real total = 0;\n  if (total < y[i + 1])  // a comment\n"
                      "    total += exp(y[i]);")))
    assert [m.key for m in before] == [m.key for m in after]
    assert [m.change for m in before] != [m.change for m in after]
    assert "a.cu comparison: if (a < b[c + 1]) a += exp (b[c]); -> " \
           "if (a <= b[c + 1]) a += exp (b[c]);" in [m.key for m in before]


def test_shapes_that_occur_again_are_numbered():
    text = 'extern "C" __global__ void mine(real* x) { a = b < c; d = e < f; g = g < h; }'
    found = mutants.mutants_of("mine", "a.cu", text, {"comparison": mutants.KINDS["comparison"]})
    assert [m.shape for m in found] == ["a = b < c; -> a = b <= c;",
                                        "a = b < c; -> a = b <= c; (2)",
                                        "a = a < b; -> a = a <= b;"]


def test_a_kernel_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="mine: expected a kernel of this name, found none"):
        mutants.mutants_of("mine", "mine.cu", "void other() {}", mutants.KINDS)


# Life and death


def relu(change):
    """relu with another line; what kills it."""
    file = KERNELS / "relu.cu"
    text = file.read_text("utf-8")
    start = text.index("{", text.index("void relu("))
    end = text.index("\n}", start)
    body = f"{{ EACH(k, size) {{ {change} }}"
    return mutants.Mutant("relu", "made", change, change, file.name,
                          text[:start] + body + text[end:])


LINES = {  # of relu(x, y, size): what comes of it
    "y[k] = x[k] > 0 ? x[k] : x[k] != x[k] ? x[k] : 0;": None,
    "y[k] = x[k] < 0 ? 1 : x[k];": "off by 1",
    "y[k + 1] = x[k] < 0 ? 0 : x[k];": "writes y",
    "for (;;) y[k] = 0;": "took too long"}


def test_what_dies_and_what_lives(monkeypatch):
    monkeypatch.setattr(mutants, "SECONDS", 1)
    found = {m.change: said for m, said in mutants.deaths([relu(line) for line in LINES], 2)}
    for line, expected in LINES.items():
        assert (found[line] is None) if expected is None else (expected in found[line])


def test_a_mutant_that_does_not_compile_is_an_error(tmp_path):
    with pytest.raises(KernelError, match="expected a kernel that compiles"):
        mutants.death(relu("y[k] = nothing;"), tmp_path)
    with pytest.raises(SystemExit, match="expected a kernel that compiles"):
        list(mutants.deaths([relu("y[k] = nothing;")], 1))
