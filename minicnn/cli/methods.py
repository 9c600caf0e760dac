"""The analyses of `minicnn look METHOD`: one table, METHODS, and the options that they take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib import import_module

from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..visualize.result import Result
from .model_options import sides
from .option_values import SEED, Integer
from .terminal import wrapped


class PhotoInput(Enum):
    """Which photos a method takes.

    If the command names no photos, ONE, MANY and CLASSES get built-in ones; with OPTIONAL_CLASSES
    and SPLIT_CLASSES the method loads photos of its own.
    """

    NONE = "no photos"
    ONE = "one photo"
    MANY = "photos"
    OPTIONAL = "photos or none"
    CLASSES = "photos in classes"
    OPTIONAL_CLASSES = "photos in classes, or its own"
    SPLIT_CLASSES = "photos in classes, to split into train and test, or its own"

    @property
    def needs_classes(self) -> bool:
        """Whether the photos have to lie in one folder for each class."""
        return self in (PhotoInput.CLASSES, PhotoInput.OPTIONAL_CLASSES, PhotoInput.SPLIT_CLASSES)

    @property
    def may_be_missing(self) -> bool:
        """Whether the method is called without photos if none are named."""
        return self in (PhotoInput.NONE, PhotoInput.OPTIONAL, PhotoInput.OPTIONAL_CLASSES,
                        PhotoInput.SPLIT_CLASSES)


def position(text: str) -> tuple[int, int]:
    """3,4 -> (3, 4)."""
    try:
        i, j = map(int, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected ROW,COLUMN, received {text!r}") from error
    return i, j


@dataclass(frozen=True)
class Method:
    """One analysis of `minicnn look`.

    function:  its package in minicnn, a dot, and its name.
    takes:     which photos.
    text:      one line of help.
    options:   the options that it takes, each as `flag` or `flag=keyword`.
    target:    the options that together name the score or unit to explain.
    size:      default side of vgg16's input, in pixels.
    per_class: number of built-in photos of each class.
    model:     False for an analysis that trains networks of its own.
    suffixes:  of output files, besides those of every Result.
    """

    function: str
    takes: PhotoInput
    text: str
    options: str = ""
    target: str = ""
    size: int = 224
    per_class: int = 10
    model: bool = True
    suffixes: tuple[str, ...] = ()

    def load(self) -> Callable[..., Result]:
        """The function itself; its module is imported only now."""
        package, name = self.function.split(".")
        return getattr(import_module(f"minicnn.{package}"), name)

    def keywords(self) -> dict[str, str]:
        """{flag: keyword of the function}."""
        pairs = (word.partition("=") for word in self.options.split())
        return {flag: keyword or flag for flag, _equals, keyword in pairs}

    def flags(self) -> list[str]:
        """All options that it takes, except those that every method takes."""
        sized = ["size"] if self.model and "size" not in self.keywords() else []
        return [*self.target.split(), *self.keywords(), *sized]


UNIT_TARGET, CLASS_TARGET = "class layer unit position", "class unit"
GRADIENT = partial(Method, takes=PhotoInput.ONE, options="sign", target=UNIT_TARGET)
CAM = partial(Method, takes=PhotoInput.ONE, options="layer sign", target=CLASS_TARGET)
METHODS = {
    "first-layer": Method(
        "visualize.first_layer", PhotoInput.OPTIONAL,
        N_("the kernels of the first convolution and their figures"), size=64),
    "feature-maps": Method(
        "visualize.feature_maps", PhotoInput.ONE,
        N_("the strongest maps of a layer"), options="layer maps"),
    "rank-maps": Method(
        "visualize.rank_maps", PhotoInput.ONE,
        N_("which maps of a layer respond most"), options="layer maps=top"),
    "deconvnet": Method(
        "visualize.deconvnet", PhotoInput.ONE,
        N_("one activation, projected to the pixels"), options="layer unit position"),
    "top-patches": Method(
        "visualize.top_patches", PhotoInput.MANY,
        N_("the nine patches that excite a map most, beside their projections"),
        options="layer unit=units maps"),
    "gradient": GRADIENT(
        "visualize.gradient",
        text=N_("how the score changes with each pixel")),
    "gradient-x-input": GRADIENT(
        "visualize.gradient_x_input",
        text=N_("the score, shared out among the pixels to first order")),
    "guided-backprop": GRADIENT(
        "visualize.guided_backprop",
        text=N_("the gradient without what is negative on the way; sharp, but see "
                "randomisation-check")),
    "smooth-grad": GRADIENT(
        "visualize.smooth_grad",
        text=N_("the mean gradient of noisy copies"), options="sign seed", size=128),
    "integrated-gradients": GRADIENT(
        "visualize.integrated_gradients",
        text=N_("gradients on the way from a plain image; their sum is the score's change"),
        size=128),
    "hirescam": CAM(
        "visualize.hires_cam",
        text=N_("where the last maps speak for the class and where against it; used by predict "
                "--explain")),
    "grad-cam": CAM(
        "visualize.grad_cam",
        text=N_("the same with one weight per map; exact only after a global average")),
    "guided-grad-cam": CAM(
        "visualize.guided_grad_cam",
        text=N_("guided backprop where Grad-CAM is high")),
    "grad-cam-pp": CAM(
        "visualize.grad_cam_pp",
        text=N_("Grad-CAM++: for several things of one kind")),
    "score-cam": CAM(
        "visualize.score_cam",
        text=N_("each map weighted by the score that it leaves when it masks the photo"), size=64),
    "layer-cam": CAM(
        "visualize.layer_cam",
        text=N_("each position weighted on its own; for early layers")),
    "occlusion": Method(
        "visualize.occlusion", PhotoInput.ONE,
        N_("how the score changes if a grey square covers the photo"),
        options="layer", target=CLASS_TARGET, size=96),
    "randomisation-check": Method(
        "visualize.randomisation_check", PhotoInput.ONE,
        N_("does the picture change when the weights become random?"),
        options="method seed", target=CLASS_TARGET, size=128),
    "faithfulness": Method(
        "visualize.faithfulness", PhotoInput.MANY,
        N_("does the score fall where the map says so? Drop, increase, deletion, insertion"),
        options="method", target="class", size=64, per_class=1),
    "maximise": Method(
        "visualize.maximise", PhotoInput.NONE,
        N_("an image that excites a unit, a map or a class; a .gif of it growing"),
        options="seed", target=UNIT_TARGET, size=96, suffixes=(".gif",)),
    "dream": Method(
        "visualize.dream", PhotoInput.ONE,
        N_("a photo, changed towards what a layer sees in it"), options="layer unit"),
    "inversion": Method(
        "visualize.inversion", PhotoInput.ONE,
        N_("an image that a layer cannot tell from the photo"), options="layer=layers seed",
        size=64),
    "invariance": Method(
        "visualize.invariance", PhotoInput.OPTIONAL,
        N_("how far shifts, scalings and rotations move the features"),
        options="layer=layers", target="class", size=64),
    "correspondence": Method(
        "visualize.correspondence", PhotoInput.OPTIONAL,
        N_("do the same parts change a layer in the same way? Compared with random positions"),
        options="parts layer seed", size=64),
    "activity": Method(
        "visualize.activity", PhotoInput.MANY,
        N_("mean activation and dead units of each layer"), size=128),
    "pca": Method(
        "visualize.pca", PhotoInput.MANY,
        N_("photos as points, by the features of a layer"), options="layer", size=128),
    "probes": Method(
        "experiments.probes", PhotoInput.CLASSES,
        N_("how well a linear classifier reads each layer"),
        options="layer=layers seed", size=64, per_class=20),
    "evolution": Method(
        "experiments.evolution", PhotoInput.OPTIONAL_CLASSES,
        N_("the maps of a small network during training"), options="layer maps seed", model=False),
    "ablation": Method(
        "experiments.ablation", PhotoInput.SPLIT_CLASSES,
        N_("the small network without some of its layers"), model=False),
    "transfer-curve": Method(
        "experiments.transfer_curve", PhotoInput.OPTIONAL_CLASSES,
        N_("how many photos are enough? Transfer learning against training from scratch"),
        options="size layer=cut seed", model=False),
}

TARGETS = ("class", "layer", "unit", "position")  # options that name what to explain
SIZE_HELP = ("height and width of the input, or one number for both, of vgg16 (default: {}) or "
             "of a model whose file leaves them open; larger is slower")
OPTIONS: dict[str, tuple[Callable[[str], object], str, str]] = {  # flag: type, unit, help
    "class": (str, "CLASS", "name or number of the class to explain (default: the most probable)"),
    "layer": (str, "LAYER", "layer to look at (default: the last convolution)"),
    "unit": (Integer("7", 0), "K", "number of the unit or feature map (default: the strongest)"),
    "position": (position, "ROW,COLUMN", "one position of the map (default: all, or its maximum)"),
    "sign": (str, "SIGN", "part of an attribution to show: positive, negative, absolute, both"),
    "maps": (Integer("9"), "N", "number of maps to show"),
    "method": (str, "METHOD", "the attribution that randomisation-check or faithfulness checks"),
    "parts": (str, "FILE", "positions of parts in photos, a JSON file (correspondence)"),
    "size": (sides, "H,W", SIZE_HELP.format("64 to 224, by method")),
    "seed": (SEED, "N", "seed of the random numbers"),
}
ATTRIBUTIONS = [name for name, method in METHODS.items() if "sign" in method.keywords()]
DEFAULT_METHOD = {"randomisation-check": "guided-backprop", "faithfulness": "hirescam"}


def listing() -> str:
    """Every method with its line of help."""
    return "\n".join(wrapped(f"{name:<22}{_(method.text)}", sys.stdout, 22)
                     for name, method in METHODS.items())
