"""What `minicnn` alone prints: what it is, and the commands of a first session."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from .. import __version__
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_

INTRODUCTION = N_("""\
minicnn {version}: convolutional networks from scratch in NumPy. VGG16, pretrained
on ImageNet; transfer learning from a few photos; what the layers see.

A first session, with your photos in one folder per class (photos/cirrus/,
photos/cumulus/, …):

  {minicnn} data photos/
  {minicnn} train photos/ --split photos-report/split.csv
  {minicnn} predict runs/photos-1 new.jpg --explain

The first checks the photos and splits them into training and test, the second
trains a classifier and tests it, the third names what is on a new photo.
No photos yet? Without a folder, train learns from built-in ones:

  {minicnn} train

All commands:  {minicnn} help
One of them:   {minicnn} help train""")


def introduction() -> str:
    """The text, with commands as they have to be typed here."""
    return _(INTRODUCTION, version=__version__, minicnn=shlex.join(program()))


def program() -> list[str]:
    """How this program is called: minicnn; its path, if that name on the PATH is another program or
    none; or python -m minicnn."""
    started = sys.argv[0]
    if Path(started).parts[-2:] == ("minicnn", "__main__.py"):
        return [sys.orig_argv[0], "-m", "minicnn"]
    on_path = shutil.which("minicnn")
    if on_path and Path(on_path).resolve() == Path(started).resolve():
        return ["minicnn"]
    return [started] if Path(started).stem == "minicnn" else ["minicnn"]


def suggested_command(*words: str) -> str:
    """"Next: minicnn …", the command to type next."""
    return _("Next: {command}", command=shlex.join([*program(), *words]))
