"""Example values of attributes, right and wrong, for the produced tests and documents. Pure."""

from collections.abc import Iterable, Iterator

from services.agents.model import Attribute, Entity, Value
from services.agents.wording import flat, quoted

BY_TYPE: dict[str, Value] = {
    "text": "Something",
    "long_text": "In a few words",
    "url": "https://example.com/picture.png",
    "email": "ada@example.com",
    "number": 1.5,
    "integer": 1,
    "money": 1_000,
    "boolean": True,
    "date": "2030-05-01",
    "timestamp": "2030-05-01T09:00:00Z",
    "reference": 1,
}
# Python expressions for values of which no two are the same; `n` counts.
DISTINCT = {
    "text": 'f"{{n}} {value}"[:{longest}]',
    "long_text": 'f"{{n}} {value}"[:{longest}]',
    "email": 'f"somebody{{n}}@example.com"',
    "url": 'f"https://example.com/{{n}}"',
    "integer": "{low} + n % {span}",
    "money": "{low} + n % {span}",
    "number": "{low} + n % {span}",
    "date": 'f"{{2000 + n}}-05-01"',
    "timestamp": 'f"{{2000 + n}}-05-01T09:00:00Z"',
}
WRONG: dict[str, Value] = {
    "url": "no address",
    "email": "nobody",
    "number": "much",
    "boolean": "perhaps",
    "date": "tomorrow",
    "timestamp": "tomorrow",
    "choice": "nonsense",
    "reference": 0,
}


def sample(attribute: Attribute) -> Value:
    """A value that the attribute accepts."""
    if attribute.example is not None:
        return attribute.example
    if attribute.default is not None:
        return attribute.default
    if attribute.type == "choice":
        return attribute.choices[0]
    value = BY_TYPE[attribute.type]
    low, high = attribute.bounds
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = max(value, low) if low is not None else value
        return min(value, high) if high is not None else value
    return value[: attribute.longest] if isinstance(value, str) and attribute.longest else value


def built(attribute: Attribute) -> str:
    """The Python expression for a sample in a test that counts with `n`; a unique one is different each time."""
    value = sample(attribute)
    if attribute.references == "user":
        return "people.alice.id"
    if attribute.unique and attribute.type in DISTINCT:
        low, high = attribute.bounds
        span = 10_000 if high is None else high - (low or 0) + 1
        return DISTINCT[attribute.type].format(
            value=flat(str(value)), longest=attribute.longest, low=low or 0, span=span
        )
    return quoted(value) if isinstance(value, str) else repr(value)


def wrong(attributes: Iterable[Attribute]) -> list[str]:
    """Pairs of a field and a value that it must refuse, as Python writes them."""
    return [f'("{a.column}", {value})' for a in attributes for value in _wrong(a)]


def _wrong(attribute: Attribute) -> Iterator[str]:
    if attribute.type in WRONG:
        yield repr(WRONG[attribute.type]).replace("'", '"')
    if attribute.type in {"text", "long_text"}:
        yield f'"x" * {(attribute.longest or 0) + 1}'
        if attribute.required:
            yield '" "'
    low, high = attribute.bounds
    yield from (str(value) for value in (low and low - 1, high and high + 1) if value is not None and value != 0)
    if low in {0, 1}:
        yield str(low - 1)


def hiding(entity: Entity) -> str:
    """The arguments that make a row one of those that are not shown to everybody."""
    name, shown = next(iter(entity.visible.items()))
    if isinstance(shown, bool):
        return f"{name}={not shown}"
    others = [choice for choice in entity.attribute(name).choices if choice != shown]
    return f"{name}={quoted(others[0] if others else f'not {shown}')}"
