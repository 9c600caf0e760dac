"""`minicnn …`: arguments in, calls, text out; nothing else. One file per command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from .. import __version__
from ..distributed import launched
from ..ops.cuda.array_modules import describe_error
from ..utils.errors import MiniCNNError
from ..utils.language import environment_language, language, use_language
from . import compare, data, evaluate, export, features, gradcheck, look, predict, train
from .command_parser import CommandParser, add_command, unknown_word
from .completion import SHELLS, PrintCompletion
from .first_session import introduction
from .json_output import text_to_stderr
from .ranks import run_as_rank
from .terminal import discard_output, make_output_readable, wrapped

ABOUT = "Convolutional networks from scratch: transfer learning, and what layers see."


def parser() -> CommandParser:
    """All commands and options."""
    main = CommandParser(prog="minicnn", description=ABOUT,
                         epilog="`minicnn` alone prints the commands of a first session, "
                                "`minicnn help train`\nthe options of a command.")
    main.add_argument("-V", "--version", action="version", version=f"minicnn {__version__}",
                      help="show the version")
    main.add_argument("--print-completion", action=PrintCompletion, choices=SHELLS,
                      metavar="SHELL", help="print a script with which Tab completes commands and "
                      "options: eval \"$(minicnn --print-completion bash)\", or zsh")
    commands = main.add_subparsers(required=True, metavar="COMMAND", title="commands",
                                   prog="minicnn")
    main.usage = "minicnn COMMAND [OPTIONS]"
    command: Callable = partial(add_command, commands)
    for module in (data, features, train, evaluate, compare, predict, export, look, gradcheck):
        module.add(command)
    option = command("help", show_help, "show the help of a command, or this list",
                     "[COMMAND]")[1]
    option.words("topic", "COMMAND", "the command", "?")
    commands.choices["help"].set_defaults(parsers={"": main, **commands.choices})
    return main


def show_help(args: argparse.Namespace) -> None:
    """`minicnn help [COMMAND]`."""
    name = args.topic or ""
    if name not in args.parsers:
        args.parsers["help"].error(unknown_word(name, list(args.parsers)[1:]))
    args.parsers[name].print_help()


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line's words as arguments of a command; exits with 2 for words that it does not
    know."""
    main = parser()
    if argv and argv[0].startswith("-") and argv[0].partition("=")[0] not in main.flags():
        main.error(f"expected a command, received {argv[0]}. Write the command first; minicnn help "
                   f"lists all.")
    args, more = main.parse_known_args(argv)
    commands = next(action.choices for action in main._actions
                    if isinstance(action, argparse._SubParsersAction))
    others = {name: other for name, other in commands.items() if name != args.command}
    commands[args.command].add_leftovers(args, more, others)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. Returns 0; 1 if gradcheck found a wrong gradient; 2 after an error message."""
    make_output_readable()
    words = sys.argv[1:] if argv is None else argv
    with use_language(environment_language()):
        if launched()[0] > 1:
            return run_as_rank(words, outcome_of)
        status, text = outcome_of(words)
    if text:
        print(wrapped(text, sys.stderr), file=sys.stderr)
    return status


def outcome_of(words: Sequence[str]) -> tuple[int, str]:
    """Runs these words of the command line; -> (exit status, error message, "" without an error).
    """
    try:
        if not words:
            print(introduction())
            return 0, ""
        args = parse(words)
        args.argv = list(words)
        with use_language(getattr(args, "lang", language())), text_to_stderr(args):
            status = args.run(args) or 0
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # … | head: the work is done, and no reader is left
            discard_output()
        return status, ""
    except OSError as error:
        if error.filename is not None:
            raise
        discard_output()
        if isinstance(error, BrokenPipeError):  # … | head
            return 2, ""
        return 2, (f"minicnn: standard output: expected one that can be written, received: "
                   f"{error.strerror}. Free some space, or choose another.")
    except MiniCNNError as error:
        return 2, f"minicnn: {error}"
    except KeyboardInterrupt as stopped:
        return 130, f"minicnn: {str(stopped) or 'stopped.'}"
    except Exception as error:
        description = describe_error(error)
        if description is None:
            raise
        return 2, f"minicnn: {description}"
