"""What a publisher said and nobody reads: tolerated, for newer publishers say more; told, for it may be misspelt."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

from contracts.base import Message
from contracts.outcomes import Problem, pointer

Place = tuple[int | str, ...]


def unread(said: Any, message: Message) -> tuple[Problem, ...]:
    """Return one problem for each key of `said` that did not become part of `message`, with a guess at its meaning."""
    names = _names(type(message))
    return tuple(_problem(place, names) for place in _beyond(said, message.model_dump(exclude_unset=True), ()))


def _beyond(said: Any, read: Any, place: Place) -> Iterator[Place]:
    if isinstance(said, dict) and isinstance(read, dict):
        for key, value in said.items():
            if key in read:
                yield from _beyond(value, read[key], (*place, key))
            else:
                yield (*place, key)
    elif isinstance(said, list) and isinstance(read, list | tuple):
        for number, (one, other) in enumerate(zip(said, read, strict=False)):
            yield from _beyond(one, other, (*place, number))


def _problem(place: Place, names: frozenset[str]) -> Problem:
    close = get_close_matches(str(place[-1]), names, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return Problem(pointer=pointer(place), message=f"nobody reads this{guess}")


@cache
def _names(kind: type[Message]) -> frozenset[str]:
    return frozenset(_properties(kind.model_json_schema()))


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        for part in schema.values():
            yield from _properties(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _properties(part)
