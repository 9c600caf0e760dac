"""The notebooks are the lessons: made from them, whole, and they run without a __file__."""

import ast
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"
LESSONS = sorted(EXAMPLES.glob("0*.py"))
MADE = runpy.run_path(str(EXAMPLES / "make_notebooks.py"))["notebooks"]()
QUICK = ("01_gradient_check", "07_write_a_kernel")
SOLVED = re.split(r"^## Lesson \d\. ", (EXAMPLES / "solutions" / "lessons.md").read_text("utf-8"),
                  flags=re.M)[1:]  # a part a lesson


def cells(lesson, kind):
    """The text of the lesson's cells of that kind, "code" or "markdown"."""
    notebook = json.loads((EXAMPLES / "notebooks" / f"{lesson}.ipynb").read_text("utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_is_a_notebook_for_every_lesson_and_no_other():
    assert len(LESSONS) == 8
    assert sorted(MADE) == [f"{lesson.stem}.ipynb" for lesson in LESSONS] == sorted(
        file.name for file in (EXAMPLES / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", MADE)
def test_the_notebook_in_the_tree_is_what_the_script_makes_of_the_lesson(name):
    assert (EXAMPLES / "notebooks" / name).read_text("utf-8") == MADE[name], (
        "run python examples/make_notebooks.py")


@pytest.mark.parametrize("name", MADE)
def test_it_has_the_format_s_fields_and_no_outputs(name):
    notebook = json.loads(MADE[name])
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[\w-]{1,64}", i) for i in ids)
    for cell in notebook["cells"]:
        fields = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            fields |= {"execution_count", "outputs"}
            assert cell["execution_count"] is None and cell["outputs"] == []
        assert set(cell) == fields and "".join(cell["source"]).strip()


@pytest.mark.parametrize("lesson", [lesson.stem for lesson in LESSONS])
def test_every_statement_of_the_lesson_is_in_its_cells_in_order(lesson):
    found = [ast.dump(node) for code in cells(lesson, "code") for node in ast.parse(code).body]
    added = {ast.dump(node) for code in cells(lesson, "code")
             if code.startswith(("import pathlib", "from PIL")) for node in ast.parse(code).body}
    tree = ast.parse((EXAMPLES / f"{lesson}.py").read_text("utf-8")).body
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
    solved = SOLVED[int(lesson[:2]) - 1]
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
    code += re.findall(r"```python\n(.*?)```", SOLVED[int(lesson[:2]) - 1], re.S)
    for cell in code:
        exec(compile(cell, lesson, "exec"), names)
    said = capsys.readouterr().out
    picture = eval(show.split("\n")[-1], names, {"Image": Image})
    assert picture.width > 500 and np.ptp(np.asarray(picture)) > 100
    assert (tmp_path / f"{lesson}.png").exists()  # beside the lesson, were it there
    assert f"picture: {tmp_path}" in said
