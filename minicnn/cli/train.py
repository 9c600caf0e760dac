"""`minicnn train`: transfer learning, and the same photos for a small network from scratch."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
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
from ..report.run_labels import doubtful_labels
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
from ..utils.arrays import IntArray
from ..utils.language import gettext as _
from ..utils.language import ngettext
from ..utils.live_line import no_live_lines
from .first_session import suggested_command
from .model_options import check_vgg16_size
from .progress import EpochLines
from .run_record import (
    add_used,
    now,
    options_of,
    surroundings,
    used_by,
    used_so_far,
    write_options,
)
from .run_session import Session, locked_run
from .terminal import say
from .train_options import (
    NOT_SAVED,
    TEXT,
    add_options,
    reject_unused_options,
    resolve_options,
    track_explicit_options,
)
from .train_photos import imbalance, leaks, per_class, photos_of

CONFIG = [field.name for field in fields(TransferConfig)]
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
    began, used = time.monotonic(), surroundings(args.argv)
    args = resolve_options(args)
    if not args.resume:
        reject_unused_options(args)
    config = TransferConfig(**{name: getattr(args, name) for name in CONFIG})
    check_vgg16_size((config.size, config.size), config.last_kept)
    with quietly(args.quiet):
        parts, groups, skipped, held_out, stem = photos_of(args)
        train = parts["train"]
        say(f"{question(train.classes)} " + (
            _("{count} training photos, each of them tested once.", count=per_class(train))
            if args.kfold else
            _("{count} training photos, {test} {photos}.", count=per_class(train),
              test=len(parts["test"]), photos=photos_called(held_out))))
        notes = [*leaks(parts, groups), *imbalance(train, args.class_weights)]
        for sentence in notes:
            say(sentence)
    with (resumed_folder(args.resume) if args.resume else run_folder(args.output, stem)) as output:
        if not args.resume:
            options = {key: value for key, value in vars(args).items() if key not in NOT_SAVED}
            write_split(output / "split.csv", parts)
            write_options(output, options, used)
        with locked_run(output) as session:
            if args.resume:
                add_used(output, resumed=[*used_by(output).get("resumed", []), now()])
            if args.kfold:
                cross_validation(args, config, parts, groups.get("train"), skipped, output, session)
            else:
                train_and_report(args, config, parts, groups.get("train"), notes, skipped, held_out,
                                 output, session)
            add_used(output, seconds=round(time.monotonic() - began, 1))
    if args.quiet:
        return
    others = sum(path.is_file() for path in output.iterdir()) - 1
    print(ngettext("Open: {page} and {num} files", "Open: {page} and {num} files", others,
                   page=output / "report.html"))  # never broken: it may be copied
    if not args.kfold:
        print(suggested_command("predict", str(output), "PHOTO.jpg"))


def train_and_report(args: argparse.Namespace, config: TransferConfig, parts: dict[str, Dataset],
                     groups: IntArray | None, notes: list[str], skipped: list[str], held_out: str,
                     output: Path, session: Session) -> None:
    """Trains, prints the answer, writes the run folder; then the same with the comparison."""
    train, test = parts["train"], parts["test"]
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    with silently(args.quiet), EpochLines("VGG16", epochs, verbose=args.verbose) as bars:
        best = transfer(train, test, config, validation=parts.get("validation"), callbacks=[bars],
                        checkpoint=session.checkpoint, device=args.device,
                        check_labels=not args.no_label_check,
                        groups=None if groups is None else groups.tolist())
    say(result_line(_("VGG16, new head, {block} fine-tuned", block=config.finetune)
                    if config.finetune else _("VGG16, new head"), best.evaluation))
    write_run(output, best, parts, held_out)
    scores = write_evaluation(output, best.evaluation, test.names, held_out)
    title = (_("VGG16, new head, {block} fine-tuned", block=config.finetune) if config.finetune
             else _("VGG16 frozen up to {layer}, new head", layer=config.last_kept))
    add_used(output, learning_rate=best.lr, cut=config.last_kept, size=config.size,
             epochs=len(best.history["loss"]), classes=train.classes, device=args.device,
             photos={name: len(part) for name, part in parts.items()})
    batch = first_batch(best.model, train, config)
    settings: list[str] = []  # of the comparison

    def write_page(small: TransferResult | None = None, pictures: RunPictures | None = None
                   ) -> RunPictures:
        rows = {title: best.evaluation}
        if small is not None:
            rows[_("small network from scratch, same photos")] = small.evaluation
        return write_run_page(
            output, best.evaluation, test, scores, model=best.model, photos_name=held_out,
            rows=rows, notes=[*notes, *best.notes], settings=settings, skipped=skipped,
            history=best.history, scratch_history=small.history if small else None,
            rates=best.rates, parts=parts,
            validation_name="validation" if "validation" in parts else held_out,
            first_batch=batch, options=options_of(output),
            used=used_so_far(output),
            training=None if best.training is None else (train, best.training), pictures=pictures)

    pictures = write_page()
    if not args.no_scratch:
        small = compare_with_scratch(args, config, parts, best, output, session)
        if small is None:
            say(_("Comparison skipped."))
        else:
            say(result_line(_("Small CNN from scratch"), small.evaluation))
            settings += small.notes
            write_curves(output, best, "validation" if "validation" in parts else held_out,
                         small.history)
            write_page(small, pictures)
    if not args.quiet:
        for note in [*best.notes, *settings]:
            if args.verbose or not isinstance(note, Setting):  # the page and run.json have them
                say(note[:1].upper() + note[1:])
        doubtful = doubtful_labels(best.training) if best.training else []
        if doubtful:
            say(ngettext("{num} training photo may have a wrong label: see report.html",
                         "{num} training photos may have a wrong label: see report.html",
                         len(doubtful)))


def compare_with_scratch(args: argparse.Namespace, config: TransferConfig,
                         parts: dict[str, Dataset], best: TransferResult, output: Path,
                         session: Session) -> TransferResult | None:
    """The small network from scratch, its training as the only note; None after Ctrl-C."""
    train, test = parts["train"], parts["test"]
    largest = {"max_size": FASHION_SIZE} if args.sample == "fashion" else {}
    size, epochs = comparable_training(config, best.model, len(train),
                                       len(parts.get("validation", test)), **largest)
    with session.skippable(), silently(args.quiet), EpochLines(
            _("from scratch (Ctrl-C skips)"), epochs, verbose=args.verbose) as bars:
        small = from_scratch(train, test, size=size, epochs=epochs, seed=config.seed,
                             batch_size=config.batch_size, callbacks=[bars],
                             checkpoint=session.checkpoint.of("scratch"), device=args.device)
        bounded = MIN_EPOCHS < epochs < config.epochs
        small.notes = [Setting(
            _("network from scratch: {epochs} epochs at {size} × {size} pixels, about as much "
              "computing as VGG16's", epochs=epochs, size=size) if bounded else
            _("network from scratch: {epochs} epochs at {size} × {size} pixels", epochs=epochs,
              size=size))]
        add_used(output, scratch={"size": size, "epochs": epochs})
    return None if session.skipped else small


def cross_validation(args: argparse.Namespace, config: TransferConfig, parts: dict[str, Dataset],
                     groups: IntArray | None, skipped: list[str], output: Path,
                     session: Session) -> None:
    """Cross-validation on the training photos: prints each fold and all folds together."""
    data, K = parts["train"], args.kfold
    epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
    with silently(args.quiet), EpochLines("VGG16", epochs, verbose=args.verbose) as bars:
        result, accuracies = cross_validate(data, config, K, callbacks=[bars],
                                            groups=None if groups is None else groups.tolist(),
                                            checkpoint=session.checkpoint, device=args.device)
    scores = write_evaluation(output, result, data.names, "left-out")
    write_csv(output / "folds.csv", ["fold", "accuracy"], enumerate(accuracies, 1))
    spread = _("mean {mean:.1f} %, standard deviation of the folds {deviation:.1f}",
               mean=100 * accuracies.mean(), deviation=100 * accuracies.std(ddof=1))
    notes = [spread, *diagnose({"loss": []}, result)]  # of the predictions alone
    say(result_line(_("VGG16, {folds} folds, each photo left out once", folds=K), result))
    with quietly(args.quiet):
        for k, accuracy in enumerate(accuracies, 1):
            say(_("fold {number}: {accuracy:.1f} %", number=k, accuracy=100 * accuracy))
        say("\n".join(notes))
    add_used(output, cut=config.last_kept, size=config.size, classes=data.classes,
             device=args.device, photos={"train": len(data)})
    model = base_with_head(config, data.classes)  # untrained: for its input size and preprocessing
    first = data.subset(np.flatnonzero(data.folds(K, config.seed, groups) != 0))
    title = _("VGG16, every photo by a network that has not seen it")
    write_run_page(output, result, data, scores, model=model, photos_name="left-out",
                   rows={title: result}, notes=notes, skipped=skipped, parts=parts,
                   first_batch=first_batch(model, first, config), options=options_of(output),
                   used=used_so_far(output), explained=False)


def result_line(title: str, result: Evaluation) -> str:
    """"VGG16: 102 of 120 right, 85.0 % (95 % interval 77.5 … 90.3 %)"."""
    low, high = result.interval
    return _("{title}: {correct} of {count} right, {accuracy:.1f} % (95 % interval {low:.1f} … "
             "{high:.1f} %)", title=title, correct=result.num_correct, count=len(result.labels),
             accuracy=100 * result.accuracy, low=100 * low, high=100 * high)


@contextmanager
def silently(quiet: bool) -> Iterator[None]:
    """No live lines in the body of the with, if quiet."""
    with ExitStack() as stack:
        if quiet:
            stack.enter_context(no_live_lines())
        yield


@contextmanager
def quietly(quiet: bool) -> Iterator[None]:
    """No live lines and nothing on the standard output, if quiet."""
    with silently(quiet), ExitStack() as stack:
        if quiet:
            stack.enter_context(redirect_stdout(None))
        yield
