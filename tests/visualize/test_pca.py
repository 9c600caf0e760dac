"""Principal components against the eigenvectors of the covariance, and PyTorch's pca_lowrank."""

import numpy as np
import pytest
import torch
from makers import random_pixels
from reference import assert_close, assert_refused, assert_same
from visualize.twins import both

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize.features.pca import not_overlapping, pca, principal_components

SHAPE = 12, 10, 3


def with_recipe():
    model, _ = both()
    model.preprocessing = Preprocessing("RGB", (120.0, 120.0, 120.0), 0.02)
    return model


@pytest.mark.parametrize("N, C", [(12, 5), (5, 12), (2, 3)])
def test_the_components_are_the_eigenvectors_of_the_covariance(N, C, rng):
    features = rng.normal(size=(N, C)) * np.arange(1, C + 1) + 3
    points, explained, components, mean = principal_components(features)
    variances, vectors = np.linalg.eigh(np.cov(features.T))
    variances, vectors = variances[::-1], vectors.T[::-1]
    assert_close(mean, features.sum(axis=0) / N)
    shares = np.zeros(min(N, C))
    shares[:] = np.maximum(variances, 0)[:min(N, C)] / variances.sum()
    assert_close(explained, shares, 1e-9)
    for r in range(2 if N > 2 else 1):  # the second of two points has no direction
        sign = np.sign(components[r] @ vectors[r])
        assert_close(components[r], sign * vectors[r], 1e-8)
        assert_close(points[:, r], (features - mean) @ (sign * vectors[r]), 1e-8)


def test_the_points_are_those_of_pca_lowrank(rng):
    features = rng.normal(size=(20, 6)) * [5, 3, 1, 1, 0.5, 0.1]
    points, explained, components, _ = principal_components(features)
    U, S, V = torch.pca_lowrank(torch.tensor(features), q=6, niter=8)
    theirs = (U * S).numpy()[:, :2]
    signs = np.sign((theirs * points).sum(axis=0))
    assert_close(points, theirs * signs, 1e-8)
    assert_close(explained, (S ** 2 / (S ** 2).sum()).numpy(), 1e-8)
    assert_close(components, V.numpy().T[:2] * signs[:, None], 1e-8)


def test_the_entry_largest_in_size_is_positive_so_the_sign_is_fixed(rng):
    features = rng.normal(size=(15, 4))
    _, _, components, _ = principal_components(features)
    for component in components:
        assert max(component, key=abs) > 0
    mirrored, _, _, _ = principal_components(2 * features.mean(axis=0) - features)
    assert_close(mirrored, -principal_components(features)[0], 1e-8)  # other photos, the same axes


def test_the_features_are_the_means_over_the_places():
    model, pictures = with_recipe(), random_pixels(9, *SHAPE)
    result = pca(model, pictures, "conv1", batch_size=4)
    y = model.activations(model.to_input(pictures), ["conv1"])["conv1"]
    for m, k in np.ndindex(9, 5):
        expected = sum(float(v) for v in y[m, ..., k].flat) / 120
        assert result.features[m, k] == pytest.approx(expected, rel=1e-6)
    dense = pca(model, pictures, "dense")
    assert_close(dense.features, model.activations(model.to_input(pictures), ["dense"])["dense"],
                 1e-12)
    assert pca(model, pictures).layer == "conv2"


def test_two_kinds_of_photos_fall_apart_along_the_first_component():
    pictures = random_pixels(12, *SHAPE)
    pictures[::2] //= 4  # dark ones
    data = mc.data.Dataset.from_arrays(pictures, [0, 1] * 6, ["dark", "light"])
    result = pca(with_recipe(), data, "conv1")
    first = result.points[:, 0]
    assert max(first[::2]) < min(first[1::2]) or min(first[::2]) > max(first[1::2])
    assert result.explained[0] > 0.8
    assert result.labels.tolist() == [0, 1] * 6
    assert "dark: centre" in str(result) and "light: centre" in str(result)
    legend = result.figure().axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["dark", "light"]


def test_thumbnails_that_are_drawn_do_not_overlap_and_no_other_would_find_room(rng):
    points = rng.normal(size=(200, 2))
    shown = not_overlapping(points, 0.1, 0.2)
    scaled = (points - points.min(axis=0)) / (points.max(axis=0) - points.min(axis=0))

    def apart(m, k):
        dx, dy = abs(scaled[m] - scaled[k])
        return dx > 0.1 or dy > 0.2
    assert 5 < len(shown) < 60
    assert all(apart(m, k) for m in shown for k in shown if m != k)
    assert all(any(not apart(m, k) for k in shown) for m in range(200) if m not in shown)


def test_photos_that_are_all_the_same_say_so():
    pictures = np.repeat(random_pixels(1, *SHAPE), 4, axis=0)
    result = pca(with_recipe(), pictures)
    assert (result.explained == 0).all()
    assert "all the same" in str(result)
    # 13 photos: batches of unequal size round differently
    many = np.repeat(random_pixels(1, *SHAPE), 13, axis=0)
    assert "all the same" in str(pca(with_recipe(), many, "dense", batch_size=3))
    assert_same(result.thumbnails[0], result.thumbnails[3])
    assert len(result.figure().axes) == 1


def test_bad_input_is_refused():
    model = with_recipe()
    with assert_refused("two photos"):
        pca(model, random_pixels(1, *SHAPE))
    with assert_refused("'conv3'"):
        pca(model, random_pixels(9, *SHAPE), "conv3")
    model.replace_head([mc.Dense(1, name="one")])
    with assert_refused("one", "two units"):
        pca(model, random_pixels(9, *SHAPE), "one")
    model["conv1"].params["b"][0] = np.nan
    with assert_refused("finite features"):
        pca(model, random_pixels(9, *SHAPE), "conv1")
