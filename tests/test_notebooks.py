"""The notebooks are the lessons: made from them, whole, and they run without a __file__."""

import ast
import base64
import io
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
LESSONS = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
MAKER = runpy.run_path(str(EXAMPLES / "make_notebooks.py"))
MADE = MAKER["notebooks"]()
QUICK = ("01_gradient_check", "07_write_a_kernel")
_, *PARTS = re.split(r"^## Lesson (\d+)\. ",
                     (EXAMPLES / "solutions" / "lessons.md").read_text("utf-8"), flags=re.M)
SOLVED = {int(number): part for number, part in zip(PARTS[::2], PARTS[1::2], strict=True)}


def in_the_tree(lesson):
    """The notebook of the lesson."""
    return json.loads((EXAMPLES / "notebooks" / f"{lesson}.ipynb").read_text("utf-8"))


def cells(lesson, kind):
    """The text of the lesson's cells of that kind, "code" or "markdown"."""
    return ["".join(cell["source"]) for cell in in_the_tree(lesson)["cells"]
            if cell["cell_type"] == kind]


def test_there_is_a_notebook_for_every_lesson_and_no_other():
    assert len(LESSONS) == 9
    assert sorted(MADE) == [f"{lesson.stem}.ipynb" for lesson in LESSONS] == sorted(
        file.name for file in (EXAMPLES / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", MADE)
def test_the_notebook_in_the_tree_is_what_the_script_makes_of_the_lesson(name):
    found = (EXAMPLES / "notebooks" / name).read_text("utf-8")
    MAKER["keep_outputs"](MADE[name], json.loads(found))
    assert found == MAKER["text_of"](MADE[name]), (
        f"run python examples/make_notebooks.py --run {name[:2]}")


@pytest.mark.parametrize("name", MADE)
def test_it_has_the_format_s_fields(name):
    notebook = MADE[name]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]{1,64}", i) for i in ids)
    for cell in notebook["cells"]:
        fields = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            fields |= {"execution_count", "outputs"}
        assert set(cell) == fields and "".join(cell["source"]).strip()


@pytest.mark.parametrize("lesson", [lesson.stem for lesson in LESSONS])
def test_it_has_been_run_and_shows_what_it_prints_and_its_pictures(lesson):
    code = [cell for cell in in_the_tree(lesson)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {
        "stream", "display_data", "execute_result"}  # no error
    for cell in code:
        shown = "".join("".join(output.get("text", "")) for output in cell["outputs"])
        if re.search(r"^print\(", "".join(cell["source"]), re.M):
            assert shown.strip()
        assert "Traceback" not in shown and "warning" not in shown.lower()
        assert not re.search(r"(?<![\w.])/\w+/", shown)  # no folder of who has run it
        if "Image.open(" in "".join(cell["source"])[:60]:
            data = cell["outputs"][-1]["data"]
            kind = "image/jpeg" if "image/jpeg" in data else "image/png"
            with Image.open(io.BytesIO(base64.b64decode(data[kind]))) as picture:
                assert picture.width > 500
    assert len(MAKER["text_of"](in_the_tree(lesson))) < 1_000_000  # a browser shows it at once


@pytest.mark.parametrize("name", MADE)
def test_its_formulas_are_latex(name):
    text = "\n".join("".join(cell["source"]) for cell in MADE[name]["cells"]
                     if cell["cell_type"] == "markdown")
    displayed = re.findall(r"^\$\$(.+)\$\$$", text, re.M)
    inline = re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", text)
    assert displayed and "```text" not in text
    assert text.count("$") == 4 * len(displayed) + 2 * len(inline)  # each has its end
    for formula in [*displayed, *inline]:
        MathTextParser("agg").parse(f"${formula}$")  # which raises ValueError


@pytest.mark.parametrize("lesson", ["03_vgg16_on_a_photo", "04_transfer_learning"])
def test_sentences_stand_before_each_cell_of_these_lessons(lesson):
    made = MADE[f"{lesson}.ipynb"]["cells"]
    for before, cell in zip(made[:-2], made[1:-2], strict=False):  # then: picture, exercises
        if cell["cell_type"] == "code" and "Image.open(" not in "".join(cell["source"]):
            assert before["cell_type"] == "markdown"
            _, _, text = "".join(before["source"]).rpartition("## ")
            assert len(re.findall(r"[.:?](?:\s|$)", text)) >= 2, text


def shown_by(lesson):
    """What the lesson's notebook has printed."""
    return "".join("".join(output.get("text", "")) for cell in in_the_tree(lesson)["cells"]
                   for output in cell.get("outputs", []))


def test_lesson_5_finds_the_receptive_field_by_hand():
    shown = shown_by("05_what_layers_see")
    patch = re.search(r"patch (rows \S+, columns \S+)\n", shown)[1]
    assert f"not zero only in {patch}: the receptive field? True" in shown


def test_what_the_texts_say_of_lesson_3_is_what_it_has_shown():
    counts = re.findall(r"^(?:mean colour|block\d_conv\d) +(\d+)$",
                        shown_by("03_vgg16_on_a_photo"), re.M)
    assert len(counts) == 6
    colour, *blocks = map(int, counts)
    text = " ".join(cells("03_vgg16_on_a_photo", "markdown")[-1].split())
    assert f"{min(colour, *blocks[:2])} to {max(colour, *blocks[:2])} of 40" in text
    assert f"Block 4 has {blocks[3]} right" in text and f"block 5 it is {blocks[4]}:" in text
    assert f"{blocks[3]} and {blocks[2]} for example" in text


def test_what_the_texts_say_of_lesson_6_is_what_it_has_shown():
    shown = shown_by("06_how_many_images")
    rows = re.findall(r"^ +(\d+) +([\d.]+) ± ([\d.]+) +([\d.]+) ± ([\d.]+)", shown, re.M)
    assert len(rows) == 7
    solutions = (EXAMPLES / "solutions" / "lessons.md").read_text("utf-8")
    for name, column in ("cut after block4_pool", 1), ("from scratch", 3):
        cells_of_it = " | ".join(row[column] for row in rows)
        assert f"| {name}, % | {cells_of_it} |" in solutions
    look = " ".join((EXAMPLES.parent / "docs" / "look.md").read_text("utf-8").split())
    for row in rows[2], rows[-1]:
        assert f"{row[1]} ± {row[2]} against {row[3]} ± {row[4]} %" in look
    probes = re.findall(r"features +([\d.]+) ±", shown)
    assert len(probes) == 5 and f"{', '.join(probes)} %" in look


def test_the_lines_of_the_kernel_that_prints_stand_together():
    """C's output reaches a notebook by another way than Python's: it has a cell of its own."""
    (shown,) = ("".join(output["text"]) for cell in in_the_tree("07_write_a_kernel")["cells"]
                for output in cell.get("outputs", []) if "block 0, thread 0 takes" in
                "".join(output.get("text", "")))
    first, *lines = shown.splitlines()
    assert first == "2 blocks of 4 threads, 11 elements:" and len(lines) == 11
    assert all(re.fullmatch(r"  block [01], thread [0-3] takes x\[ ?\d+\]", line) for line in lines)


def test_the_outputs_stay_while_all_code_is_the_same_and_go_when_some_changes():
    before = in_the_tree("01_gradient_check")
    made = MAKER["notebooks"]()["01_gradient_check.ipynb"]
    assert not any(cell["outputs"] for cell in MAKER["code_of"](made))
    before["cells"][0]["source"] = ["# Another title"]
    MAKER["keep_outputs"](made, before)
    assert [cell["outputs"] for cell in MAKER["code_of"](made)] == [
        cell["outputs"] for cell in MAKER["code_of"](before)]
    made = MAKER["notebooks"]()["01_gradient_check.ipynb"]
    MAKER["code_of"](before)[1]["source"].append("print()")
    MAKER["keep_outputs"](made, before)
    assert not any(cell["outputs"] for cell in MAKER["code_of"](made))


def test_an_output_is_kept_without_the_folder_and_the_addresses_of_the_machine():
    folder = str(EXAMPLES.parent)
    kept = MAKER["tidied"]({"output_type": "stream", "name": "stdout",
                            "text": f"picture: {folder}/examples/a.png\n<Model at 0x7f00>\n"})
    assert kept["text"] == ["picture: examples/a.png\n", "<Model>\n"]


@pytest.mark.parametrize("lesson", [lesson.stem for lesson in LESSONS])
def test_every_statement_of_the_lesson_is_in_its_cells_in_order(lesson):
    found = [ast.dump(node) for code in cells(lesson, "code") for node in ast.parse(code).body]
    added = {ast.dump(node) for code in cells(lesson, "code")
             if code.startswith("from PIL") for node in ast.parse(code).body}
    source = (EXAMPLES / f"{lesson}.py").read_text("utf-8")
    tree = ast.parse(source.replace("Path(__file__)", f'Path("../{lesson}.py")')).body
    assert [node for node in found if node not in added] == [
        ast.dump(node) for node in tree[1:-1]]


@pytest.mark.parametrize("lesson", [lesson.stem for lesson in LESSONS])
def test_it_goes_from_the_question_to_the_exercises(lesson):
    headings = re.findall(r"^#+ (.*)", "\n".join(cells(lesson, "markdown")), re.M)
    assert headings[0].startswith(f"Lesson {int(lesson[:2])}. ")
    assert headings[1:3] == ["Question", "Formula"] and headings[3].startswith("1. ")
    assert headings[-2] == "What to notice" and headings[-1].startswith("Exercises (solutions in ")
    assert len(re.findall(r"^\d\. ", cells(lesson, "markdown")[-1], re.M)) in (3, 4)
    assert "Image.open(" in cells(lesson, "code")[-1]


@pytest.mark.parametrize("lesson", [lesson.stem for lesson in LESSONS])
def test_every_exercise_has_its_solution_whose_code_can_be_read(lesson):
    asked = re.findall(r"^(\d)\. ", cells(lesson, "markdown")[-1], re.M)
    solved = SOLVED[int(lesson[:2])]
    assert re.findall(r"^\*\*(\d)\. ?", solved, re.M) == asked
    for code in re.findall(r"```python\n(.*?)```", solved, re.S):
        ast.parse(code)


@pytest.mark.parametrize("lesson", QUICK)
def test_its_cells_run_in_one_namespace_and_say_what_the_lesson_says(lesson, tmp_path, monkeypatch,
                                                                     capsys):
    (tmp_path / "notebooks").mkdir()
    shutil.copytree(EXAMPLES / "kernels", tmp_path / "kernels")
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setattr("sys.argv", ["kernel"])
    # Lesson 7 sets it: put back afterwards.
    monkeypatch.setattr("minicnn.ops.cuda.simulator.runs", 1)
    names = {"__name__": "__main__"}
    *code, show = cells(lesson, "code")
    code += re.findall(r"```python\n(.*?)```", SOLVED[int(lesson[:2])], re.S)
    for cell in code:
        exec(compile(cell, lesson, "exec"), names)
    said = capsys.readouterr().out
    picture = eval(show.split("\n")[-1], names, {"Image": Image})
    assert picture.width > 500 and np.ptp(np.asarray(picture)) > 100
    assert (tmp_path / f"{lesson}.png").exists()  # beside the lesson, were it there
    assert f"picture: {Path('..', lesson)}.png" in said
