"""The atlas holds the numbers and the pictures that it names, in one file, and refuses early."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from makers import picture_of, random_pixels
from reference import assert_refused

import minicnn as mc
from minicnn.report import atlas_maps
from minicnn.report.atlas import collect, write_atlas
from minicnn.report.atlas_maps import hint, signed_picture
from minicnn.report.atlas_photos import METHODS, QUICK
from minicnn.report.html import Markup, element
from minicnn.report.pages import heat_picture
from minicnn.utils.errors import MiniCNNError
from minicnn.visualize.target import chosen_layers

EVIL = "</script><script>window.bad = 1</script>"
FEW = {"maps": 1, "examples": 1, "maximised": False}


class Elements(HTMLParser):
    """(tag, attributes) of every element of a page, and its texts."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_data(self, data):
        self.texts.append(data)

    def of_class(self, name):
        """The attributes of the elements of this class."""
        return [attributes for _, attributes in self.elements
                if name in (attributes.get("class") or "").split()]


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
    page = collect(model, [photo // 2, photo], n=2, maximised=False)
    first, second = page["layers"][0]["maps"][0]["patches"]
    assert (first["activation"], second["activation"]) == ("250", "125")
    assert (first["photo"], second["photo"]) == ("photo 1", "photo 0")
    assert (first["position"], first["pixels"]) == ("row 3, column 4", "rows 3–5, columns 4–6")
    assert first["box"] == [4, 3, 3, 3]  # left, top, width, height
    assert page["layers"][0]["maps"][0]["strongest"] == "250"
    np.testing.assert_array_equal(picture_of(first["patch"]), photo[3:6, 4:7])
    projection = picture_of(first["projection"]).astype(int)
    assert projection[1, 1, 0] == 255 and (np.delete(projection.ravel(), 12) == 128).all()


def test_journey_shows_the_maps_of_largest_mean_with_their_numbers(tmp_path, rng):
    conv = mc.Conv2D(3, 1, activation="relu")
    model = mc.Sequential([conv], (8, 8, 3), preprocessing=mc.Preprocessing("RGB", (0, 0, 0), 1.0))
    conv.params["W"][:] = np.array([[1, 3, -1], [0, 0, 0], [0, 0, 0]])
    photo = np.zeros((8, 8, 3), np.uint8)
    photo[:4, :, 0] = 80
    step = collect(model, [photo], maximised=False)["photos"][0]["journey"][0]
    assert [(m["unit"], m["mean"], m["maximum"], m["active"]) for m in step["maps"][:2]] == [
        (1, "120", "240", "50 %"), (0, "40", "80", "50 %")]
    assert step["maps"][2]["blank"] == "zero everywhere" and step["maps"][2]["picture"] == ""
    assert (step["silent"], step["count"], step["shape"]) == (1, 3, "8 × 8 × 3")


def test_of_two_classes_the_predicted_one_is_explained_and_both_are_named(model, photos):
    page = collect(model, photos, **FEW)
    entry = page["photos"][0]
    row, = entry["answers"]  # the map of the other class is its negative
    assert row["target"] == entry["outputs"][0]["name"] and row["kind"] == "logit, before sigmoid"
    assert {output["name"] for output in entry["outputs"]} == {"sneaker", EVIL}
    percents = [float(row["value"].removesuffix(" %")) for row in entry["outputs"]]
    assert percents[0] > 50
    assert percents[0] == pytest.approx(100 / (1 + np.exp(-float(row["score"]))), abs=0.1)
    assert sum(percents) == pytest.approx(100, abs=0.2)
    assert [card["method"] for card in row["cards"]] == ["HiResCAM", *METHODS]
    warnings = {card["method"]: card["warning"] for card in row["cards"] if card["warning"]}
    assert set(warnings) == {"guided backprop", "Grad-CAM", "guided Grad-CAM", "Grad-CAM++"}
    assert "Adebayo" in warnings["guided backprop"] and "opposite" in warnings["Grad-CAM"]


def test_the_class_next_to_the_predicted_one_is_explained_too(photos):
    model = mc.SmallCNN(4)
    model.classes = ["a", "b", "c", "d"]
    entry = collect(model, photos, **FEW)["photos"][0]
    p = model.predict(np.stack(photos[:1]))[0]
    order = [model.classes[k] for k in np.argsort(-p)]
    assert [row["target"] for row in entry["answers"]] == order[:2]
    assert [row["name"] for row in entry["outputs"]] == order


def test_after_a_global_average_no_picture_is_shown_twice(photos):
    model = mc.Sequential([mc.Conv2D(4, 3, activation="relu"), mc.GlobalAveragePool2D(),
                           mc.Dense(3), mc.Softmax()], (28, 28, 3), 1,
                          preprocessing=mc.Preprocessing())
    cards = collect(model, photos, **FEW)["photos"][0]["answers"][0]["cards"]
    assert [card["method"] for card in cards].count("Grad-CAM") == 1
    assert cards[0]["method"] == "Grad-CAM" and not cards[0]["warning"]


def test_a_network_without_classes_gets_no_class_activation_map(photos, tmp_path):
    model = mc.Sequential([mc.Conv2D(4, 3, activation="relu"), mc.MaxPool2D(2)], (28, 28, 3), 1,
                          preprocessing=mc.Preprocessing())
    cards = collect(model, photos, **FEW)["photos"][0]["answers"][0]["cards"]
    assert not any("CAM" in card["method"] or card["blank"] for card in cards) and len(cards) == 6
    text = write_atlas(tmp_path / "a.html", model, photos, **FEW).read_text("utf-8")
    assert "need a network with classes" in text


def test_photos_to_choose_from_are_spread_and_only_the_first_has_the_slow_methods(model, photos):
    page = collect(model, photos, maps=1, examples=4, maximised=False)
    assert [entry["name"] for entry in page["photos"]] == [
        "photo 0", "photo 4", "photo 7", "photo 11"]
    methods = [[card["method"] for card in entry["answers"][0]["cards"]]
               for entry in page["photos"]]
    assert methods[0] == ["HiResCAM", *METHODS] and methods[1:] == [["HiResCAM", *QUICK]] * 3
    given = collect(model, photos, image=photos[5], maps=1, examples=2, maximised=False)
    assert [entry["name"] for entry in given["photos"]] == ["the given photo", "photo 0"]


def test_each_map_has_a_maximised_image_or_says_why_not(model, photos):
    rows = collect(model, photos, maps=2, examples=1)["layers"]
    images = [entry["maximised"] for row in rows for entry in row["maps"]]
    assert len(images) == 4 and all(picture_of(uri).std() > 5 for uri in images)
    for entry in collect(model, photos, **FEW)["layers"][0]["maps"]:
        assert entry["maximised"] == "" and entry["no_image"]
    dead = mc.SmallCNN(2)
    dead.layers[0].params["W"][:], dead.layers[0].params["b"][:] = 0, -1
    assert "zero gradient" in atlas_maps.maximised_picture(dead, dead.layers[0].name, 0)[1]


def test_without_a_script_every_picture_and_number_is_in_the_page(tmp_path, model, photos):
    page = collect(model, photos, maps=2, examples=2)
    text = write_atlas(tmp_path / "a.html", model, photos, maps=2, examples=2).read_text("utf-8")
    body = Elements(text[text.index("<main"):text.index("</main>")])
    patches = [patch for row in page["layers"] for entry in row["maps"]
               for patch in entry["patches"]]
    sources = [attributes.get("src") for tag, attributes in body.elements if tag == "img"]
    for uri in [patch[key] for patch in patches for key in ("patch", "projection") if patch[key]]:
        assert uri in sources
    frames = [tuple(int(a[key]) for key in ("x", "y", "width", "height"))
              for a in body.of_class("frame")]
    assert frames == [tuple(patch["box"]) for patch in patches]
    stored = {a["id"] for tag, a in body.elements if tag == "image"}
    used = {a["href"].removeprefix("#") for tag, a in body.elements if tag == "use"}
    assert used == stored == {f"whole{patch['index']}" for patch in patches}
    words = "".join(body.texts)
    for patch in patches:
        assert patch["activation"] in words and patch["pixels"] in words
    for entry in page["photos"]:
        assert entry["picture"] in sources and entry["outputs"][0]["value"] in words
        assert all(card["picture"] in sources for row in entry["answers"]
                   for card in row["cards"] if not card["blank"])
    links = [a["href"] for tag, a in body.elements if tag == "a"]
    assert links == ["#layer-conv2d", "#layer-conv2d_1"]
    assert {"layer-conv2d", "layer-conv2d_1"} <= {a.get("id") for _, a in body.elements}
    assert words.count("The patches are tiny") == 1  # for both layers, said once


def test_markup_escapes_names_in_texts_and_attributes():
    text = element("p", 'a < b & "c"', element("b", "bold"), title='"><i>', data_at=3, hidden=False)
    assert text == ('<p title="&quot;&gt;&lt;i&gt;" data-at="3">a &lt; b &amp; &quot;c&quot;'
                    "<b>bold</b></p>")
    assert isinstance(text, Markup) and element("img", src="x") == '<img src="x"/>'


def test_names_stay_text(tmp_path, model, photos):
    data = mc.data.Dataset(photos, [0] * 12, ["a"], [EVIL + str(i) for i in range(12)])
    text = write_atlas(tmp_path / "a.html", model, data, **FEW).read_text("utf-8")
    assert EVIL not in text
    assert text.count("<script") == 2
    assert EVIL + "0" in Elements(text).texts


def test_page_names_no_address_from_which_it_would_load(tmp_path, model, photos):
    text = write_atlas(tmp_path / "a.html", model, photos, **FEW).read_text("utf-8")
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
    for wrong in ({"maps": 0}, {"n": 0}, {"examples": 0}, {"layers": []}, {"layers": "conv2d"}):
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
        patched.setattr(atlas_maps, "top_patches", lambda *a, **k: asked.append(a))
        with assert_refused("force"):
            write_atlas(tmp_path / "a.html", model, photos)
    assert asked == [] and (tmp_path / "a.html").read_text() == "precious"
    write_atlas(tmp_path / "a.html", model, photos, force=True, **FEW)
    assert (tmp_path / "a.html").read_text("utf-8").startswith("<!doctype html>")


def test_a_failure_while_writing_keeps_the_old_page_and_leaves_nothing_else(
        tmp_path, model, photos, monkeypatch):
    (tmp_path / "a.html").write_text("precious")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MiniCNNError, match="No space left"):
        write_atlas(tmp_path / "a.html", model, photos, force=True, **FEW)
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert (tmp_path / "a.html").read_text() == "precious"


def test_zero_and_nan_networks_say_so_instead_of_a_picture(photos):
    for value, words in ((0, "never active"), (np.nan, "finite")):
        model = mc.SmallCNN(2)
        for layer in model.layers:
            for p in layer.params.values():
                p[:] = value
        page = collect(model, photos, **{**FEW, "maximised": True})
        row = page["layers"][0]
        assert words in row["blank"] + "".join(one["blank"] for one in row["maps"])
        cards = page["photos"][0]["answers"][0]["cards"]
        assert [card["method"] for card in cards if not card["blank"] or card["picture"]] == []
        assert all(entry["blank"] and not entry["picture"]
                   for entry in page["photos"][0]["journey"][0]["maps"])


def test_progress_rises_to_its_end(tmp_path, model, photos):
    calls = []
    write_atlas(tmp_path / "a.html", model, photos, maps=1, examples=3,
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
    assert signed_picture(x)[0].tolist() == [[128] * 3, [255] * 3, [0] * 3]
