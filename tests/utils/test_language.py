"""The language of texts, and the catalogue: complete, nothing in it that no source asks for."""

import gettext as standard
import os
import re
import shutil
import string
import subprocess
import sys

import catalogue
import numpy as np
import pytest

from minicnn.utils import language
from minicnn.utils.errors import ArgumentError
from minicnn.utils.language import environment_language, gettext, ngettext, use_language

FRENCH = catalogue.PACKAGE / "locale" / "fr" / "LC_MESSAGES" / "minicnn.po"
PAIRS = [(key.split("\0"), text.split("\0"))
         for key, text in catalogue.read_po(FRENCH).items() if key]


def fields(text):
    """The {fields} of a text with their formats, sorted."""
    return sorted((name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name)


def names(text):
    return {name for name, _ in fields(text)}


def options(text):
    """The options of the command line that a text names."""
    return set(re.findall(r"--[a-z-]+", text))


# The catalogue


def test_every_marked_text_has_a_translation():
    assert [f"{m.origin}: {m.text}" for m in catalogue.missing(catalogue.read_po(FRENCH))] == []


def test_no_translation_is_of_a_text_that_no_source_has():
    plain = {message.text for message in catalogue.marked()}
    plural = {(message.text, message.plural) for message in catalogue.marked() if message.plural}
    assert [key for key, _ in PAIRS
            if (key[0] not in plain if len(key) == 1 else tuple(key) not in plural)] == []


def test_translations_have_the_fields_and_the_signs_of_their_texts():
    for key, translations in PAIRS:
        for original, text in zip(key, translations, strict=True):
            assert fields(text) == fields(original)
            assert options(text) == options(original)
            assert [text.count(sign) for sign in "%|"] == [original.count(sign) for sign in "%|"]


def test_french_spaces_before_signs_are_no_break_spaces():
    for key, translations in PAIRS:
        for text in translations:
            for sign in (" %", " ;", " ?", " !", " :"):
                assert sign not in text or text.startswith("% "), (key, text)


def test_calls_give_the_values_that_their_texts_need():
    for message in catalogue.marked():
        if message.values is not None:
            wanted = names(message.text) | names(message.plural or "")
            assert wanted == message.values, f"{message.origin}: {message.text}"


def test_the_compiled_catalogue_is_that_of_the_text():
    compiled = FRENCH.with_suffix(".mo")
    with compiled.open("rb") as file:
        translations = standard.GNUTranslations(file)
    for key, texts in PAIRS:
        if len(key) == 1:
            assert translations.gettext(key[0]) == texts[0]
        else:  # 0 and 1 are singular in French
            assert [translations.ngettext(*key, n) for n in (0, 1, 2)] == [
                texts[0], texts[0], texts[1]]
    assert compiled.read_bytes() == catalogue.compile_mo(catalogue.read_po(FRENCH))


def test_gnu_gettext_reads_the_catalogue_alike(tmp_path):
    if not shutil.which("msgfmt"):
        pytest.skip("GNU gettext is not installed")
    subprocess.run(["msgfmt", "--check-format", FRENCH, "-o", tmp_path / "gnu.mo"], check=True)
    with (tmp_path / "gnu.mo").open("rb") as gnu, FRENCH.with_suffix(".mo").open("rb") as ours:
        assert (standard.GNUTranslations(gnu)._catalog
                == standard.GNUTranslations(ours)._catalog)


def test_the_reader_notices_what_is_wrong(tmp_path):
    po = tmp_path / "x.po"
    po.write_text('msgid "a"\nmsgstr "b"\n\nmsgid "a"\nmsgstr "c"\n')
    with pytest.raises(ValueError, match="a second time"):
        catalogue.read_po(po)
    po.write_text('msgid "a"\nmsgstr b\n')
    with pytest.raises(ValueError, match="x.po:2"):
        catalogue.read_po(po)
    po.write_text('msgid "photos"\nmsgstr ""\n')
    assert "photos" in {message.text for message in catalogue.missing(catalogue.read_po(po))}


# The language


def test_english_unless_asked_and_again_afterwards():
    assert gettext("yes") == "yes"
    with use_language("fr"):
        assert gettext("yes") == "oui"
        assert gettext("a text that no catalogue has") == "a text that no catalogue has"
        with use_language("en"):
            assert gettext("yes") == "yes"
        assert language.language() == "fr"
    assert gettext("yes") == "yes" and language.language() == "en"


def test_python_is_english_whatever_the_environment_says():
    code = ("import minicnn\nfrom minicnn.report.html import percent\n"
            "from minicnn.utils.language import gettext\nprint(gettext('yes'), percent(0.5))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={**os.environ, "LANGUAGE": "fr", "LANG": "fr_FR.UTF-8"})
    assert out.stdout == "yes 50.0 %\n"


def test_numbers_have_the_signs_of_the_language_and_names_keep_theirs():
    text = ("{title}: {correct} of {count} right, {accuracy:.1f} % (95 % interval {low:.1f} … "
            "{high:.1f} %)")
    values = {"title": "v1.5", "correct": 3, "count": 4, "accuracy": 75.0, "low": np.float32(30.5),
              "high": np.float64(95.25)}
    assert gettext(text, **values) == ("v1.5: 3 of 4 right, 75.0 % (95 % interval 30.5 … 95.2 %)")
    with use_language("fr"):
        assert gettext(text, **values) == (
            "v1.5\u00a0: 3 sur 4 bien classées, soit 75,0\u202f% (intervalle à 95\u202f%\u00a0: "
            "de 30,5 à 95,2\u202f%)")


def test_none_is_singular_in_french_and_plural_in_english():
    texts = "{num} photo", "{num} photos"
    assert [ngettext(*texts, n) for n in (0, 1, 2)] == ["0 photos", "1 photo", "2 photos"]
    with use_language("fr"):
        assert [ngettext(*texts, n) for n in (0, 1, 2)] == ["0 photo", "1 photo", "2 photos"]


@pytest.mark.parametrize(("variables", "code"), [
    ({}, "en"), ({"LANG": "fr_FR.UTF-8"}, "fr"), ({"LANG": "fr"}, "fr"), ({"LANG": "fr_CA"}, "fr"),
    ({"LANG": "de_DE.UTF-8"}, "en"), ({"LANG": "C.UTF-8"}, "en"), ({"LANG": "frisian"}, "en"),
    ({"LANG": "en_GB", "LC_ALL": "fr_BE"}, "fr"), ({"LANG": "fr_FR", "LC_ALL": "C"}, "en"),
    ({"LANG": "en_US", "LANGUAGE": "de:fr:en"}, "fr"), ({"LANG": "fr_FR", "LANGUAGE": "en"}, "en"),
    ({"LANG": "fr_FR", "LANGUAGE": ""}, "fr"), ({"LC_MESSAGES": "fr_CH"}, "fr")])
def test_the_language_of_the_environment(variables, code):
    assert environment_language(variables) == code


def test_another_language_is_refused():
    with pytest.raises(ArgumentError, match=r"expected en or fr, received 'xx'"), \
            use_language("xx"):
        pass
