"""A terminal of a given width, and commands that run in it."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

COMMAND = [sys.executable, "-c", "import sys; sys.argv[0] = 'minicnn'; from minicnn.cli import main"
           "; sys.exit(main())"]
# For what looks at the screen alone: figures are files without pixels, as drawing takes longer than
# all else.
UNDRAWN = [*COMMAND[:2], "from minicnn.plotting import drawing; drawing.png = lambda figure: b''; "
           + COMMAND[2]]


class Screen:
    """A terminal that knows carriage return and new line only, and what it has shown."""

    def __init__(self, columns):
        self.columns, self.rows, self.at, self.frames = columns, [""], 0, []
        self.wrapped = 0

    def feed(self, text):
        for character in text:
            if character == "\n":
                self.rows.append("")
                self.at = 0
            elif character == "\r":
                self.frames.append(self.rows[-1])
                self.at = 0
            else:
                assert character.isprintable() or character.isspace(), f"control: {character!r}"
                if self.at == self.columns:
                    self.wrapped += 1
                    self.rows.append("")
                    self.at = 0
                row = self.rows[-1].ljust(self.at)
                self.rows[-1] = row[:self.at] + character + row[self.at + 1:]
                self.at += 1

    @property
    def text(self):
        return [row.rstrip() for row in self.rows if row.strip()]


def command_in_terminal(columns, folder, *words, command=UNDRAWN, **environment):
    """(exit status, Screen) of `minicnn WORDS…` in a pseudo-terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen([*command, *map(str, words)], stdin=slave, stdout=slave,
                               stderr=slave, cwd=folder,
                               env={**variables, "PYTHONUTF8": "1", **environment})
    os.close(slave)
    content = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        content += part
    os.close(master)
    status, screen = process.wait(), Screen(columns)
    screen.feed(content.decode())
    return status, screen
