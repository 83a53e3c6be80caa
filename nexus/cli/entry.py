"""The way in and the way out: arguments to a verb, and every error to one line and an exit code."""

import sys
import traceback
from collections.abc import Sequence
from tempfile import NamedTemporaryFile
from typing import Any

GLOBAL = ("--data", "--config", "--server")
"""Options that may stand anywhere on the line; each takes a value."""

OK, FAILED, USAGE, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Be the program `nexus`."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    import typer

    from nexus.cli.app import app

    try:
        code = typer.main.get_command(app).main(hoisted(arguments), prog_name="nexus", standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:  # noqa: BLE001  the last place where an error can become a sentence
        return _usage(error) if hasattr(error, "format_message") else _told(error)
    return code if isinstance(code, int) else OK


def hoisted(arguments: list[str]) -> list[str]:
    """Return the arguments with the global options first, wherever they stood."""
    first, rest = list[str](), list[str]()
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            rest += [argument, *left]
        elif argument in GLOBAL:
            first += [argument, *([value] if (value := next(left, None)) is not None else [])]
        elif argument.startswith(tuple(f"{name}=" for name in GLOBAL)):
            first.append(argument)
        else:
            rest.append(argument)
    return first + rest


def _usage(error: Any) -> int:
    """Say what typer found wrong; which click its errors come from depends on its version."""
    context, message = getattr(error, "ctx", None), error.format_message()
    if message.startswith("Usage:"):  # a group without a verb
        print(message, file=sys.stderr)
        return USAGE
    hint = f" (see `{context.command_path} --help`)" if context else ""
    say(f"{message}{hint}")
    return USAGE


def _told(error: Exception) -> int:
    from nexus.cli.errors import code_of, sentence

    code = code_of(error)
    if code is None:
        # A name that nobody can guess, for this user only: others share the folder.
        with NamedTemporaryFile("w", encoding="utf-8", prefix="nexus-error-", suffix=".log", delete=False) as log:
            log.write("".join(traceback.format_exception(error)))
        say(f"unexpected {type(error).__name__}: {error} (the details are in {log.name})")
        return FAILED
    say(sentence(error))
    return code


def _closed_pipe() -> int:
    """Whoever read our output has seen enough."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def say(message: str) -> None:
    """Say what is wrong, on stderr."""
    print(f"nexus: {message}", file=sys.stderr)
