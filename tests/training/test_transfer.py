"""The main job in all its phases: what is frozen, what learns, which weights stay."""

import sys

import numpy as np
import pytest
from makers import clothes
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.training import (
    TransferConfig,
    base_with_head,
    class_weights,
    cross_validate,
    evaluate_photos,
    features,
    transfer,
)

CLASSES = ["sandal", "sneaker"]
QUICK = {"size": 32, "epochs": 3, "seed": 3}


def same_bits(a, b):
    return a.tobytes() == b.tobytes()


def changed(model, size=32, same=np.array_equal):
    """Names of the layers one of whose parameters is no longer VGG16's."""
    names = [layer.name for layer in model.layers]
    base = mc.VGG16(include_top=False, input_shape=(size, size, 3))
    return [layer.name for layer in base.layers if layer.name in names
            and not all(same(p, model[layer.name].params[key]) for key, p in layer.params.items())]


def test_without_finetuning_the_base_stays_bit_identical():
    run = transfer(clothes(), clothes("test"), **QUICK)
    assert changed(run.model, same=same_bits) == []
    assert run.model.layers[-3].name == "flatten"
    assert run.model.layers[-4].name == "block4_pool" and run.last == {}


def test_finetuning_moves_its_block_and_nothing_below_it():
    run = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=2, **QUICK)
    block = ["block5_conv1", "block5_conv2", "block5_conv3"]
    assert changed(run.model) == changed(run.model, same=same_bits) == block
    assert (run.model.layers[-2].params["W"] != 0).any()  # where the head began
    assert len(run.history["loss"]) == 5
    assert any("block5 trained, too, from epoch 4 on" in note for note in run.notes)


def test_the_first_phase_is_the_run_without_finetuning():
    without = transfer(clothes(), clothes("test"), cut="block5_pool", **QUICK)
    both = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=1, **QUICK)
    assert both.history["loss"][:3] == without.history["loss"]
    assert both.history["held_out_loss"][:3] == without.history["held_out_loss"]


def test_the_learning_rate_of_the_block_is_its_own():
    still = transfer(clothes(), clothes("test"), finetune="block5", finetune_epochs=2,
                     finetune_lr=0.0, **QUICK)
    assert changed(still.model) == []
    assert still.history["loss"][4] < still.history["loss"][2]  # the head goes on


def test_the_evaluation_is_that_of_the_model_on_the_test_photos():
    for options in ({}, {"finetune": "block5", "finetune_epochs": 1}):
        run = transfer(clothes(), clothes("test"), validation=clothes("train", 4), **options,
                       **QUICK)
        again = evaluate_photos(run.model, clothes("test"))
        assert_close(run.evaluation.probabilities, again.probabilities, 1e-5)


def test_with_validation_photos_the_model_has_the_weights_of_its_best_epoch():
    hard = ["pullover", "shirt"]
    validation = clothes("test", 8, hard)
    run = transfer(clothes("train", 6, hard), clothes("test", 6, hard), validation=validation,
                   lr=2e-5, size=32, epochs=6)
    losses = run.history["val_loss"]
    best = int(np.argmin(losses))
    assert best < 5
    loss = mc.losses.BinaryCrossEntropy()
    p = run.model.predict(validation.images(range(len(validation)), (32, 32)))
    assert loss.forward(p, validation.labels) == pytest.approx(min(losses), rel=1e-3)
    assert any(f"epoch {best + 1}, the best of 6" in note for note in run.notes)
    assert list(run.last) == [run.model.layers[-2].name]


def test_a_second_phase_that_makes_it_worse_is_taken_back():
    run = transfer(clothes(), clothes("test"), validation=clothes("test", 5), finetune="block5",
                   finetune_epochs=2, finetune_lr=0.3, **QUICK)
    assert changed(run.model) == []
    assert "block5_conv1" in run.last and any("best of 5" in n for n in run.notes)
    assert any("Fine-tuning" in note and "better epoch are kept" in note for note in run.notes)


def test_patience_ends_a_phase_and_needs_validation_photos():
    run = transfer(clothes(), clothes("test"), validation=clothes("test", 5), lr=0.5, size=32,
                   epochs=50, patience=2)
    assert len(run.history["loss"]) < 50
    with assert_refused("patience", "Give some as validation=", "make a split with minicnn data "
                        "FOLDER --validation-fraction 0.2."):
        transfer(clothes(), clothes("test"), patience=2, **QUICK)


def test_augmentation_learns_from_views_and_never_tests_on_them():
    plain = transfer(clothes(), clothes("test"), lr=0.0, **QUICK)
    views = transfer(clothes(), clothes("test"), lr=0.0, augment="flip,rotate=20,colour=0.5",
                     views=2, **QUICK)
    assert views.history["held_out_loss"] == plain.history["held_out_loss"]
    assert_same(views.evaluation.probabilities, plain.evaluation.probabilities)
    views = transfer(clothes(), clothes("test"), augment="flip,rotate=20", views=2, **QUICK)
    plain = transfer(clothes(), clothes("test"), **QUICK)
    assert views.history["loss"][1:] != plain.history["loss"][1:]


def test_class_weights_make_every_class_weigh_alike():
    data = clothes()
    data = data.subset([*np.flatnonzero(data.labels == 0)[:3], data.labels.argmax()])
    assert_close(class_weights(data), np.array([4 / 6, 2.0]))
    weighted = transfer(data, clothes("test"), class_weights=True, **QUICK)
    other = transfer(data, clothes("test"), **QUICK)
    z = [r.evaluation.probabilities[:, 1].mean() for r in (weighted, other)]
    assert z[0] > z[1]  # the rare class is believed more


def test_dropout_stands_before_the_head_and_weight_decay_makes_its_weights_smaller():
    model = base_with_head(TransferConfig(size=32, dropout=0.5), CLASSES)
    assert isinstance(model.layers[-3], mc.Dropout)
    norm = [np.abs(transfer(clothes(), clothes("test"), size=32, epochs=20, weight_decay=decay
                            ).model.layers[-2].params["W"]).sum() for decay in (0.0, 100.0)]
    assert norm[1] < norm[0]


def test_the_same_recipe_is_the_same_run_bit_for_bit():
    config = TransferConfig(size=32, epochs=2, augment="flip,colour", views=2, schedule="one-cycle",
                    dropout=0.2, label_smoothing=0.1, finetune="block5", finetune_epochs=1)
    one, two = (transfer(clothes(), clothes("test"), config) for _ in range(2))
    assert one.history == two.history
    assert_same(one.evaluation.probabilities, two.evaluation.probabilities)


def test_found_learning_rates_are_used_and_kept():
    run = transfer(clothes(), clothes("test"), find_lr=True, **QUICK)
    assert f"{run.rates.suggestion:.2g}" in run.notes[0]


def test_every_photo_is_predicted_once_by_a_network_that_has_not_seen_it():
    data = clothes(per_class=4)
    result, accuracies = cross_validate(data, folds=2, **QUICK)
    fold = data.folds(2, 3)
    for k in range(2):
        alone = transfer(data.subset(np.flatnonzero(fold != k)), data.subset(np.flatnonzero(
            fold == k)), **QUICK).evaluation
        # alike but for rounding: alone, the features of these photos are computed in other batches
        assert_close(result.probabilities[fold == k], alone.probabilities, rtol=1e-5)
        assert accuracies[k] == alone.accuracy
    assert result.labels.tolist() == data.labels.tolist()


@pytest.mark.parametrize("options, passes", [({}, 1), ({"augment": "flip", "views": 2}, 3)])
def test_in_cross_validation_each_photo_and_view_passes_the_frozen_layers_once(
        options, passes, monkeypatch):
    seen, ours = [], features.forward_batches

    def forward_batches(network, data, indices, batch_size):
        if len(network.layers) > 2:  # the frozen ones, not a head
            seen.append(len(indices))
        return ours(network, data, indices, batch_size)

    monkeypatch.setattr(features, "forward_batches", forward_batches)
    data = clothes(per_class=4)
    result, accuracies = cross_validate(data, folds=3, **{**QUICK, **options})
    assert sum(seen) == passes * len(data)
    assert len(accuracies) == 3 and len(result.labels) == len(data)


def test_views_of_a_fold_are_not_learnt_from(monkeypatch):
    """Each network learns from the views of the other folds' photos, and from no others."""
    module, learnt = sys.modules["minicnn.training.cross_validation"], []
    ours = module.transfer
    monkeypatch.setattr(module, "transfer", lambda train, test, *rest, **named: (
        learnt.append((test, *named["features"])), ours(train, test, *rest, **named))[1])
    data = clothes(per_class=4)
    config = TransferConfig(**QUICK, augment="flip", views=2)
    cross_validate(data, config, folds=2)
    base, _ = base_with_head(config, data.classes).split()
    views, photos = module.frozen_features(base, data, config, ())
    fold = data.folds(2, config.seed)
    for k, (_, trained, tested) in enumerate(learnt):
        inside, others = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        assert_same(tested.x, photos.x[inside])
        assert_same(trained.x, np.concatenate([views.x[others], views.x[others + len(data)]]))


@pytest.mark.parametrize("options", [{}, {"finetune": "block1", "finetune_epochs": 1}])
def test_folds_share_the_frozen_layers_and_none_sees_what_another_has_learnt(options, monkeypatch):
    """Each fold's network is the one that a training of these photos alone would give."""
    module, models = sys.modules["minicnn.training.cross_validation"], []
    ours = module.transfer

    def kept(*arguments, **named):
        models.append(ours(*arguments, **named).model)
        return ours(*arguments, **named)
    monkeypatch.setattr(module, "transfer", kept)
    data = clothes(per_class=4)
    config = TransferConfig(**{**QUICK, **options})
    evaluation, _ = cross_validate(data, config, folds=2)
    fold = data.folds(2, config.seed)
    for k, model in enumerate(models):
        test = data.subset(np.flatnonzero(fold == k))
        alone = transfer(data.subset(np.flatnonzero(fold != k)), test, config)
        assert_close(evaluation.probabilities[fold == k], alone.evaluation.probabilities, rtol=1e-4)
        assert model.preprocessing == alone.model.preprocessing
    shared = models[0].layers[0] is models[1].layers[0]
    assert shared == (not options)


@pytest.mark.parametrize(("options", "words"), [
    ({"schedule": "cosin"}, ["schedule", "cosine", "cosin"]),
    ({"finetune": "block6"}, ["finetune", "block5", "block6"]),
    ({"augment": "flip,turn"}, ["augment", "turn"]), ({"views": 0, "augment": "flip"}, ["views"]),
    ({"dropout": 1.5}, ["1.5"]), ({"weight_decay": -1}, ["weight_decay", "-1"]),
    ({"label_smoothing": 1}, ["label_smoothing"]), ({"finetune": "block5", "cut": "block4_pool"},
                                                    ["block5", "block4_pool"]),
    ({"find_lr": True, "lr": 0.1}, ["lr"])])
def test_recipes_that_do_not_fit_are_refused(options, words):
    with assert_refused(*words):
        transfer(clothes(), clothes("test"), **{**QUICK, **options})
