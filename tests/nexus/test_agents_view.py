"""Agents as they are seen: what the resource manager says of them, and what they say themselves."""

from datetime import UTC, datetime, timedelta

from contracts.agents import Beat, Running
from contracts.resource_manager import AgentDrained, AgentJoined, AgentLeft, AgentLost
from nexus.agents_view import AgentsView

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOINED = AgentJoined(at=NOW, agent="ann", instance="1", capabilities=("work",), slots=2)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def beat(*tasks: str, draining: bool = False) -> Beat:
    running = tuple(Running(project="p", task=task, attempt=1) for task in tasks)
    return Beat(agent="ann", instance="1", capabilities=("work",), slots=2, running=running, draining=draining)


def status(view: AgentsView) -> str:
    view.miss()
    return view.agents["ann"].status


def seen(*heard: tuple[str, float, Beat]) -> AgentsView:
    view = AgentsView()
    view.apply(JOINED)
    for kind, seconds, one in heard:
        view.hear(kind, one, ago(seconds), NOW)
    return view


def test_an_agent_is_busy_while_it_has_something_in_hand() -> None:
    assert status(seen(("hello", 2, beat()), ("beat", 1, beat("a")))) == "busy"
    assert status(seen(("hello", 1, beat()))) == "ready"
    assert status(seen(("beat", 1, beat("a")), ("hello", 2, beat()))) == "busy", "the last one counts"


def test_an_agent_that_is_not_heard_of_is_silent() -> None:
    assert status(seen()) == "silent"
    assert status(seen(("hello", 7, beat()))) == "silent"
    assert status(seen(("hello", 7, beat()), ("beat", 1, beat()))) == "ready"


def test_a_beat_that_does_not_say_when_brings_nobody_back() -> None:
    view = seen()
    view.hear("beat", beat(), None, NOW)
    assert status(view) == "ready"

    for gone, word in ((AgentLost(at=NOW, agent="ann"), "lost"), (AgentLeft(at=NOW, agent="ann"), "left")):
        view = seen()
        view.apply(gone)
        view.hear("beat", beat(), None, NOW)
        assert status(view) == word


def test_who_was_sent_home_stays_so_until_it_joins_again() -> None:
    view = seen(("hello", 60, beat()))
    view.apply(AgentDrained(at=NOW, agent="ann"))
    view.hear("beat", beat(), ago(1), NOW)
    assert status(view) == "draining"

    view.apply(JOINED)
    view.hear("beat", beat(), ago(1), NOW)
    assert status(view) == "ready"
    view.hear("beat", beat(draining=True), ago(0), NOW)
    assert status(view) == "draining"


def test_who_is_gone_is_not_counted_as_silent() -> None:
    for gone, expected in ((AgentLeft(at=NOW, agent="ann"), "left"), (AgentLost(at=NOW, agent="ann"), "lost")):
        view = seen()
        view.apply(gone)
        assert status(view) == expected
    assert status(seen(("beat", 2, beat()), ("bye", 1, beat()))) == "left"
