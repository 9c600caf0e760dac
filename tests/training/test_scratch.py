"""How long the network from scratch may train beside VGG16: counted, not measured in seconds."""

import pytest

import minicnn as mc
from minicnn.training import TransferConfig, base_with_head, comparable_training
from minicnn.training.scratch import MIN_EPOCHS, RELATIVE_COST, multiplications, transfer_work

# By hand, forward, of one photo of 32 × 32: rows · columns · kernel · channels in · channels out.
VGG16_TO_BLOCK2 = (32 * 32 * 9 * 3 * 64 + 32 * 32 * 9 * 64 * 64      # block1
                   + 16 * 16 * 9 * 64 * 128 + 16 * 16 * 9 * 128 * 128)  # block2
BLOCK2 = 16 * 16 * 9 * 64 * 128 + 16 * 16 * 9 * 128 * 128
HEAD = 8 * 8 * 128
SMALL = 32 * 32 * 9 * 3 * 16 + 16 * 16 * 9 * 16 * 32 + 8 * 8 * 32 * 64 + 64


def test_multiplications_are_those_of_the_formulas():
    assert sum(multiplications(mc.SmallCNN(2, (32, 32, 3)))) == SMALL


@pytest.fixture(scope="module")
def model():
    return base_with_head(TransferConfig(size=32, cut="block2_pool"), ["a", "b"])


@pytest.mark.parametrize("options, work", [
    ({}, 50 * (VGG16_TO_BLOCK2 + HEAD)),
    ({"augment": "flip", "views": 3}, (3 * 40 + 10) * (VGG16_TO_BLOCK2 + HEAD)),
    ({"finetune": "block2", "finetune_epochs": 2},
     50 * (VGG16_TO_BLOCK2 + HEAD) + 2 * (3 * 40 + 10) * (BLOCK2 + HEAD))])
def test_the_work_of_a_transfer_is_its_photos_times_its_layers(options, work, model):
    config = TransferConfig(size=32, cut="block2_pool", **options)
    assert transfer_work(config, model, 40, 10) == work


def test_the_training_from_scratch_takes_about_the_same_work(model):
    config = TransferConfig(size=32, cut="block2_pool", epochs=500, augment="flip", views=80)
    size, epochs = comparable_training(config, model, 40, 10)
    allowed = (40 * 80 + 10) * (VGG16_TO_BLOCK2 + HEAD)
    per_epoch = RELATIVE_COST * SMALL * (3 * 40 + 10)
    assert size == 32 and MIN_EPOCHS < epochs < 500
    assert epochs * per_epoch <= allowed < (epochs + 1) * per_epoch


def test_a_network_that_has_no_time_for_large_photos_gets_smaller_ones():
    config = TransferConfig(size=128)
    whole = base_with_head(config, ["a", "b"])
    few = comparable_training(config, whole, 40, 120)
    many = comparable_training(config, whole, 400, 120)  # training weighs three times as much
    assert few[0] == 64 and many[0] < 64 and few[1] >= 30 and many[1] >= 30
    assert comparable_training(config, whole, 40, 120, max_size=28)[0] == 28
    cheap = comparable_training(TransferConfig(size=32, cut="block1_pool"), base_with_head(
        TransferConfig(size=32, cut="block1_pool"), ["a", "b"]), 40, 120)
    assert cheap == (32, MIN_EPOCHS)
    assert comparable_training(TransferConfig(size=128, epochs=4), whole, 40, 120) == (64, 4)
