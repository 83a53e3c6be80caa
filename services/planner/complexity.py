"""How hard a project looks: points for each thing that makes it hard, each with a ceiling. Pure.

A term gives `most × x ÷ (x + half)`: nothing for nothing, half its points at `half`, and never more than `most`.
All ceilings together are 100.
"""

from collections.abc import Mapping
from math import log10
from typing import NamedTuple

from contracts.work import Complexity


class Term(NamedTuple):
    """How much something can add, and where it has added half of that."""

    most: float
    half: float


TERMS: Mapping[str, Term] = {
    "tasks": Term(20, 20),
    "width": Term(10, 8),
    "depth": Term(20, 8),
    "critical_path": Term(15, 600),  # seconds
    "unknown_technologies": Term(20, 1),
    "users": Term(15, 3),  # tenfolds: 3 are a thousand
}


def complexity(
    *, tasks: int, width: int, depth: int, critical_path: float, unknown_technologies: int, users: float
) -> Complexity:
    """Return the score, 0 to 100, and the points of each term."""
    amounts = {
        "tasks": tasks,
        "width": width,
        "depth": depth,
        "critical_path": critical_path,
        "unknown_technologies": unknown_technologies,
        "users": log10(users) if users > 1 else 0,
    }
    points = {name: round(_points(TERMS[name], amount), 1) for name, amount in amounts.items()}
    return Complexity(score=round(sum(points.values()), 1), terms=points)


def _points(term: Term, amount: float) -> float:
    return term.most * amount / (amount + term.half)
