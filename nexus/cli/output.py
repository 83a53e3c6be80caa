"""How verbs print: JSON Lines for programs, tables and lines for people."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

WIDE = 200
"""Columns where nobody looks at a terminal."""

STATUS = {
    "completed": "green",
    "done": "green",
    "reached": "green",
    "ready": "green",
    "running": "cyan",
    "busy": "cyan",
    "requested": "yellow",
    "retrying": "yellow",
    "paused": "yellow",
    "compensating": "yellow",
    "draining": "yellow",
    "silent": "yellow",
    "missed": "red",
    "failed": "red",
    "refused": "red",
    "rolled_back": "red",
    "not_undone": "red",
    "blocked": "red",
    "lost": "red",
    "cancelled": "magenta",
    "waiting": "dim",
    "left": "dim",
}


def console() -> Console:
    """Return where people look."""
    interactive = sys.stdout.isatty()
    return Console(width=None if interactive else WIDE, highlight=False, soft_wrap=not interactive)


def emit(value: Any) -> None:
    """Print one JSON object on a line of its own, at once."""
    sys.stdout.write(to_json(value).decode() + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """Print a table; columns that end in `>` are numbers. What people and programs wrote is no markup."""
    found = Table(title=escape(title) or None, box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in columns:
        right = column.endswith(">")
        found.add_column(column.rstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        found.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    console().print(found)


def coloured(status: str) -> str:
    """Return a status in its colour, as markup for a line."""
    colour = STATUS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def badge(status: str, aside: str = "") -> Text:
    """Return a status in its colour, for a table."""
    return Text.assemble((status, STATUS.get(status, "")), aside)


def day(moment: datetime | None) -> str:
    """Return a local date and time, or nothing."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def short(value: Any, most: int = 100) -> str:
    """Return a JSON value, cut where it is long."""
    text = to_json(value).decode()
    return text if len(text) <= most else f"{text[: most - 3]}..."
