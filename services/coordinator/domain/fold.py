"""What each fact does to the state of an execution. Facts never refuse."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from contracts.coordinator import (
    CapacityDeclined,
    CapacityRequested,
    CompensationSettled,
    CompensationStarted,
    Consequences,
    Ended,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRolledBack,
    ExecutionStarted,
    Settlement,
    SignalReceived,
    SyncPointMissed,
    TaskRetried,
    TasksDispatched,
    TaskSkipped,
    TasksSettled,
)
from contracts.work import Fields, Plan, ProtocolConfig
from services.coordinator.domain.state import BUSY, OPEN, Held, PlanIndex, Status, TaskState
from shared.domain import Aggregate


@dataclass
class ExecutionState(Aggregate):
    """A plan being carried out: where its tasks stand, what it holds, what it waits for."""

    TOPIC = "coordinator.execution"
    FOLD = 2
    KEY_IS_PROJECT = True

    plan: Plan = field(default_factory=lambda: Plan(tasks=()))
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    protocol_id: str = ""
    brief: Fields = field(default_factory=dict)
    """What agents are told about the project: title, description, type, technologies, requirements."""
    priority: int = 3
    status: str = "new"
    """new, running, compensating, completed, failed, cancelled, rolled_back."""
    paused: bool = False
    stopping: str = ""
    """Why nothing new starts any more."""
    started_at: datetime | None = None
    reopened_at: datetime | None = None
    """When a command last made it go on after it had ended: its deadline counts from then."""
    ended_at: datetime | None = None
    tasks: dict[str, TaskState] = field(default_factory=dict)
    active: dict[str, None] = field(default_factory=dict)
    """Tasks that are requested, running or backing off, in the order in which they came to be."""
    leases: dict[str, Held] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)
    """Sync points that were reached, and by what."""
    missed: list[str] = field(default_factory=list)
    signals: dict[str, Fields] = field(default_factory=dict)
    undoing: list[str] = field(default_factory=list)
    """Tasks still to be undone, the next one first."""

    @cached_property
    def index(self) -> PlanIndex:
        """What follows from the plan."""
        return PlanIndex(self.plan)

    @property
    def ended(self) -> bool:
        """Whether the execution is over."""
        return self.ended_at is not None

    @property
    def deadline(self) -> datetime | None:
        """Until when the whole execution must have ended."""
        since, minutes = self.reopened_at or self.started_at, self.protocol.timeout_minutes
        return since + timedelta(minutes=minutes) if since and minutes else None

    @property
    def held_back(self) -> bool:
        """Whether a back-off that is over has to wait on."""
        return self.paused or (bool(self.stopping) and self.status == "running")

    @property
    def at_rest(self) -> bool:
        """Whether nothing moves by itself any more, so that the end or a next step has to be decided."""
        return not self.ended and (not self.active or (bool(self.stopping) and self.status == "running"))

    def stood_down(self, at: datetime) -> list[tuple[str, TaskState]]:
        """Attempts that agents had in hand when everything was withdrawn at that moment."""
        if self.status not in ("compensating", "failed", "cancelled", "rolled_back"):
            return []
        return [
            (task, state)
            for task, state in self.tasks.items()
            if state.status is Status.CANCELLED and state.since == at and state.attempt in state.given_up
        ]

    def apply_execution_started(self, event: ExecutionStarted) -> None:
        self.plan, self.protocol, self.protocol_id = event.plan, event.protocol, event.protocol_id
        self.__dict__.pop("index", None)
        self.priority, self.status, self.started_at = event.priority, "running", event.at
        self.brief = event.model_dump(include={"title", "type", "description", "technologies", "requirements"})
        self.tasks = {task.id: TaskState(since=event.at) for task in event.plan.tasks}
        self._follow(event)

    def apply_tasks_settled(self, event: TasksSettled) -> None:
        for settlement in event.results:
            self._fold_settlement(settlement, event.at)
        self._block(event.blocked, event.at)
        self.stopping = event.stop or self.stopping
        self._follow(event)

    def apply_compensation_settled(self, event: CompensationSettled) -> None:
        for settlement in event.results:
            self._fold_undoing(settlement, event.at)
        self._follow(event)

    def apply_compensation_started(self, event: CompensationStarted) -> None:
        self.status, self.stopping, self.undoing = "compensating", event.reason, list(event.tasks)
        self.paused = False  # whoever asked for it wants it done
        self._stand_down(event.at)
        for task in event.tasks:
            state = self.tasks[task]
            state.kind, state.failures, state.losses, state.first = "compensate", 0, 0, None
        self._follow(event)

    def apply_task_retried(self, event: TaskRetried) -> None:
        for task in event.tasks:
            state = self.tasks[task]
            if event.by == "command":
                state.failures = state.losses = 0
                state.first = None
            self._turn(task, Status.WAITING, event.at)
        if event.by == "command":
            self._reopen(event.tasks, event.at)
        self._follow(event)

    def apply_task_skipped(self, event: TaskSkipped) -> None:
        self._turn(event.task, Status.SKIPPED, event.at)
        self._reopen([event.task], event.at)
        self._follow(event)

    def apply_signal_received(self, event: SignalReceived) -> None:
        self.signals[event.name] = event.payload
        self._follow(event)

    def apply_sync_point_missed(self, event: SyncPointMissed) -> None:
        self.missed.append(event.name)
        self._block(event.blocked, event.at)
        self._follow(event)

    def apply_execution_paused(self, event: ExecutionPaused) -> None:
        self.paused = True
        for task in [name for name in self.active if self.tasks[name].status is Status.REQUESTED]:
            self._turn(task, Status.WAITING, event.at)
        self._follow(event)

    def apply_execution_resumed(self, event: ExecutionResumed) -> None:
        self.paused = False
        self._follow(event)

    def apply_capacity_requested(self, event: CapacityRequested) -> None:
        self._follow(event)

    def apply_capacity_declined(self, event: CapacityDeclined) -> None:
        self._follow(event)

    def apply_tasks_dispatched(self, event: TasksDispatched) -> None:
        self._follow(event)

    def apply_execution_completed(self, event: ExecutionCompleted) -> None:
        self._end("completed", event)

    def apply_execution_failed(self, event: ExecutionFailed) -> None:
        self.stopping = event.reason
        self._end("failed", event)

    def apply_execution_cancelled(self, event: ExecutionCancelled) -> None:
        self.stopping = event.reason
        self._end("cancelled", event)

    def apply_execution_rolled_back(self, event: ExecutionRolledBack) -> None:
        self._end("rolled_back", event)

    def _end(self, status: str, event: Ended) -> None:
        self.status, self.ended_at, self.paused = status, event.at, False
        self._stand_down(event.at)
        self.leases.clear()

    def _stand_down(self, now: datetime) -> None:
        """Whatever had begun is withdrawn; a result that still comes is late."""
        for task in list(self.active):
            state = self.tasks[task]
            if state.status is Status.RUNNING:
                state.given_up += (state.attempt,)
            self._turn(task, Status.CANCELLED, now)

    def _follow(self, event: Consequences) -> None:
        """What every fact may bring with it: leases given back or taken into use, capacity asked for."""
        self.points |= event.reached
        for lease in event.released:
            self.leases.pop(lease, None)
        for dispatch in event.dispatched:
            state = self._turn(dispatch.task, Status.RUNNING, event.at)
            state.attempt, state.agent, state.lease = dispatch.attempt, dispatch.agent, dispatch.lease
            state.epoch, state.first = dispatch.epoch, state.first or event.at
            if dispatch.lease not in self.leases:
                self.leases[dispatch.lease] = Held(
                    dispatch.agent, dispatch.epoch, dispatch.task, dispatch.capabilities, dispatch.carry_until
                )
        for request in event.requested:
            self._turn(request.task, Status.REQUESTED, event.at).attempt += 1

    def _fold_settlement(self, settlement: Settlement, now: datetime) -> None:
        state = self.tasks[settlement.task]
        if settlement.status == "late":
            state.given_up = tuple(attempt for attempt in state.given_up if attempt != settlement.attempt)
            return
        state.seconds, state.error, state.retry_at = settlement.seconds, settlement.error, settlement.retry_at
        if settlement.status == "done":
            state.output = settlement.output
            self._turn(settlement.task, Status.DONE, now)
            return
        self._count_failure(state, settlement)
        if settlement.retry_at is not None:
            self._turn(settlement.task, Status.RETRYING, now)
        elif settlement.reroute is not None:
            state.capability, state.routes, state.failures = settlement.reroute, state.routes + 1, 0
            self._turn(settlement.task, Status.WAITING, now)
        else:
            self._turn(settlement.task, Status.FAILED, now)

    def _fold_undoing(self, settlement: Settlement, now: datetime) -> None:
        state = self.tasks[settlement.task]
        state.error, state.retry_at = settlement.error, settlement.retry_at
        if settlement.status == "done":
            self._turn(settlement.task, Status.UNDONE, now)
            self.undoing.remove(settlement.task)
            return
        self._count_failure(state, settlement)
        if settlement.retry_at is not None:
            self._turn(settlement.task, Status.RETRYING, now)
        else:
            self._turn(settlement.task, Status.NOT_UNDONE, now)
            self.undoing.remove(settlement.task)

    @staticmethod
    def _count_failure(state: TaskState, settlement: Settlement) -> None:
        if settlement.status == "lost":
            state.losses += 1
        else:
            state.failures += 1
        if state.agent and state.agent not in state.failed_on:
            state.failed_on += (state.agent,)
        if settlement.status in ("lost", "timed_out") and state.status is Status.RUNNING:
            state.given_up += (settlement.attempt,)

    def _turn(self, task: str, status: Status, now: datetime) -> TaskState:
        state = self.tasks[task]
        state.status, state.since = status, now
        if status in BUSY:
            self.active[task] = None
        else:
            self.active.pop(task, None)
        return state

    def _block(self, tasks: Iterable[str], now: datetime) -> None:
        for task in tasks:
            self._turn(task, Status.BLOCKED, now)

    def _reopen(self, tasks: Iterable[str], now: datetime) -> None:
        """A failed task gets another chance, and so does what it had blocked; an ended execution goes on."""
        for task in self.index.behind(tasks):
            if self.tasks[task].status is Status.BLOCKED:
                self._turn(task, Status.WAITING, now)
        for task, state in self.tasks.items():
            if self.ended and state.status is Status.CANCELLED:
                self._turn(task, Status.WAITING, now)
        self.reopened_at = now if self.ended else self.reopened_at
        self.status, self.stopping, self.ended_at = "running", "", None

    def open_tasks(self) -> list[str]:
        """Tasks that have not come to an end."""
        return [task for task, state in self.tasks.items() if state.status in OPEN]
