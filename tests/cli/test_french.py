"""The commands and their pages in French: --lang fr, or the environment; files for machines not."""

import csv
import html
import json
import os
import platform
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import cli
from minicnn.summary import backend_name

TRAIN = ["train", "--sample", "fashion", "--per-class", "4", "--epochs", "2", "--size", "32"]
# Words that are the same in both languages, and names of options, classes, layers and packages.
SAME = {"Calibration", "option", "photos", "test", "constant", "sandal", "sneaker", "↑ sneaker",
        "↓ sandal", "fashion", "machine", "backend", backend_name(), "cpu",
        "32 × 32 pixels", "versions", "block4_pool",
        f"minicnn {minicnn.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}"}
HEADINGS = {"How it learned": "Comment il a appris",
            "Right and wrong": "Bonnes réponses et erreurs",
            "Confusion matrix": "Matrice de confusion", "Each class": "Classe par classe",
            "What it gets wrong, and where it looks": "Ses erreurs, et où il regarde",
            "Where to draw the line (threshold)": "Où placer la limite (seuil)",
            "What was set": "Les réglages",
            "How the photos were split": "La répartition des photos",
            "true class": "classe réelle", "Accuracy": "Exactitude", "Loss": "Perte"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder of an English run, of the same in French, what the latter printed)."""
    folder, words = tmp_path_factory.mktemp("french"), [sys.executable, "-m", "minicnn", *TRAIN]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    subprocess.run([*words, "--output", "en"], cwd=folder, env=environment, check=True,
                   capture_output=True)
    french = subprocess.run([*words, "--output", "fr", "--lang", "fr"], cwd=folder, env=environment,
                            check=True, capture_output=True)
    return folder / "en", folder / "fr", french.stdout.decode("utf-8")


def page(folder):
    return (folder / "report.html").read_text("utf-8")


def texts(folder):
    """What people read on a page, those included who hear it."""
    body = re.search(r"<body>(.*?)<script", page(folder), re.DOTALL)[1]
    found = [*re.findall(r">([^<>]+)<", body),
             *re.findall(r'(?:aria-label|title|data-label)="([^"]*)"', body)]
    return {html.unescape(text).strip() for text in found}


def test_train_speaks_french(runs):
    lines = runs[2].splitlines()
    assert lines[0] == "sandal ou sneaker\u202f? 4 + 4 photos d’entraînement, 200 photos de test."
    assert re.fullmatch(r"VGG16, nouvelle tête\u00a0?\s?: \d+ sur 200 bien classées, soit "
                        r"[\d,]+\u202f% \(intervalle à 95\u202f%\s: de [\d,]+ à [\d,]+\u202f%\)",
                        lines[1])
    assert lines[2].startswith("Petit CNN à partir de zéro")
    assert "taux d’apprentissage, mesuré" in page(runs[1])
    assert lines[-2].startswith("À ouvrir") and lines[-1].startswith("Ensuite")


def test_the_page_is_french_and_nothing_english_is_left_on_it(runs):
    english, french = (texts(folder) for folder in runs[:2])
    assert set(HEADINGS) <= english
    assert set(HEADINGS.values()) <= french
    options = json.loads((runs[0] / "run.json").read_text("utf-8"))
    left = {text for text in english & french if re.search("[a-z]{3}", text)
            and not re.fullmatch(r"--[a-z-]+|fashion_mini/test/\d+|[\d.]+ % \w+", text)}
    assert left - set(options) <= SAME
    assert '<html lang="fr">' in page(runs[1])


def test_the_script_has_its_words_and_signs(runs):
    english, french = (json.loads(re.search(r'id="data">(.*?)</script>', page(folder))[1])
                       for folder in runs[:2])
    assert "words" not in english and "decimal" not in english
    assert french["decimal"] == ","
    assert french["words"]["epoch {epoch}: "] == "époque {epoch}\u00a0: "
    assert french["words"]["{num} more by name"] == "{num} autres, par leur nom"


def test_files_for_machines_are_the_same(runs):
    english, french = runs[:2]
    for name in ("history.csv", "predictions.csv", "split.csv", "scores.json"):
        assert (english / name).read_bytes() == (french / name).read_bytes()
    options = [json.loads((folder / "run.json").read_text("utf-8")) for folder in runs[:2]]
    assert options[0].keys() == options[1].keys() and "lang" not in options[1]
    with (french / "history.csv").open(newline="") as file:
        assert next(csv.reader(file))[:2] == ["epoch", "loss"]
    assert {path.name for path in english.iterdir()} == {path.name for path in french.iterdir()}


def test_the_environment_chooses_and_the_option_overrides_it(runs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "red").save("photo.png")
    words = ["predict", str(runs[0]), "photo.png"]
    monkeypatch.delenv("LANGUAGE")
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    assert cli.main(words) == 0
    assert re.match(r"photo\.png\u00a0: \d+,\d\u202f% ", capfd.readouterr().out)
    assert cli.main([*words, "--lang", "en"]) == 0
    assert re.match(r"photo\.png: \d+\.\d % ", capfd.readouterr().out)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert cli.main(words) == 0
    assert re.match(r"photo\.png: \d+\.\d % ", capfd.readouterr().out)


def test_json_and_csv_are_for_machines_in_french_too(runs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40), "red").save("photo.png")
    for kind in ("csv", "json"):
        outputs = []
        for code in ("en", "fr"):
            assert cli.main(["predict", str(runs[0]), "photo.png", "--format", kind, "--lang",
                             code]) == 0
            outputs.append(capfd.readouterr().out)
        assert outputs[0] == outputs[1]


def test_data_evaluate_and_compare_speak_french(runs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for k in range(8):
        name = ("sandal", "sneaker")[k % 2]
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((80, 80), 60 + 9 * k).convert("RGB").save(f"photos/{name}/{k}.png")
    assert cli.main(["data", "photos", "--lang", "fr"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("photos/\u00a0: 8 photos, 2 classes, ") and "À ouvrir" in out
    assert {"À quoi elles ressemblent", "Combien de photos par classe"} <= texts(
        tmp_path / "photos-report")
    assert cli.main(["evaluate", str(runs[0]), "photos", "--output", "e", "--lang", "fr"]) == 0
    out = capfd.readouterr().out
    assert "photos sur 8 bien classées" in out and "précision" in out
    assert "Bonnes réponses et erreurs" in texts(tmp_path / "e")
    assert cli.main(["compare", *map(str, runs[:2]), "--lang", "fr"]) == 0
    assert "Test de McNemar" in capfd.readouterr().out


def test_an_unknown_language_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--lang", "xx"])
    assert stopped.value.code == 2
    assert "--lang: expected one of en, fr, received 'xx'" in capsys.readouterr().err


def test_every_command_has_the_option(capsys):
    for command in ("data", "train", "evaluate", "compare", "predict", "export", "look", "atlas",
                    "gradcheck"):
        assert cli.main(["help", command]) == 0
        assert "--lang" in capsys.readouterr().out, command


def test_a_terminal_without_accents_shows_letters():
    out = subprocess.run([sys.executable, "-m", "minicnn"], capture_output=True, check=True, env={
        **os.environ, "LANGUAGE": "fr", "PYTHONIOENCODING": "ascii"})
    assert "reseaux convolutifs" in out.stdout.decode("ascii")
