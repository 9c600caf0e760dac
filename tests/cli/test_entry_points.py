"""How a session begins: bare `minicnn`, `python -m minicnn`, help, completion, mistyped words, and
terminals that know few characters."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import minicnn as mc
from minicnn.cli import main, parse, parser
from minicnn.cli.terminal import in_ascii, make_output_readable, wrapped

ROOT = Path(mc.__file__).parents[1]
COMMANDS = ["data", "features", "train", "evaluate", "compare", "predict", "export", "look",
            "atlas", "gradcheck"]
COMPUTING = {"features", "train", "evaluate", "predict", "look", "atlas", "gradcheck"}


def process(*words, **environment):
    """(status, standard output, standard error) of `python -m minicnn WORDS…`, as bytes."""
    done = subprocess.run([sys.executable, "-m", "minicnn", *map(str, words)], cwd=ROOT,
                          capture_output=True, timeout=300,
                          env={"PATH": "/usr/bin:/bin", "COLUMNS": "80", **environment})
    return done.returncode, done.stdout, done.stderr


def ended(words, capsys):
    """(status, standard output, standard error) of a command that ends while it reads its words."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code, *capsys.readouterr()


# ---- the first words
def test_minicnn_alone_names_the_commands_of_a_first_session(capsys):
    assert main([]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    session = [line for line in lines if line.startswith("minicnn ") and ":" not in line]
    assert [line.split()[1] for line in session] == ["data", "train", "predict", "train"]
    for line in session:
        parse(shlex.split(line)[1:])  # accepted
    assert max(map(len, lines)) <= 80


def test_python_m_minicnn_is_the_command_line_and_suggests_itself():
    status, out, err = process()
    assert (status, err) == (0, b"")
    assert f"  {sys.executable} -m minicnn data photos/\n" in out.decode()
    assert process("-V") == (0, f"minicnn {mc.__version__}\n".encode(), b"")
    assert process("gradcheck", "--shape", "2,5")[0] == 2


@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_version(words, capsys):
    assert ended(words, capsys) == (0, f"minicnn {mc.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_command_is_command_help(command, capsys):
    assert main(["help", command]) == 0
    shown = capsys.readouterr().out
    assert ended([command, "--help"], capsys) == (0, shown, "")


def test_help_lists_the_commands(capsys):
    assert main(["help"]) == 0
    shown = capsys.readouterr().out
    assert ended(["--help"], capsys) == (0, shown, "")
    assert re.findall(r"^    (\w+) ", shown, re.M) == [*COMMANDS, "help"]


# ---- what the help says
@pytest.fixture
def help_of(capsys, monkeypatch):
    def text(command, columns="80"):
        monkeypatch.setenv("COLUMNS", columns)
        main(["help", command])
        return capsys.readouterr().out
    return text


@pytest.mark.parametrize("columns", ["80", "100", "300"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal_and_no_line_is_longer_than_100(command, columns, help_of):
    assert max(map(len, help_of(command, columns).splitlines())) <= min(int(columns), 100)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_in_three_examples_that_are_accepted(command, help_of):
    examples = help_of(command).split("examples:\n")[1].splitlines()
    assert [line.strip()[0] for line in examples] == ["#", "m"] * 3
    for line in examples[1::2]:
        words = shlex.split(line)
        assert words[:2] == ["minicnn", command]
        assert parse(words[1:]).command == command


def test_no_default_is_empty_and_device_stands_only_where_it_does_something(help_of):
    for command in COMMANDS:
        assert "(default: )" not in help_of(command)
        assert ("--device" in help_of(command)) == (command in COMPUTING)


def test_options_stand_in_groups(help_of):
    groups = {command: re.findall(r"^(\w[\w ,-]*):$", help_of(command), re.M)
              for command in COMMANDS}
    assert groups["train"] == ["arguments", "options", "data", "network", "learning",
                               "fine-tuning", "run", "screen", "examples"]
    for command in ("predict", "evaluate", "look", "atlas"):
        assert {"output", "models of Keras and others"} < set(groups[command])


def test_the_words_that_people_search_for_are_there(help_of):
    texts = " ".join(" ".join(help_of(command).split()) for command in COMMANDS)
    for word in ("learning rate", "overfitting", "pretrained", "dataset", "epochs", "per class",
                 "augmentation", "early stopping", "fine-tuning", "cross-validation"):
        assert word in texts.lower(), word


# ---- mistyped words
@pytest.mark.parametrize("words, usage, sentences", [
    (["trian"], "minicnn COMMAND", ["received 'trian'", "Did you mean train?"]),
    (["Predict"], "minicnn COMMAND", ["Did you mean predict?"]),
    (["help", "trian"], "minicnn help", ["Did you mean train?"]),
    (["train", "--epoch", "3"], "minicnn train", ["--epoch", "Did you mean --epochs?"]),
    (["train", "--epo=3"], "minicnn train", ["received --epo.", "--epochs"]),
    (["train", "--explain"], "minicnn train", ["--explain is an option of predict."]),
    (["compare", "a", "b", "--device", "cpu"], "minicnn compare", ["--device is an option of"]),
    (["evaluate", "m.h5", "a", "b"], "minicnn evaluate", ["expected MODEL FOLDER", "'b'"]),
    (["predict", "m.h5"], "minicnn predict", ["PHOTO"]),
    (["predict", "m.h5", "a.jpg", "--format", "jsn"], "minicnn predict",
     ["--format", "'jsn'", "Did you mean json?"]),
    (["atlas", "--size", "big"], "minicnn atlas", ["--size", "'big'", "224,224"]),
    (["look", "gradient", "--looudly"], "minicnn look", ["received --looudly"])])
def test_a_mistyped_word_shows_the_usage_of_its_command_and_the_nearest(words, usage, sentences,
                                                                        capsys):
    status, out, err = ended(words, capsys)
    lines = err.splitlines()
    assert (status, out, len(lines)) == (2, "", 3)
    assert lines[0].startswith(f"usage: {usage} ")
    assert lines[2].startswith("All options: ")
    for sentence in sentences:
        assert sentence in lines[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_may_be_abbreviated(command):
    action = parser()._subparsers._group_actions[0].choices[command]
    for flag in action.flags():
        if flag.startswith("--") and flag[:-1] not in action.flags():
            assert action._get_option_tuples(flag[:-1]) == []


def test_photos_may_follow_options():
    args = parse(["predict", "m.h5", "a.jpg", "--top", "3", "b.jpg", "c.jpg"])
    assert args.photos == ["a.jpg", "b.jpg", "c.jpg"] and args.top == 3


# ---- completion
def completions(line):
    """What bash proposes for the last word of a line."""
    script = process("--print-completion", "bash")[1].decode()
    words = line.split(" ")
    typed = " ".join(map(shlex.quote, words))
    code = (f"{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_minicnn; "
            f'printf "%s\\n" "${{COMPREPLY[@]}}"')
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=60,
                          cwd=ROOT)
    return done.stdout.split()


@pytest.mark.parametrize("line, expected", [
    ("minicnn ev", {"evaluate"}), ("minicnn train --find", {"--find-lr"}),
    ("minicnn look grad-c", {"grad-cam", "grad-cam-pp"}),
    ("minicnn train --sample f", {"fashion"}), ("minicnn predict setu", {"setup.py"})])
def test_bash_completes_commands_options_methods_and_files(line, expected):
    assert set(completions(line)) == expected


def test_zsh_gets_a_script_too():
    status, out, err = process("--print-completion", "zsh")
    assert (status, err) == (0, b"") and out.startswith(b"#compdef minicnn")
    assert subprocess.run(["bash", "-n"], input=out).returncode == 0  # quotes and brackets
    assert b": _alternative 'methods:method:(first-layer feature-maps " in out.replace(b"\\'", b"'")


def test_completion_without_its_package_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert 'pip install -e ".[completion]"' in capsys.readouterr().err
    assert ended(["--print-completion", "fsh"], capsys)[0] == 2


# ---- terminals that know few characters
@pytest.mark.parametrize("character, expected", [
    ("…", "..."), ("–", "-"), ("é", "e"), ("×", "x"), ("’", "'"), ("云", r"\u4e91"),
    ("\udcff", r"\udcff"), ("½", "12")])
def test_characters_have_readable_replacements(character, expected):
    assert in_ascii(character) == expected


@pytest.mark.parametrize("words", [[], ["help"], *(["help", command] for command in COMMANDS),
                                   ["look"], ["gradcheck"]], ids=" ".join)
def test_a_terminal_without_unicode_gets_ascii(words):
    status, out, err = process(*words, PYTHONIOENCODING="ascii", LANG="C")
    assert status == 0 and out and err == b""
    text = out.decode("ascii")
    assert r"\u" not in text and r"\x" not in text


def test_errors_and_predictions_are_readable_there_too(tmp_path):
    from makers import classifier
    from PIL import Image

    classifier(2, (12, 12, 3), 3, names=["étoile", "云"]).save(tmp_path / "m.h5")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "é.png")
    status, out, _ = process("predict", tmp_path / "m.h5", tmp_path / "é.png",
                             PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert status == 0 and b"/e.png: " in out and b"% etoile" in out and rb"\u4e91" in out
    status, _, err = process("predict", tmp_path / "m.h5", tmp_path / "è.png",
                             PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert status == 2 and b"/e.png: expected a photo" in err


def test_output_that_knows_unicode_is_left_as_it_is(capsys):
    make_output_readable()
    print("… é ×")
    assert capsys.readouterr().out == "… é ×\n"


def test_on_a_terminal_no_word_is_broken_and_a_pipe_gets_one_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    text = "minicnn: expected a folder of photos, received runs/photos-1. Name another."
    stream = io.StringIO()
    assert wrapped(text, stream) == text
    monkeypatch.setattr(stream, "isatty", lambda: True)
    lines = wrapped(text, stream, 4).splitlines()
    assert " ".join(line.strip() for line in lines) == text
    assert len(lines) > 2 and max(map(len, lines)) < 30 and lines[1].startswith("    ")
