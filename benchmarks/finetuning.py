"""Ten classes, 100 photos each: what a larger photo, other views and a fine-tuned block bring.

    python -m benchmarks.finetuning                   all recipes: by estimate, one to two hours
    python -m benchmarks.finetuning --rows 1 2 3      the frozen ones, a few minutes
    python -m benchmarks.finetuning --rows 4 --folds 0 --seeds 1    the test photos only, once

A recipe is chosen by the first column of figures, k-fold on the 1,000 photos to learn from. The
1,000 test photos choose nothing. Every row is the training of `minicnn train --classes all
--per-class 100 --no-scratch` with the options shown (and --kfold 5, or --seed): the same steps,
but what a row leaves frozen is computed once for all folds and seeds.
"""

import argparse
import time

import numpy as np
from tqdm import tqdm

import minicnn as mc
from minicnn.cli.command_parser import Options
from minicnn.cli.train_options import add_options
from minicnn.data import sample
from minicnn.evaluation import Evaluation, class_probabilities
from minicnn.models import loss_for
from minicnn.training import (
    SCHEDULES,
    ArrayDataset,
    LearningRateSchedule,
    TransferConfig,
    base_with_head,
    extract_features,
    initial_learning_rate,
)

RECIPES = ("--size 64", "--size 96", "--size 128",
           "--size 64 --augment shift,zoom,rotate=5 --views 4",
           "--size 64 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5",
           "--size 96 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5",
           "--size 96 --epochs 10 --schedule cosine --finetune block4 --finetune-epochs 5 "
           "--label-smoothing 0.1 --augment shift,zoom,rotate=5 --views 4")


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
    head = rest.layers[-1 if rest.layers[-1].params else -2]
    for layer in rest.layers:
        layer.trainable = layer is head
    frozen, top = rest.split()
    deep = extract_features(frozen, data, batch_size=recipe.batch_size)
    lr = initial_learning_rate(deep.x[:len(deep) // deep.views])
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


def row(options, folds, seeds):
    """One line of the table."""
    began, recipe = time.process_time(), recipe_of(options)
    train, test = sample("fashion", "train", None, 100), sample("fashion", "test")
    t = train.labels
    frozen, _ = split(recipe, train.classes)
    seen = extract_features(frozen, recipe.augmented(train), memory_budget=10**9)
    plain = extract_features(frozen, train).x if recipe.augment else seen.x

    def judged(learn, x_new, t_new, seed):
        inside = np.flatnonzero(np.resize(learn, len(seen)))  # the same photos in every view
        data = ArrayDataset(seen.x[inside], seen.targets[inside], seen.views)
        rest = learnt(recipe, train.classes, data, seed)
        return Evaluation(class_probabilities(rest.predict(x_new)), t_new, train.classes)

    validation = "–"
    if folds:
        fold = train.folds(folds, recipe.seed)
        right = sum(judged(fold != k, plain[fold == k], t[fold == k], recipe.seed).num_correct
                    for k in range(folds))
        validation = f"{right / len(t):.3f}"
    x_test, t_test = extract_features(frozen, test).x, test.labels
    found = [judged(np.ones(len(t), bool), x_test, t_test, seed) for seed in range(seeds)]
    low, high = found[0].interval
    values = np.array([one.accuracy for one in found])
    spread = f" ± {values.std(ddof=1):.3f}" if seeds > 1 else ""
    minutes = (time.process_time() - began) / 60
    return (f"| `{options}` | {validation} | {found[0].accuracy:.3f} ({low:.3f} … {high:.3f}) | "
            f"{values.mean():.3f}{spread} | {minutes:.0f} |")


def main():
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", choices=range(1, len(RECIPES) + 1),
                        default=range(1, len(RECIPES) + 1), help="numbers of recipes, from 1")
    parser.add_argument("--seeds", type=int, default=3, help="runs on the test (default: 3)")
    parser.add_argument("--folds", type=int, default=5, help="0 leaves them out (default: 5)")
    args = parser.parse_args()
    print(f"| `minicnn train …` | {args.folds or 'no'} folds | test (95 % interval) | "
          f"mean of {args.seeds} | core minutes |\n| --- | --- | --- | --- | --- |")
    for number in tqdm(args.rows, unit=" rows", disable=None, leave=False):
        print(row(RECIPES[number - 1], args.folds, args.seeds), flush=True)


if __name__ == "__main__":
    main()
