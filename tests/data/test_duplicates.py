"""Copies are found, different photos are not, whatever their number, and nothing is read twice."""

import io
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn.data import Dataset, ImageFolder, near_duplicates, perceptual_hashes, read_image
from minicnn.data.duplicates import crop_matrices, cropped_gradients, unit_gradients


def dataset(images):
    return Dataset(images, [0] * len(images), ["a"], [str(i) for i in range(len(images))])


def partners(groups):
    """The pairs of photos of one group."""
    return {(i, j) for i, j in combinations(range(len(groups)), 2) if groups[i] == groups[j]}


def scenes():
    """Parts of the four photos that ship, 180 × 150, none overlapping another."""
    found = []
    for path in mc.data.photos().values():
        photo = read_image(path)
        found += [photo[i:i + 150, j:j + 180] for i in range(0, photo.shape[0] - 149, 150)
                  for j in range(0, photo.shape[1] - 179, 180)]
    return [scene for scene in found if scene.mean(axis=2).std() > 20]


def saved_again(pixels, quality=50):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=quality)
    return np.array(Image.open(buffer))


def scaled(pixels, factor):
    h, w = pixels.shape[:2]
    return np.array(Image.fromarray(pixels).resize((int(w * factor), int(h * factor))))


def brightened(pixels, factor=1.2):
    return np.array(ImageEnhance.Brightness(Image.fromarray(pixels)).enhance(factor))


def cut(pixels, top=0.02, left=0.02):
    h, w = pixels.shape[:2]
    y, x = max(round(top * h), 1), max(round(left * w), 1)
    return pixels[y:h - y, x:w - x].copy()


COPIES = {
    "saved again as JPEG of quality 50": saved_again,
    "half as large": lambda pixels: scaled(pixels, 0.5),
    "twice as large": lambda pixels: scaled(pixels, 2),
    "brightened": brightened,
    "darkened": lambda pixels: brightened(pixels, 0.8),
    "cut at all sides": cut,
    "cut at the left": lambda pixels: pixels[:, pixels.shape[1] // 30:].copy(),
    "all of it": lambda pixels: saved_again(brightened(scaled(cut(pixels), 0.6), 1.1), 70),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_of_photos_are_found_and_nothing_else(change):
    photos = scenes()
    n = len(photos)
    pairs = partners(near_duplicates(dataset(photos + [change(photo) for photo in photos])))
    assert n > 10 and pairs <= {(i, n + i) for i in range(n)}
    assert len(pairs) >= n - 1


@pytest.mark.parametrize("change", [saved_again, brightened, cut, lambda p: scaled(p, 2)])
def test_copies_of_clothes_are_found(change):
    clothes = mc.data.sample("fashion", "train", per_class=10)
    photos = [clothes.read(i) for i in range(100)]
    pairs = partners(near_duplicates(dataset(photos + [change(photo) for photo in photos])))
    assert sum((i, 100 + i) in pairs for i in range(100)) >= 99


def test_different_clothes_are_kept_apart_though_their_hashes_collide():
    clothes = mc.data.sample("fashion", "train")
    found = perceptual_hashes(clothes)
    bits = np.bitwise_count(found.hashes[:, None] ^ found.hashes)
    assert (bits <= 8).sum() > 20_000
    members = Counter(near_duplicates(clothes, found).tolist())
    assert sum(n - 1 for n in members.values()) <= 15  # of 1,000: trousers of one cut
    shoes = mc.data.sample("fashion", "train", ["sandal", "sneaker", "ankle boot", "bag"])
    assert partners(near_duplicates(shoes)) == set()


# ---- the hash
def test_hash_has_a_bit_for_each_rise_of_brightness_from_left_to_right(rng):
    image = rng.integers(0, 256, (8, 9), np.uint8)  # the size to which photos are shrunk
    bits = [int(image[i, j + 1]) > int(image[i, j]) for i in range(8) for j in range(8)]
    packed = bytes(sum(bit << (7 - k) for k, bit in enumerate(bits[8 * i:8 * i + 8]))
                   for i in range(8))
    found = perceptual_hashes(dataset([image]))
    assert found.hashes.dtype == np.uint64 and found.hashes.tobytes() == packed


def test_hash_of_a_slope_is_all_ones_and_of_its_mirror_all_zeros():
    slope = np.tile(np.arange(90, dtype=np.uint8), (80, 1))
    hashes = perceptual_hashes(dataset([slope, slope[:, ::-1].copy()])).hashes
    assert hashes.tolist() == [2**64 - 1, 0]


# ---- the judge
def test_likeness_is_the_correlation_of_the_gradients(rng):
    a, b = rng.normal(size=(2, 16, 16))
    slopes = [[x[i + 1, j] - x[i, j] for i in range(15) for j in range(16)]
              + [x[i, j + 1] - x[i, j] for i in range(16) for j in range(15)] for x in (a, b)]
    down, across = np.array(slopes)[:, :240], np.array(slopes)[:, 240:]
    centred = np.concatenate([down - down.mean(axis=1)[:, None],
                              across - across.mean(axis=1)[:, None]], axis=1)
    got = unit_gradients(np.stack([a, b]))
    assert got[0] @ got[1] == pytest.approx(np.corrcoef(*centred)[0, 1])
    slope = np.add.outer(5 * np.arange(16), -2 * np.arange(16))  # of a sky
    for other in (3 * a + 7, a + slope):
        assert unit_gradients(other[None])[0] @ got[0] == pytest.approx(1)


def test_crops_are_the_whole_thumbnail_and_its_crops_at_each_side(rng):
    thumbnail = rng.integers(0, 256, (32, 32)).astype(np.uint8)
    views = cropped_gradients(thumbnail)
    whole = thumbnail.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert views.shape == (49, 480)
    np.testing.assert_allclose(views[0], unit_gradients(whole[None])[0], atol=1e-5)
    ramp = np.arange(32) + 0.5  # averages of a ramp are the middles of the parts averaged
    middles = crop_matrices() @ ramp / 32
    ends = [(0, 1), (0, .96), (.02, .98), (.04, 1), (0, .92), (.04, .96), (.08, 1)]
    for row, (begin, end) in zip(middles, ends, strict=True):
        step = (end - begin) / 16
        np.testing.assert_allclose(row, begin + step * (np.arange(16) + 0.5), atol=2e-3)


# ---- groups
def test_groups_are_the_connected_components_of_the_pairs(rng):
    scene = scenes()[0]
    steps = [scene[:, k:k + 120].copy() for k in range(0, 18, 3)]  # neighbours alike, ends not
    photos = [steps[k] for k in rng.permutation(6)] + scenes()[5:9]
    pairs = {(i, j) for i, j in combinations(range(len(photos)), 2)
             if partners(near_duplicates(dataset([photos[i], photos[j]])))}
    component = list(range(len(photos)))
    for _ in photos:
        for i, j in pairs:
            component[i] = component[j] = min(component[i], component[j])
    groups = near_duplicates(dataset(photos))
    assert partners(groups) == partners(component)
    assert len(pairs) < len(partners(groups))  # more than the pairs: components
    assert sorted(set(groups.tolist())) == list(range(len(set(component))))


def test_order_of_the_photos_does_not_matter(rng):
    photos = scenes()[:8]
    photos += [cut(photo) for photo in photos]
    order = rng.permutation(len(photos))
    there = partners(near_duplicates(dataset(photos)))
    back = partners(near_duplicates(dataset([photos[i] for i in order])))
    assert {tuple(sorted((int(order[i]), int(order[j])))) for i, j in back} == there != set()


def test_same_is_the_first_photo_of_exactly_the_same_pixels(rng):
    a = rng.integers(0, 256, (6, 8, 3), np.uint8)
    b = a.copy()
    b[5, 7, 2] ^= 1
    wide = a.reshape(3, 16, 3)  # the same bytes, another picture
    grey = a[..., 0]
    found = perceptual_hashes(dataset([a, b, a.copy(), wide, grey, np.repeat(grey[..., None], 3, 2),
                                       a[:, ::-1][:, ::-1]]))
    assert found.same.tolist() == [0, 1, 0, 3, 4, 4, 0]


def test_flat_photos_are_copies_only_of_the_same_pixels():
    greys = [np.full((40, 50), value, np.uint8) for value in (0, 7, 255, 7, 8)]
    found = perceptual_hashes(dataset(greys))
    assert found.flat.all() and set(found.hashes.tolist()) == {0}
    assert partners(near_duplicates(dataset(greys), found)) == {(1, 3)}
    scene = scenes()[2]
    assert found.even.all()
    faint = dataset([scene, 100 + scene // 15, 101 + scene // 15])
    assert perceptual_hashes(faint).flat.tolist() == [False, True, True]
    assert partners(near_duplicates(faint)) == set()


def gradient(top, bottom, size=(120, 160), noise=2.0, tilt=0.0, seed=0):
    """A clear sky: from one colour at the top to another at the bottom, with a camera's noise."""
    t = np.linspace(0, 1, size[0])[:, None, None] + tilt * np.linspace(-1, 1, size[1])[:, None]
    colour = np.array(top) + (np.array(bottom) - top) * t
    colour = colour + np.random.default_rng(seed).normal(0, noise, colour.shape)
    return colour.clip(0, 255).round().astype(np.uint8)


SKIES = [gradient((60, 110, 190), (150, 190, 235)), gradient((70, 120, 200), (140, 180, 225)),
         gradient((80, 130, 200), (160, 200, 240), tilt=0.3), gradient((200,) * 3, (80,) * 3),
         gradient((120, 160, 220), (128, 166, 224)), gradient((122, 160, 220), (128, 166, 222))]


def test_skies_are_neither_empty_nor_copies_of_each_other():
    found = perceptual_hashes(dataset(SKIES))
    assert not found.even.any() and found.flat.all()
    bits = np.bitwise_count(found.hashes[0] ^ found.hashes[1])
    assert bits < 16  # by their hashes they might be copies
    assert partners(near_duplicates(dataset(SKIES), found)) == set()
    again = dataset([*SKIES, SKIES[2].copy()])
    assert partners(near_duplicates(again)) == {(2, 6)}  # of exactly the same pixels


def test_one_even_colour_is_measured_in_colour_and_on_all_pixels(rng):
    stripes = np.where(np.indices((128, 128)).sum(axis=0) % 4 < 2, 90, 160).astype(np.uint8)
    hues = np.zeros((64, 64, 3), np.uint8)  # two colours of the same grey, 76
    hues[:, :32], hues[:, 32:] = (255, 0, 0), (0, 130, 0)
    not_even = [stripes, hues, rng.integers(0, 256, (64, 64, 3), np.uint8), scenes()[0]]
    dot = np.full((400, 400), 255, np.uint8)
    dot[200:204, 200:204] = 0  # a word on a page
    even = [np.full((50, 60, 3), (30, 60, 200), np.uint8), np.full((1, 1), 7, np.uint8),
            gradient((9, 9, 9), (9, 9, 9), (480, 640), noise=3),  # a covered lens
            saved_again(np.full((50, 60, 3), (200, 30, 90), np.uint8))]
    found = perceptual_hashes(dataset([*not_even, dot, *even]))
    assert found.even.tolist() == [False] * 5 + [True] * 4


def test_the_flat_thumbnails_are_those_of_a_plane(rng):
    i, j = np.mgrid[:32, :32]
    planes = np.stack([100 + 2 * i - j, 40 + 5 * j, np.full((32, 32), 9)]).astype(np.uint8)
    bumps = (planes + 30 * (i > 15) * (j > 15)).astype(np.uint8)
    found = perceptual_hashes(dataset(list(planes) + list(bumps)))
    assert np.array_equal(found.thumbnails, np.concatenate([planes, bumps]))
    assert found.flat.tolist() == [True] * 3 + [False] * 3
    design = np.stack([np.ones(1024), i.ravel(), j.ravel()], axis=1)
    for thumbnail, is_flat in zip(found.thumbnails, found.flat, strict=True):
        residual = np.linalg.lstsq(design, thumbnail.ravel().astype(float), rcond=None)[1][0]
        assert (np.sqrt(residual / 1024) < 4) == is_flat


def test_distance_and_similarity_decide():
    photo = scenes()[3]
    pair = dataset([photo, saved_again(photo)])
    assert partners(near_duplicates(pair)) == {(0, 1)}
    assert partners(near_duplicates(pair, similarity=1.01)) == set()
    mirrored = dataset([photo, photo[:, ::-1].copy()])
    assert partners(near_duplicates(mirrored)) == set()
    assert partners(near_duplicates(mirrored, distance=64, similarity=-1)) == {(0, 1)}


def test_no_photos_have_no_groups():
    assert near_duplicates(dataset([])).shape == (0,)
    assert_same(near_duplicates(dataset(scenes()[:1])), np.array([0]))


def test_fingerprints_of_other_photos_are_refused():
    photos = scenes()
    with assert_refused("fingerprints of 3 photos", "those of 2"):
        near_duplicates(dataset(photos[:3]), perceptual_hashes(dataset(photos[:2])))


# ---- reading
def test_every_photo_is_decoded_once_upright_and_damage_is_told(tmp_path):
    for name, orientation in (("a/1.jpg", 1), ("a/2.jpg", 6), ("b/1.jpg", 1), ("b/2.jpg", 1)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(scenes()[0]).save(tmp_path / name, exif=exif)
    data = (tmp_path / "b" / "1.jpg").read_bytes()
    (tmp_path / "b" / "1.jpg").write_bytes(data[:len(data) // 2])
    folder, reads, calls = ImageFolder(tmp_path), [], []
    read = folder.read
    folder.read = lambda i: (reads.append(i), read(i))[1]
    found = perceptual_hashes(folder, lambda done, total: calls.append((done, total)))
    assert sorted(reads) == [0, 1, 2, 3]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.sizes.tolist() == [[150, 180], [180, 150], [0, 0], [150, 180]]
    assert list(found.unread) == [2] and "b/1.jpg: expected a readable" in found.unread[2]
    assert found.same.tolist() == [0, 1, 2, 0]
    assert partners(near_duplicates(folder, found)) == {(0, 3)}
    turned = Image.fromarray(read(1)).convert("L").resize((32, 32), Image.Resampling.BILINEAR)
    assert_same(found.thumbnails[1], np.asarray(turned))
