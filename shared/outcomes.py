"""Outcomes: each command is answered once, on a subject made of its id."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handler's answer: where in the log its effect stands, and what the caller needs to go on."""

    sequence: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
