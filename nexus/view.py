"""A project as its events tell it: one fold over what planner, coordinator and resource manager state about it.

Pure: the same events give the same view, so it shows the present, the state at any place in the log, or a file's story.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from contracts import coordinator, planner, resource_manager
from contracts.base import Event
from contracts.coordinator import Consequences, Dispatch, Settlement
from contracts.outcomes import Problem
from contracts.resource_manager import Lease
from contracts.work import Demand, Fields, Plan, ProtocolConfig
from nexus.view_parts import ACTIVE, ENDED, SATISFIED, AttemptView, SyncPointView, TaskView


@dataclass
class ProjectView:
    """A project, its plan, and how far it is."""

    id: str
    status: str = "unknown"
    """described, analysed, planned, running, paused, compensating; or, once it has ended, completed, failed, cancelled,
    rolled_back, refused."""
    paused: bool = False
    title: str = ""
    description: str = ""
    type: str = ""
    technologies: dict[str, str] = field(default_factory=dict)
    requirements: Fields = field(default_factory=dict)
    priority: int = 3
    plan: Plan | None = None
    approved: bool = True
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    protocol_id: str = ""
    analyst: str = ""
    reasons: tuple[str, ...] = ()
    """Why it was planned with this template."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float = 0
    """From start to end, once it has ended."""
    reason: str = ""
    """Why it failed, was refused, cancelled or rolled back."""
    code: str = ""
    problems: tuple[Problem, ...] = ()
    degraded: tuple[str, ...] = ()
    """Optional tasks that were not done."""
    not_undone: tuple[str, ...] = ()
    tasks: dict[str, TaskView] = field(default_factory=dict)
    points: dict[str, SyncPointView] = field(default_factory=dict)
    signals: dict[str, Fields] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    """Capacity that it holds."""
    late: int = 0
    """Results that came after their attempt had been given up."""
    events: int = 0
    sequence: int = 0
    """Place in the log of the last event that counts here."""
    at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks stand where."""
        found: dict[str, int] = {}
        for task in self.tasks.values():
            found[task.status] = found.get(task.status, 0) + 1
        return found

    @property
    def progress(self) -> float:
        """Share of the estimated work that is done, from 0 to 1."""
        weights = {name: task.plan.estimate or 1e-9 for name, task in self.tasks.items()}
        done = sum(weight for name, weight in weights.items() if self.tasks[name].status in SATISFIED)
        return done / sum(weights.values()) if weights else 0.0

    @property
    def held(self) -> Demand:
        """What its leases hold together."""
        demands = [lease.demand for lease in self.leases.values()]
        return Demand(**{name: sum(getattr(demand, name) for demand in demands) for name in Demand.model_fields})

    def apply(self, event: Event, sequence: int = 0) -> None:
        """Let an event take effect; what does not concern the project has none."""
        step = getattr(self, f"_{event.SERVICE}_{event.NAME}", None)
        if step is not None:
            step(event)
        if isinstance(event, Consequences):
            self._follow(event)
        self.events += 1
        self.sequence, self.at = sequence or self.sequence, event.at

    def renew(self, event: Event) -> None:
        """Let leases go on, without counting the event as the project's own."""
        if isinstance(event, resource_manager.LeaseRenewed):
            self._resource_manager_lease_renewed(event)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, with what each open task waits for."""
        from nexus.waits import waits  # it looks at views, so this can't stand at the top

        body: dict[str, Any] = to_jsonable_python(self, by_alias=True)
        for name, task in body["tasks"].items():
            task["waits"] = [to_jsonable_python(wait) for wait in waits(self, name)]
        totals = {"counts": self.counts, "progress": round(self.progress, 4), "ended": self.ended}
        return body | totals | {"held": self.held.model_dump()}

    # Planner

    def _planner_project_created(self, event: planner.ProjectCreated) -> None:
        self.created_at = event.at
        if self.started_at is not None:  # an imported story tells of the execution first
            return
        request = event.request
        self.status, self.title = "described", event.title or request.title
        self.description, self.type, self.priority = request.description, request.type or "", request.priority
        self.technologies, self.requirements = request.technologies, request.requirements

    def _planner_project_analysed(self, event: planner.ProjectAnalysed) -> None:
        self.analyst, self.reasons = event.analyst, event.reasons
        if self.started_at is None:
            self.status = "analysed"

    def _planner_project_planned(self, event: planner.ProjectPlanned) -> None:
        if self.started_at is not None:
            return
        self.status, self.approved = "planned", event.approved
        self.title, self.description, self.type = event.title, event.description, event.type
        self.technologies, self.requirements = event.technologies, event.requirements
        self.priority = event.priority
        self._lay_out(event.plan, event.plan.protocol, event.at)

    def _planner_plan_revised(self, event: planner.PlanRevised) -> None:
        if self.started_at is None:
            self._lay_out(event.plan, event.plan.protocol, event.at)

    def _planner_plan_approved(self, _event: planner.PlanApproved) -> None:
        self.approved = True

    def _planner_project_refused(self, event: planner.ProjectRefused) -> None:
        self.status, self.code, self.reason, self.problems = "refused", event.code, event.message, event.problems
        self.ended_at = event.at

    # Coordinator

    def _coordinator_execution_started(self, event: coordinator.ExecutionStarted) -> None:
        self.status, self.started_at, self.approved = "running", event.at, True
        self.title, self.type, self.priority = event.title, event.type, event.priority
        self.description, self.technologies = event.description, event.technologies
        self.requirements, self.protocol_id = event.requirements, event.protocol_id
        self._lay_out(event.plan, event.protocol, event.at)

    def _coordinator_tasks_settled(self, event: coordinator.TasksSettled) -> None:
        for settlement in event.results:
            self._settle(settlement, event.at, "done")
        self._turn_all(event.blocked, "blocked", event.at)
        self.reason = event.stop or self.reason

    def _coordinator_compensation_started(self, event: coordinator.CompensationStarted) -> None:
        self.status, self.reason, self.paused = "compensating", event.reason, False
        self._stand_down(event.at)
        for name in event.tasks:
            self.tasks[name].kind = "compensate"

    def _coordinator_compensation_settled(self, event: coordinator.CompensationSettled) -> None:
        for settlement in event.results:
            self._settle(settlement, event.at, "undone")

    def _coordinator_task_retried(self, event: coordinator.TaskRetried) -> None:
        self._turn_all(event.tasks, "waiting", event.at)
        if event.by == "command":
            self._reopen(event.tasks, event.at)

    def _coordinator_task_skipped(self, event: coordinator.TaskSkipped) -> None:
        self._turn(event.task, "skipped", event.at)
        self._reopen([event.task], event.at)

    def _coordinator_signal_received(self, event: coordinator.SignalReceived) -> None:
        self.signals[event.name] = event.payload

    def _coordinator_sync_point_missed(self, event: coordinator.SyncPointMissed) -> None:
        point = self.points.setdefault(event.name, SyncPointView(event.name))
        point.status, point.at = "missed", event.at
        self._turn_all(event.blocked, "blocked", event.at)

    def _coordinator_execution_paused(self, event: coordinator.ExecutionPaused) -> None:
        self.paused = True
        if self.status == "running":  # what is being undone goes on
            self.status = "paused"
        self._turn_all([name for name, task in self.tasks.items() if task.status == "requested"], "waiting", event.at)

    def _coordinator_execution_resumed(self, _event: coordinator.ExecutionResumed) -> None:
        self.paused = False
        if self.status == "paused":
            self.status = "running"

    def _coordinator_execution_completed(self, event: coordinator.ExecutionCompleted) -> None:
        self.degraded = event.degraded
        self._end("completed", event)

    def _coordinator_execution_failed(self, event: coordinator.ExecutionFailed) -> None:
        self._end("failed", event, event.reason)

    def _coordinator_execution_cancelled(self, event: coordinator.ExecutionCancelled) -> None:
        self._end("cancelled", event, event.reason)

    def _coordinator_execution_rolled_back(self, event: coordinator.ExecutionRolledBack) -> None:
        self.not_undone = event.not_undone
        self._end("rolled_back", event, event.reason)

    # Resource manager

    def _resource_manager_capacity_leased(self, event: resource_manager.CapacityLeased) -> None:
        self._drop(event.released)
        for lease in event.leases:
            self.leases[lease.id] = lease
            if lease.task in self.tasks:
                self.tasks[lease.task].queued_for = ""

    def _resource_manager_capacity_queued(self, event: resource_manager.CapacityQueued) -> None:
        self._drop(event.released)
        for queued in event.queued:
            if queued.request.task in self.tasks:
                self.tasks[queued.request.task].queued_for = queued.reason

    def _resource_manager_lease_renewed(self, event: resource_manager.LeaseRenewed) -> None:
        for lease in self.leases.keys() & set(event.leases):
            self.leases[lease] = self.leases[lease].model_copy(update={"until": event.until})

    def _resource_manager_lease_released(self, event: resource_manager.LeaseReleased) -> None:
        self._drop(list(self.leases) if event.ended else event.leases)

    def _resource_manager_lease_expired(self, event: resource_manager.LeaseExpired) -> None:
        self._drop(event.leases)

    # What facts have in common

    def _lay_out(self, plan: Plan, protocol: ProtocolConfig, now: datetime) -> None:
        self.plan, self.protocol = plan, protocol
        self.tasks = {task.id: TaskView(task, since=now) for task in plan.tasks}
        names = (*plan.sync_points, *protocol.sync_points, *protocol.expects)
        waited = (point for task in plan.tasks for point in (*task.waits_for, task.provides) if point)
        self.points = {
            name: SyncPointView(
                name,
                providers=tuple(task.id for task in plan.tasks if task.provides == name),
                waiters=tuple(task.id for task in plan.tasks if name in task.waits_for),
            )
            for name in dict.fromkeys((*names, *waited))
        }

    def _follow(self, event: Consequences) -> None:
        self._drop(event.released)
        for point, by in event.reached.items():
            self._reach(point, by, event.at)
        for dispatch in event.dispatched:
            self._dispatch(dispatch, event.at)
        for request in event.requested:
            task = self._turn(request.task, "requested", event.at)
            task.attempt += 1
            task.queued_for = ""

    def _dispatch(self, dispatch: Dispatch, now: datetime) -> None:
        task = self._turn(dispatch.task, "running", now)
        task.attempt, task.agent, task.lease = dispatch.attempt, dispatch.agent, dispatch.lease
        task.first, task.queued_for = task.first or now, ""
        task.attempts.append(AttemptView(dispatch.attempt, dispatch.kind, dispatch.agent, dispatch.lease, now))
        if lease := self.leases.get(dispatch.lease):
            self.leases[lease.id] = lease.model_copy(update={"task": dispatch.task})

    def _settle(self, settlement: Settlement, now: datetime, done: str) -> None:
        if settlement.status == "late":
            self.late += 1
            return
        task = self.tasks[settlement.task]
        self._close(task, settlement.status, now, settlement.error.message if settlement.error else "")
        task.error, task.retry_at = settlement.error, settlement.retry_at
        if settlement.status == "done":
            task.seconds = settlement.seconds
            task.output = settlement.output if done == "done" else task.output
            self._turn(settlement.task, done, now)
        elif settlement.retry_at is not None:
            self._turn(settlement.task, "retrying", now)
        elif settlement.reroute is not None:
            task.capability = settlement.reroute
            self._turn(settlement.task, "waiting", now)
        else:
            self._turn(settlement.task, "failed" if done == "done" else "not_undone", now)

    def _close(self, task: TaskView, status: str, now: datetime, message: str) -> None:
        if task.attempts and task.attempts[-1].ended_at is None:
            attempt = task.attempts[-1]
            attempt.ended_at, attempt.status, attempt.message = now, status, message

    def _turn(self, name: str, status: str, now: datetime) -> TaskView:
        task = self.tasks[name]
        task.status, task.since = status, now
        return task

    def _turn_all(self, names: Iterable[str], status: str, now: datetime) -> None:
        for name in names:
            self._turn(name, status, now)

    def _stand_down(self, now: datetime) -> None:
        for name, task in self.tasks.items():
            if task.status in ACTIVE:
                self._close(task, "cancelled", now, "")
                self._turn(name, "cancelled", now)

    def _end(self, status: str, event: coordinator.Ended, reason: str = "") -> None:
        self.status, self.ended_at, self.seconds, self.reason = status, event.at, event.seconds, reason
        self.paused = False
        self._stand_down(event.at)
        self.leases.clear()

    def _reopen(self, names: Iterable[str], now: datetime) -> None:
        """A failed task gets another chance, and so does what it had blocked; an ended project goes on."""
        for name in self._behind(names):
            if self.tasks[name].status == "blocked":
                self._turn(name, "waiting", now)
        if self.ended:
            self._turn_all([name for name, task in self.tasks.items() if task.status == "cancelled"], "waiting", now)
        self.status, self.reason, self.ended_at = "paused" if self.paused else "running", "", None

    def _behind(self, names: Iterable[str]) -> set[str]:
        found, frontier = set[str](), set(names)
        while frontier:
            frontier = {name for name, task in self.tasks.items() if frontier.intersection(task.plan.depends_on)}
            frontier -= found
            found |= frontier
        return found

    def _reach(self, name: str, by: str, now: datetime) -> None:
        point = self.points.setdefault(name, SyncPointView(name))
        if point.status != "reached":
            point.status, point.by, point.at = "reached", by, now

    def _drop(self, leases: Iterable[str]) -> None:
        for lease in leases:
            self.leases.pop(lease, None)
