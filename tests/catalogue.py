"""The catalogue of translations: what the sources mark, what minicnn.po says, and its .mo.

    python -m tests.catalogue    # writes the .mo of each .po, prints texts without translation

A .po is text, which people edit; a .mo is the same for gettext, sorted and with an index. The GNU
tools write the same files: msgfmt minicnn.po -o minicnn.mo.
"""

import ast
import re
import struct
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "minicnn"
MARKS = ("_", "N_", "gettext", "gettext_noop")  # of one text; ngettext has two


class Message:
    """A text that is marked: its plural or None, the values it is given, and where it is."""

    def __init__(self, text, plural, values, origin):
        self.text, self.plural, self.values, self.origin = text, plural, values, origin


def marked_in_python(file):
    """The messages of a module. values: None if they are given elsewhere, or as **values."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        count = 2 if node.func.id == "ngettext" else 1 if node.func.id in MARKS else 0
        texts = [part.value for part in node.args[:count] if isinstance(part, ast.Constant)]
        if not count or len(texts) < count:
            continue
        names = {keyword.arg for keyword in node.keywords}
        values = names | {"num"} if count == 2 else names
        elsewhere = None in names or node.func.id in ("N_", "gettext_noop")
        yield Message(texts[0], texts[1] if count == 2 else None, None if elsewhere else values,
                      f"{file.relative_to(ROOT)}:{node.lineno}")


def marked_in_pages(file):
    """The messages of a template or a script."""
    text = file.read_text("utf-8")
    for match in re.finditer(r'gettext\("([^"]*)"|\{\{gettext: ([^}]*)\}\}', text):
        words = match[1] if match[1] is not None else " ".join(match[2].split())
        yield Message(words, None, None, str(file.relative_to(ROOT)))


def marked():
    """All messages of the package."""
    return [*(message for file in sorted(PACKAGE.rglob("*.py")) for message in
              marked_in_python(file)),
            *(message for pattern in ("*.html", "*.js") for file in sorted(PACKAGE.rglob(pattern))
              for message in marked_in_pages(file))]


def read_po(path):
    """{msgid, or msgid NUL msgid_plural: msgstr, or its forms joined by NUL}."""
    entries, fields, current = {}, {}, ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], 1):
        if match := re.fullmatch(r'(?:(msgid|msgid_plural|msgstr(?:\[\d\])?) )?(".*")', line):
            current = match[1] or current
            fields[current] = fields.get(current, "") + ast.literal_eval(match[2])
        elif line and not line.startswith("#"):
            raise ValueError(f"{path}:{number}: {line}")
        elif not line and fields:
            key = "\0".join(fields[name] for name in ("msgid", "msgid_plural") if name in fields)
            if key in entries:
                raise ValueError(f"{path}:{number}: {key!r} a second time")
            entries[key] = "\0".join(text for name, text in fields.items()
                                     if name.startswith("msgstr"))
            fields = {}
    return entries


def compile_mo(entries):
    """The bytes of a .mo file. Source: GNU gettext's manual, section 10.3."""
    pairs = sorted((key.encode(), text.encode()) for key, text in entries.items() if text)
    start = 28 + 16 * len(pairs)
    tables, texts = [], b""
    for column in (0, 1):
        for pair in pairs:
            tables.append((len(pair[column]), start + len(texts)))
            texts += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, start)
    return head + b"".join(struct.pack("<2I", *row) for row in tables) + texts


def catalogues():
    """The .po files."""
    return sorted((PACKAGE / "locale").glob("*/LC_MESSAGES/*.po"))


def missing(translations):
    """The messages that have no translation. A text without plural may be the singular of one."""
    singulars = {key.partition("\0")[0] for key, text in translations.items() if text}
    return [message for message in marked() if message.text not in singulars or (
        message.plural and not translations.get(f"{message.text}\0{message.plural}"))]


if __name__ == "__main__":
    for po in catalogues():
        translations = read_po(po)
        po.with_suffix(".mo").write_bytes(compile_mo(translations))
        for message in missing(translations):
            print(f"{po.parent.parent.name}: {message.origin}: {message.text}")
