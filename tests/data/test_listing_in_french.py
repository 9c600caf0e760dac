"""What `data` and the pages say of files that are no photos, in the language of the reader."""

import pytest

from minicnn.data import file_kinds
from minicnn.data.file_kinds import FileKind
from minicnn.data.listing import OtherFile, group_by_kind
from minicnn.utils.language import gettext, use_language

KINDS = {name: kind for name, kind in vars(file_kinds).items() if isinstance(kind, FileKind)}


def others(kind, count):
    return [OtherFile(None, f"{k}.bin", "English reason", kind) for k in range(count)]


def test_in_french_a_line_is_french_with_french_spaces_and_in_english_it_is_english():
    heic = others(file_kinds.HEIC, 2)
    assert group_by_kind(heic) == [
        "2 HEIC photos: 0.bin, 1.bin. Install the extra heic (pip install -e '.[heic]'), or export "
        "as JPEG; a phone saves JPEG if its camera format is set to Most Compatible."]
    with use_language("fr"):
        assert group_by_kind(heic) == [
            "2 photos HEIC\u00a0: 0.bin, 1.bin. Installez l’option heic (pip install -e "
            "'.[heic]'), ou exportez en JPEG\u202f; un téléphone enregistre en JPEG si le format "
            "de son appareil photo est «\u202fLe plus compatible\u202f»."]
        assert group_by_kind(others(file_kinds.VIDEO, 1)) == [
            "1 vidéo\u00a0: 0.bin. Enregistrez des images isolées en JPEG."]
        assert group_by_kind(others(file_kinds.EMPTY, 3), limit=1)[0].startswith(
            "3 fichiers vides\u00a0: 0.bin, … et 2 de plus. Faites ")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_has_a_french_name_and_what_to_do(name):
    kind = KINDS[name]
    with use_language("fr"):
        for words in (kind.singular, kind.advice):
            assert gettext(words) != words
        assert gettext(kind.singular).split()[0] in ("un", "une")  # which a count replaces
