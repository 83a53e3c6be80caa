"""What a plan is made of: tasks and what they need. Planner, coordinator and resource manager share these shapes."""

from typing import Any

from pydantic import Field

from contracts.base import Message, Token

Fields = dict[str, Any]


class Demand(Message):
    """What one task holds while it runs. Units are the pool's own: percent of cpu and memory, GB, Mbit/s, slots."""

    cpu: float = Field(0, ge=0)
    memory: float = Field(0, ge=0)
    disk: float = Field(0, ge=0)
    network: float = Field(0, ge=0)
    slots: int = Field(1, ge=0)
    """Agent slots; a task normally takes one."""


class Clocks(Message):
    """How long a task may take, in seconds; None waits for ever. The four clocks of Conductor's task definitions."""

    queue: float | None = Field(None, gt=0)
    """Waiting for an agent."""
    response: float = Field(60, gt=0)
    """Without a sign of life from the agent that has it."""
    run: float | None = Field(None, gt=0)
    """One attempt, from its dispatch."""
    total: float | None = Field(None, gt=0)
    """All attempts together, from the first dispatch."""


class Retry(Message):
    """How often and when a failed task is tried again: exponential back-off with a cap and jitter."""

    attempts: int = Field(3, ge=1)
    """All attempts, the first one included."""
    initial: float = Field(1.0, ge=0)
    """Seconds before the second attempt."""
    factor: float = Field(2.0, ge=1)
    cap: float = Field(60.0, ge=0)
    """Most seconds between two attempts."""
    jitter: float = Field(0.2, ge=0, le=1)
    """Share of the delay that is spread, by the attempt's id, so that replays agree."""


class Task(Message):
    """One piece of work, done by one agent."""

    id: Token
    capability: Token
    """What an agent must be able to do."""
    title: str = ""
    phase: str = ""
    depends_on: tuple[Token, ...] = ()
    demands: Demand = Demand()
    estimate: float = Field(1.0, ge=0)
    """Expected duration, seconds (median)."""
    pessimistic: float | None = Field(None, ge=0)
    """Duration that nine in ten stay under, seconds."""
    provides: Token | None = None
    """Sync point that this task reaches when it is done."""
    waits_for: tuple[Token, ...] = ()
    """Sync points or signals that must have been reached before it may start."""
    priority: int = Field(3, ge=1, le=5)
    """1 is the most urgent. Orders the queue, never stops what runs."""
    retry: Retry = Retry()
    clocks: Clocks = Clocks()
    compensate: bool = False
    """The agent can undo it: on a rollback it gets the task again with kind `compensate`."""
    optional: bool = False
    """The project can complete without it."""
    alternatives: tuple[Token, ...] = ()
    """Capabilities to try, in order, when the attempts with the first are used up (event-driven routing)."""
    input: Fields = Field(default_factory=dict)


class ProtocolConfig(Message):
    """How a project is coordinated; the seed's example is one of these, as written."""

    type: str = "asynchronous"
    """`synchronous`, `asynchronous`, `event_driven`, or the name of a plug-in."""
    agents: tuple[str, ...] = ()
    """Agents or capabilities that take part. Empty means all; so it does for tasks that none of them can do."""
    sync_points: tuple[Token, ...] = ()
    timeout_minutes: float | None = Field(None, gt=0)
    """For the whole execution."""
    sync_timeout: float | None = Field(None, gt=0)
    """Seconds that a sync point may stay away once a task waits for nothing else."""
    expects: dict[Token, float] = Field(default_factory=dict)
    """Sync point to seconds from the start within which it must have been reached; its absence is an event too."""


class Risk(Message):
    """Something that may go wrong."""

    id: Token
    title: str
    probability: float = Field(ge=0, le=1)
    impact: float = Field(ge=0)
    """Seconds by which the finish slips if it happens."""
    mitigation: str = ""
    tasks: tuple[Token, ...] = ()
    reason: str = ""
    """Why it applies to this project."""


class Slack(Message):
    """Where a task stands in the schedule that knows no resource limits (critical path method)."""

    task: Token
    earliest: float
    """Earliest start, seconds from the project's start."""
    slack: float
    """Seconds it may slip without moving the finish; 0 is critical."""


class Complexity(Message):
    """How hard a project looks, with the terms that made the score."""

    score: float
    """0 (trivial) to 100."""
    terms: dict[str, float] = Field(default_factory=dict)


class Plan(Message):
    """What is going to be done, by whom it could be done, and what that is expected to take."""

    tasks: tuple[Task, ...]
    protocol: ProtocolConfig = Field(default_factory=ProtocolConfig)
    template: str = ""
    """Template id; empty when the project brought its own tasks."""
    template_hash: str = ""
    """sha256 of the template's content, so that a plan says for ever what it was made from."""
    phases: tuple[str, ...] = ()
    sync_points: tuple[Token, ...] = ()
    risks: tuple[Risk, ...] = ()
    complexity: Complexity = Field(default_factory=lambda: Complexity(score=0))
    schedule: tuple[Slack, ...] = ()
    critical_path: tuple[Token, ...] = ()
    lower_bound: float = 0
    """Seconds: no schedule can be shorter than max(critical path, work / slots)."""
    total_work: float = 0
    """Seconds of all estimates together."""
    demands: Demand = Demand(slots=0)
    """All tasks' demands together: what running everything at once would hold."""
