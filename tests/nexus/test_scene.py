"""What the live view and the lines show: pure, from views and events alone."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rich.console import Console

from contracts import samples
from contracts.base import EVENTS, Event
from contracts.coordinator import Dispatch, ExecutionStarted, Settlement, TasksDispatched, TasksSettled
from contracts.resource_manager import Capacity
from contracts.work import Plan, Task
from nexus.agents_view import AgentView
from nexus.cli.live import screen
from nexus.cli.scene import Branch, Scene, tree
from nexus.cli.telling import line, names, seconds
from nexus.history import Entry
from nexus.view import ProjectView
from shared.mapper import EventMapper, Origin
from shared.records import Logged

AT = datetime(2026, 1, 1, tzinfo=UTC)
DIAMOND = Plan(
    tasks=(
        Task(id="a", capability="x", phase="one", estimate=1, provides="ready"),
        Task(id="short", capability="x", phase="one", estimate=1, depends_on=("a",)),
        Task(id="long", capability="x", phase="two", estimate=5, depends_on=("a",)),
        Task(id="end", capability="y", phase="two", estimate=1, depends_on=("short", "long")),
    ),
    phases=("one", "two"),
    critical_path=("a", "long", "end"),
    lower_bound=7,
)


def entry(event: Event, sequence: int = 1, project: str = "p") -> Entry:
    record = EventMapper().to_record(event, project, sequence, Origin())
    headers = {"Nexus-Topic": record.topic, "Nexus-Version": "1", "Nats-Msg-Id": record.id}
    subject = f"nexus.events.{event.SERVICE}.{project}.{event.NAME}"
    return Entry(Logged.of(subject, headers, record.state, sequence))


def scene(*events: Event) -> Scene:
    agents = [AgentView("ann", "ready", slots=2), AgentView("gone", "left")]
    found = Scene(ProjectView("p"), Capacity(cpu=100, memory=50), agents)
    for place, event in enumerate((ExecutionStarted(at=AT, title="Diamond", plan=DIAMOND), *events), 1):
        found.hear(entry(event, place))
    return found


def ran(*tasks: str) -> Iterator[Event]:
    for task in tasks:
        yield TasksDispatched(at=AT, dispatched=(Dispatch(task=task, attempt=1, agent="ann", lease="l", epoch=1),))
        done = Settlement(task=task, attempt=1, status="done", agent="ann", seconds=1)
        yield TasksSettled(at=AT, results=(done,), reached={"ready": "a"} if task == "a" else {})


def drawn(found: Scene, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, record=True, file=None, force_terminal=True)
    with console.capture() as captured:
        console.print(screen(found, width, height))
    assert captured.get()
    plain = Console(width=width, height=height, color_system=None)
    with plain.capture() as captured:
        plain.print(screen(found, width, height))
    return captured.get().splitlines()


def flat(branches: list[Branch], depth: int = 0) -> Iterator[tuple[int, str, bool, tuple[str, ...]]]:
    for branch in branches:
        yield depth, branch.task.id, branch.critical, branch.others
        yield from flat(branch.children, depth + 1)


def test_a_task_stands_once_below_what_it_waits_for_longest() -> None:
    assert list(flat(tree(scene().view))) == [
        (0, "a", True, ()),
        (1, "long", True, ()),
        (2, "end", True, ("short",)),
        (1, "short", False, ()),
    ]


def test_a_phase_is_as_far_as_its_tasks() -> None:
    assert scene().phases() == [("one", 0, "waiting"), ("two", 0, "waiting")]
    assert scene(*ran("a")).phases()[0] == ("one", 0.5, "waiting")
    assert scene(*ran("a", "short", "long")).phases() == [("one", 1, "done"), ("two", pytest.approx(5 / 6), "waiting")]


def test_the_middle_is_where_half_of_the_tasks_were_done() -> None:
    assert scene(*ran("a")).middle == 0
    assert scene(*ran("a", "short", "long")).middle == 5


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (140, 50)])
def test_everything_finds_room_on_the_terminal(width: int, height: int) -> None:
    *running, _ = ran("a", "short", "long")

    lines = drawn(scene(*running), width, height)

    assert len(lines) <= height
    assert all(len(one) <= width for one in lines)
    text = "\n".join(lines)
    for piece in (
        "Diamond",
        "✔ a ★",
        "▶ long ★",
        "○ end ★",
        "also short",
        "ann",
        "1/2",
        "cpu",
        "✔ ready",
        "tasks_settled",
    ):
        assert piece in text, piece
    assert "gone" not in text


def test_a_large_plan_shows_what_moves() -> None:
    tasks = tuple(Task(id=f"t{number}", capability="x") for number in range(300))
    found = Scene(ProjectView("p"))
    found.hear(entry(ExecutionStarted(at=AT, plan=Plan(tasks=tasks))))
    found.hear(entry(next(ran("t7")), 2))

    text = "\n".join(drawn(found, 120, 40))

    assert "1 running · 299 waiting" in text
    assert "▶ t7" in text
    assert "t8" not in text


@pytest.mark.parametrize("topic", sorted(EVENTS))
def test_every_event_is_told_in_one_line(topic: str) -> None:
    found = [sample for _, sample in samples.EVENTS if topic == sample.TOPIC]
    assert found

    for sample in found:
        told = line(entry(sample))
        assert told.startswith("#1 ")
        assert f" {sample.NAME}" in told
        assert "\n" not in told
        assert "unknown to this version" not in told


def test_people_read_durations_and_long_lists() -> None:
    assert [seconds(amount) for amount in (0.123, 12.34, 125, 7325)] == ["0.12 s", "12.3 s", "2 min 05 s", "2 h 02 min"]
    assert names("abcd") == "a, b, c, d"
    assert names("abcdef") == "a, b, c and 3 more"
