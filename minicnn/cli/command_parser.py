"""Parsers of commands: options in groups, examples, and errors that suggest the nearest word."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from ..ops import DEVICES
from ..utils.language import LANGUAGES
from ..utils.suggest import GUESS_SIMILARITY, closest_names
from .option_values import Value
from .terminal import wrapped

MAX_WIDTH = 100  # columns of a help text; longer lines are hard to read
DEVICE_HELP = ("where to compute: cpu; cuda, an NVIDIA GPU (extra cuda12 or cuda13; its first use "
               "compiles the kernels, which takes a while); or cuda-sim, the same kernels on the "
               "processor, slowly (needs a C++ compiler)")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Paragraphs and examples as they are written, options wrapped to the terminal's width."""

    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns, MAX_WIDTH)
        super().__init__(prog, max_help_position=26, width=width - 2)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Wraps the help of an option; --fine-tuning is not broken at its hyphens."""
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class CommandParser(argparse.ArgumentParser):
    """An argparse parser that takes no abbreviated options and suggests the nearest choice.

    more_words: the name of the argument that takes any number of words, "" if there is none.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "formatter_class": HelpFormatter,
                                   "add_help": False, **keywords})
        self._positionals.title = "arguments"
        self.add_argument("-h", "--help", action="help", help="show this help")
        self.add_argument("--lang", choices=LANGUAGES, default=argparse.SUPPRESS, help=(
            "language of pages and of what is printed (default: that of the environment, "
            "LANG=fr_FR for one, else en)"))
        self.more_words = ""

    def error(self, message: str) -> NoReturn:
        """Prints the usage of this command, the message and where to read more; exits with 2."""
        required = message.partition("the following arguments are required: ")[2]
        if required:
            message = f"expected {required.replace(', ', ' and ')}, received none."
        self.print_usage(sys.stderr)
        text = wrapped(f"{self.prog}: {message}", sys.stderr)
        self.exit(2, f"{text}\nAll options: {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raises argparse's error for a value that is none of the choices."""
        if action.choices is None or value in action.choices:
            return
        raise argparse.ArgumentError(action, unknown_word(str(value), map(str, action.choices)))

    def _get_value(self, action: argparse.Action, text: str) -> Any:
        """Raises ArgumentError for a value that the option does not take."""
        try:
            return super()._get_value(action, text)
        except argparse.ArgumentError:
            if isinstance(action.type, Value):
                raise action.type.error(action.option_strings[-1], text) from None
            raise

    def flags(self) -> list[str]:
        """All options: --output, -o, …"""
        return [flag for action in self._actions for flag in action.option_strings]

    def add_leftovers(self, args: argparse.Namespace, words: Sequence[str],
                      others: Mapping[str, CommandParser]) -> None:
        """Takes the words that parse_known_args has left over.

        Words behind an option (`look grad-cam --unit 3 photo.jpg`) are added to the argument that
        takes several; for other words and for unknown options, self.error.
        others: the parsers of the other commands, by name.
        """
        unknown = [word.partition("=")[0] for word in words if word.startswith("-")]
        if unknown:
            self.error(unknown_option(unknown[0], self, others))
        if words and not self.more_words:
            self.error(f"expected {self.expected_words()}, received {words[0]!r}, too.")
        if words:
            getattr(args, self.more_words).extend(words)

    def expected_words(self) -> str:
        """The words that the command takes besides options, as its usage names them."""
        names = [str(action.metavar or action.dest) for action in self._actions
                 if not action.option_strings]
        return " ".join(names) or "no words besides options"


def unknown_option(flag: str, parser: CommandParser, others: Mapping[str, CommandParser]) -> str:
    """What to say of an option that the command does not have."""
    homes = [name for name, other in others.items() if flag in other.flags()]
    dashed = {known.lstrip("-"): known for known in parser.flags() if known.startswith("--")}
    nearest = closest_names(flag.lstrip("-"), dashed, 1, GUESS_SIMILARITY)
    text = f"expected options of this command, received {flag}."
    if homes:
        *first, last = homes
        listed = f"{', '.join(first)} and {last}" if first else last
        return f"{text} {flag} is an option of {listed}."
    if nearest:
        text += f" Did you mean {dashed[nearest[0]]}?"
    return text


def unknown_word(word: str, choices: Iterable[str]) -> str:
    """What to say of a word that is none of the choices."""
    names = list(choices)
    nearest = closest_names(word, names, 1, GUESS_SIMILARITY)
    text = f"expected one of {', '.join(names)}, received {word!r}."
    return f"{text} Did you mean {nearest[0]}?" if nearest else text


class Options:
    """Adds options to a parser, or to a group of its help.

    >>> option = Options(parser)
    >>> option.group("learning")("--epochs", Integer("60"), 60, "N", "passes over the photos")
    """

    def __init__(self, parser: argparse.ArgumentParser,
                 group: argparse._ArgumentGroup | None = None) -> None:
        self.parser, self.target = parser, parser if group is None else group

    def __call__(self, flags: str, kind: Callable, default: object, unit: str, text: str) -> None:
        """An option with a value. flags: "--size", "-o --output". unit: what its help calls the
        value. A default other than None and "" is named in the help."""
        shown = "" if default in (None, "") else f" (default: {default})"
        self.target.add_argument(*flags.split(), type=kind, default=default, metavar=unit,
                                 help=text + shown)

    def flag(self, flags: str, text: str) -> None:
        """An option without a value."""
        self.target.add_argument(*flags.split(), action="store_true", help=text)

    def choice(self, flags: str, choices: Iterable[str], default: str | None, text: str) -> None:
        """An option whose value is one of a few words, which its help names."""
        shown = "" if default is None else f" (default: {default})"
        self.target.add_argument(*flags.split(), choices=list(choices), default=default,
                                 help=text + shown)

    def optional_value(self, flags: str, without_value: str, unit: str, text: str) -> None:
        """An option that may be given with a value or without, and then means `without_value`."""
        self.target.add_argument(*flags.split(), nargs="?", const=without_value, metavar=unit,
                                 help=text)

    def words(self, name: str, unit: str, text: str, nargs: str | None = None) -> None:
        """An argument that is no option. nargs: as argparse's: None for one word, "?", "*", "+"."""
        self.target.add_argument(name, metavar=unit, help=text, nargs=nargs)
        if nargs in ("*", "+") and isinstance(self.parser, CommandParser):
            self.parser.more_words = name

    def group(self, title: str) -> Options:
        """A group with this title in the help: add the options that belong there to it."""
        return Options(self.parser, self.parser.add_argument_group(title))

    def device(self) -> None:
        """--device, for commands that compute with a network."""
        self.choice("--device", DEVICES, "cpu", DEVICE_HELP)


def add_command(commands: argparse._SubParsersAction, name: str, run: Callable, text: str,
                usage: str = "[OPTIONS]", about: str = "",
                examples: Sequence[tuple[str, str]] = ()) -> tuple[CommandParser, Options]:
    """Adds a command; -> its parser, and what adds options to it.

    text: a line for the list of commands. usage: behind the command's name. about: paragraphs for
    its own help, at most 78 columns wide. examples: (what it does, the command line).
    """
    parser = commands.add_parser(name, help=text, description=describe(text, about),
                                 epilog=layout(examples))
    parser.usage = f"minicnn {name} {usage}"
    parser.set_defaults(run=run, command=name)
    return parser, Options(parser)


def describe(text: str, about: str) -> str:
    """The head of a command's help."""
    return text[0].upper() + text[1:] + "." + f"\n\n{about.strip()}" * bool(about)


def layout(examples: Sequence[tuple[str, str]]) -> str | None:
    """The examples at the end of a help text: each a comment, and a line to copy."""
    if not examples:
        return None
    return "examples:\n" + "\n".join(f"  # {what}\n  {line}" for what, line in examples)
