"""The atlas holds the numbers and the pictures that it names, in one file, and refuses early."""

import re
from pathlib import Path

import numpy as np
import pytest
from makers import page_of, picture_of, random_pixels
from reference import assert_refused

import minicnn as mc
from minicnn.report import atlas
from minicnn.report.atlas import METHODS, chosen_layers, heat_picture, hint, write_atlas
from minicnn.utils.errors import MiniCNNError

EVIL = "</script><script>window.bad = 1</script>"


@pytest.fixture
def photos():
    return list(random_pixels(12, 28, 28, 3))


@pytest.fixture
def model():
    model = mc.SmallCNN(10)
    return model.replace_head([mc.Dense(1), mc.Sigmoid()], classes=[EVIL, "sneaker"])


def test_strongest_patch_is_the_window_around_the_brightest_pixel(tmp_path, rng):
    # A 3 × 3 convolution that passes red on: its strongest place is the reddest pixel.
    conv = mc.Conv2D(1, 3, padding="valid", activation="relu")
    model = mc.Sequential([conv], (8, 8, 3), preprocessing=mc.Preprocessing("RGB", (0, 0, 0), 1.0))
    conv.params["W"][:] = 0
    conv.params["W"][1, 1, 0] = 1
    photo = rng.integers(0, 200, (8, 8, 3), np.uint8)
    photo[4, 5, 0] = 250
    page = page_of(write_atlas(tmp_path / "a.html", model, [photo // 2, photo], n=2))
    first, second = page["layers"][0]["maps"][0]["places"]
    assert (first["activation"], second["activation"]) == ("250", "125")
    assert (first["photo"], second["photo"]) == ("photo 1", "photo 0")
    assert (first["position"], first["box"]) == ("row 3, column 4", "rows 3–5, columns 4–6")
    np.testing.assert_array_equal(picture_of(first["patch"]), photo[3:6, 4:7])
    projection = picture_of(first["projection"]).astype(int)
    assert projection[1, 1, 0] == 255 and (np.delete(projection.ravel(), 12) == 128).all()


def test_journey_shows_the_maps_of_largest_mean_with_their_numbers(tmp_path, rng):
    conv = mc.Conv2D(3, 1, activation="relu")
    model = mc.Sequential([conv], (8, 8, 3), preprocessing=mc.Preprocessing("RGB", (0, 0, 0), 1.0))
    conv.params["W"][:] = np.array([[1, 3, -1], [0, 0, 0], [0, 0, 0]])
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[:4, :, 0] = 80
    step = page_of(write_atlas(tmp_path / "a.html", model, [photo]))["journey"][0]
    assert [(m["unit"], m["mean"], m["maximum"], m["active"]) for m in step["maps"][:2]] == [
        (1, "120", "240", "50%"), (0, "40", "80", "50%")]
    assert step["maps"][2]["blank"] == "zero everywhere" and step["maps"][2]["picture"] == ""
    assert (step["silent"], step["count"], step["shape"]) == (1, 3, "8 × 8 × 3")


def test_one_sigmoid_output_is_explained_for_both_classes_with_opposite_scores(
        tmp_path, model, photos):
    page = page_of(write_atlas(tmp_path / "a.html", model, photos, maps=1))
    assert [one["target"] for one in page["answers"]] == ["sneaker", EVIL]
    scores = [float(one["score"]) for one in page["answers"]]
    assert scores[0] == -scores[1] != 0
    p = {one["name"]: float(one["value"]) for one in page["outputs"]}
    assert p["sneaker"] == pytest.approx(1 / (1 + np.exp(-scores[0])), abs=1e-3)
    assert sum(p.values()) == pytest.approx(1, abs=2e-3)
    for one in page["answers"]:
        assert [card["method"] for card in one["cards"]] == list(METHODS)
    guided = next(card for card in page["answers"][0]["cards"]
                  if card["method"] == "guided backprop")
    assert "Adebayo" in guided["note"]


def test_names_stay_text(tmp_path, model, photos):
    data = mc.data.Dataset(photos, [0] * 12, ["a"], [EVIL + str(i) for i in range(12)])
    text = write_atlas(tmp_path / "a.html", model, data, maps=1).read_text("utf-8")
    assert EVIL not in text
    assert text.count("<script") == 2
    assert page_of(tmp_path / "a.html")["photo"]["name"] == EVIL + "0"


def test_page_names_no_address_from_which_it_would_load(tmp_path, model, photos):
    text = write_atlas(tmp_path / "a.html", model, photos, maps=1).read_text("utf-8")
    assert "default-src 'none'" in text
    assert re.findall(r"https?:|@import|url\(|<script[^>]*src|<link[^>]*stylesheet", text) == []


def test_layers_are_the_convolutions_before_the_poolings_at_most_five():
    vgg = mc.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    assert chosen_layers(vgg, None) == ["block1_conv2", "block2_conv2", "block3_conv3",
                                        "block4_conv3", "block5_conv3"]
    many = [layer for _ in range(7) for layer in (mc.Conv2D(1, 1), mc.MaxPool2D(1))]
    found = chosen_layers(mc.Sequential(many, (8, 8, 3)), None)
    assert len(found) == 5 and (found[0], found[-1]) == ("conv2d", "conv2d_6")
    plain = mc.Sequential([mc.Conv2D(1, 3), mc.Conv2D(1, 3)], (8, 8, 3))
    assert chosen_layers(plain, None) == ["conv2d_1"]


def test_bad_input_is_refused_and_leaves_no_file(tmp_path, model, photos):
    with assert_refused("conv2", "Nearest: conv2d"):
        write_atlas(tmp_path / "a.html", model, photos, layers=["conv2"])
    with assert_refused("dense", "feature maps"):
        write_atlas(tmp_path / "a.html", model, photos, layers=["dense"])
    with assert_refused("convolution"):
        write_atlas(tmp_path / "a.html", mc.Sequential([mc.Dense(2)], (4,)), photos)
    with assert_refused("at least one photo"):
        write_atlas(tmp_path / "a.html", model, [])
    for wrong in ({"maps": 0}, {"n": 0}, {"layers": []}, {"layers": "conv2d"}):
        with assert_refused(next(iter(wrong))):
            write_atlas(tmp_path / "a.html", model, photos, **wrong)
    with assert_refused(".html"):
        write_atlas(tmp_path / "a.pdf", model, photos)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_page_is_refused_before_anything_is_computed(
        tmp_path, model, photos, monkeypatch):
    (tmp_path / "a.html").write_text("precious")
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(atlas, "top_patches", lambda *a, **k: asked.append(a))
        with assert_refused("force"):
            write_atlas(tmp_path / "a.html", model, photos)
    assert asked == [] and (tmp_path / "a.html").read_text() == "precious"
    write_atlas(tmp_path / "a.html", model, photos, maps=1, force=True)
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_failure_while_writing_keeps_the_old_page_and_leaves_nothing_else(
        tmp_path, model, photos, monkeypatch):
    (tmp_path / "a.html").write_text("precious")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MiniCNNError, match="No space left"):
        write_atlas(tmp_path / "a.html", model, photos, maps=1, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text() == "precious"


def test_zero_and_nan_networks_say_so_instead_of_a_picture(tmp_path, photos):
    for value, words in ((0, "never active"), (np.nan, "finite")):
        model = mc.SmallCNN(2)
        for layer in model.layers:
            for p in layer.params.values():
                p[:] = value
        page = page_of(write_atlas(tmp_path / f"{words}.html", model, photos, maps=1))
        row = page["layers"][0]
        assert words in row["blank"] + "".join(one["blank"] for one in row["maps"])
        cards = page["answers"][0]["cards"]
        assert [card["method"] for card in cards if not card["blank"] or card["picture"]] == []
        assert all(one["blank"] and not one["picture"] for one in page["journey"][0]["maps"])


def test_progress_rises_to_its_end(tmp_path, model, photos):
    calls = []
    write_atlas(tmp_path / "a.html", model, photos, maps=1,
                progress=lambda done, total: calls.append((done, total)))
    done = [d for d, _ in calls]
    assert done == sorted(done) and len({total for _, total in calls}) == 1
    assert calls[-1][0] == calls[-1][1]


def test_colours_tell_the_signs_apart():
    red, white, blue = heat_picture(np.array([[1.0, 0.0, -1.0]]))[0].astype(int)
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50 and white.min() > 235
    dark, bright = heat_picture(np.array([[0.0, 1.0]]))[0].astype(int)
    assert dark.sum() < 50 < 500 < bright.sum()


def test_what_to_look_for_goes_by_how_much_of_the_photo_a_patch_covers():
    for field, words in [((5, 5), "an edge"), ((16, 16), "an edge"), ((18, 18), "small parts"),
                         ((92, 92), "small parts"), ((112, 92), "half of the photo")]:
        assert words in hint(field, (224, 224))


def test_a_signed_picture_of_one_channel_is_grey_and_zero_is_mid_grey():
    x = np.array([[[0.0], [2.0], [-2.0]]])
    assert atlas.signed_picture(x)[0].tolist() == [[128] * 3, [255] * 3, [0] * 3]
