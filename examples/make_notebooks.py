"""Makes notebooks/*.ipynb from the lessons, which stay the one source.

    python examples/make_notebooks.py               their text and code
    python examples/make_notebooks.py --run 01 05   and runs these lessons; without numbers, all
                                                    (needs pip install -e ".[notebooks]")

The docstring becomes text: its formulas are LaTeX between dollar signs, which Jupyter and GitHub
draw. A line `# 1. Title ----` becomes a heading, comments that follow after a line `#` its text,
the code below them a cell. The pictures that a lesson names in its last prints are shown, and what
it prints of things to notice and exercises is text again. Outputs stay with a notebook as long as
none of its code changes: whoever reads it in a browser sees what the lesson shows. The seconds
among them are those of the machine that ran it last.
Format: nbformat 4.5 (https://nbformat.readthedocs.io), written as plain JSON.
"""

import argparse
import ast
import base64
import io
import json
import os
import re
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
HEADING = re.compile(r"^# ((?:\d+\. |The )\S.*?) -{3,}\n", re.M)
COMMENTS = re.compile(r"#\n((?:#.*\n)+)")  # below a heading


def introduction(docstring: str) -> str:
    """Title, question and formula."""
    title, *parts = re.split(r"\n\n(?=\S)", docstring)
    text = [f"# {title}"]
    for part in parts:
        name, _, body = part.partition("\n")
        if not name.startswith("Run it"):
            text.append(f"## {name}\n\n{textwrap.dedent(body).strip()}")
    return "\n\n".join(text)


def section(title: str, body: str) -> tuple[str, str]:
    """(heading and text, code) of a section: the comments directly below its heading are text."""
    comments = COMMENTS.match(body)
    if not comments:
        return f"## {title}", body
    text = re.sub(r"^# ?", "", comments[1], flags=re.M)
    return f"## {title}\n\n{text}", body[comments.end():]


def closing(printed: str) -> str:
    """What to notice, and the exercises."""
    return "\n\n".join(f"## {name}\n\n{textwrap.dedent(body).strip()}" for name, body in
                       (part.split("\n", 1) for part in re.split(r"\n\n(?=\S)", printed.strip())))


def pictures(code: str) -> list[str]:
    """The expressions in print(f"picture: {…}") or print(f"pictures: {…}, {…}")."""
    return [ast.unparse(value.value)
            for node in ast.walk(ast.parse(code)) if isinstance(node, ast.JoinedStr)
            and re.match(r"\n?pictures?: ", str(getattr(node.values[0], "value", "")))
            for value in node.values if isinstance(value, ast.FormattedValue)]


def notebook(name: str, source: str) -> dict:
    """The notebook of the lesson `name`."""
    tree = ast.parse(source)
    docstring, last = tree.body[0], tree.body[-1]
    lines = source.splitlines(keepends=True)
    body = "".join(lines[docstring.end_lineno:last.lineno - 1])
    # A notebook has no __file__: seen from its folder, the lesson is in the one above.
    body = body.replace("Path(__file__)", f'Path("../{name}")')
    first, *sections = HEADING.split(body)
    cells = [("markdown", introduction(ast.get_docstring(tree))), ("code", first)]
    for title, rest in zip(sections[::2], sections[1::2], strict=True):
        text, code = section(title, rest)
        cells += [("markdown", text), ("code", code)]
    for picture in pictures(body):
        cells += [("code", f"from PIL import Image\n\nImage.open({picture}).copy()")]
    cells += [("markdown", closing(ast.literal_eval(last.value.args[0])))]
    return {
        "cells": [{"cell_type": kind, "id": f"lesson-{name[:2]}-cell-{k:02d}", "metadata": {},
                   **({"execution_count": None, "outputs": []} if kind == "code" else {}),
                   "source": text.strip().splitlines(keepends=True)}
                  for k, (kind, text) in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python",
                                    "name": "python3"},
                     "language_info": {"name": "python"}},
        "nbformat": 4, "nbformat_minor": 5}


def notebooks() -> dict[str, dict]:
    """{"01_gradient_check.ipynb": the notebook, …}, of all lessons, without outputs."""
    return {f"{file.stem}.ipynb": notebook(file.name, file.read_text("utf-8"))
            for file in sorted(HERE.glob("[0-9][0-9]_*.py"))}


def text_of(made: dict) -> str:
    """The notebook's file."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def code_of(made: dict) -> list[dict]:
    """Its cells of code."""
    return [cell for cell in made["cells"] if cell["cell_type"] == "code"]


def keep_outputs(made: dict, before: dict) -> None:
    """Gives the notebook the outputs of an earlier one, if all its code is the same."""
    new, old = code_of(made), code_of(before)
    if [cell["source"] for cell in new] == [cell["source"] for cell in old]:
        for cell, same in zip(new, old, strict=True):
            cell["execution_count"], cell["outputs"] = same["execution_count"], same["outputs"]


def run(made: dict) -> None:
    """Runs the notebook in its folder and keeps what it shows."""
    import nbclient
    import nbformat

    node = nbformat.reads(json.dumps(made), as_version=4)
    nbclient.NotebookClient(node, timeout=1800, coalesce_streams=True, resources={
        "metadata": {"path": str(HERE / "notebooks")}}).execute()
    for cell, done in zip(code_of(made), code_of(node), strict=True):
        cell["execution_count"] = done["execution_count"]
        cell["outputs"] = [tidied(output) for output in done["outputs"]
                           if output.get("name") != "stderr"]  # warnings of what is installed


def tidied(output: dict) -> dict:
    """An output without the folder of this machine, split into lines, a picture as JPEG if that is
    smaller."""
    folder = json.dumps(f"{HERE.parent}{os.sep}", ensure_ascii=False).strip('"')
    text = json.dumps(output, ensure_ascii=False).replace(folder, "")
    output = json.loads(re.sub(r" at 0x[0-9A-Fa-f]+", "", text))
    if output["output_type"] == "stream":
        output["text"] = output["text"].splitlines(keepends=True)
    data = output.get("data", {})
    if "image/png" in data:
        from PIL import Image

        data.pop("image/jpeg", None)  # the same picture again
        png = base64.b64decode(data["image/png"])
        Image.open(io.BytesIO(png)).convert("RGB").save(jpeg := io.BytesIO(), "jpeg", quality=88)
        if len(jpeg.getvalue()) < len(png):
            del data["image/png"]
            data["image/jpeg"] = base64.b64encode(jpeg.getvalue()).decode()
    return output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs="*", metavar="LESSON", help="01, 02, …; without one, all")
    asked, made_now = parser.parse_args().run, notebooks()
    if unknown := set(asked or ()) - {name[:2] for name in made_now}:
        parser.error(f"--run: expected numbers of lessons, as 01, received {' '.join(unknown)}")
    (HERE / "notebooks").mkdir(exist_ok=True)
    for name, made in made_now.items():
        file = HERE / "notebooks" / name
        if asked is not None and (not asked or name[:2] in asked):
            run(made)
        elif file.exists():
            keep_outputs(made, json.loads(file.read_text("utf-8")))
        file.write_text(text_of(made), "utf-8")
        print(file)


if __name__ == "__main__":
    main()
