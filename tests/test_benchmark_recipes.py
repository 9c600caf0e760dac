"""benchmarks.recipes trains as `minicnn train` does, with features computed once."""

import re

import pytest
from reference import assert_same

from benchmarks import recipes
from benchmarks.recipes import TASKS, Task, learnt, line, recipe_of, split
from minicnn.data import sample
from minicnn.evaluation import class_probabilities
from minicnn.training import extract_features, transfer

CLASSES = ["sandal", "sneaker", "bag"]


@pytest.mark.parametrize("options", [
    "--size 32 --epochs 3 --weight-decay 0.1", "--size 32 --epochs 3 --dropout 0.5",
    "--size 32 --epochs 2 --schedule cosine --finetune block4 --finetune-epochs 1 --views 2 "
    "--augment shift,zoom --label-smoothing 0.1"])
def test_a_row_is_the_run_of_transfer_with_these_options(options):
    recipe = recipe_of(options)
    train, test = (sample("fashion", part, CLASSES, 4) for part in ("train", "test"))
    frozen, _ = split(recipe, CLASSES)
    features = extract_features(frozen, recipe.augmented(train))
    rest = learnt(recipe, CLASSES, features, recipe.seed)
    p = class_probabilities(rest.predict(extract_features(frozen, test).x))
    assert_same(p, transfer(train, test, recipe).evaluation.probabilities)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_recipes_of_a_task_differ_and_are_options_of_train(task):
    recipes = [recipe_of(options) for options in task.recipes if options.startswith("--")]
    assert len(recipes) > 5
    assert all(recipes.count(recipe) == 1 for recipe in recipes)


@pytest.mark.parametrize("options", ["--size 32 --epochs 2", "block3_pool + block4_pool"])
def test_a_line_says_what_k_fold_and_the_test_give(options, monkeypatch):
    monkeypatch.setattr(recipes, "sample", lambda name, part, classes, per_class=10: sample(
        name, part, classes, per_class))  # 20 of the 120 photos of the test
    task = Task("clouds", ["cirrus", "cumulus"], 4, (), "")
    _, name, chosen_by, tested, mean, minutes, _ = line(task, options, 2, 1, 2).split("|")
    assert name.strip() == f"`{options}`"
    assert 0 <= 8 * float(chosen_by) <= 8 and (8 * float(chosen_by)) % 1 == 0
    accuracy, low, high = map(float, re.findall(r"[01]\.\d+", tested))
    assert low < accuracy < high
    assert 0 < float(mean.split("±")[0]) < 1
