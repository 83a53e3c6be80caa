"""What may go wrong, and how its numbers come about."""

from statistics import NormalDist

import pytest

from contracts.work import Demand, Risk
from services.planner import risks
from services.planner.catalog import Catalog
from services.planner.schedule import schedule
from tests.planner.wishes import task, workforce

TEMPLATE = Catalog.load().templates["web_application"]
PLAIN = {"frontend": "react"}


def by_id(found: object) -> dict[str, Risk]:
    return {risk.id: risk for risk in found}  # type: ignore[attr-defined]


def test_a_templates_risk_applies_if_its_condition_holds() -> None:
    tasks = [t.plain() for t in TEMPLATE.tasks]

    small = by_id(risks.of_template(TEMPLATE.risks, tasks, PLAIN, {"expected_users": 10}))
    large = by_id(risks.of_template(TEMPLATE.risks, tasks, PLAIN, {"expected_users": 10_000}))

    assert "load" not in small
    assert large["load"].reason == "because requirements.expected_users >= 10000"
    assert large["load"].tasks == ("design-schema", "build-backend")
    assert all(risk.mitigation for risk in large.values())


def test_a_risk_of_tasks_that_are_not_in_the_plan_does_not_apply() -> None:
    tasks = [t.plain(depends_on=()) for t in TEMPLATE.tasks if t.id == "build-backend"]

    found = by_id(risks.of_template(TEMPLATE.risks, tasks, PLAIN, {"expected_users": 10_000}))

    assert found["load"].tasks == ("build-backend",)
    assert "failing-tests" not in found


def test_being_late_follows_from_the_spread_along_the_critical_path() -> None:
    tasks = [
        task("a", estimate=10, pessimistic=14),
        task("b", "a", estimate=10, pessimistic=13),
        task("aside", estimate=1, pessimistic=19),
    ]

    late = by_id(risks.of_time(tasks, schedule(tasks), timeout=None))["late"]

    deviation = 5 / 1.2816  # 4 and 3 at right angles
    assert late.probability == pytest.approx(1 - NormalDist(20, deviation).cdf(25), abs=1e-3)
    assert late.impact == 5
    assert late.tasks == ("a", "b")


def test_a_project_whose_tasks_are_certain_is_not_late() -> None:
    tasks = [task("a", estimate=10, pessimistic=10)]

    assert not list(risks.of_time(tasks, schedule(tasks), timeout=11))


def test_a_task_without_a_pessimistic_duration_may_take_half_as_much_again() -> None:
    given, not_given = [task("a", estimate=10, pessimistic=15)], [task("a", estimate=10)]

    assert list(risks.of_time(given, schedule(given), None)) == list(
        risks.of_time(not_given, schedule(not_given), None)
    )


def test_running_out_of_time_is_a_risk_only_where_it_is_near() -> None:
    tasks = [task("a", estimate=10, pessimistic=12)]

    near = by_id(risks.of_time(tasks, schedule(tasks), timeout=11))
    far = by_id(risks.of_time(tasks, schedule(tasks), timeout=60))

    assert near["timeout"].probability == pytest.approx(1 - NormalDist(10, 2 / 1.2816).cdf(11), abs=1e-3)
    assert "timeout" not in far


def test_a_scarce_capability_is_a_bottleneck_with_the_slots_that_would_do() -> None:
    tasks = [*(task(f"t{n}", estimate=2, demands=Demand(slots=2)) for n in range(5)), task("f", capability="frontend")]

    found = by_id(risks.of_capacity(tasks, schedule(tasks), workforce(a=(("backend",), 4), b=(("frontend",), 1))))

    assert list(found) == ["bottleneck-backend"]
    assert found["bottleneck-backend"].impact == 5 * 4 / 4 - 2
    assert found["bottleneck-backend"].mitigation.startswith("10 slots")


def test_nothing_is_said_about_agents_that_are_not_there() -> None:
    tasks = [task(f"t{n}", estimate=2) for n in range(5)]

    assert not list(risks.of_capacity(tasks, schedule(tasks), workforce()))


def test_a_sync_point_that_only_a_signal_reaches_is_a_risk() -> None:
    found = by_id(risks.of_signals([task("a", waits_for=("paid",)), task("b", waits_for=("paid",))], 300))

    assert found["signal-paid"].tasks == ("a", "b")
    assert found["signal-paid"].impact == 300
    assert "nexus.signals.<project>.paid" in found["signal-paid"].mitigation


def test_an_unknown_technology_is_a_risk_whatever_its_role_is_called() -> None:
    found = by_id(risks.of_technologies([("message broker/äö", "nats"), ("x" * 200, "y")]))

    first, second = found
    assert first == "technology-message-broker---"
    assert len(second) == 128
