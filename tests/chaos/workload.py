"""What is handed in: projects of many shapes. The same seed makes the same projects, to the last task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from contracts.base import Command
from contracts.coordinator import CancelProject, PauseProject, ResumeProject
from contracts.planner import CreateProject
from services.planner.naming import project_id

BUILD, SHIP = "build", "ship"
"""What the agents of these tests can do."""
FOR_EVER = 99
"""Attempts that fail: more than any task has."""

Tasks = list[dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """Something that is done to a project from outside, some seconds after the step before it."""

    after: float
    what: Literal["signal", "pause", "resume", "cancel"]
    name: str = ""

    def command(self, project: str) -> Command:
        """Return the command that does it."""
        kinds = {"pause": PauseProject, "resume": ResumeProject, "cancel": CancelProject}
        return kinds[self.what](project=project)


@dataclass(frozen=True)
class Wish:
    """One project: when it is handed in, what happens to it, and how it must end."""

    id: str
    """Of the command that creates it."""
    shape: str
    at: float
    request: CreateProject
    ends: str
    steps: tuple[Step, ...] = field(default=())

    @property
    def project(self) -> str:
        """Its id, known before anybody has made it."""
        return project_id(self.request, self.id)


@dataclass(frozen=True)
class Shape:
    """What all projects of one kind have in common."""

    tasks: Callable[[Random], Tasks]
    ends: str = "completed"
    protocol: str = "asynchronous"
    steps: Callable[[Random], tuple[Step, ...]] = lambda _: ()


def wishes(seed: int, count: int, seconds: float, *, wave: int = 0) -> list[Wish]:
    """Return `count` projects of all shapes, handed in within so many seconds."""
    rng = Random(f"{seed}/{wave}")
    names = list(SHAPES)
    return [_wish(rng, f"{seed}-{wave}-{n}", names[n % len(names)], rng.uniform(0, seconds)) for n in range(count)]


def _wish(rng: Random, name: str, shape: str, at: float) -> Wish:
    kind = SHAPES[shape]
    request = CreateProject.model_validate(
        {
            "title": f"{shape} {name}",
            "tasks": kind.tasks(rng),
            "protocol": {"type": kind.protocol},
            "priority": rng.randint(1, 5),
        }
    )
    return Wish(f"chaos-{name}", shape, at, request, kind.ends, kind.steps(rng))


def _task(rng: Random, name: str, *after: str, fails: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "capability": rng.choice((BUILD, BUILD, SHIP)),
        "depends_on": after,
        "demands": {"cpu": rng.choice((1, 2, 5))},
        "retry": {"attempts": 12, "initial": 0.1, "cap": 0.5},
        "input": {"seconds": round(rng.uniform(0.02, 0.4), 3), "fails": fails},
        **more,
    }


def _chain(rng: Random) -> Tasks:
    return [_task(rng, f"t{n}", *([f"t{n - 1}"] if n else [])) for n in range(rng.randint(3, 7))]


def _fan(rng: Random) -> Tasks:
    names = [f"t{n}" for n in range(rng.randint(4, 9))]
    return [*(_task(rng, name) for name in names), _task(rng, "join", *names)]


def _diamonds(rng: Random) -> Tasks:
    return list(_diamond_chain(rng, rng.randint(1, 3)))


def _diamond_chain(rng: Random, count: int) -> Iterator[dict[str, Any]]:
    yield _task(rng, "top0")
    for n in range(count):
        yield from (_task(rng, side + str(n), f"top{n}") for side in ("left", "right"))
        yield _task(rng, f"top{n + 1}", f"left{n}", f"right{n}")


def _retries(rng: Random) -> Tasks:
    """Each fails at first, some several times."""
    return [
        _task(rng, f"t{n}", *([f"t{n - 1}"] if n else []), fails=rng.choice((0, 1, 1, 2, 3)))
        for n in range(rng.randint(3, 5))
    ]


def _signals(rng: Random) -> Tasks:
    """Two sides: one waits for somebody outside, one for what the first one provides."""
    return [
        _task(rng, "schema", provides="schema_ready"),
        _task(rng, "api", waits_for=["schema_ready"]),
        _task(rng, "review", "api", waits_for=["approved"]),
        _task(rng, "release", "review", waits_for=["approved", "window_open"]),
    ]


def _approvals(rng: Random) -> tuple[Step, ...]:
    return (Step(rng.uniform(0, 2), "signal", "approved"), Step(rng.uniform(0, 2), "signal", "window_open"))


def _line(rng: Random) -> Tasks:
    """One after the other; the last can never be done, so all is undone."""
    good = [
        _task(rng, f"t{n}", *([f"t{n - 1}"] if n else []), compensate=n != 1, fails=rng.choice((0, 0, 1)))
        for n in range(rng.randint(2, 4))
    ]
    return [*good, _task(rng, "never", good[-1]["id"], fails=FOR_EVER, retry={"attempts": 2, "initial": 0.1})]


def _broken(rng: Random) -> Tasks:
    """One branch fails for ever; the other is carried to its end all the same."""
    return [
        _task(rng, "start"),
        _task(rng, "never", "start", fails=FOR_EVER, retry={"attempts": 2, "initial": 0.1}),
        _task(rng, "behind", "never"),
        _task(rng, "beside", "start"),
        _task(rng, "last", "beside"),
    ]


def _degraded(rng: Random) -> Tasks:
    """What fails for ever is not needed."""
    return [
        _task(rng, "start"),
        _task(rng, "extra", "start", fails=FOR_EVER, optional=True, retry={"attempts": 2, "initial": 0.1}),
        _task(rng, "main", "start"),
    ]


def _stuck(rng: Random) -> Tasks:
    """The last one waits for something that never comes."""
    return [_task(rng, "first"), _task(rng, "second", "first", waits_for=["godot"])]


def _interrupted(rng: Random) -> Tasks:
    """It cannot end before it was paused and resumed: then somebody gives the word."""
    return [*_chain(rng), _task(rng, "last", "t0", waits_for=["word"])]


def _interruption(rng: Random) -> tuple[Step, ...]:
    return (Step(rng.uniform(0, 0.5), "pause"), Step(rng.uniform(0, 2), "resume"), Step(0.1, "signal", "word"))


def _end(rng: Random) -> tuple[Step, ...]:
    return (Step(rng.uniform(0, 2), "cancel"),)


SHAPES = {
    "chain": Shape(_chain),
    "fan": Shape(_fan),
    "diamonds": Shape(_diamonds),
    "retries": Shape(_retries),
    "signals": Shape(_signals, protocol="event_driven", steps=_approvals),
    "line": Shape(_line, ends="rolled_back", protocol="synchronous"),
    "broken": Shape(_broken, ends="failed"),
    "degraded": Shape(_degraded),
    "paused": Shape(_interrupted, protocol="event_driven", steps=_interruption),
    "cancelled": Shape(_stuck, ends="cancelled", protocol="event_driven", steps=_end),
}
