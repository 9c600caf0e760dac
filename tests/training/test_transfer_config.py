"""The options of a transfer training: which layers they mean."""

import pytest

from minicnn.training import TransferConfig
from minicnn.utils.errors import ArgumentError


@pytest.mark.parametrize("layer, trained", [
    ("block3_pool", False), ("block4_conv1", True), ("block4_pool", True), ("block5_conv1", True),
    ("flatten", True), ("dense", True), ("add", True), ("blocks", True)])  # the last four: a head
def test_the_second_phase_trains_the_block_and_what_comes_after_it(layer, trained):
    assert TransferConfig(finetune="block4").finetunes(layer) is trained
    assert not TransferConfig().finetunes(layer)


@pytest.mark.parametrize("cut", ["block3_conv3", "block3_pool"])
def test_a_cut_before_the_block_is_refused(cut):
    with pytest.raises(ArgumentError, match=f"expected a cut after block4, received '{cut}'"):
        TransferConfig(finetune="block4", cut=cut)


def test_a_cut_in_the_block_or_after_it_is_taken():
    for cut in ("block4_conv1", "block4_pool", "block5_conv2"):
        assert TransferConfig(finetune="block4", cut=cut).last_kept == cut
