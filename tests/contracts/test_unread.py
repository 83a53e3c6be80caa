"""Keys that nobody reads are told, with a guess."""

from contracts.planner import CreateProject
from contracts.unread import unread


def test_every_key_that_nobody_reads_is_named_with_its_place_and_a_guess() -> None:
    said = {"typ": "web_application", "tasks": [{"id": "a", "capability": "x", "dependencies": ["b"]}], "odd": 1}

    found = unread(said, CreateProject.model_validate(said))

    assert [(one.pointer, one.message) for one in found] == [
        ("/typ", "nobody reads this; did you mean type?"),
        ("/tasks/0/dependencies", "nobody reads this; did you mean depends_on?"),
        ("/odd", "nobody reads this"),
    ]


def test_what_is_free_to_hold_anything_holds_anything() -> None:
    said = {
        "requirements": {"expected_users": 7, "nested": {"deep": [1, {"x": None}]}},
        "technologies": {"ui": "react"},
    }

    assert unread(said, CreateProject.model_validate(said)) == ()
