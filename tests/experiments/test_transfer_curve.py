"""The curve against trainings done one by one, on the true VGG16 at 32 pixels."""

import numpy as np
import pytest
from makers import clothes
from reference import assert_refused

import minicnn as mc
from minicnn.experiments import transfer_curve
from minicnn.models import SmallCNN, head, loss_for
from minicnn.optimizers import Adam
from minicnn.training import initial_learning_rate

CLASSES = ["sandal", "sneaker", "bag"]


@pytest.fixture(scope="module")
def data():
    return clothes(per_class=8, classes=CLASSES)


@pytest.fixture(scope="module")
def curve(data):
    return transfer_curve(data, folds=2, per_class=[1, 3], size=32, cut="block3_pool", steps=6)


def test_each_point_is_a_training_on_the_first_photos_of_the_other_fold(curve, data):
    fold = data.folds(2)
    base = mc.VGG16(include_top=False, input_shape=(32, 32, 3))
    x = base.activations(base.to_input(data.images(range(24), (32, 32))), ["block3_pool"])
    x = x["block3_pool"].reshape(24, -1)
    for k in range(2):
        test = np.flatnonzero(fold == k)
        others = data.subset(np.flatnonzero(fold != k))
        for row, n in enumerate([1, 3]):
            few = others.take(n, 0)
            train = [data.names.index(name) for name in few.names]
            top = mc.Sequential(head(3, "zeros"), x.shape[1:])
            small = SmallCNN(3, (32, 32, 3), k)
            t = data.labels[train]
            mc.fit(top, (x[train], t), loss_for(3), Adam(initial_learning_rate(x[train])),
                   epochs=6)
            mc.fit(small, few, loss_for(3), Adam(0.001), epochs=6)
            pixels = small.to_input(data.images(test, (32, 32)))
            for network, given, found in ((top, x[test], curve.transfer),
                                          (small, pixels, curve.scratch)):
                right = network.predict(given).argmax(axis=1) == data.labels[test]
                assert found[row, k] == pytest.approx(right.mean())


def test_more_photos_than_a_batch_take_no_more_steps_but_for_whole_epochs(monkeypatch):
    data, taken = mc.data.sample("fashion", "train", CLASSES[:2], 40), []
    step = Adam.step
    monkeypatch.setattr(Adam, "step", lambda self, model: (taken.append(self), step(self, model)))
    transfer_curve(data, folds=2, per_class=[1, 16, 20], size=32, cut="block1_pool", steps=7)
    counts = [taken.count(one) for one in dict.fromkeys(taken)]
    assert counts == [7, 7, 7, 7, 8, 8] * 2  # 2, 32 and 40 photos: 7, 7 and 4 epochs


def test_the_numbers_left_open_go_up_to_all_photos_of_the_other_folds(data):
    seen = []
    result = transfer_curve(data, folds=4, size=32, cut="block1_pool", steps=1,
                            progress=lambda *state: seen.append(state))
    assert result.per_class.tolist() == [1, 2, 5, 6]
    assert seen[-1] == (24 + 4 * 4, 24 + 4 * 4)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_figure_and_the_text_hold_both_curves_with_their_spread(curve):
    ax = curve.figure().axes[0]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any("block3_pool" in text for text in labels)
    assert any("chance, 1 of 3" in text for text in labels)
    line = str(curve).splitlines()[2].split()
    expected = [100 * curve.transfer[0].mean(), 100 * curve.transfer[0].std(ddof=1),
                100 * curve.scratch[0].mean(), 100 * curve.scratch[0].std(ddof=1)]
    assert line[0] == "1"
    assert [float(line[k]) for k in (1, 3, 4, 6)] == pytest.approx(expected, abs=0.051)


def test_bad_input_is_refused(data):
    for numbers in ([], [2, 1], [1, 1], [0, 1], [1, 5]):
        with assert_refused("from 1 to 4", str(numbers)):
            transfer_curve(data, folds=2, per_class=numbers)
    with assert_refused("two classes"):
        transfer_curve(mc.data.sample("fashion", "train", ["bag"], 5))
    with assert_refused("block9", "block"):
        transfer_curve(data, folds=2, cut="block9_pool", size=32)
    with assert_refused("photos of each class that differ", "1 of 'sandal'"):
        transfer_curve(data, folds=2, groups=data.labels)  # each class is one photo, copied
    with assert_refused("steps"):
        transfer_curve(data, folds=2, steps=0)
