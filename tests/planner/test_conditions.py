"""Conditions of templates."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from services.planner.conditions import Condition, holds

FACTS: tuple[dict[str, str], dict[str, Any]] = ({"frontend": "react"}, {"expected_users": 10000, "level": "high"})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True),
        ('technologies.frontend == "react"', True),
        ('technologies.frontend != "none"', True),
        ('technologies.frontend != "react"', False),
        ("requirements.expected_users >= 10000", True),
        ("requirements.expected_users < 10000", False),
        ('requirements.level in ["high", "very_high"]', True),
        ('requirements.level not in ["high"]', False),
        ('technologies.frontend != "none" and requirements.expected_users > 10', True),
        ('technologies.frontend != "none" and requirements.expected_users > 10000', False),
        ("requirements.unheard_of >= 1", False),
        ("requirements.unheard_of == null", True),
        ("requirements.level > 3", False),
    ],
)
def test_a_condition_compares_what_was_asked_for(condition: str, expected: bool) -> None:
    assert holds(condition, *FACTS) is expected


@pytest.mark.parametrize("wrong", ["frontend", "technologies.frontend = 1", "requirements.a == b", "os.system in [1]"])
def test_what_is_no_condition_is_refused_when_the_template_is_read(wrong: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Condition).validate_python(wrong)
