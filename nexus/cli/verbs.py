"""What verbs have in common: how groups look, and options that mean the same everywhere."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
Project = Annotated[str, typer.Argument(help="Id of the project.", show_default=False)]
NoTty = Annotated[bool, typer.Option("--no-tty", help="Plain lines instead of the live view.")]


def group(about: str) -> typer.Typer:
    """Return a group of verbs."""
    return typer.Typer(
        help=about,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
