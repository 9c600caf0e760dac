"""`minicnn look METHOD [MODEL] [PHOTOS…]`: the analyses, and their arguments from words.

One table, METHODS, says for each analysis where its function is, which photos it takes and which
options. The functions are imported when one is asked for.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..data import near_duplicates, photo_paths, photos, read_image, read_photos, sample
from ..data.splits import split_parts, subsets
from ..model import Sequential
from ..models import VGG16, load
from ..utils.errors import ArgumentError, check_int
from ..visualize.result import PICTURES, Result, writable
from ..visualize.target import Unit
from .progress import Bar

ONE, MANY, CLASSES, MAYBE, NONE = "one photo", "photos", "photos in classes", "photos or none", ""
OWN, SPLIT = "photos in classes, or its own", "photos in classes, to split, or its own"


def place(text: str) -> tuple[int, int]:
    """3,4 -> (3, 4)."""
    try:
        i, j = map(int, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected ROW,COLUMN, received {text!r}") from error
    return i, j


@dataclass(frozen=True)
class Method:
    """function: its place in minicnn.visualize; takes: which photos; text: one line of help;
    options: those that it takes, as `flag` or `flag=keyword`; target: those that together say what
    is asked; size: of vgg16's input; per_class: how many photos of the built-in sample."""

    function: str
    takes: str
    text: str
    options: str = ""
    target: str = ""
    size: int = 224
    per_class: int = 10
    model: bool = True  # False: it trains networks of its own
    suffixes: tuple[str, ...] = ()

    def load(self) -> Callable[..., Result]:
        """The function itself."""
        from .. import experiments, visualize  # here: `minicnn --help` stays fast

        name = self.function.rpartition(".")[2]
        return getattr(experiments if name in experiments.__all__ else visualize, name)

    def keywords(self) -> dict[str, str]:
        """{flag: keyword of the function}."""
        pairs = (word.partition("=") for word in self.options.split())
        return {flag: keyword or flag for flag, _, keyword in pairs}

    def flags(self) -> list[str]:
        """All options that it takes, but for those of every method."""
        sized = ["size"] if self.model and "size" not in self.keywords() else []
        return [*self.target.split(), *self.keywords(), *sized]


UNIT, CAM = "class layer unit position", "class unit"
GRADIENT = partial(Method, takes=ONE, options="sign", target=UNIT)
CAMS = partial(Method, takes=ONE, options="layer sign", target=CAM)
METHODS = {
    "first-layer": Method("first_layer.first_layer", MAYBE, "the kernels of the first convolution "
                          "and their figures", size=64),
    "feature-maps": Method("feature_maps.feature_maps", ONE, "the strongest maps of a layer",
                           "layer maps"),
    "rank-maps": Method("feature_maps.rank_maps", ONE, "which maps of a layer answer most",
                        "layer maps=top"),
    "deconvnet": Method("deconvnet.deconvnet", ONE, "one activation, projected to the pixels",
                        "layer unit position"),
    "top-patches": Method("top_patches.top_patches", MANY, "the nine patches that excite a map "
                          "most, beside their projections", "layer unit=units maps", size=128),
    "gradient": GRADIENT("gradients.gradient", text="which pixels the score would follow"),
    "gradient-x-input": GRADIENT("gradients.gradient_x_input",
                                 text="the score, shared out among the pixels to first order"),
    "guided-backprop": GRADIENT("gradients.guided_backprop", text="the gradient without what is "
                                "negative on the way; sharp, but see randomisation-check"),
    "smooth-grad": GRADIENT("gradients.smooth_grad", text="the mean gradient of noisy copies",
                            options="sign seed", size=128),
    "integrated-gradients": GRADIENT("gradients.integrated_gradients", size=128, text="gradients "
                                     "on the way from a plain image; their sum is the score's "
                                     "change"),
    "grad-cam": CAMS("cam.grad_cam", text="where a layer supports the score"),
    "guided-grad-cam": CAMS("cam.guided_grad_cam", text="guided backprop where Grad-CAM is high"),
    "grad-cam-pp": CAMS("cam.grad_cam_pp", text="Grad-CAM++: for several things of one kind"),
    "score-cam": CAMS("cam.score_cam", text="each map weighted by what it leaves of the score",
                      size=64),
    "layer-cam": CAMS("cam.layer_cam", text="each place weighted on its own; for early layers"),
    "occlusion": Method("occlusion.occlusion", ONE, "what changes where a grey square covers the "
                        "photo", "layer", CAM, 96),
    "randomisation-check": Method("sanity.randomisation_check", ONE, "does the picture change when "
                                  "the weights become random?", "method seed", CAM, 128),
    "faithfulness": Method("faithfulness.faithfulness", MANY, "does the score fall where the map "
                           "says so? Drop, increase, deletion, insertion", "method", "class", 64,
                           1),
    "maximise": Method("maximise.maximise", NONE, "an image that excites a unit, a map or a class; "
                       "a .gif of it growing", "seed", UNIT, 96, suffixes=(".gif",)),
    "dream": Method("dream.dream", ONE, "a photo, changed towards what a layer sees in it",
                    "layer unit"),
    "inversion": Method("inversion.inversion", ONE, "an image that a layer cannot tell from the "
                        "photo", "layer=layers seed", size=64),
    "invariance": Method("invariance.invariance", MAYBE, "how far shifts, scales and turns move "
                         "the features", "layer=layers", "class", 64),
    "correspondence": Method("correspondence.correspondence", MAYBE, "do the same parts change a "
                             "layer in the same way? Against random places", "parts layer seed",
                             size=64),
    "activity": Method("activity.activity", MANY, "mean activation and dead units of each layer",
                       size=128),
    "pca": Method("pca.pca", MANY, "photos as points, by the features of a layer", "layer",
                  size=128),
    "probes": Method("probes.probes", CLASSES, "how well a linear classifier reads each layer",
                     "layer=layers seed", size=64, per_class=20),
    "evolution": Method("evolution.evolution", OWN, "the maps of a small network while it learns",
                        "layer maps seed", model=False),
    "ablation": Method("ablation.ablation", SPLIT, "the small network without some of its layers",
                       model=False),
    "transfer-curve": Method("transfer_curve.transfer_curve", OWN, "how many photos are enough? "
                             "Transfer against scratch", "size layer=cut seed", model=False),
}
OPTIONS = {  # flag: type, unit, help
    "class": (str, "CLASS", "name or number of the class asked about (default: the most probable)"),
    "layer": (str, "LAYER", "default: the last convolution"),
    "unit": (int, "K", "number of the unit or feature map (default: the strongest)"),
    "position": (place, "ROW,COLUMN", "one place of the map (default: all, or its maximum)"),
    "sign": (str, "SIGN", "part of an attribution shown: positive, negative, absolute, both"),
    "maps": (int, "N", "how many maps are shown"),
    "method": (str, "METHOD", "the attribution that randomisation-check or faithfulness checks"),
    "parts": (str, "FILE", "positions of parts in photos, a JSON file (correspondence)"),
    "size": (int, "PIXELS", "side of vgg16's input; larger is slower"),
    "seed": (int, "N", "of the random numbers"),
}
ATTRIBUTIONS = [name for name, method in METHODS.items() if "sign" in method.keywords()]
DEFAULTS = {"randomisation-check": "guided-backprop", "faithfulness": "grad-cam"}  # their --method
EVERYWHERE = ("output", "force", "device")


@dataclass
class Job:
    """One call, ready to run: everything that can be refused before it has been."""

    function: Callable
    arguments: list
    keywords: dict
    path: Path
    force: bool
    skipped: list[str] = field(default_factory=list)

    def run(self) -> tuple[Result, Path]:
        """Computes and writes."""
        result = self.function(*self.arguments, **self.keywords)
        return result, result.save(self.path, self.force)


def listing() -> str:
    """Every method with its line."""
    return "\n".join(f"{name:<22}{method.text}" for name, method in METHODS.items())


def look_job(args: argparse.Namespace) -> Job:
    """The call that `minicnn look` asks for.

    Raises ArgumentError for an unknown method, options that it does not take and photos that it
    has no use for, FileError for an output that exists, a model or photos that cannot be read.
    """
    name, *words = args.words
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, 3, 0.3) or list(METHODS)
        raise ArgumentError(f"look: expected a method, received {name!r}. Nearest: "
                            f"{', '.join(near)}.")
    method = METHODS[name]
    refuse_strays(name, args)
    path = writable(args.output or f"look-{name}.png", (*PICTURES, ".npz", *method.suffixes),
                    args.force)
    model_name, words = model_and_photos(words)
    given, skipped = given_photos(name, method, words)
    if not method.model and (model_name or args.device != "cpu"):
        raise ArgumentError(f"{name}: expected neither a model nor --device, received "
                            f"{model_name or args.device}. It trains networks of its own.")
    model = [open_model(model_name, method, args)] if method.model else []
    keywords = chosen(name, model[0] if model else None, args)
    function = method.load()
    if "progress" in (wanted := inspect.signature(function).parameters):
        keywords["progress"] = Bar(name)
    if "groups" in wanted and words:
        keywords["groups"] = near_duplicates(*given)
    return Job(function, [*model, *given], keywords, path, args.force, skipped)


def refuse_strays(name: str, args: argparse.Namespace) -> None:
    """Options that would be ignored are refused."""
    flags = METHODS[name].flags()
    for flag, value in vars(args).items():
        if flag in OPTIONS and value is not None and flag not in flags:
            known = ", ".join(f"--{known}" for known in (*flags, *EVERYWHERE))
            raise ArgumentError(f"{name}: expected options among {known}, received --{flag}. "
                                f"Leave it out.")
    if getattr(args, "class") is not None and "layer" in METHODS[name].target and (
            args.layer or args.unit is not None or args.position):
        raise ArgumentError(f"{name}: expected --class or --layer, --unit, --position, received "
                            f"both. A score belongs to a class or to a unit.")
    if args.seed is not None:
        check_int(args.seed, f"{name}, --seed", least=0)


def model_and_photos(words: list[str]) -> tuple[str | None, list[str]]:
    """[vgg16, a.jpg] -> vgg16, [a.jpg]; [a.jpg] -> None, [a.jpg]."""
    named = words and (words[0] in ("vgg16", "vgg16-top") or words[0].endswith((".h5", ".keras")))
    return (words[0], words[1:]) if named else (None, words)


def open_model(name: str | None, method: Method, args: argparse.Namespace) -> Sequential:
    """vgg16 (None, too), vgg16-top, or the model of a file, on the device."""
    if name in (None, "vgg16"):
        size = method.size if args.size is None else args.size
        model = VGG16(include_top=False, input_shape=(size, size, 3))
    elif args.size is not None:
        raise ArgumentError(f"--size: expected only with vgg16, received {args.size}. {name} has "
                            f"a size of its own.")
    else:
        model = VGG16(progressbar=True) if name == "vgg16-top" else load(name)
    return model.to(args.device)


def chosen(name: str, model: Sequential | None, args: argparse.Namespace) -> dict:
    """The keywords that the options become."""
    method, found = METHODS[name], {}
    for flag, keyword in method.keywords().items():
        value = getattr(args, flag)
        if flag == "method":
            value = value or DEFAULTS[name]
            if value not in ATTRIBUTIONS:
                raise ArgumentError(f"{name}: expected a --method of {', '.join(ATTRIBUTIONS)}, "
                                    f"received {value!r}.")
            value = METHODS[value].load()
        if value is not None:
            found[keyword] = [value] if keyword in ("units", "layers") else value
    asked, target = method.target.split(), getattr(args, "class")
    if target is not None and "class" in asked:
        number = target.isdecimal() and target not in (model.classes or [])
        found["target"] = int(target) if number else target
    elif unit := {flag: getattr(args, flag) for flag in asked[1:]
                  if getattr(args, flag) is not None}:
        found["target"] = Unit(**unit)
    return found


def given_photos(name: str, method: Method, words: list[str]) -> tuple[list, list[str]]:
    """The photos as arguments of the function, and why others are left out."""
    if method.takes == NONE and words:
        raise ArgumentError(f"{name}: expected no photo, received {words[0]}. Leave it out.")
    if method.takes == ONE:
        paths = photo_paths(words) if words else [photos()["chelsea"]]
        if len(paths) != 1:
            raise ArgumentError(f"{name}: expected one photo, received {len(paths)}. Name one.")
        return [read_image(paths[0])], []
    if not words:
        own = method.takes in (NONE, MAYBE, OWN, SPLIT)
        return [] if own else [sample("test", None, method.per_class)], []
    data, skipped = read_photos(words, method.takes in (CLASSES, OWN, SPLIT))
    if method.takes == SPLIT:
        parts = split_parts(data, {"train": 0.75, "test": 0.25}, near_duplicates(data))
        return list(subsets(data, parts).values()), skipped
    return [data], skipped


@dataclass
class AtlasJob(Job):
    """The same for the page."""

    def run(self) -> tuple[Path]:
        """Computes and writes."""
        self.function(*self.arguments, force=self.force, **self.keywords)
        return (self.path,)


def atlas_job(args: argparse.Namespace) -> Job:
    """The page that `minicnn atlas` asks for; raises as look_job does."""
    path = writable(args.output, (".html",), args.force)
    name, words = model_and_photos(args.words)
    data, skipped = read_photos(words) if words else (sample("test", None, 10), [])
    model = open_model(name, METHODS["top-patches"], args)
    layers = args.layers and args.layers.split(",")
    from ..report.atlas import write_atlas

    keywords = {"layers": layers, "maps": args.maps, "progress": Bar("atlas"),
                "image": None if words else read_image(photos()["chelsea"])}
    return AtlasJob(write_atlas, [path, model, data], keywords, path, args.force, skipped)
