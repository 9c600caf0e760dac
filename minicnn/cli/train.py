"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import numpy as np

from ..data import Dataset, write_split
from ..evaluation import Evaluation
from ..evaluation.diagnosis import diagnose
from ..report import (
    resumed_folder,
    run_folder,
    write_csv,
    write_curves,
    write_evaluation,
    write_run,
    write_run_page,
)
from ..report.photos import first_batch
from ..report.run_page import question
from ..report.run_pictures import RunPictures
from ..report.run_sections import photos_called
from ..training import (
    MIN_EPOCHS,
    Setting,
    TransferConfig,
    TransferResult,
    base_with_head,
    comparable_training,
    cross_validate,
    from_scratch,
    transfer,
)
from ..utils.arrays import FloatArray
from ..utils.language import gettext as _
from ..utils.language import ngettext
from ..utils.ranks import current_ranks
from .first_session import suggested_command
from .model_options import check_vgg16_size
from .option_values import errors_name_options
from .progress import EpochLines
from .ranks import check_enough_photos, check_same_photos
from .run_record import (
    add_facts,
    environment,
    facts_of,
    facts_so_far,
    now,
    options_of,
    write_options,
)
from .run_session import Session, locked_run
from .terminal import say, unbroken, without_live_lines, without_output
from .train_options import (
    NOT_SAVED,
    TEXT,
    add_options,
    reject_unused_options,
    resolve_options,
    track_explicit_options,
)
from .train_photos import RunPhotos, check_folds, imbalance, leaks, per_class, photos_of
from .train_text import print_doubtful_labels, print_notes, result_line

CONFIG = [field.name for field in fields(TransferConfig)]
HELD_OUT = "held-out"  # what the photos of the test are called
FASHION_SIZE = 28  # pixels of those photos


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("train", train_command, TEXT)
    add_options(p, option)
    screen = option.group("screen").target.add_mutually_exclusive_group()
    screen.add_argument("-v", "--verbose", action="store_true",
                        help="print a line for each epoch, and what was chosen: the learning rate, "
                             "the size of the comparison")
    screen.add_argument("-q", "--quiet", action="store_true",
                        help="print the result only, and errors")
    track_explicit_options(p)


def train_command(args: argparse.Namespace) -> None:
    """Transfer learning, and a small network from scratch on the same photos."""
    began, facts = time.monotonic(), environment(args.argv)
    args = resolve_options(args)
    if not args.resume:
        reject_unused_options(args)
    with errors_name_options({name: f"--{name.replace('_', '-')}" for name in CONFIG}):
        config = TransferConfig(**{name: getattr(args, name) for name in CONFIG})
    check_vgg16_size((config.size, config.size), config.last_kept)
    with without_output(when=args.quiet):
        photos = photos_of(args, config)
        train = photos.parts["train"]
        check_same_photos("train", args, photos.parts)
        check_enough_photos("train", len(train))
        if args.kfold:
            check_folds(train, args.kfold)
        say(f"{question(train.classes)} " + (
            _("{count} training photos, each of them tested once.", count=per_class(train))
            if args.kfold else
            _("{count} training photos, {test} {photos}.", count=per_class(train),
              test=len(photos.parts["test"]), photos=photos_called(HELD_OUT))))
        warnings = [*leaks(photos.parts, photos.groups), *imbalance(train, args.class_weights)]
        for sentence in warnings:
            say(sentence)
    ranks = current_ranks()
    with ExitStack() as stack:
        output = ranks.from_first(lambda: stack.enter_context(
            resumed_folder(args.resume) if args.resume
            else run_folder(args.output, photos.name)))
        if ranks.is_first and not args.resume:
            options = {key: value for key, value in vars(args).items() if key not in NOT_SAVED}
            write_split(output / "split.csv", photos.parts)
            write_options(output, options, facts)
        with locked_run(output) as session:
            if ranks.is_first and args.resume:
                add_facts(output, resumed=[*facts_of(output).get("resumed", []), now()])
            if args.kfold:
                cross_validation(args, config, photos, output, session)
            else:
                train_and_report(args, config, photos, warnings, output, session)
            if ranks.is_first:
                add_facts(output, seconds=round(time.monotonic() - began, 1),
                          **({"ranks": ranks.size} if ranks.size > 1 else {}))
    if args.quiet or not ranks.is_first:
        return
    others = sum(path.is_file() for path in output.iterdir()) - 1
    say(ngettext("Open: {page} (and {num} other file)", "Open: {page} (and {num} other files)",
                 others, page=unbroken(output / "report.html")))
    if not args.kfold:
        print(suggested_command("predict", str(output), "PHOTO.jpg"))


def train_and_report(args: argparse.Namespace, config: TransferConfig, photos: RunPhotos,
                     warnings: list[str], output: Path, session: Session) -> None:
    """Trains, prints the answer, writes the run folder; then the same with the comparison."""
    best, ranks = train_and_answer(args, config, photos, session), current_ranks()
    # Only rank 0 writes; if there are others, they wait meanwhile.
    write_page = ranks.alone_on_first(
        lambda: write_results(args, config, photos, warnings, best, output))
    pictures = ranks.alone_on_first(lambda: write_page and write_page(None, None))
    settings: list[str] = []  # of the comparison
    if args.features is not None and args.folder is None and not args.no_scratch:
        if not args.quiet:
            say(_("No comparison with a network from scratch, which needs the photos."))
    elif not args.no_scratch:
        small = compare_with_scratch(args, config, photos.parts, best, output, session)
        if small is not None:
            say(result_line(_("Small CNN from scratch"), small.evaluation))
            settings = small.notes
            curves = output, best, validation_name(photos.parts), small.history
            ranks.alone_on_first(lambda: write_curves(*curves))
            ranks.alone_on_first(lambda: write_page and write_page(small, pictures))
    if not args.quiet:
        print_notes([*best.notes, *settings], args.verbose)
        print_doubtful_labels(best)


def train_and_answer(args: argparse.Namespace, config: TransferConfig, photos: RunPhotos,
                     session: Session) -> TransferResult:
    """Trains; prints how many photos are right before the labels are checked, which takes seconds.
    """
    title = (_("VGG16, new head, {block} fine-tuned", block=config.finetune) if config.finetune
             else _("VGG16, new head"))
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    groups = photos.groups.get("train")
    with without_live_lines(when=args.quiet), EpochLines("VGG16", epochs,
                                                         verbose=args.verbose) as bars:
        return transfer(photos.parts["train"], photos.parts["test"], config,
                        validation=photos.parts.get("validation"), callbacks=[bars],
                        checkpoint=session.checkpoint, device=args.device,
                        check_labels=not args.no_label_check,
                        groups=None if groups is None else groups.tolist(),
                        features=photos.features.of_transfer(config) if photos.features else None,
                        on_result=lambda result: say(result_line(title, result.evaluation)))


def write_results(args: argparse.Namespace, config: TransferConfig, photos: RunPhotos,
                  warnings: list[str], best: TransferResult, output: Path
                  ) -> Callable[[TransferResult | None, RunPictures | None], RunPictures]:
    """Writes the run folder but for its page; -> what writes the page, for which the result of the
    comparison and the pictures of an earlier call may be given."""
    parts, train, test = photos.parts, photos.parts["train"], photos.parts["test"]
    write_run(output, best, parts, HELD_OUT)
    scores = write_evaluation(output, best.evaluation, test.names, HELD_OUT)
    add_facts(output, learning_rate=best.lr, cut=config.last_kept, size=config.size,
              epochs=len(best.history["loss"]), classes=train.classes, device=args.device,
              photos={name: len(part) for name, part in parts.items()},
              **({"folder": photos.features.file.about["folder"]} if photos.features else {}))
    batch = first_batch(best.model, train, config)
    title = (_("VGG16, new head, {block} fine-tuned", block=config.finetune) if config.finetune
             else _("VGG16 frozen up to {layer}, new head", layer=config.last_kept))

    def write_page(small: TransferResult | None, pictures: RunPictures | None) -> RunPictures:
        rows = {title: best.evaluation}
        if small is not None:
            rows[_("small network from scratch, same photos")] = small.evaluation
        return write_run_page(
            output, best.evaluation, test, scores, model=best.model, photos_name=HELD_OUT,
            rows=rows, notes=[*warnings, *best.notes], settings=small.notes if small else [],
            skipped=photos.left_out, history=best.history,
            scratch_history=small.history if small else None, rates=best.rates, parts=parts,
            validation_name=validation_name(parts), first_batch=batch,
            options=options_of(output), used=facts_so_far(output),
            training=None if best.training is None else (train, best.training), pictures=pictures)

    return write_page


def validation_name(parts: Mapping[str, Dataset]) -> str:
    """What the photos are called whose loss is shown beside that of the training."""
    return "validation" if "validation" in parts else HELD_OUT


def compare_with_scratch(args: argparse.Namespace, config: TransferConfig,
                         parts: dict[str, Dataset], best: TransferResult, output: Path,
                         session: Session) -> TransferResult | None:
    """The small network from scratch, its training as the only note; None after Ctrl-C."""
    train, test = parts["train"], parts["test"]
    largest = {"max_size": FASHION_SIZE} if args.sample == "fashion" else {}
    size, epochs = comparable_training(config, best.model, len(train),
                                       len(parts.get("validation", test)), **largest)
    with session.skippable(), without_live_lines(when=args.quiet), EpochLines(
            _("from scratch (Ctrl-C skips)"), epochs, verbose=args.verbose) as bars:
        small = from_scratch(train, test, size=size, epochs=epochs, seed=config.seed,
                             batch_size=config.batch_size, callbacks=[bars],
                             checkpoint=session.checkpoint.of("scratch"), device=args.device)
        bounded = MIN_EPOCHS < epochs < config.epochs
        # Without its diagnosis: it is a yardstick, and nobody is to improve it.
        small.notes = [Setting(
            _("network from scratch: {epochs} epochs at {size} × {size} pixels, about as much "
              "computing as VGG16's", epochs=epochs, size=size) if bounded else
            _("network from scratch: {epochs} epochs at {size} × {size} pixels", epochs=epochs,
              size=size))]
        if current_ranks().is_first:
            add_facts(output, scratch={"size": size, "epochs": epochs})
    return None if session.skipped else small


def cross_validation(args: argparse.Namespace, config: TransferConfig, photos: RunPhotos,
                     output: Path, session: Session) -> None:
    """Cross-validation on the training photos."""
    data, groups = photos.parts["train"], photos.groups.get("train")
    features = photos.features.of_transfer(config) if photos.features else None
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    with without_live_lines(when=args.quiet), EpochLines("VGG16", epochs,
                                                         verbose=args.verbose) as bars:
        result, accuracies = cross_validate(data, config, args.kfold, callbacks=[bars],
                                            groups=None if groups is None else groups.tolist(),
                                            checkpoint=session.checkpoint, device=args.device,
                                            features=(features[0], features[0]) if features else
                                            None)
    current_ranks().alone_on_first(lambda: write_cross_validation(
        args, config, photos, output, result, accuracies))


def write_cross_validation(args: argparse.Namespace, config: TransferConfig, photos: RunPhotos,
                           output: Path, result: Evaluation, accuracies: FloatArray) -> None:
    """Prints each fold and all folds together, and writes the run folder."""
    data, groups, K = photos.parts["train"], photos.groups.get("train"), args.kfold
    scores = write_evaluation(output, result, data.names, "left-out")
    write_csv(output / "folds.csv", ["fold", "accuracy"], enumerate(accuracies, 1))
    spread = _("mean {mean:.1f} %, standard deviation of the folds {deviation:.1f}",
               mean=100 * accuracies.mean(), deviation=100 * accuracies.std(ddof=1))
    notes = [spread, *diagnose({"loss": []}, result)]  # of the predictions alone
    say(result_line(_("VGG16, {folds} folds, each photo left out once", folds=K), result))
    with without_output(when=args.quiet):
        for k, accuracy in enumerate(accuracies, 1):
            say(_("fold {number}: {accuracy:.1f} %", number=k, accuracy=100 * accuracy))
        say("\n".join(notes))
    add_facts(output, cut=config.last_kept, size=config.size, classes=data.classes,
             device=args.device, photos={"train": len(data)})
    model = base_with_head(config, data.classes)  # untrained: for its input size and preprocessing
    first = data.subset(np.flatnonzero(data.folds(K, config.seed, groups) != 0))
    title = _("VGG16, every photo by a network that has not seen it")
    write_run_page(output, result, data, scores, model=model, photos_name="left-out",
                   rows={title: result}, notes=notes, skipped=photos.left_out, parts=photos.parts,
                   first_batch=first_batch(model, first, config), options=options_of(output),
                   used=facts_so_far(output), explained=False)
