"""What is wrong with a request: all of it at once, each with its place. Pure.

DomainError
└── Refused     a request cannot be planned, for the reasons that it lists
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from contracts import outcomes
from contracts.outcomes import Problem
from shared.domain import DomainError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    code: str
    pointer: str
    """RFC 6901, into the command's data."""
    message: str


class Refused(DomainError):
    """A request cannot be planned; `problems` says everything that is wrong with it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        first, more = findings[0], len(findings) - 1
        text = f"{first.pointer}: {first.message}" if first.pointer else first.message
        super().__init__(f"{text} (and {more} more)" if more else text)
        codes = {finding.code for finding in findings}
        self.code = codes.pop() if len(codes) == 1 else "invalid"
        self.problems = tuple(Problem(pointer=finding.pointer, message=finding.message) for finding in findings)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise `Refused` if anything was found."""
    if found := list(findings):
        raise Refused(found)


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer to a place."""
    return outcomes.pointer(parts)


def meant(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """Return `; did you mean …?` if something known looks alike, else nothing."""
    close = get_close_matches(word, list(known), 1, alike)
    return f"; did you mean {close[0]}?" if close else ""


def listed(words: Iterable[str]) -> str:
    """Return the words in order, or `none`."""
    return ", ".join(sorted(words)) or "none"
