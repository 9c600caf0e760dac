"""What the README and its pages say can be typed: their commands, options, files and functions
exist. And the French ones say the same: commands, figures, tables and links."""

import argparse
import re
import shlex
import unicodedata
from collections import Counter
from operator import attrgetter
from pathlib import Path

import pytest

import minicnn as mc
from minicnn.cli import parser
from minicnn.report import FILES

ROOT = Path(__file__).parent.parent
# Each English page and the French one that says the same.
PAGES = {"README.md": "README.fr.md",
         **{f"docs/{name}.md": f"docs/fr/{name}.md"
            for name in ("features", "benchmarks", "reliability", "code")}}
TEXTS = {name: (ROOT / name).read_text("utf-8")
         for pair in [*PAGES.items(), ("docs/fr/glossary.md",)] for name in pair}
ENGLISH = "\n".join(TEXTS[name] for name in PAGES)
COMMANDS = next(action.choices for action in parser()._actions
                if isinstance(action, argparse._SubParsersAction))
SPAN = re.compile(r"(?<!`)`([^`\n]+)`")  # `code` in a line
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)


def typed(text):
    """What a reader would type, of blocks and of lines: minicnn …, without comments."""
    for language, block in FENCE.findall(text):
        if language == "sh":
            yield from re.findall(r"(?:^|/)(minicnn .*?)(?: +#|$)", block, re.M)
    for span in SPAN.findall(FENCE.sub("", text)):
        if re.match(r"minicnn (?![…A-Z])", span):
            yield span


@pytest.mark.parametrize("command", sorted(set(typed(ENGLISH))))
def test_every_command_of_the_readme_is_accepted(command, capsys):
    words = shlex.split(command.replace("LAYER", "block1_conv1"))[1:]
    try:
        args, more = parser().parse_known_args(words)
    except SystemExit as end:  # --help prints and ends
        assert end.code == 0, capsys.readouterr().err
        return
    assert not more or "words" in args


def test_all_commands_are_shown():
    assert {command.split()[1] for command in typed(ENGLISH)} >= set(COMMANDS) - {"help"}


def test_every_option_file_and_function_that_it_names_exists():
    spans = SPAN.findall(FENCE.sub("", ENGLISH))
    for span in spans:
        if span.startswith("--"):
            words = shlex.split(span)
            fit = [p for p in COMMANDS.values()
                   if {w for w in words if w[0] == "-"} <= {*p._option_string_actions}]
            assert fit, span
            if COMMANDS["train"] in fit and len(words) > 1:
                COMMANDS["train"].parse_args(words)
        elif found := re.match(r"mc\.([\w.]+)", span):
            attrgetter(found[1])(mc)
        elif found := re.match(r"(?:python )?((?:examples|minicnn|kernels|tests|docs)/\S*)", span):
            assert (ROOT / found[1]).exists(), span
    assert sum(map(len, spans)) > 1000


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)\)", TEXTS[page]):
        assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "README.fr.md"])
def test_a_readme_has_at_most_150_lines(page):
    assert len(TEXTS[page].splitlines()) <= 150


def test_the_table_of_what_people_look_for_has_37_rows_and_none_is_empty():
    part = TEXTS["docs/features.md"]
    tables = re.findall(r"^\| (\w+) \| \|\n\| --- \| --- \|\n((?:\|.*\n)+)", part, re.M)
    rows = {name: re.findall(r"^\| (.+?) \| (.+) \|$", body, re.M) for name, body in tables}
    assert {name: len(found) for name, found in rows.items()} == {
        "data": 10, "model": 4, "training": 7, "evaluation": 11, "use": 5}
    assert sum(what.startswith("**") for found in rows.values() for what, _ in found) == 7
    assert len(re.findall(r"^\| \d+\. ", part, re.M)) == 12  # the pitfalls
    named = set(re.findall(r"`(\w+\.(?:png|csv|json|html|h5))`", part))
    assert named - {"last.h5"} <= set(FILES) and len(named) > 10  # of a run folder


# The French pages ----------------------------------------------------------------------------


def sections(text):
    """The parts between headings."""
    return re.split(r"^## .*\n", text, flags=re.M)


PAIRS = [pair for page, translated in PAGES.items()
         for pair in zip(sections(TEXTS[page]), sections(TEXTS[translated]), strict=True)]


def code(text):
    """Blocks without their comments."""
    return [(language, re.sub(r" +#.*", "", block)) for language, block in FENCE.findall(text)]


def numbers(text):
    """Those outside code and names; 1,000.5 is written 1\u202f000,5 in French."""
    text = SPAN.sub("", FENCE.sub("", text))
    if "\u202f" in text or "\u00a0" in text:
        text = re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)
        text = re.sub(r"(?<=\d),(?=\d)", ".", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return Counter(map(float, re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)))


def shape(text):
    """Cells of each row of each table."""
    return [row.count("|") for row in re.findall(r"^\|.*", text, re.M)]


def inline_code(text):
    """The `code` in lines, how often each."""
    return Counter(SPAN.findall(FENCE.sub("", text)))


def links(text):
    """The pages that it leads to, how often each, in either language; not the glossary, and not
    the README of the other language."""
    found = re.findall(r"\]\(([^)]+)\)", text)
    pages = [target.replace("docs/fr/", "docs/").replace("../", "") for target in found]
    return Counter(page for page in pages
                   if page not in ("README.md", "README.fr.md", "docs/glossary.md"))


@pytest.mark.parametrize("what", [code, numbers, shape, inline_code, links])
@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_each_section_of_a_french_page_has_the_same(what, number):
    english, french = map(what, PAIRS[number])
    assert english == french


def test_the_glossary_has_each_term_once_and_in_order():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", TEXTS["docs/fr/glossary.md"],
                      re.M)[2:]
    terms = [french for french, _ in rows]
    assert len(terms) == len(set(terms)) > 50
    plain = [unicodedata.normalize("NFD", term.casefold()).encode("ascii", "ignore")
             for term in terms]
    assert plain == sorted(plain)
    assert all(english for _, english in rows)
