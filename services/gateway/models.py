"""What the API answers. Plans, leases and the like are the contracts' own shapes."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.agents import Running
from contracts.coordinator import ErrorInfo
from contracts.outcomes import Problem
from contracts.resource_manager import Lease
from contracts.work import Demand, Fields, Plan, ProtocolConfig, Task

Number = int | float | None


class Answer(BaseModel):
    """Read from the system's own objects."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class ProblemError(Answer):
    """One thing that is wrong with a request."""

    pointer: str | None = None
    """Where in the body, as a JSON pointer (RFC 6901); empty for the whole body."""
    parameter: str | None = None
    """Which parameter of the path, the query or the headers."""
    detail: str


class ProblemDetails(Answer):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    """A word for programs, such as `unknown_template`."""
    errors: list[ProblemError] = []
    command: str | None = None
    """Id of the command. Send it as Idempotency-Key to ask again without doing it twice."""


class Done(Answer):
    """A command was accepted."""

    command: str
    """Its id: the Idempotency-Key, or one that was made for it."""
    sequence: int | None
    """Place in the log of what it led to."""
    result: Fields = {}


class Created(Answer):
    """A project was described; its planning goes on."""

    id: str
    location: str
    command: str
    sequence: int | None


class Signalled(Answer):
    """A signal is stored and will be heard."""

    project: str
    name: str


class Summary(Answer):
    """A project at a glance."""

    id: str
    status: str
    title: str
    type: str
    priority: int
    tasks: int
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float
    reason: str


class Projects(Answer):
    """A page of projects, newest first."""

    projects: list[Summary]
    total: int
    """How many there are with this filter."""
    next: str | None
    """The cursor of the next page; null on the last one."""


class Attempt(Answer):
    """One attempt at a task."""

    number: int
    kind: str
    agent: str
    lease: str
    started_at: datetime
    ended_at: datetime | None
    status: str
    message: str


class Wait(Answer):
    """What a task waits for."""

    kind: str
    name: str
    until: datetime | None


class TaskState(Answer):
    """Where a task stands."""

    plan: Task
    status: str
    since: datetime | None
    kind: str
    attempt: int
    agent: str
    lease: str
    first: datetime | None
    seconds: float
    retry_at: datetime | None
    capability: str
    queued_for: str
    output: Fields
    error: ErrorInfo | None
    attempts: list[Attempt]
    waits: list[Wait]


class SyncPoint(Answer):
    """A barrier, or a signal that tasks wait for."""

    name: str
    status: str
    by: str
    at: datetime | None
    providers: list[str]
    waiters: list[str]


class Project(Answer):
    """A project, its plan, and how far it is."""

    id: str
    status: str
    ended: bool
    paused: bool
    title: str
    description: str
    type: str
    technologies: dict[str, str]
    requirements: Fields
    priority: int
    plan: Plan | None
    approved: bool
    protocol: ProtocolConfig
    protocol_id: str
    analyst: str
    reasons: list[str]
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float
    reason: str
    code: str
    problems: list[Problem]
    degraded: list[str]
    not_undone: list[str]
    tasks: dict[str, TaskState]
    points: dict[str, SyncPoint]
    signals: dict[str, Fields]
    leases: dict[str, Lease]
    late: int
    counts: dict[str, int]
    """How many tasks stand where."""
    progress: float
    """Share of the estimated work that is done, 0 to 1."""
    held: Demand
    events: int
    sequence: int
    at: datetime | None


class Event(Answer):
    """One event of the log."""

    sequence: int
    at: datetime | None
    service: str
    event: str
    project: str | None
    aggregate: str
    version: int
    actor: str | None
    id: str
    causationid: str | None
    traceparent: str | None
    data: Fields


class History(Answer):
    """A page of a project's history."""

    project: str
    events: list[Event]
    next: int | None
    """Pass it as `after` for the next page; null on the last one."""


class Change(Answer):
    """A value that is not the same at two places in the log."""

    path: str
    """Where, as a JSON pointer into the project."""
    before: Any
    after: Any


class Changes(Answer):
    """What changed in a project between two places in the log."""

    project: str
    since: int
    until: int
    changes: list[Change]


class Agent(Answer):
    """An agent, as it says itself."""

    name: str
    status: str
    """ready, busy, draining, silent (no beat in time), lost, left."""
    instance: str
    capabilities: list[str]
    slots: int
    interval: float
    joined_at: datetime | None
    last_seen: datetime | None
    running: list[Running]


class Protocol(Answer):
    """A protocol that projects may use."""

    id: str
    name: str
    config: ProtocolConfig
    at: datetime


class Alert(Answer):
    """Something that needs a person's eyes."""

    rule: str
    summary: str
    value: float
    threshold: float
    since: datetime


class Letter(Answer):
    """A message that could not be handled."""

    sequence: int
    subject: str
    code: str
    reason: str
    attempts: int
    stream: str
    position: int
    size: int
    """Bytes."""
    payload: str
    """The beginning of the message, as text."""


class Letters(Answer):
    """A page of dead letters, oldest first."""

    letters: list[Letter]
    next: int | None
    """Pass it as `after` for the next page; null on the last one."""


class Redriven(Answer):
    """A dead letter was sent to where it came from."""

    letter: int
    sequence: int
    """Its new place there."""


class QueueNumbers(Answer):
    """Requests that wait for capacity."""

    length: int
    oldest_seconds: float
    reasons: dict[str, int]


class AgentNumbers(Answer):
    """How one agent does."""

    present: bool
    slots: int
    busy: int
    load: float
    """Percent of its slots that are in use."""
    done: int
    failed: int
    success_rate: float | None
    average_seconds: float | None


class Performance(Answer):
    """How the whole system does, as the metrics service last told it. Times are seconds, utilisations percent."""

    model_config = ConfigDict(extra="allow")

    position: int
    """How far in the log it knows."""
    projects: dict[str, Number]
    tasks: dict[str, Number]
    resources: dict[str, Number]
    queue: QueueNumbers
    agents: dict[str, AgentNumbers]
    coordination: dict[str, Number | dict[str, int]]
    dead_letters: int = Field(0, ge=0)
