"""Makes notebooks/*.ipynb from the lessons, which stay the one source.

    python examples/make_notebooks.py

The docstring becomes text, a line `# 1. Title ----` a heading, the code below it a cell, the
pictures that a lesson names in its last prints are shown, and what it prints of things to notice
and exercises is text again. Outputs are not kept: a notebook is run by who reads it, and the
difference between two versions is what somebody has written.
Format: nbformat 4.5 (https://nbformat.readthedocs.io), written as plain JSON.
"""

import ast
import json
import re
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
HEADING = re.compile(r"^# ((?:\d+\. |The )\S.*?) -{3,}\n", re.M)
FILE = '''import pathlib

# A notebook has no __file__; with this one the pictures land beside the lesson.
__file__ = str(pathlib.Path("..", "{name}").resolve())'''


def introduction(docstring: str) -> str:
    """Title, question and formula: the formula as it stands, since its columns are aligned."""
    title, *parts = re.split(r"\n\n(?=\S)", docstring)
    text = [f"# {title}"]
    for part in parts:
        name, _, body = part.partition("\n")
        body = textwrap.dedent(body).strip()
        if name == "Formula":
            text.append(f"## Formula\n\n```text\n{body}\n```")
        elif not name.startswith("Run it"):
            text.append(f"## {name}\n\n{body}")
    return "\n\n".join(text)


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
    first, *sections = HEADING.split(body)
    cells = [("markdown", introduction(ast.get_docstring(tree))),
             ("code", FILE.format(name=name)), ("code", first)]
    for title, code in zip(sections[::2], sections[1::2], strict=True):
        cells += [("markdown", f"## {title}"), ("code", code)]
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


def notebooks() -> dict[str, str]:
    """{"01_gradient_check.ipynb": its JSON, …}, of all lessons."""
    return {f"{file.stem}.ipynb": json.dumps(notebook(file.name, file.read_text("utf-8")), indent=1,
                                             ensure_ascii=False) + "\n"
            for file in sorted(HERE.glob("0*.py"))}


if __name__ == "__main__":
    (HERE / "notebooks").mkdir(exist_ok=True)
    for name, text in notebooks().items():
        (HERE / "notebooks" / name).write_text(text, "utf-8")
        print(HERE / "notebooks" / name)
