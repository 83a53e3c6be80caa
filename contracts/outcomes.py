"""What becomes of a command: each one gets exactly one outcome, on `nexus.outcomes.<command id>`."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from contracts.base import Message


class Problem(Message):
    """One thing that is wrong with an input."""

    pointer: str = ""
    """Where, as a JSON pointer (RFC 6901); empty for the whole input."""
    message: str
    """What is wrong, and what would be right."""


def pointer(place: Iterable[int | str]) -> str:
    """Return a place as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(token).replace('~', '~0').replace('/', '~1')}" for token in place)


class Outcome(Message):
    """The answer to a command."""

    command: str
    """The command's id."""
    status: Literal["accepted", "refused"]
    sequence: int | None = None
    """Accepted: the place in the log of what it produced."""
    result: dict[str, Any] = Field(default_factory=dict)
    """Accepted: what the caller needs to go on, such as the project's id."""
    code: str = ""
    """Refused: a word for programs, such as `unknown_template`."""
    message: str = ""
    """Refused: a sentence for people."""
    problems: tuple[Problem, ...] = ()
    """Refused as invalid: one entry per error."""
    warnings: tuple[Problem, ...] = ()
    """Accepted: keys that nobody read, such as a field of a newer version, or a misspelt one."""
