"""Warnings after a training: said when their ground is there, silent when it is not."""

import numpy as np
import pytest

from minicnn.evaluation import Evaluation
from minicnn.evaluation.diagnosis import diagnose

GOOD = {"loss": [0.7, 0.4, 0.2], "accuracy": [0.5, 0.8, 0.95], "val_loss": [0.6, 0.4, 0.35],
        "val_accuracy": [0.6, 0.8, 0.9]}


def evaluation(labels, predicted, classes=("cat", "dog")):
    """What a model said, as one-hot probabilities."""
    return Evaluation(np.eye(len(classes))[predicted], np.array(labels), list(classes))


FINE = evaluation([0, 0, 1, 1], [0, 0, 1, 0])


def said(history, result=FINE, **options):
    """The one warning there is."""
    found = diagnose({**GOOD, **history}, result, **options)
    assert len(found) == 1, found
    assert found[0].endswith(".") and "\n" not in found[0]
    return found[0]


def test_a_good_run_is_met_with_silence():
    assert diagnose(GOOD, FINE) == []
    assert diagnose(GOOD, FINE, head_epochs=2) == []
    assert diagnose({"loss": [0.5]}, FINE) == []  # one epoch, no validation, no accuracy


def test_a_perfect_score_is_no_warning():
    assert diagnose(GOOD, evaluation([0, 1], [0, 1])) == []


@pytest.mark.parametrize("last", [0.7, 0.9, float("nan")])
def test_a_loss_that_has_not_fallen_is_told_with_both_figures(last):
    text = said({"loss": [0.7, 0.3, last]})
    assert "loss did not decrease" in text and f"from 0.7 to {last:.3g}" in text and "--lr" in text


def test_the_head_alone_is_judged_by_its_own_epochs():
    text = said({"loss": [0.5, 0.5, 0.1]}, head_epochs=2)
    assert "loss did not decrease" in text and "from 0.5 to 0.5" in text


def test_overfitting_names_the_best_epoch_its_figures_and_patience():
    text = said({"val_loss": [0.6, 0.3, 0.5]})
    assert "overfitting" in text and "epoch 2" in text and "--patience" in text
    assert "0.3, and ended at 0.5" in text and "from 0.4 to 0.2" in text


@pytest.mark.parametrize("history", [
    {"val_loss": [0.6, 0.40, 0.44]},  # a little up is noise
    {"val_loss": [0.001, 0.0005, 0.04]},  # a large factor of nearly nothing
    {"loss": [0.7, 0.4, 0.45], "val_loss": [0.6, 0.3, 0.5]}])  # both rise: no overfitting
def test_a_validation_loss_that_rises_for_other_reasons_is_not_called_overfitting(history):
    assert diagnose({**GOOD, **history}, FINE) == []


def test_overfitting_does_no_harm_where_the_best_weights_are_kept():
    assert diagnose({**GOOD, "val_loss": [0.6, 0.3, 0.9]}, FINE, best_restored=True) == []


@pytest.mark.parametrize(("history", "name", "figures"), [
    ({"val_loss": [0.6, 0.3, 0.5]}, "validation", "from 0.3 with the head alone to 0.5"),
    ({"loss": [0.7, 0.2, 2.0]}, "training", "from 0.2 with the head alone to 2"),
    ({"loss": [0.7, 0.2, float("nan")]}, "training", "to nan")])
def test_a_fine_tuning_that_made_it_worse_is_told_and_not_as_overfitting_too(history, name,
                                                                            figures):
    text = said(history, head_epochs=2)
    assert "Fine-tuning" in text and f"the {name} loss" in text and figures in text
    assert "--finetune-lr" in text and "kept" not in text
    restored = said(history, head_epochs=2, best_restored=True)
    assert "weights of the better epoch are kept" in restored


def test_a_jump_at_the_beginning_of_the_fine_tuning_is_told():
    text = said({"loss": [0.7, 0.2, 1.5, 0.2], "val_loss": [0.6, 0.4, 0.4, 0.4]}, head_epochs=2)
    assert "from 0.2 to 1.5" in text and "--finetune-lr" in text


def test_a_training_accuracy_far_below_chance_is_told():
    assert "10.0 %" in said({"accuracy": [0.1, 0.1, 0.1]})
    assert diagnose({**GOOD, "accuracy": [0.3, 0.3, 0.3]}, FINE) == []


def test_one_class_for_all_photos_is_told_by_its_name_and_counts():
    text = said({}, evaluation([0, 0, 1, 1, 1], [1] * 5))
    assert "predicts dog for all 5 photos, of which 3 are" in text and "--class-weights" in text
    assert diagnose(GOOD, evaluation([1, 1, 1], [1, 1, 1])) == []  # there is only one class


def test_no_better_than_the_most_frequent_class_is_told():
    text = said({}, evaluation([0] * 6 + [1] * 2, [0] * 4 + [1] * 2 + [0, 1]))
    assert "62.5 %" in text and "always predicting cat" in text and "75.0 %" in text


def test_an_accuracy_below_chance_is_told_only_where_luck_does_not_explain_it():
    assert "each other's names" in said({}, evaluation([0, 1] * 20, [1, 0] * 18 + [0, 1] * 2))
    assert "each other's names" not in said({}, evaluation([0, 1, 0], [1, 0, 0]))
