"""The lists that the gateway keeps at hand."""

from datetime import UTC, datetime

from contracts.coordinator import ExecutionCompleted, ExecutionStarted, ProtocolDefined, ProtocolRetired
from contracts.metrics import AlertRaised, AlertResolved
from contracts.planner import CreateProject, ProjectCreated
from contracts.work import Plan, ProtocolConfig
from services.gateway.projections import Board

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL: frozenset[str] = frozenset()


def board(*names: str) -> Board:
    found = Board()
    for name in names:
        found.apply(name, name, ProjectCreated(at=NOW, request=CreateProject(title=name)))
    return found


def test_the_newest_project_comes_first() -> None:
    found, total, following = board("a", "b", "c").page(ALL, 2, None)

    assert [one.id for one in found] == ["c", "b"]
    assert (total, following) == (3, "b")
    assert [one.id for one in board("a", "b", "c").page(ALL, 2, "b")[0]] == ["a"]


def test_a_page_begins_behind_its_cursor_even_if_that_project_has_another_status_now() -> None:
    found = board("a", "b", "c")
    found.apply("b", "b", ExecutionStarted(at=NOW, plan=Plan(tasks=())))
    found.apply("b", "b", ExecutionCompleted(at=NOW))

    described, total, following = found.page(frozenset({"described"}), 5, "b")

    assert [one.id for one in described] == ["a"]
    assert (total, following) == (2, None)


def test_a_page_that_is_just_full_is_the_last() -> None:
    assert board("a", "b").page(ALL, 2, None)[2] is None


def test_a_protocol_is_there_until_it_is_retired() -> None:
    found = board()
    found.apply("p", None, ProtocolDefined(at=NOW, config=ProtocolConfig(type="synchronous"), name="in step"))
    assert (found.protocols["p"].name, found.protocols["p"].config.type) == ("in step", "synchronous")

    found.apply("p", None, ProtocolRetired(at=NOW))
    assert found.protocols == {}


def test_an_alert_is_there_until_it_is_resolved() -> None:
    found = board()
    found.apply("queue", None, AlertRaised(at=NOW, rule="queue", summary="long", value=9, threshold=1))
    assert found.alerts["queue"].summary == "long"

    found.apply("queue", None, AlertResolved(at=NOW, rule="queue", value=0))
    assert found.alerts == {}
