"""Templates made to measure."""

from typing import Any

import pytest

from services.planner.catalog import Catalog
from services.planner.findings import Refused
from services.planner.tailoring import Tailored, tailor
from tests.planner.wishes import wish

CATALOG = Catalog.load()
WEB = CATALOG.templates["web_application"]


def tailored(**changes: Any) -> Tailored:
    return tailor(WEB, wish(**changes))


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        tailored(**changes)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def test_what_the_request_leaves_out_is_filled_in() -> None:
    made = tailored(technologies={}, requirements={"colour": "red"})

    assert made.technologies == {"frontend": "react", "backend": "fastapi", "database": "postgresql"}
    assert made.requirements == {"expected_users": 1000, "performance_level": "standard", "colour": "red"}


def test_other_names_of_a_technology_mean_the_same() -> None:
    made = tailored(technologies={"frontend": " React.js ", "database": "Postgres"})

    assert made.technologies == {"frontend": "react", "backend": "fastapi", "database": "postgresql"}


def test_everything_unsupported_is_refused_at_once_with_its_place() -> None:
    assert refused(
        technologies={"frontend": "vue", "databse": "postgresql"},
        requirements={"expected_users": "many", "performance_level": "extreme"},
    ) == {
        "/technologies/frontend": "web_application does not support 'vue' as frontend, only react, none",
        "/technologies/databse": "web_application knows no role 'databse'; did you mean database?",
        "/requirements/expected_users": "'many' is not of type 'integer'",
        "/requirements/performance_level": "'extreme' is not one of ['low', 'standard', 'high', 'very_high']",
    }


def test_a_place_with_a_slash_in_it_is_escaped() -> None:
    assert "/technologies/front~1end" in refused(technologies={"front/end": "react"})


def test_a_role_that_no_template_knows_is_kept_and_told() -> None:
    made = tailored(technologies={"cache": "redis"})

    assert made.technologies["cache"] == "redis"
    assert made.unknown == ("cache",)


@pytest.mark.parametrize(
    ("requirements", "users", "performance"),
    [
        ({}, 1, 1),
        ({"expected_users": 10}, 1, 1),
        ({"expected_users": 10_000, "performance_level": "high"}, 1.25, 1.3),
        ({"expected_users": 1_000_000, "performance_level": "low"}, 1.75, 0.9),
    ],
)
def test_users_and_performance_scale_by_the_formula(
    requirements: dict[str, Any], users: float, performance: float
) -> None:
    assert tailored(requirements=requirements).factors == {"users": users, "performance": performance}


def test_only_tasks_that_say_so_are_scaled() -> None:
    usual = {task.id: task for task in tailored(requirements={}).tasks}
    large = {task.id: task for task in tailored().tasks}

    assert large["write-requirements"] == usual["write-requirements"]
    assert large["build-backend"].estimate == pytest.approx(usual["build-backend"].estimate * 1.25 * 1.3, abs=1e-3)
    assert large["build-backend"].demands.cpu == pytest.approx(usual["build-backend"].demands.cpu * 1.25 * 1.3)
    assert large["build-frontend"].estimate == pytest.approx(usual["build-frontend"].estimate * 1.3, abs=1e-3)


def test_without_a_front_end_nothing_is_built_there_and_nobody_waits_for_it() -> None:
    made = {task.id: task for task in tailored(technologies={"frontend": "none"}).tasks}

    assert "build-frontend" not in made
    assert set(made["integrate"].depends_on) == {"design-architecture", "design-api", "build-backend"}
