"""Commands: how they are called, interrupted and refused, and what they write is read."""

import base64
import csv
import html
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn import cli
from minicnn.training import Checkpoint


def run_command(capsys, *words):
    """(exit status, standard output, standard error) of `minicnn WORDS…`."""
    code = cli.main([str(word) for word in words])
    return code, *capsys.readouterr()


def assert_command_refused(result, *words):
    """Exit status 2, nothing written before it on standard error, and one line with these words.
    result: run_command's."""
    code, _, said = result
    assert code == 2 and said.startswith("minicnn: ") and said.count("\n") == 1, said
    for word in words:
        assert word in said, said


def before_saving(patch, act, step=None):
    """Lets a training call act(checkpoint) after its steps, before the checkpoint is looked at.

    patch: pytest's monkeypatch, or its context(). step: only after that one, counted from 0 and on
    over several trainings; None: after each.
    """
    ours, steps = Checkpoint.save_if_due, itertools.count()

    def save_if_due(self, *args, **options):
        if step in (None, next(steps)):
            act(self)
        return ours(self, *args, **options)

    patch.setattr(Checkpoint, "save_if_due", save_if_due)


def read_csv(path):
    """A dict for each row."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def page_of(path):
    """The JSON inside a page."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>',
                       path.read_text("utf-8"), re.S)
    return json.loads(found[0])


def images_of(path):
    """[(alternative text, data URI)] of the pictures of a page, in their order."""
    found = re.findall(r'<img src="([^"]*)" alt="([^"]*)"', path.read_text("utf-8"))
    return [(html.unescape(alt), uri) for uri, alt in found]


def picture_of(uri):
    """The pixels of a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
