"""What the coordinator is told and what it states: executions of projects and coordination protocols."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from contracts.base import Command, Event, Message, Token
from contracts.work import Demand, Fields, Plan, ProtocolConfig

AttemptKind = Literal["run", "compensate"]
SettledAs = Literal["done", "failed", "lost", "timed_out", "late"]


class CapacityRequest(Message):
    """What one attempt of a task needs before it can be dispatched."""

    id: str
    """`<project>.<task>.<attempt>`; the lease that answers it has the same id."""
    task: Token
    capability: Token
    demand: Demand = Demand()
    priority: int = 3
    agents: tuple[str, ...] = ()
    """Agents or capabilities to choose from; empty, or none of them can do it: all."""
    avoid: tuple[str, ...] = ()
    """Agents on which it failed before; taken only if there is no other."""


class Dispatch(Message):
    """One attempt of a task, given to an agent under a lease."""

    task: Token
    attempt: int
    agent: Token
    lease: str
    """Lease id; of an earlier task where the lease was carried over."""
    epoch: int
    kind: AttemptKind = "run"
    capabilities: tuple[Token, ...] = ()
    """What the agent can do; empty where the lease was carried over."""
    carry_until: datetime | None = None
    """Until when the lease may be carried over to a next task; None where it was carried over, or may not be."""


class ErrorInfo(Message):
    """Why a task failed, in the agent's words."""

    message: str
    code: str = ""
    retryable: bool = True
    retry_after: float | None = Field(None, ge=0)
    """Seconds after which a retry makes sense, such as a model's rate limit says."""


class Settlement(Message):
    """How one attempt ended."""

    task: Token
    attempt: int
    status: SettledAs
    agent: str = ""
    seconds: float = 0
    """Duration of the work, as the agent measured it."""
    output: Fields = Field(default_factory=dict)
    error: ErrorInfo | None = None
    retry_at: datetime | None = None
    """It will be tried again then."""
    reroute: Token | None = None
    """It will be tried again at once by agents with this capability."""
    kind: AttemptKind = "run"


class Consequences(Event):
    """A fact of an execution and what follows from it at once; the resource manager reads it for that."""

    dispatched: tuple[Dispatch, ...] = ()
    """Attempts that begin: leases taken into use, or carried over from a task that just ended."""
    requested: tuple[CapacityRequest, ...] = ()
    """Capacity that is needed now."""
    released: tuple[str, ...] = ()
    """Lease ids no longer needed, and requests withdrawn."""
    reached: dict[Token, str] = Field(default_factory=dict)
    """Sync points that are passed now, and by what: a task's id, or words such as `signal from shop-admin`."""


class PauseProject(Command):
    """Start nothing new; what runs may finish and its results count."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.pause_project"
    project: Token


class ResumeProject(Command):
    """Go on with a paused project."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.resume_project"
    project: Token


class CancelProject(Command):
    """End a project now: what runs is withdrawn, what waits is dropped, with `rollback` what is done is undone."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.cancel_project"
    project: Token
    reason: str = ""
    rollback: bool = False


class RetryTask(Command):
    """Try a failed task of a project again; only it and what depends on it runs."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.retry_task"
    project: Token
    task: Token


class SkipTask(Command):
    """Count a task that has not begun, or has failed, as done without doing it."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.skip_task"
    project: Token
    task: Token


class DefineProtocol(Command):
    """Keep a protocol configuration under an id."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.define_protocol"
    config: ProtocolConfig
    name: str = ""


class RetireProtocol(Command):
    """Let no further project use a protocol."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.retire_protocol"
    protocol: Token


class ExecuteProject(Command):
    """Carry out a planned project now, with the plan's own protocol or another one."""

    SUBJECT: ClassVar[str] = "nexus.commands.coordinator.execute_project"
    project: Token
    protocol: Token | None = None
    """Id of a defined protocol."""


class ExecutionStarted(Consequences):
    """A project begins. Carries its plan, so that the execution folds from its own events alone."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_started"

    title: str = ""
    type: str = ""
    description: str = ""
    technologies: dict[str, str] = Field(default_factory=dict)
    requirements: Fields = Field(default_factory=dict)
    plan: Plan
    protocol: ProtocolConfig = Field(default_factory=ProtocolConfig)
    protocol_id: str = ""
    priority: int = 3


class CapacityRequested(Consequences):
    """Tasks became ready by the passing of time, and need capacity."""

    TOPIC: ClassVar[str] = "coordinator.execution.capacity_requested"


class CapacityDeclined(Consequences):
    """Capacity came that is no longer needed; it is in `released`."""

    TOPIC: ClassVar[str] = "coordinator.execution.capacity_declined"

    reason: str = ""


class TasksDispatched(Consequences):
    """Attempts begin; each is in `dispatched`."""

    TOPIC: ClassVar[str] = "coordinator.execution.tasks_dispatched"


class TasksSettled(Consequences):
    """Attempts ended, all that became known together."""

    TOPIC: ClassVar[str] = "coordinator.execution.tasks_settled"

    results: tuple[Settlement, ...]
    blocked: tuple[Token, ...] = ()
    """Tasks that can no longer begin because of the failed ones."""
    stop: str = ""
    """Not empty: nothing new starts, for this reason, and what is done is rolled back."""


class TaskRetried(Consequences):
    """A task's back-off is over, or somebody asked: it is tried again."""

    TOPIC: ClassVar[str] = "coordinator.execution.task_retried"

    tasks: tuple[Token, ...]
    by: str = "backoff"
    """`backoff`, or `command`."""


class TaskSkipped(Consequences):
    """A task counts as done without having been done."""

    TOPIC: ClassVar[str] = "coordinator.execution.task_skipped"

    task: Token


class SignalReceived(Consequences):
    """Something from outside arrived; it reaches the sync point of its name."""

    TOPIC: ClassVar[str] = "coordinator.execution.signal_received"

    name: Token
    payload: Fields = Field(default_factory=dict)
    source: str = ""
    awaited: bool = True
    """False: nobody waits for it (kept, and counts if someone will)."""


class SyncPointMissed(Consequences):
    """An expected sync point stayed away; the protocol reacts to its absence."""

    TOPIC: ClassVar[str] = "coordinator.execution.sync_point_missed"

    name: Token
    blocked: tuple[Token, ...] = ()
    """Tasks that fail because of it."""


class ExecutionPaused(Consequences):
    """Nothing new starts."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_paused"


class ExecutionResumed(Consequences):
    """A paused project goes on."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_resumed"


class CompensationStarted(Consequences):
    """What was done is being undone, in reverse order."""

    TOPIC: ClassVar[str] = "coordinator.execution.compensation_started"

    tasks: tuple[Token, ...]
    """In the order in which they are undone."""
    reason: str


class CompensationSettled(Consequences):
    """Undoing steps ended."""

    TOPIC: ClassVar[str] = "coordinator.execution.compensation_settled"

    results: tuple[Settlement, ...]


class Ended(Consequences):
    """An execution is over; the resource manager releases everything of the project."""

    seconds: float = 0
    """From start to end."""


class ExecutionCompleted(Ended):
    """Every task that must be done is done."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_completed"

    degraded: tuple[Token, ...] = ()
    """Optional tasks that were not done."""


class ExecutionFailed(Ended):
    """The project could not be carried out."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_failed"

    reason: str
    failed: tuple[Token, ...] = ()
    blocked: tuple[Token, ...] = ()
    """Tasks never begun because of the failed ones."""


class ExecutionCancelled(Ended):
    """Somebody ended the project."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_cancelled"

    reason: str = ""


class ExecutionRolledBack(Ended):
    """What was done has been undone."""

    TOPIC: ClassVar[str] = "coordinator.execution.execution_rolled_back"

    reason: str
    undone: tuple[Token, ...] = ()
    not_undone: tuple[Token, ...] = ()
    """Tasks whose undoing failed: somebody must look."""


class ProtocolDefined(Event):
    """A protocol may be used by projects."""

    TOPIC: ClassVar[str] = "coordinator.protocol.protocol_defined"

    config: ProtocolConfig
    name: str = ""


class ProtocolRetired(Event):
    """No further project may use the protocol."""

    TOPIC: ClassVar[str] = "coordinator.protocol.protocol_retired"


ENDED: tuple[type[Ended], ...] = (ExecutionCompleted, ExecutionFailed, ExecutionCancelled, ExecutionRolledBack)
