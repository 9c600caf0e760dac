"""Ranks that see other photos or another model behind the same path are refused, and named, before
anything is computed: otherwise a photo would get the class of another one, or all wait for ever."""

import json
import shutil
from pathlib import Path

import pytest
from makers import classifier, contents, mpiexec, run_ranks, sentences, striped_folder

pytestmark = pytest.mark.skipif(mpiexec() is None, reason="no mpiexec, or no mpi4py")
SCRIPT = Path(__file__).with_name("ranks_cli.py")
COMMANDS = [("predict", "{model}", "{photos}", "--batch-size", "1", "--output", "out.csv"),
            ("evaluate", "{model}", "{photos}", "--output", "evaluated"),
            ("look", "top-patches", "{model}", "{photos}", "--output", "top.npz"),
            ("look", "probes", "{model}", "{photos}", "--output", "probes.npz"),
            ("atlas", "{model}", "{photos}", "--no-maximise", "--output", "atlas.html")]
FEATURES = ("features", "size", "--size", "32", "--cut", "block1_pool", "--output", "features.h5")


def test_other_photos_and_other_models_are_refused(tmp_path):
    """One start of two ranks, in folders of their own, for all commands. Rank 1 has as many photos
    as rank 0, but one of another name; then the same photos, and a model of other weights; then
    photos of the same names, of which a file has another size."""
    striped_folder(tmp_path / "0/same", {"left": 6, "right": 6}, (16, 16))
    for copy in ("0/other", "0/size", "1/same", "1/other", "1/size"):
        shutil.copytree(tmp_path / "0/same", tmp_path / copy)
    (tmp_path / "1/other/left/3.png").rename(tmp_path / "1/other/left/33.png")
    longer = tmp_path / "1/size/left/3.png"
    longer.write_bytes(longer.read_bytes() + b"more")
    assert contents(tmp_path / "0/size").keys() == contents(tmp_path / "1/size").keys()
    for rank, seed in (("0", 1), ("1", 2)):
        for name, own_seed in (("same", 1), ("other", seed)):
            classifier(2, (16, 16, 3), names=["left", "right"], seed=own_seed).save(
                tmp_path / rank / f"{name}.h5")
    before = contents(tmp_path)
    commands = [[word.format(model=f"{model}.h5", photos=photos) for word in words]
                for words in COMMANDS for model, photos in (("same", "other"), ("other", "same"))]
    commands.append(FEATURES)
    plan = tmp_path / "commands.json"
    plan.write_text(json.dumps(commands))
    code, out, errors = run_ranks(2, SCRIPT, tmp_path, f"@{plan}")
    plan.unlink()
    assert code == 0, errors
    assert json.loads(out) == [[2, ""]] * len(commands)
    assert contents(tmp_path) == before
    said = " ".join(errors.split()).split("minicnn: ")[1:]
    assert len(said) == len(sentences(errors)) == len(commands)
    for words, sentence in zip(commands, said, strict=True):
        expected = ("names and sizes" if words is FEATURES else
                    "photos" if "other" in words else "model (by the hash")
        assert "expected the same " in sentence and expected in sentence, (words, sentence)
        assert "as on rank 0" in sentence and "on rank 1 of 2 (" in sentence
