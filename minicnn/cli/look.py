"""`minicnn look` and `minicnn atlas`: what the layers of a network see."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..data.listing import group_by_kind
from .look_jobs import atlas_job, look_job
from .methods import METHODS, OPTIONS, listing
from .model_options import add_model_options


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("look", look_command, "show what the layers of a network see")
    p.set_defaults(job=look_job)
    p.add_argument("words", nargs="*", metavar="METHOD [MODEL] [PHOTO]",
                   help="without any, lists the methods. MODEL: vgg16 (the base that ships), "
                        "vgg16-top (with its 1,000 classes, downloaded once), or a model.h5 or "
                        ".keras, of minicnn's or Keras'. "
                        "PHOTO: photos or folders (default: built-in ones)")
    for flag, (kind, unit, text) in OPTIONS.items():
        option(f"--{flag}", kind, None, unit, text)
    option("-o --output", str, None, "FILE", "a picture (.png, .pdf, .svg) or the numbers (.npz); "
                                             "for maximise also a .gif (default: look-METHOD.png)")
    p.add_argument("--force", action="store_true", help="overwrite the output file")
    add_model_options(option)
    p, option = command("atlas", look_command, "write one page that shows what the layers see")
    p.set_defaults(job=atlas_job)
    p.add_argument("words", nargs="*", metavar="[MODEL] [PHOTO]", help="as for look")
    option("-o --output", str, "atlas.html", "FILE", "the page to write")
    option("--layers", str, None, "LAYER,LAYER",
           "layers to show (default: the convolution before each pooling, at most five)")
    option("--maps", int, 4, "N", "number of maps of each layer")
    option("--examples", int, 12, "N", "number of photos to choose from on the page")
    p.add_argument("--no-maximise", action="store_true",
                   help="leave out the images made to excite each map, about a second each")
    option("--size", int, None, "PIXELS", "side of vgg16's input (default: 128)")
    p.add_argument("--force", action="store_true", help="overwrite the page")
    add_model_options(option)


def look_command(args: argparse.Namespace) -> int:
    """Runs an analysis or the atlas, prints its numbers and its file; 2 if a photo was skipped."""
    if args.job is look_job and (not args.words or args.words[0] not in METHODS):
        print(listing())
        if not args.words:
            return 0
    job = args.job(args)
    for line in group_by_kind(job.others):
        print(f"minicnn: {line}", file=sys.stderr)
    if job.others:
        print(f"{len(job.others)} skipped")
    for part in job.run():
        print(part)
    return 2 if any(other.is_photo for other in job.others) else 0
