"""What brings more right answers: another cut, larger photos, other views, a fine-tuned block?

    python -m benchmarks.recipes                          cirrus or cumulus, 60 training photos each
    python -m benchmarks.recipes --task six-clouds        six kinds of clouds, 40 each
    python -m benchmarks.recipes --task clothes --rows 1 2      ten kinds of clothes, 100 each
    python -m benchmarks.recipes --rows 3 --folds 0 --seeds 1   the test photos only, once

A recipe is chosen by the first column of figures: k-fold on the training photos, the mean of
--repeats divisions into folds. The test photos choose nothing. Every row is the training of
`minicnn train` with the task's and the row's options and --no-scratch (and --kfold 5, or --seed):
the same steps, but what a row leaves frozen is computed once for all folds and seeds.

The last rows of the clouds put a head on two layers at once, which `minicnn train` cannot do: its
features are those of both, each divided by its mean size.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

import minicnn as mc
from minicnn.cli.command_parser import Options
from minicnn.cli.train_options import add_options
from minicnn.data import sample
from minicnn.evaluation import Evaluation, class_probabilities
from minicnn.models import head, loss_for
from minicnn.training import (
    SCHEDULES,
    ArrayDataset,
    LearningRateSchedule,
    TransferConfig,
    base_with_head,
    extract_features,
    initial_learning_rate,
)

FINETUNED = "--epochs 20 --finetune block4 --finetune-epochs 10"
CLOUDS = ("--size 96", "--size 128", "--size 160",
          "--size 128 --cut block3_pool", "--size 128 --cut block5_pool",
          "--size 128 --dropout 0.5",
          "--size 128 --augment flip --views 4",
          "--size 128 --augment flip,shift,rotate=15,zoom=0.1 --views 4",
          "--size 160 --augment flip,zoom=0.2 --views 8", f"--size 128 {FINETUNED}",
          "block3_pool + block4_pool", "block4_pool + block5_pool")
CLOTHES = ("--size 64", "--size 96", "--size 128",
           "--size 64 --augment shift,zoom,rotate=5 --views 4",
           "--size 64 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5",
           "--size 96 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5",
           "--size 96 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5 "
           "--label-smoothing 0.1 --augment shift,zoom,rotate=5 --views 4")


@dataclass(frozen=True)
class Task:
    """Photos that ship with minicnn, and the recipes that are compared on them. options: those of
    `minicnn train` that choose the photos."""

    sample: str
    classes: list[str] | None
    per_class: int
    recipes: tuple[str, ...]
    options: str


TASKS = {
    "two-clouds": Task("clouds", ["cirrus", "cumulus"], 60, CLOUDS, "--per-class 60"),
    "six-clouds": Task("clouds", None, 40, CLOUDS, "--classes all --per-class 40"),
    "clothes": Task("fashion", None, 100, CLOTHES,
                    "--sample fashion --classes all --per-class 100"),
}


def recipe_of(options):
    """The TransferConfig of a command line's options."""
    parser = argparse.ArgumentParser()
    add_options(parser, Options(parser))
    given = vars(parser.parse_args(options.split()))
    return TransferConfig(**{key: given[key] for key in vars(TransferConfig())})


def split(recipe, classes):
    """VGG16 with a new head: (what the recipe never changes, the rest)."""
    model = base_with_head(recipe, classes)
    if recipe.finetune:
        model.unfreeze(since=f"{recipe.finetune}_conv1")
    return model.split()


def learnt(recipe, classes, data, seed):
    """The rest, trained on data, features of what is never changed, as training.transfer does."""
    _, rest = split(recipe, classes)
    for layer in rest.layers:  # at first only the head
        layer.trainable = not (recipe.finetune and layer.name.startswith(recipe.finetune))
    frozen, top = rest.split()
    deep = extract_features(frozen, data, batch_size=recipe.batch_size)
    lr = recipe.lr or initial_learning_rate(deep.x[:len(deep) // deep.views])
    adam, loss = mc.optimizers.Adam, loss_for(len(classes), recipe.label_smoothing)
    common = {"batch_size": recipe.batch_size, "seed": seed,
              "callbacks": [LearningRateSchedule(SCHEDULES[recipe.schedule])]}
    mc.fit(top, deep, loss, adam(lr, weight_decay=recipe.weight_decay), epochs=recipe.epochs,
           **common)
    if recipe.finetune:
        rest.unfreeze()
        groups = mc.optimizers.ParamGroups({"block": adam(recipe.finetune_lr),
                                            "": adam(lr, weight_decay=recipe.weight_decay)})
        mc.fit(rest, data, loss, groups, epochs=recipe.finetune_epochs, **common)
    return rest


class Row:
    """One recipe on one task: features of what it never changes, computed once, and trainings of
    the rest on some of the photos."""

    def __init__(self, recipe, train, test):
        self.recipe, self.classes = recipe, train.classes
        frozen, _ = split(recipe, train.classes)
        self.seen = extract_features(frozen, recipe.augmented(train), memory_budget=10**9)
        self.plain = extract_features(frozen, train) if recipe.augment else self.seen
        self.test = extract_features(frozen, test)

    def train(self, data, seed):
        """The network's trained rest."""
        return learnt(self.recipe, self.classes, data, seed)

    def evaluation(self, chosen, judged, seed):
        """Trained on the photos of the mask `chosen`, in all their views; tested on `judged`."""
        inside = np.flatnonzero(np.resize(chosen, len(self.seen)))
        data = ArrayDataset(self.seen.x[inside], self.seen.labels[inside], self.seen.views)
        rest = self.train(data, seed)
        return Evaluation(class_probabilities(rest.predict(judged.x)), judged.labels, self.classes)


class MixedRow(Row):
    """A head on the features of several layers: those of each, divided by their mean sum, side by
    side."""

    def __init__(self, cuts, train, test):
        rows = [Row(TransferConfig(cut=cut), train, test) for cut in cuts]
        self.classes = train.classes
        scales = [np.abs(row.plain.x).reshape(len(train), -1).sum(axis=1).mean() for row in rows]

        def side_by_side(parts):
            return np.concatenate([part.x.reshape(len(part), -1) / np.float32(scale)
                                   for part, scale in zip(parts, scales, strict=True)], axis=1)

        self.seen = self.plain = ArrayDataset(side_by_side([row.seen for row in rows]),
                                              train.labels)
        self.test = ArrayDataset(side_by_side([row.test for row in rows]), test.labels)

    def train(self, data, seed):
        """A head as transfer's, on the features as they are."""
        model = mc.Sequential(head(len(self.classes), "zeros"), input_shape=data.x.shape[1:])
        mc.fit(model, data, loss_for(len(self.classes)),
               mc.optimizers.Adam(initial_learning_rate(data.x)), epochs=TransferConfig.epochs,
               batch_size=TransferConfig.batch_size, seed=seed)
        return model


def row_of(options, train, test):
    """The recipe that a row of the table names."""
    if options.startswith("--"):
        return Row(recipe_of(options), train, test)
    return MixedRow(options.split(" + "), train, test)


def cross_validation(row, train, folds, repeats):
    """Accuracy of the training photos when each is predicted by a network that was not trained on
    its fold, mean of `repeats` divisions into folds."""
    right = 0
    for division in range(repeats):
        fold = train.folds(folds, division)
        for k in range(folds):
            outside = fold == k
            judged = ArrayDataset(row.plain.x[outside], train.labels[outside])
            right += row.evaluation(~outside, judged, seed=0).num_correct
    return right / (repeats * len(train))


def line(task, options, folds, repeats, seeds):
    """One line of the table."""
    began = time.process_time()
    train = sample(task.sample, "train", task.classes, task.per_class)
    test = sample(task.sample, "test", task.classes)
    row = row_of(options, train, test)
    chosen_by = f"{cross_validation(row, train, folds, repeats):.3f}" if folds else "–"
    everything = np.ones(len(train), bool)
    tested = [row.evaluation(everything, row.test, seed) for seed in range(seeds)]
    low, high = tested[0].interval
    accuracies = np.array([evaluation.accuracy for evaluation in tested])
    spread = f" ± {accuracies.std(ddof=1):.3f}" if seeds > 1 else ""
    minutes = (time.process_time() - began) / 60
    return (f"| `{options}` | {chosen_by} | {tested[0].accuracy:.3f} ({low:.3f} … {high:.3f}) | "
            f"{accuracies.mean():.3f}{spread} | {minutes:.1f} |")


def main():
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="two-clouds", help="which photos")
    parser.add_argument("--rows", type=int, nargs="+", help="numbers of recipes, from 1")
    parser.add_argument("--seeds", type=int, default=3, help="runs on the test (default: 3)")
    parser.add_argument("--folds", type=int, default=5, help="0 leaves them out (default: 5)")
    parser.add_argument("--repeats", type=int, default=5, help="of k-fold (default: 5)")
    args = parser.parse_args()
    task = TASKS[args.task]
    if not set(args.rows or []) <= set(range(1, len(task.recipes) + 1)):
        parser.error(f"--rows: expected numbers from 1 to {len(task.recipes)}, received "
                     f"{args.rows}")
    print(f"| `minicnn train {task.options} …` | {args.folds or 'no'} folds | "
          f"test (95 % interval) | mean of {args.seeds} seeds | minutes of processor time |\n"
          f"| --- | --- | --- | --- | --- |")
    for number in tqdm(args.rows or range(1, len(task.recipes) + 1), unit=" rows", disable=None,
                       leave=False):
        print(line(task, task.recipes[number - 1], args.folds, args.repeats, args.seeds),
              flush=True)


if __name__ == "__main__":
    main()
