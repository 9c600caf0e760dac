"""`minicnn features`: what VGG16's frozen layers give for all photos of a folder, in one file."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path

from ..training import TransferConfig
from ..training.feature_merge import merge_shards
from ..training.feature_shards import (
    FeaturePlan,
    begin_shards,
    compute_shards,
    missing_shards,
    remove_shards,
)
from ..utils.errors import ArgumentError, FileError
from ..utils.files import lock_folder, partial_files, preallocated_file
from ..utils.language import gettext as _
from ..utils.language import ngettext
from ..utils.ranks import current_ranks
from .feature_photos import all_photos, split_by_file
from .first_session import suggested_command
from .left_out import print_left_out
from .model_options import check_vgg16_size
from .model_words import check_photos
from .option_values import BATCH_SIZE, SEED, Integer, errors_name_options
from .output_names import new_file
from .progress import Bar
from .terminal import say, unbroken

STANDARD = TransferConfig()
ABOUT = """\
Computes what the frozen layers of VGG16 give for every photo and writes it into
one file, with which training can start at once: minicnn train --features FILE.
Finished parts (shards) are kept: after an interruption the same command goes on
where it was. mpiexec -n 4 minicnn features … divides the photos among 4
processes."""
EXAMPLES = (("then: minicnn train --features photos.h5",
             "minicnn features photos/ --output photos.h5"),
            ("in full detail, for three times the time and disk space",
             "minicnn features photos/ --size 224"),
            ("of random views of the training photos, too",
             "minicnn features photos/ --split split.csv --augment flip --views 4"))


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("features", features_command,
                     "compute VGG16's features of a folder of photos, for train --features",
                     "FOLDER [OPTIONS]", ABOUT, EXAMPLES)[1]
    option.words("folder", "FOLDER", "your photos, one sub-folder per class; or train/ and test/ "
                                     "or val/, each with one sub-folder per class")
    network = option.group("network")
    network("--cut", str, None, "LAYER", "last layer of VGG16 to keep (default: block4_pool)")
    network("--size", Integer("128"), STANDARD.size, "PIXELS",
            "side of the square to which photos are cropped")
    data = option.group("data")
    data("--split", str, None, "FILE", "a split.csv, by which train will split the photos "
                                       "(default: train chooses)")
    data("--augment", str, STANDARD.augment, "VIEWS",
         "random views of the training photos, too, as in train: flip,shift …; needs a split")
    data("--views", Integer("8"), STANDARD.views, "K", "random views of each training photo")
    data("--seed", SEED, STANDARD.seed, "N", "seed of the views")
    run = option.group("run")
    run("--output", str, None, "FILE", "the file of features, .h5 (default: FOLDER-features.h5)")
    run.flag("--force", "overwrite it")
    run("--batch-size", BATCH_SIZE, STANDARD.batch_size, "N", "photos at a time, per process")
    run.device()


def features_command(args: argparse.Namespace) -> None:
    """Computes the shards that are missing, and makes one file of all."""
    check_photos("features", args.folder)
    output = new_file(args.output or f"{Path(args.folder).resolve().name}-features.h5", (".h5",),
                      args.force)
    plan, ranks = plan_of(args), current_ranks()
    shards = output.with_name(f"{output.name}.shards")
    ranks.check_same("features", {**plan.identity, "output": str(output.resolve())})
    missing = ranks.from_first(lambda: begin_shards(plan, shards))
    again = shlex.join(["minicnn", *args.argv])
    lock = lock_folder(shards)
    ranks.from_first(lock.__enter__)
    try:
        ranks.from_first(lambda: check_space(plan, output, missing))
        if len(missing) < len(plan.shards):
            say(_("Going on: {done} of {count} shards are there already.",
                  done=len(plan.shards) - len(missing), count=len(plan.shards)))
        bar = Bar(_("features"))
        try:
            compute_shards(plan, shards, missing, bar)
            ranks.wait_for_all()
        finally:
            bar.close()
        ranks.alone_on_first(lambda: write_file(plan, shards, output))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_("stopped; what is computed stays in {folder}. Go on with: "
                                  "{command}", folder=shards, command=again)) from None
    finally:
        if ranks.is_first:
            lock.__exit__(None, None, None)


def plan_of(args: argparse.Namespace) -> FeaturePlan:
    """What the options ask for. Raises ArgumentError, FileError."""
    with errors_name_options({name: f"--{name}" for name in ("cut", "size", "augment", "views")}):
        config = TransferConfig(size=args.size, cut=args.cut, augment=args.augment,
                                views=args.views, seed=args.seed, batch_size=args.batch_size)
    check_vgg16_size((config.size, config.size), config.last_kept)
    photos = all_photos(args.folder)
    if args.split and photos.part_names:
        raise ArgumentError(f"--split: expected only with a folder that is not split, received "
                            f"{args.split}; {args.folder} has {', '.join(photos.part_names)}. "
                            f"Leave it out.")
    if args.split:
        photos = split_by_file(photos, args.split)
    if args.augment and "train" not in photos.part_names:
        raise ArgumentError("--augment: expected with --split, or with a folder that has train/, "
                            "since random views are drawn of training photos only; received "
                            "neither. Make a split: minicnn data FOLDER.")
    return FeaturePlan(Path(args.folder).resolve(), photos.data, photos.others, config,
                       args.device, photos.part_names, photos.parts)


def check_space(plan: FeaturePlan, output: Path, missing: list[int]) -> None:
    """Raises FileError if the disk has no room for the missing shards and then the file; removes
    what a killed process has left half-written."""
    for path in [*partial_files(output.parent, output.name),
                 *partial_files(output.with_name(f"{output.name}.shards"))]:
        path.unlink(missing_ok=True)
    share = len(missing) / max(len(plan.shards), 1)
    with preallocated_file(output.parent, int(plan.bytes_of_features * (1 + share)),
                           "Features need that much twice until all are in one file. Free some "
                           "space, or choose another --output, a smaller --size or a later "
                           "--cut."):
        pass


def write_file(plan: FeaturePlan, shards: Path, output: Path) -> None:
    """Makes one file of all shards, removes these, and says what to do with it. Raises FileError if
    those of other ranks are not there."""
    missing = missing_shards(plan, shards)
    if missing:
        raise FileError(f"{shards}: expected the shards of all ranks in it, found "
                        f"{len(plan.shards) - len(missing)} of {len(plan.shards)}; the ranks see "
                        f"different disks. Choose an --output on one that all machines share.")
    bar = Bar(_("one file"))
    try:
        unread = merge_shards(plan, shards, output, bar)
    finally:
        bar.close()
    remove_shards(shards)
    print_left_out(plan.others, [unread[i] for i in sorted(unread)])
    say(ngettext("{file}: features of {num} photo ({shape}, {size:.1f} MB)",
                 "{file}: features of {num} photos ({shape} each, {size:.1f} MB)",
                 len(plan.data) - len(unread),
                 file=unbroken(output), shape=" × ".join(map(str, plan.row_shape)),
                 size=output.stat().st_size / 1e6))
    print(suggested_command("train", "--features", str(output)))


