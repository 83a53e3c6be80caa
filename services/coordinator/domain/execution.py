"""What may happen to the execution of a project: each decision refuses, keeps silent, or states one fact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.coordinator import (
    CapacityDeclined,
    CapacityRequested,
    Dispatch,
    ErrorInfo,
    ExecutionCancelled,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionStarted,
    SettledAs,
    SignalReceived,
    SyncPointMissed,
    TaskRetried,
    TasksDispatched,
    TaskSkipped,
)
from contracts.planner import ProjectPlanned
from contracts.resource_manager import Lease
from contracts.work import Fields, ProtocolConfig
from services.coordinator.domain.clocks import expired_clock, point_deadlines, wakeups
from services.coordinator.domain.ending import Ending
from services.coordinator.domain.protocols import protocol
from services.coordinator.domain.state import SATISFIED, Outlook, Status, TaskState
from shared.domain import DomainError, NotYet


class NotStarted(NotYet):
    """The project is not being carried out yet."""

    code = "not_started"


class AlreadyBegun(DomainError):
    """The execution follows another protocol already."""

    code = "already_begun"


class AlreadyEnded(DomainError):
    """The execution is over."""

    code = "already_ended"


class UnknownTask(DomainError):
    """The plan has no task of that name."""

    code = "unknown_task"


class NotPossible(DomainError):
    """The task's status does not allow it."""

    code = "not_possible"


@dataclass
class Execution(Ending):
    """A plan being carried out."""

    def begin(self, planned: ProjectPlanned, config: ProtocolConfig | None, protocol_id: str, now: datetime) -> None:
        """Start to carry out a plan, unless that was done before."""
        if self.version:
            if protocol_id and protocol_id != self.protocol_id:
                raise AlreadyBegun(f"project {self.id} has begun under the {self.protocol.type} protocol")
            return
        config = config or planned.plan.protocol
        strategy = protocol(config.type)
        started = ExecutionStarted(
            at=now,
            plan=planned.plan,
            protocol=config,
            protocol_id=protocol_id,
            **{
                name: getattr(planned, name)
                for name in ("title", "type", "description", "technologies", "requirements")
            },
            priority=planned.priority,
        )
        # The outlook needs the state that this very fact brings about, so it is tried on a blank first.
        blank = type(self)(self.id)
        blank.apply(started)
        ready = strategy.startable(Outlook(blank), blank.tasks)
        self.record(started.model_copy(update={"requested": tuple(map(blank.request, ready))}))

    def pause(self, now: datetime) -> None:
        """Start nothing new. Running: goes on, its result counts. Queued: withdrawn. Waiting, backing off: waits."""
        self._demand_running()
        if not self.paused:
            asked = [task for task in self.active if self.tasks[task].status is Status.REQUESTED]
            self.record(ExecutionPaused(at=now, released=tuple(map(self.request_id, asked))))

    def resume(self, now: datetime) -> None:
        """Go on after a pause; everything that is ready asks for capacity."""
        self._demand_running()
        if self.paused:
            self.record(ExecutionResumed(at=now, requested=self._ask(Outlook(self), self.tasks, resumed=True)))

    def cancel(self, reason: str, rollback: bool, now: datetime) -> None:
        """End it now: what runs is withdrawn, what waits is dropped, with `rollback` what is done is undone."""
        self._demand_begun()
        if self.ended:
            if self.status == "cancelled":
                return
            raise AlreadyEnded(f"project {self.id} has {self.status} already")
        if rollback and self.status == "running" and self.undoable():
            self.compensate(f"cancelled: {reason}" if reason else "cancelled", now)
        elif self.status == "running" or not rollback:
            self.record(ExecutionCancelled(at=now, seconds=self.seconds(now), reason=reason))

    def take(self, leases: Sequence[Lease], now: datetime) -> None:
        """Use the capacity that was granted; what is no longer needed goes back."""
        if self.ended:
            return  # the end itself gave everything back
        used, declined = [], []
        for lease in leases:
            state = self.tasks.get(lease.task)
            if state and state.status is Status.RUNNING and state.lease == lease.id:
                continue  # delivered again
            wanted = state and state.status is Status.REQUESTED and self.request_id(lease.task) == lease.id
            if state is None or not wanted:
                if lease.id not in self.leases:
                    declined.append(lease.id)
                continue
            used.append(_dispatch(lease, state))
        if used:
            self.record(TasksDispatched(at=now, dispatched=tuple(used), released=tuple(declined)))
        elif declined:
            self.record(CapacityDeclined(at=now, released=tuple(declined), reason="no longer needed"))

    def advance(self, now: datetime, heard: Mapping[str, datetime]) -> None:
        """Do what is due: clocks that ran out, back-offs that are over, missed sync points, the end. One fact at most.

        `heard` is when an agent last spoke of its attempt of a task.
        """
        if self.status == "new" or self.ended:
            return
        if self.deadline is not None and now >= self.deadline and self.status == "running":
            self._fail(f"not done within {self.protocol.timeout_minutes:g} minutes", now)
            return
        for step in (self._time_out, self._retry_due, self._miss_points):
            if step(now, heard):
                return
        if self.status == "compensating":
            self._go_on_undoing(now)
        elif not self._conclude(now) and (requested := self._ask(Outlook(self), self.tasks)):
            self.record(CapacityRequested(at=now, requested=requested))

    def _time_out(self, now: datetime, heard: Mapping[str, datetime]) -> bool:
        overdue = []
        for task in self.active:
            if clock := expired_clock(self.index.tasks[task], self.tasks[task], now, heard.get(task)):
                # Silence is the agent's failing, a missed deadline the task's.
                status: SettledAs = "lost" if clock == "response" else "timed_out"
                error = ErrorInfo(
                    message=f"the {clock} clock ran out",
                    code=f"{clock}_timeout",
                    retryable=clock in ("response", "run"),
                )
                overdue.append(self._settlement(task, status, error, now))
        self._settle(overdue, now)
        return bool(overdue)

    def _retry_due(self, now: datetime, heard: Mapping[str, datetime]) -> bool:
        if self.held_back:
            return False
        due = [task for task in self.active if _retry_is_due(self.tasks[task], now)]
        if due:
            self.record(TaskRetried(at=now, tasks=tuple(due), requested=tuple(map(self.request, due))))
        return bool(due)

    def _miss_points(self, now: datetime, heard: Mapping[str, datetime]) -> bool:
        if self.paused or self.status != "running":
            return False
        missed = next((point for end, point in point_deadlines(self) if end <= now), None)
        if missed is None:
            return False
        waiters = [task for task in self.index.waiters.get(missed, ()) if self.tasks[task].status is Status.WAITING]
        blocked = dict.fromkeys([*waiters, *self._blocked_by(waiters, {})], Status.BLOCKED)
        point = f"{missed}_missed"
        reached = {point: "its absence"} if point in self.index.waiters and point not in self.points else {}
        outlook = Outlook(self, blocked, reached)
        self.record(
            SyncPointMissed(
                at=now,
                name=missed,
                blocked=tuple(blocked),
                reached=reached,
                requested=self._ask(outlook, outlook.next_to()),
            )
        )
        return True

    def next_wakeup(self, heard: Mapping[str, datetime]) -> tuple[datetime, str] | None:
        """Return when it must look again, and why; None if only a message from outside moves it on."""
        return None if self.ended else min(wakeups(self, heard), default=None)

    def hear(self, name: str, payload: Fields, source: str, now: datetime) -> None:
        """Take a signal: it reaches the sync point of its name."""
        self._demand_begun()
        outlook = Outlook(self, points=[name])
        self.record(
            SignalReceived(
                at=now,
                name=name,
                payload=payload,
                source=source,
                reached={} if name in self.points else {name: f"signal from {source}" if source else "signal"},
                awaited=name in self.index.waiters or name in self.protocol.sync_points,
                requested=() if self.ended else self._ask(outlook, outlook.next_to()),
            )
        )

    def retry(self, task: str, now: datetime) -> None:
        """Try a failed task again, and with it what it had blocked; an ended project goes on."""
        state = self._task(task)
        if state.status in (Status.WAITING, Status.REQUESTED, Status.RUNNING):
            return
        if state.status not in (Status.FAILED, Status.RETRYING, Status.BLOCKED) or self.status in (
            "compensating",
            "rolled_back",
        ):
            raise NotPossible(f"task {task} of project {self.id} is {state.status}; only a failed one can be retried")
        blocking = [
            earlier for earlier in self.index.tasks[task].depends_on if self.tasks[earlier].status not in SATISFIED
        ]
        if blocking:
            raise NotPossible(f"task {task} waits for {', '.join(blocking)}: retry that")
        self.record(TaskRetried(at=now, tasks=(task,), by="command", requested=(self.request(task),)))

    def skip(self, task: str, now: datetime) -> None:
        """Count a task as done without doing it."""
        state = self._task(task)
        if state.status is Status.SKIPPED:
            return
        if state.status not in (Status.WAITING, Status.RETRYING, Status.FAILED, Status.BLOCKED) or self.status in (
            "compensating",
            "rolled_back",
        ):
            raise NotPossible(f"task {task} of project {self.id} is {state.status}; it can no longer be skipped")
        point = self.index.tasks[task].provides
        self.record(TaskSkipped(at=now, task=task, reached={point: task} if point and point not in self.points else {}))

    def _task(self, task: str) -> TaskState:
        self._demand_begun()
        if task not in self.tasks:
            raise UnknownTask(f"project {self.id} has no task {task!r}; it has: {', '.join(list(self.tasks)[:20])}")
        return self.tasks[task]

    def _demand_begun(self) -> None:
        if self.status == "new":
            raise NotStarted(f"project {self.id} has not begun")

    def _demand_running(self) -> None:
        self._demand_begun()
        if self.ended:
            raise AlreadyEnded(f"project {self.id} has {self.status} already")


def _dispatch(lease: Lease, state: TaskState) -> Dispatch:
    return Dispatch(
        task=lease.task,
        attempt=state.attempt,
        agent=lease.agent,
        lease=lease.id,
        epoch=lease.epoch,
        kind=state.kind,
        capabilities=lease.capabilities,
        carry_until=lease.carry_until,
    )


def _retry_is_due(state: TaskState, now: datetime) -> bool:
    return state.status is Status.RETRYING and state.retry_at is not None and state.retry_at <= now
