"""`minicnn look` and `minicnn atlas`: what the layers of a network see."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ..data.listing import group_by_kind
from ..utils.language import gettext as _
from .look_jobs import atlas_job, look_job
from .methods import METHODS, OPTIONS, SIZE_HELP, TARGETS, listing
from .model_options import add_model_options, sides
from .option_values import Integer
from .terminal import say, unbroken, wrapped

MODEL_AND_PHOTO = ("MODEL: the folder of a run; vgg16 (the pretrained base that ships, the "
                   "default); vgg16-top (with its 1,000 classes, downloaded once); or a model.h5 "
                   "or .keras, of minicnn's or Keras'. PHOTO: photos or folders (default: built-in "
                   "ones)")
ABOUT = """\
Maximally exciting patches, deconvnet projections, attribution maps, Grad-CAM
and its relatives, feature visualisation, and what the maps are good for.
`minicnn look` alone lists the methods."""
EXAMPLES = (("all methods", "minicnn look"),
            ("where a trained model looks", "minicnn look grad-cam runs/photos-1 new.jpg"),
            ("what excites map 7 of a layer of VGG16",
             "minicnn look top-patches vgg16 photos/ --layer block4_conv3 --unit 7"))
ABOUT_ATLAS = """\
One HTML file that needs no network connection: the patches that excite each
map, how a photo is transformed from layer to layer, and why the answer."""
ATLAS_EXAMPLES = (("of a trained model", "minicnn atlas runs/photos-1 photos/"),
                  ("of VGG16, with more maps", "minicnn atlas vgg16 photos/ --maps 8"),
                  ("only two layers", "minicnn atlas vgg16 photos/ "
                                      "--layers block1_conv2,block3_conv3"))


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("look", look_command, "show what the layers of a network see",
                        "[METHOD [MODEL] [PHOTO ...]] [OPTIONS]", ABOUT, EXAMPLES)
    p.set_defaults(job=look_job)
    option.words("words", "METHOD [MODEL] [PHOTO]", "METHOD: without any, all are listed. "
                 + MODEL_AND_PHOTO, "*")
    target, drawing = option.group("what to explain"), option.group("how")
    for flag, (kind, unit, text) in OPTIONS.items():
        (target if flag in TARGETS else drawing)(f"--{flag}", kind, None, unit, text)
    drawing.device()
    output = option.group("output")
    output("-o --output", str, None, "FILE",
           "a picture (.png, .pdf, .svg) or the numbers (.npz); for maximise also a .gif (default: "
           "look-METHOD-MODEL-PHOTO.png, then -2, …)")
    output.flag("--force", "overwrite the output file")
    add_model_options(option, size=False)
    p, option = command("atlas", look_command, "write one page that shows what the layers see",
                        "[MODEL] [PHOTO ...] [OPTIONS]", ABOUT_ATLAS, ATLAS_EXAMPLES)
    p.set_defaults(job=atlas_job)
    option.words("words", "[MODEL] [PHOTO]", MODEL_AND_PHOTO, "*")
    content = option.group("content")
    content("--layers", str, None, "LAYER,LAYER",
            "layers to show (default: the convolution before each pooling, at most five)")
    content("--maps", Integer("4"), 4, "N", "number of maps of each layer")
    content("--examples", Integer("12"), 12, "N", "number of photos to choose from on the page")
    content.flag("--no-maximise", "leave out the images made to excite each map, about a second "
                                  "each")
    content("--size", sides, None, "H,W", SIZE_HELP.format(128))
    content.device()
    output = option.group("output")
    output("-o --output", str, None, "FILE",
           "the page to write (default: atlas-MODEL-PHOTO.html, then -2, …)")
    output.flag("--force", "overwrite the page")
    add_model_options(option, size=False)


def look_command(args: argparse.Namespace) -> int:
    """Runs an analysis or the atlas, prints its numbers and its file; 2 if a photo was skipped."""
    if args.job is look_job and (not args.words or args.words[0] not in METHODS):
        print(listing())
        if not args.words:
            return 0
    job = args.job(args)
    for line in group_by_kind(job.others):
        print(wrapped(f"minicnn: {line}", sys.stderr, 2), file=sys.stderr)
    if job.others:
        say(_("{count} skipped", count=len(job.others)))
    for part in job.run():
        say(unbroken(part) if isinstance(part, Path) else str(part))
    return 2 if any(other.is_photo for other in job.others) else 0
