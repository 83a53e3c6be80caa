"""What agents and the system say to each other. An agent in any language needs these five messages and nothing else."""

from typing import ClassVar, Literal

from pydantic import Field

from contracts.base import Message, Token
from contracts.coordinator import AttemptKind, ErrorInfo
from contracts.work import Demand, Fields


class Running(Message):
    """An attempt that an agent has in hand, told with every beat."""

    project: Token
    task: Token
    attempt: int
    progress: float = Field(0, ge=0, le=1)
    note: str = ""


class Beat(Message):
    """An agent's sign of life, complete in itself: `nexus.agents.<agent>.hello`, then `….beat`, at last `….bye`."""

    TYPE: ClassVar[str] = "nexus.agents.beat"

    agent: Token
    instance: str
    """A new one for each run of the agent: what the earlier run had in hand is given to others."""
    capabilities: tuple[Token, ...]
    slots: int = Field(1, ge=1)
    """How many tasks it does at one time."""
    capacity: Demand | None = None
    """The agent's own limits beside its slots; None has none."""
    interval: float = Field(2.0, gt=0)
    """Seconds between beats; after three missed ones the agent counts as lost."""
    draining: bool = False
    running: tuple[Running, ...] = ()


class Assignment(Message):
    """Work for an agent, on `nexus.tasks.<agent>`. May arrive twice: drop it by project, task and attempt."""

    TYPE: ClassVar[str] = "nexus.coordinator.assignment"

    project: Token
    task: Token
    attempt: int
    lease: str
    epoch: int
    capability: Token
    kind: AttemptKind = "run"
    title: str = ""
    input: Fields = Field(default_factory=dict)
    project_input: Fields = Field(default_factory=dict)
    """The project's title, description, type, technologies and requirements."""
    upstream: dict[str, Fields] = Field(default_factory=dict)
    """Output of each task that this one depends on."""
    output: Fields = Field(default_factory=dict)
    """Kind compensate: what the task gave when it was done."""
    run_seconds: float | None = None
    """The attempt must end within this time."""
    estimate: float = 0
    """Expected seconds."""


class Withdrawal(Message):
    """The assignment is no longer wanted, on `nexus.tasks.<agent>`: stop, and say nothing more about it."""

    TYPE: ClassVar[str] = "nexus.coordinator.withdrawal"

    project: Token
    task: Token
    attempt: int
    reason: str = ""


class TaskResult(Message):
    """How an attempt ended, on `nexus.results.<project>.<task>`; attempt, lease and epoch are the assignment's.

    Send the assignment's `traceparent` along. The stream lives in memory: an agent that is assigned an attempt again
    which it has answered answers again.
    """

    TYPE: ClassVar[str] = "nexus.agents.result"

    agent: Token
    attempt: int
    lease: str
    epoch: int
    status: Literal["done", "failed"]
    output: Fields = Field(default_factory=dict)
    error: ErrorInfo | None = None
    seconds: float = Field(0, ge=0)
    kind: AttemptKind = "run"
