"""benchmarks.finetuning trains as `minicnn train` does, with features computed once."""

import pytest
from reference import assert_same

from benchmarks.finetuning import RECIPES, learnt, recipe_of, split
from minicnn.data import sample
from minicnn.evaluation import class_probabilities
from minicnn.training import TransferConfig, extract_features, transfer

CLASSES = ["sandal", "sneaker", "bag"]


@pytest.mark.parametrize("options", [
    "--size 32 --epochs 3 --weight-decay 0.1",
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


def test_the_recipes_are_options_of_train():
    assert recipe_of(RECIPES[1]) == TransferConfig(size=96)
    assert len({recipe_of(options) for options in RECIPES}) == len(RECIPES)
