"""The fold of the metrics service: what is counted, what is held, and that both come back to nothing."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts.coordinator import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    Settlement,
    TaskSkipped,
    TasksSettled,
)
from contracts.resource_manager import (
    AgentJoined,
    AgentLost,
    Capacity,
    CapacityChanged,
    CapacityLeased,
    Lease,
    LeaseReleased,
)
from contracts.work import Demand, Plan, ProtocolConfig
from services.metrics.distribution import Distribution
from services.metrics.domain import RULES, Alert, Rule
from services.metrics.performance import Performance
from services.metrics.reporting import report
from services.metrics.trends import Trends

AT = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def lease(name: str, cpu: float, project: str = "p") -> Lease:
    return Lease(id=name, project=project, task="t", agent="a", demand=Demand(cpu=cpu), epoch=1, until=later(30))


def test_a_project_that_completes_is_counted_with_its_duration() -> None:
    view = Performance()
    view.apply("p", ExecutionStarted(at=AT, plan=Plan(tasks=()), protocol=ProtocolConfig(type="synchronous")))
    during = report(view, 1, AT)
    done = Settlement(task="t", attempt=1, status="done", agent="a", seconds=2)
    view.apply("p", TasksSettled(at=later(2), results=(done,)))

    view.apply("p", ExecutionCompleted(at=later(3), seconds=3))
    found = report(view, 3, later(3))

    assert during["coordination"]["by_type"] == {"synchronous": 1}
    assert (found["projects"]["completed"], found["projects"]["active"]) == (1, 0)
    assert found["projects"]["success_rate"] == 1
    assert found["tasks"]["done"] == 1
    assert found["tasks"]["average_seconds"] == 2
    assert found["agents"]["a"]["done"] == 1


def test_agents_that_come_once_and_never_again_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.metrics.performance.WORKERS", 3)
    view = Performance()
    view.apply("default", AgentJoined(at=AT, agent="here", instance="1", capabilities=("c",)))

    for agent in ("here", "old", "older", "old", "new"):
        done = Settlement(task="t", attempt=1, status="done", agent=agent, seconds=2)
        view.apply("p", TasksSettled(at=AT, results=(done,)))

    assert {name: work.done for name, work in view.work.items()} == {"here": 1, "old": 2, "new": 1}


def test_a_project_that_a_skip_reopens_is_under_way_again() -> None:
    view = Performance()
    view.apply("p", ExecutionStarted(at=AT, plan=Plan(tasks=())))
    view.apply("p", ExecutionFailed(at=later(1), seconds=1, reason="broken"))

    view.apply("p", TaskSkipped(at=later(2), task="t"))

    assert report(view, 3, later(2))["projects"]["active"] == 1


def test_utilisation_is_what_leases_hold_of_what_there_is() -> None:
    view = Performance()
    view.apply("default", CapacityChanged(at=AT, capacity=Capacity(cpu=100)))
    view.apply("default", AgentJoined(at=AT, agent="a", instance="1", capabilities=("c",), slots=4))
    view.apply("default", CapacityLeased(at=AT, project="p", leases=(lease("1", 30), lease("2", 10))))

    held = report(view, 1, AT)
    view.apply("default", LeaseReleased(at=later(1), project="p", leases=("1",)))
    one = report(view, 1, AT)
    view.apply("default", LeaseReleased(at=later(2), project="p", leases=(), ended=True))

    assert held["resources"]["cpu_utilization"] == 40
    assert held["resources"]["slots_utilization"] == 50
    assert one["resources"]["cpu_utilization"] == 10
    assert report(view, 1, AT)["resources"]["cpu_held"] == 0
    assert view.trends.minute[int(AT.timestamp() // 60)]["cpu_seconds"] == pytest.approx(40 + 10)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.floats(0.1, 9)), max_size=40))
def test_what_is_held_is_the_sum_of_the_live_leases(steps: list[tuple[int, bool, float]]) -> None:
    view, live = Performance(), {}
    for n, (number, take, cpu) in enumerate(steps):
        name = str(number)
        if take:
            live[name] = cpu
            view.apply("default", CapacityLeased(at=later(n), project="p", leases=(lease(name, cpu),)))
        else:
            live.pop(name, None)
            view.apply("default", LeaseReleased(at=later(n), project="p", leases=(name,)))

    assert view.held.get("cpu", 0) == pytest.approx(sum(live.values()), abs=1e-6)
    assert set(view.leases) == set(live)


def test_a_lost_agent_is_no_longer_there_but_its_work_is_remembered() -> None:
    view = Performance()
    view.apply("default", AgentJoined(at=AT, agent="a", instance="1", capabilities=("c",)))
    view.apply("p", TasksSettled(at=AT, results=(Settlement(task="t", attempt=1, status="failed", agent="a"),)))

    view.apply("default", AgentLost(at=later(9), agent="a"))

    assert report(view, 1, later(9))["agents"]["a"] == {
        "present": False,
        "slots": 0,
        "busy": 0,
        "load": 0.0,
        "done": 0,
        "failed": 1,
        "success_rate": 0.0,
        "average_seconds": 0.0,
    }


def test_the_view_survives_a_checkpoint() -> None:
    view = Performance()
    view.apply("default", CapacityLeased(at=AT, project="p", leases=(lease("1", 30),)))
    view.apply("p", TasksSettled(at=AT, results=(Settlement(task="t", attempt=1, status="done", seconds=0.1),)))
    adapter = TypeAdapter(Performance)

    assert adapter.validate_python(adapter.dump_python(view, mode="json")) == view


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_off_by_less_than_a_bucket(values: list[float], share: float) -> None:
    found = Distribution()
    for value in values:
        found.add(value)
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

    quantile = found.quantile(share)

    assert quantile is not None
    assert exact / 1.2 <= quantile <= exact * 1.2


def test_old_periods_are_dropped() -> None:
    trends = Trends()
    for minute in range(400):
        trends.count(later(60 * minute), "x")

    assert len(trends.minute) == 180
    assert sum(counts["x"] for counts in trends.hour.values()) == 400


def test_an_alert_is_raised_once_and_does_not_flicker() -> None:
    rule = Rule("queue_age", "{value} s", 60, lambda _: 0.0)
    alert = Alert("queue_age")

    for value in (61, 62, 59, 55, 48, 61):
        alert.watch(rule, value, AT)

    assert [event.NAME for event in alert.collect_events()] == ["alert_raised", "alert_resolved", "alert_raised"]


def test_every_rule_reads_the_report() -> None:
    found = report(Performance(), 0, AT) | {"dead_letters": 0}

    assert [rule.measure(found) for rule in RULES] == [0.0] * len(RULES)
