"""Conditions of a template: `technologies.frontend != "none" and requirements.expected_users >= 10000`. Pure."""

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

COMPARISON = re.compile(r"^(technologies|requirements)\.(\w+) (==|!=|>=|<=|>|<|in|not in) (.+)$")
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "in": lambda value, among: value in among,
    "not in": lambda value, among: value not in among,
}


def _checked(condition: str) -> str:
    for part in _parts(condition):
        _parsed(part)
    return condition


Condition = Annotated[str, AfterValidator(_checked)]
"""Comparisons joined by `and`: a technology's role or a requirement, an operator, a JSON value. Empty always holds."""


def holds(condition: str, technologies: Mapping[str, str], requirements: Mapping[str, Any]) -> bool:
    """Tell whether a condition holds; a comparison with something absent or of another kind does not."""
    facts: Mapping[str, Mapping[str, Any]] = {"technologies": technologies, "requirements": requirements}
    return all(_compare(part, facts) for part in _parts(condition))


def _compare(part: str, facts: Mapping[str, Mapping[str, Any]]) -> bool:
    group, name, symbol, value = _parsed(part)
    try:
        return bool(OPERATORS[symbol](facts[group].get(name), value))
    except TypeError:  # None >= 10
        return False


def _parts(condition: str) -> list[str]:
    return condition.split(" and ") if condition else []


def _parsed(part: str) -> tuple[str, str, str, Any]:
    found = COMPARISON.match(part)
    if found is None:
        raise ValueError(f'{part!r} is no condition; one looks like `technologies.frontend != "none"`')
    group, name, symbol, literal = found.groups()
    try:
        return group, name, symbol, json.loads(literal)
    except ValueError as error:
        raise ValueError(f"{literal!r} in {part!r} is no JSON value: {error}") from error
