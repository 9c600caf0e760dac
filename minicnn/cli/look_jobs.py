"""From the words of `minicnn look` and `minicnn atlas` to a call that is ready to run."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data import find_photos, near_duplicates, photos, read_image, readable_photos, sample
from ..data.listing import OtherFile
from ..data.splits import split_parts, subsets
from ..model import Sequential
from ..models import VGG16
from ..utils.errors import ArgumentError
from ..utils.ranks import current_ranks
from ..utils.suggest import closest_names
from ..visualize.result import PICTURES
from ..visualize.target import Unit
from .methods import ATTRIBUTIONS, DEFAULT_METHOD, METHODS, OPTIONS, Method, PhotoInput
from .model_options import check_recipe, check_vgg16_size, open_file, reject_model_options
from .model_words import check_order, is_model
from .output_names import check_new, hyphenate, model_name, output_path, photo_name, unused
from .progress import Bar
from .ranks import check_same_photos
from .unused_options import unused_option

COMMON_OPTIONS = ("output", "force", "device")  # of every method


@dataclass
class Job:
    """One call, ready to run: whatever can be refused in advance has been checked.

    others: the files that were left out.
    """

    function: Callable
    arguments: list
    keywords: dict[str, Any]
    path: Path
    force: bool
    others: list[OtherFile] = field(default_factory=list)
    named: bool = True

    def run(self) -> list[object]:
        """Computes, writes the file and returns what is to be printed."""
        result = self.function(*self.arguments, **self.keywords)
        if not current_ranks().is_first:
            return [result]  # rank 0 writes the file
        return [result, result.save(self.free_path(), force=True)]

    def free_path(self) -> Path:
        """The path, or the next number if another process has written it in the meantime; raises
        FileError if it exists although the command line names it."""
        if not self.named and not self.force:
            return unused(self.path)
        check_new(self.path, self.force)
        return self.path


class AtlasJob(Job):
    """A call that writes the atlas page itself."""

    def run(self) -> list[object]:
        """Computes, writes the page and returns its path."""
        path = current_ranks().from_first(self.free_path)
        self.function(path, *self.arguments, force=True, **self.keywords)
        return [path]


def look_job(args: argparse.Namespace) -> Job:
    """The call that `minicnn look` asks for.

    Raises ArgumentError for an unknown method, for options that it does not take and photos that
    it cannot use, FileError for an output that exists, a model or photos that cannot be read.
    """
    name, *words = args.words
    if name not in METHODS:
        nearest = closest_names(name, METHODS) or list(METHODS)
        raise ArgumentError(f"look: expected a method, received {name!r}. Nearest: "
                            f"{', '.join(nearest)}.")
    method = METHODS[name]
    reject_ignored_by_method(name, args)
    model, words = model_and_photos(words)
    check_order(f"look {name}", model or words[0] if words else "", words)
    stem = hyphenate("look", name, model_name(model) if method.model else "", photo_name(words))
    path = current_ranks().from_first(lambda: output_path(
        args.output, f"{stem}.png", (*PICTURES, ".npz", *method.suffixes), args.force))
    photo_arguments, others = load_photos(name, method, words)
    if not method.model and (model or args.device != "cpu"):
        raise ArgumentError(f"{name}: expected neither a model nor --device, received "
                            f"{model or args.device}. It trains networks of its own.")
    if not method.model:
        reject_model_options(args, f"{name} trains networks of its own")
    models = [open_model(model, method, args, bool(photo_arguments))] if method.model else []
    # Methods whose work ranks share take one set of photos, if any.
    check_same_photos(f"look {name}", args, dict(zip(["all"], photo_arguments, strict=False)),
                      *models)
    keywords = keywords_from_options(name, models[0] if models else None, args)
    function = method.load()
    parameters = inspect.signature(function).parameters
    if "progress" in parameters:
        keywords["progress"] = Bar(name)
    if "groups" in parameters and words:
        keywords["groups"] = near_duplicates(*photo_arguments)
    return Job(function, [*models, *photo_arguments], keywords, path, args.force, others,
               named=args.output is not None)


def atlas_job(args: argparse.Namespace) -> Job:
    """The call that `minicnn atlas` asks for; raises as look_job does."""
    from ..report.atlas import write_atlas

    name, words = model_and_photos(args.words)
    check_order("atlas", name or words[0] if words else "", words)
    stem = hyphenate("atlas", model_name(name), photo_name(words))
    path = current_ranks().from_first(
        lambda: output_path(args.output, f"{stem}.html", (".html",), args.force))
    data, others = readable_photos(words) if words else (
        sample("clouds", "test", None, 10), [])
    model = open_model(name, METHODS["top-patches"], args, needs_recipe=True)
    check_same_photos("atlas", args, {"all": data}, model)
    keywords = {"layers": args.layers and args.layers.split(","), "maps": args.maps,
                "examples": args.examples, "maximised": not args.no_maximise, "name": name,
                "progress": Bar("atlas")}
    return AtlasJob(write_atlas, [model, data], keywords, path, args.force, others,
                    named=args.output is not None)


def reject_ignored_by_method(name: str, args: argparse.Namespace) -> None:
    """Raises ArgumentError for options that the method would ignore."""
    flags = METHODS[name].flags()
    for flag, value in vars(args).items():
        if flag in OPTIONS and value is not None and flag not in flags:
            known = ", ".join(f"--{known}" for known in (*flags, *COMMON_OPTIONS))
            raise ArgumentError(f"{name}: expected options among {known}, received --{flag}. "
                                f"Leave it out.")
    if getattr(args, "class") is not None and "layer" in METHODS[name].target and (
            args.layer or args.unit is not None or args.position):
        raise ArgumentError(f"{name}: expected --class or --layer, --unit, --position, received "
                            f"both. A score belongs to a class or to a unit.")


def model_and_photos(words: list[str]) -> tuple[str | None, list[str]]:
    """[vgg16, a.jpg] -> vgg16, [a.jpg]; [a.jpg] -> None, [a.jpg]."""
    if words and is_model(words[0]):
        return words[0], words[1:]
    return None, words


def open_model(name: str | None, method: Method, args: argparse.Namespace, needs_recipe: bool
               ) -> Sequential:
    """vgg16 (also for None), vgg16-top, or the model of a file, on the device.

    needs_recipe: raises FileError for a file without a recipe for pixels.
    """
    if name in (None, "vgg16", "vgg16-top"):
        reject_model_options(args, f"{name or 'vgg16'} has its own classes and recipe")
    if name in (None, "vgg16"):
        size = args.size or (method.size, method.size)
        check_vgg16_size(size)
        model = VGG16(include_top=False, input_shape=(*size, 3))
    elif name == "vgg16-top":
        if args.size is not None:
            raise unused_option("--size", "vgg16", f"{','.join(map(str, args.size))}; vgg16-top "
                                f"takes 224 × 224")
        model = VGG16(progressbar=True)
    else:
        model = open_file(str(name), args)
        if needs_recipe:
            check_recipe(model, str(name))
    return model.to(args.device)


def keywords_from_options(name: str, model: Sequential | None, args: argparse.Namespace
                          ) -> dict[str, Any]:
    """The keyword arguments of the function that the options stand for."""
    method = METHODS[name]
    keywords: dict[str, Any] = {}
    for flag, keyword in method.keywords().items():
        value = getattr(args, flag)
        if flag == "size" and value is not None:
            if value[0] != value[1]:
                raise ArgumentError(f"{name}: expected one --size for both sides, received "
                                    f"{value[0]},{value[1]}.")
            value = value[0]
        if flag == "method":
            value = value or DEFAULT_METHOD[name]
            if value not in ATTRIBUTIONS:
                raise ArgumentError(f"{name}: expected a --method of {', '.join(ATTRIBUTIONS)}, "
                                    f"received {value!r}.")
            value = METHODS[value].load()
        if value is not None:
            keywords[keyword] = [value] if keyword in ("units", "layers") else value
    target_flags, class_name = method.target.split(), getattr(args, "class")
    if class_name is not None and "class" in target_flags:
        known = model.classes if model is not None and model.classes else []
        is_number = class_name.isdecimal() and class_name not in known
        keywords["target"] = int(class_name) if is_number else class_name
    elif unit := {flag: getattr(args, flag) for flag in target_flags[1:]
                  if getattr(args, flag) is not None}:
        keywords["target"] = Unit(**unit)
    return keywords


def load_photos(name: str, method: Method, words: list[str]) -> tuple[list, list[OtherFile]]:
    """The photos as arguments of the function, and the files that were left out."""
    takes = method.takes
    if takes is PhotoInput.NONE and words:
        raise ArgumentError(f"{name}: expected no photo, received {words[0]}. Leave it out.")
    if takes is PhotoInput.ONE:
        paths, others = find_photos(words or [photos()["chelsea"]])
        if len(paths) != 1:
            raise ArgumentError(f"{name}: expected one photo, received {len(paths)}. Name one.")
        return [read_image(paths[0])], others
    if not words:
        return ([] if takes.may_be_missing else
                [sample("clouds", "test", None, method.per_class)]), []
    data, others = readable_photos(words, takes.needs_classes)
    if takes is PhotoInput.SPLIT_CLASSES:
        parts = split_parts(data, {"train": 0.75, "test": 0.25}, near_duplicates(data))
        return list(subsets(data, parts).values()), others
    return [data], others
