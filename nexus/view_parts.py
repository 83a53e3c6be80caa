"""What a view of a project is made of: its tasks, their attempts, its sync points."""

from dataclasses import dataclass, field
from datetime import datetime

from contracts.coordinator import AttemptKind, ErrorInfo
from contracts.work import Fields, Task

SATISFIED = frozenset({"done", "skipped"})
ACTIVE = frozenset({"requested", "running", "retrying"})
OPEN = ACTIVE | {"waiting"}
ENDED = frozenset({"completed", "failed", "cancelled", "rolled_back", "refused"})


@dataclass
class AttemptView:
    """One attempt at a task."""

    number: int
    kind: AttemptKind
    agent: str
    lease: str
    started_at: datetime
    ended_at: datetime | None = None
    status: str = "running"
    """`running`, or how it ended: done, failed, lost, timed_out, cancelled."""
    message: str = ""
    """Why it failed."""


@dataclass
class TaskView:
    """Where one task stands."""

    plan: Task
    status: str = "waiting"
    """waiting, requested, running, retrying, done, skipped, failed, blocked, cancelled, undone, not_undone."""
    since: datetime | None = None
    """When it came to this status."""
    kind: AttemptKind = "run"
    attempt: int = 0
    agent: str = ""
    lease: str = ""
    first: datetime | None = None
    """When its first attempt began."""
    seconds: float = 0
    """Duration of the work, as the agent measured it."""
    retry_at: datetime | None = None
    capability: str = ""
    """What the agent must be able to do, if the task was routed to an alternative."""
    queued_for: str = ""
    """What capacity it waits for, in the resource manager's words."""
    output: Fields = field(default_factory=dict)
    error: ErrorInfo | None = None
    attempts: list[AttemptView] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.plan.id

    @property
    def open(self) -> bool:
        """Whether it may still change by itself."""
        return self.status in OPEN


@dataclass
class SyncPointView:
    """A named barrier, or a signal that tasks wait for."""

    name: str
    status: str = "awaited"
    """awaited, reached, missed."""
    by: str = ""
    at: datetime | None = None
    providers: tuple[str, ...] = ()
    waiters: tuple[str, ...] = ()
