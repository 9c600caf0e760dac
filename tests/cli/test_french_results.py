"""In French, what an analysis or a command prints and what stands in its figures is French.

Each is made in both languages. What is the same in both may have names only (of layers, classes,
photos), numbers, and words that are the same in both languages. And no English text of the
catalogue may be left in what is French.
"""

import html
import re
import string

import catalogue
import numpy as np
import pytest
from makers import clothes, random_pixels, run_command
from matplotlib.text import Text

import minicnn as mc
from minicnn import experiments, visualize
from minicnn.cli.methods import METHODS
from minicnn.evaluation import Evaluation
from minicnn.plotting import drawing
from minicnn.plotting.comparison import comparison_figure
from minicnn.plotting.curves import curves_figure
from minicnn.plotting.metric_figures import (
    calibration_figure,
    precision_recall_figure,
    roc_figure,
)
from minicnn.report.atlas import write_atlas
from minicnn.report.class_curves import precision_recall_curves, roc_curves
from minicnn.utils.language import use_language

NAMES = {"conv", "maxpool", "mathdefault", "dense", "flatten", "small", "cnn", "relu", "softmax",
         "left", "right", "photo", "sneaker", "sandal", "toe", "heel", "sole", "png", "vgg",
         "grad", "cam", "layer", "hirescam", "smoothgrad"}
SAME = {"photos", "gradient", "gradients", "occlusion", "rotation", "score", "maximum", "centre",
        "positions", "projections", "filtres", "activation", "activations", "octaves", "classes",
        "pixels", "ablation", "validation", "insertion", "calibration", "test", "float", "nan",
        "convolution", "min", "variance", "position", "ece"}


def texts_of(figure):
    """What stands in the figure as it is saved."""
    drawing.png(figure)
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def english_fragments():
    """The parts between the fields of the texts that have another French: two words or more."""
    translations = catalogue.read_po(catalogue.catalogues()[0])
    for key, translation in translations.items():
        for text, french in zip(key.split("\0"), translation.split("\0"), strict=True):
            for fragment, *_ in string.Formatter().parse(text):
                if re.search(r"[A-Za-z]{3,}\W+[a-z]{3,}", fragment) and fragment not in french:
                    yield fragment.strip()


FRAGMENTS = sorted({*english_fragments()})


def assert_french(english, french):
    """Two lists of texts, the same in both languages."""
    assert len(english) == len(french) > 0
    both = [a for a, b in zip(english, french, strict=True) if a == b]
    left = {word for text in both for word in re.findall("[a-z]{3,}", text.lower())}
    assert left - NAMES - SAME == set()
    written = "\n".join(french)
    assert [fragment for fragment in FRAGMENTS if fragment in written] == []


def lines_and_texts(make):
    """Those of the result of make()."""
    result = make()
    return [*str(result).splitlines(), *texts_of(result.figure())]


def in_both(make):
    """(English, French) lines and texts of the result of make()."""
    made = []
    for code in ("en", "fr"):
        with use_language(code):
            made.append(lines_and_texts(make))
    return made


@pytest.fixture(scope="module")
def model():
    network = mc.SmallCNN(3, (16, 16, 3))
    network.classes = ["left", "right", "7"]
    return network


PHOTO, PHOTOS = random_pixels(20, 24, 3), list(random_pixels(6, 20, 24, 3))
ONE_PHOTO = ("feature_maps", "rank_maps", "deconvnet", "gradient", "gradient_x_input",
             "guided_backprop", "smooth_grad", "integrated_gradients", "hires_cam", "grad_cam",
             "guided_grad_cam", "grad_cam_pp", "score_cam", "layer_cam", "occlusion", "dream",
             "inversion")
RESULTS = {
    **{name: lambda model, name=name: getattr(visualize, name)(model, PHOTO)
       for name in ONE_PHOTO},
    **{name: lambda model, name=name: getattr(visualize, name)(model, PHOTOS)
       for name in ("first_layer", "top_patches", "activity", "pca", "invariance")},
    "first_layer without photos": lambda model: visualize.first_layer(model),
    "grad_cam, negative": lambda model: visualize.grad_cam(model, PHOTO, sign="negative"),
    "gradient of a unit": lambda model: visualize.gradient(
        model, PHOTO, visualize.Unit("dense", 3)),
    "occlusion of a map": lambda model: visualize.occlusion(
        model, PHOTO, visualize.Unit("conv2d", 3, (1, 2))),
    "correspondence": lambda model: visualize.correspondence(model, draws=2),
    "maximise": lambda model: visualize.maximise(model, 1, steps=8),
    "randomisation_check": lambda model: visualize.randomisation_check(
        model, PHOTO, visualize.guided_backprop),
    "faithfulness": lambda model: visualize.faithfulness(model, PHOTOS[:2], visualize.hires_cam,
                                                         steps=4),
    "faithfulness of one photo": lambda model: visualize.faithfulness(
        model, PHOTO, visualize.gradient, steps=4),
    "probes": lambda model: experiments.probes(model, clothes(), folds=2),
    "evolution": lambda model: experiments.evolution(clothes(), epochs=(1, 2), maps=2),
    "ablation": lambda model: experiments.ablation(clothes(), clothes("test"), epochs=1, seeds=2),
    "transfer_curve": lambda model: experiments.transfer_curve(
        clothes(), per_class=(1, 2), folds=2, size=32, steps=2),
    "find_lr": lambda model: mc.training.find_lr(
        mc.SmallCNN(2, (16, 16, 3)), clothes(), mc.losses.BinaryCrossEntropy(), steps=10),
}


def test_every_analysis_is_here():
    names = {method.function.split(".")[1] for method in METHODS.values()}
    assert names <= set(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_results_and_their_figures_are_french(name, model):
    assert_french(*in_both(lambda: RESULTS[name](model)))


def evaluations():
    """Of two classes and of eight, the latter with curves that have no name."""
    rng = np.random.default_rng(0)
    for K in (2, 9):
        p = rng.dirichlet(np.ones(K), 40)
        yield Evaluation(p, rng.integers(K, size=40), [f"class{k}" for k in range(K)])


def figures_of_runs():
    """Those that train, evaluate and compare write."""
    history = {"loss": [1, 0.5], "accuracy": [0.5, 0.75], "val_loss": [1, 0.7],
               "val_accuracy": [0.5, 0.6]}
    yield curves_figure(history, best=2, scratch=history)
    held_out = {key.replace("val_", "held_out_"): values for key, values in history.items()}
    yield curves_figure(held_out)
    yield comparison_figure(["1", "2"], [[0.5, 0.75], [0.5]], [(0.75, 0.6, 0.9)] * 2,
                            [True, False])
    yield comparison_figure(["1"], [[]], [(0.75, 0.6, 0.9)], [False])
    for result in evaluations():
        binary = len(result.classes) == 2
        yield result.figure()
        yield roc_figure(roc_curves(result), binary, 40, 0.5)
        yield precision_recall_figure(precision_recall_curves(result), 1,
                                      0.5 if binary else None, 0.5)
    yield roc_figure([], True, 200)
    bins = np.linspace(0.05, 0.95, 10)
    yield calibration_figure(bins, bins, np.arange(10), np.stack([bins, bins], 1), 0.125)


def test_the_figures_of_runs_are_french():
    made = []
    for code in ("en", "fr"):
        with use_language(code):
            made.append([text.replace("class", "k") for figure in figures_of_runs()
                         for text in texts_of(figure)])
    assert_french(*made)
    assert "époque" in made[1] and "hasard" in "".join(made[1])


@pytest.mark.pictures
def test_numbers_along_the_axes_have_the_decimal_sign():
    figure = drawing.new_figure(6, 4)
    figure.subplots().plot([0, 0.5], [0, 1e-7])
    with use_language("fr"):
        texts = texts_of(figure)
    assert "0,2" in texts and not any(re.search(r"\d\.\d", text) for text in texts)


@pytest.mark.parametrize("value", [0.0, 0.5, np.nan])
def test_why_a_map_shows_nothing_is_french(value):
    made = []
    for code in ("en", "fr"):
        with use_language(code):
            figure = drawing.new_figure(3, 3)
            drawing.show_map(figure.subplots(), np.full((4, 4), value))
            made.append(texts_of(figure))
    assert_french(*made)


def test_the_methods_are_listed_in_french(capsys):
    english, french = (run_command(capsys, "look", "--lang", code)[1].splitlines()
                       for code in ("en", "fr"))
    assert_french(*([line.split(maxsplit=1)[1] for line in lines] for lines in (english, french)))


def test_export_says_in_french_what_it_wrote(model, tmp_path, capsys):
    pytest.importorskip("onnx")
    model.save(tmp_path / "m.h5")
    english, french = (run_command(capsys, "export", tmp_path / "m.h5", tmp_path / "m.onnx",
                                   "--force", "--lang", code)[1].splitlines()[1:]
                       for code in ("en", "fr"))
    assert_french(english, french)


def test_the_atlas_is_french(model, tmp_path):
    pages = []
    for code in ("en", "fr"):
        with use_language(code):
            write_atlas(tmp_path / f"{code}.html", model, PHOTOS[:2], maps=1,
                                  maximised=False)
        body = re.sub("<script.*?</script>", "", (tmp_path / f"{code}.html").read_text("utf-8"),
                      flags=re.DOTALL).partition("<body>")[2]
        texts = [*re.findall(">([^<>]+)<", body),
                 *re.findall(r'(?:aria-label|title|alt|data-label)="([^"]*)"', body)]
        pages.append([html.unescape(text) for text in texts if text.strip()])
    assert_french(*pages)


LAYER = '''
import minicnn as mc

class Wrong(mc.Dense):
    def __init__(self):
        super().__init__(4)

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"], self.grads["b"] = -self.grads["W"], dy.mean(axis=0)
        return dx
'''


def test_what_gradcheck_says_of_a_layer_is_french_and_its_json_english(tmp_path, capsys):
    file = tmp_path / "layer.py"
    file.write_text(LAYER)
    words = ["gradcheck", f"{file}:Wrong", "--shape", "5,7"]
    english, french = (run_command(capsys, *words, "--lang", code)[1].splitlines()
                       for code in ("en", "fr"))
    assert_french(english, french)
    assert french[-4:] == ["Votre dx est juste.", "Votre dW est juste au signe près.",
                           "Votre db vaut 0,2 fois ce qui est juste (1/N)\u00a0: une moyenne sur "
                           "le lot, et non sa somme\u202f?", "2 faux"]
    assert len({run_command(capsys, *words, "--json", "--lang", code)[1]
                for code in ("en", "fr")}) == 1
