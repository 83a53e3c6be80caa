"""Ids and titles of projects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import is_token
from contracts.planner import CreateProject
from services.planner.naming import LENGTHS, project_id, slug, title_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Shop", "shop"),
        ("E-commerce platform with user management", "e-commerce-platform-with"),
        ("  Größe & Maß!  ", "groe-ma"),
        ("日本語", "project"),
        ("x" * 40, "x" * 24),
    ],
)
def test_a_slug_has_the_first_words(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text(), st.text(min_size=1))
def test_whatever_people_type_the_id_is_a_token(text: str, command: str) -> None:
    identity = project_id(CreateProject(title=text), command)

    assert is_token(identity)
    assert len(identity) <= 31


def test_the_same_command_gives_the_same_id_and_another_one_another() -> None:
    request = CreateProject(title="Shop")

    assert project_id(request, "c-1") == project_id(request, "c-1") == "shop-u3366r"
    assert project_id(request, "c-1") != project_id(request, "c-2")
    assert project_id(request, "c-1", LENGTHS[1]).startswith(project_id(request, "c-1"))


def test_the_title_is_the_requests_or_what_describes_it_best() -> None:
    assert title_of(CreateProject(title=" My\nshop ", description="x")) == "My shop"
    assert title_of(CreateProject(description="A shop.", type="web_application")) == "A shop."
    assert title_of(CreateProject(type="web_application")) == "Web application"
    assert title_of(CreateProject(tasks=())) == "Project"


def test_a_long_description_is_cut_at_a_word() -> None:
    title = title_of(CreateProject(description="word " * 100))

    assert len(title) <= 80
    assert title.endswith("word…")
