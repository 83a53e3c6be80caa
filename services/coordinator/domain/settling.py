"""How attempts end, and what follows from it: retries, failures, and the next tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.agents import TaskResult
from contracts.coordinator import (
    CapacityRequest,
    CompensationSettled,
    Dispatch,
    ErrorInfo,
    SettledAs,
    Settlement,
    TasksSettled,
)
from services.coordinator.domain.clocks import retry_delay
from services.coordinator.domain.fold import ExecutionState
from services.coordinator.domain.protocols import Protocol, protocol
from services.coordinator.domain.state import SATISFIED, Outlook, Status, TaskState

LOSSES = 10
"""How often a task may lose its agent before that counts as its own failure: it may be what kills them."""


@dataclass
class Settling(ExecutionState):
    """The part of an execution that takes results."""

    @property
    def strategy(self) -> Protocol:
        """The protocol that it follows."""
        return protocol(self.protocol.type)

    def request_id(self, task: str) -> str:
        """Id of the task's present request or lease."""
        return f"{self.id}.{task}.{self.tasks[task].attempt}"

    def request(self, task: str, routed: Settlement | None = None) -> CapacityRequest:
        """What the next attempt of a task needs; `routed` sends it elsewhere, and has not taken effect yet."""
        state, plan = self.tasks[task], self.index.tasks[task]
        capability, avoid = self._capability(task), state.failed_on
        if routed is not None and routed.reroute is not None:
            capability, avoid = routed.reroute, tuple(dict.fromkeys((*avoid, routed.agent)))
        return CapacityRequest(
            id=f"{self.id}.{task}.{state.attempt + 1}",
            task=task,
            capability=capability,
            demand=plan.demands,
            priority=min(self.priority, plan.priority),
            agents=self.protocol.agents,
            avoid=avoid,
        )

    def _capability(self, task: str) -> str:
        return self.tasks[task].capability or self.index.tasks[task].capability

    def _ask(
        self, outlook: Outlook, candidates: Iterable[str], *, resumed: bool = False
    ) -> tuple[CapacityRequest, ...]:
        if self.stopping or self.status != "running" or (self.paused and not resumed):
            return ()
        return tuple(map(self.request, self.strategy.startable(outlook, candidates)))

    def seconds(self, now: datetime) -> float:
        """Seconds since it began."""
        return (now - self.started_at).total_seconds() if self.started_at else 0.0

    def settle(self, reports: Sequence[tuple[str, TaskResult]], now: datetime) -> list[int]:
        """Take results that arrived together; return the places of those that nobody was assigned."""
        unknown: list[int] = []
        settled: dict[tuple[str, int], Settlement] = {}
        for place, (task, result) in enumerate(reports):
            state = self.tasks.get(task)
            key = (task, result.attempt)
            if (
                state is None
                or result.attempt > state.attempt
                or (state.status is Status.REQUESTED and _fits(state, result))
            ):
                unknown.append(place)
            elif state.status is Status.RUNNING and _fits(state, result) and result.epoch == state.epoch:
                settled.setdefault(key, self._settlement_of(task, result, now))
            elif result.attempt in state.given_up:
                settled.setdefault(key, _late(task, result))
        self._settle(list(settled.values()), now)
        return unknown

    def lose(self, leases: Sequence[str], reason: str, now: datetime) -> None:
        """Leases expired: what ran under them is lost, and tried again unless it was lost too often."""
        lost = [task for task in self.active if self._runs_under(task, leases)]
        error = ErrorInfo(message=f"the agent is gone: {reason}", code=reason)
        self._settle([self._settlement(task, "lost", error, now) for task in lost], now)

    def _runs_under(self, task: str, leases: Sequence[str]) -> bool:
        state = self.tasks[task]
        return state.status is Status.RUNNING and state.lease in leases

    def _settlement_of(self, task: str, result: TaskResult, now: datetime) -> Settlement:
        if result.status == "done":
            return Settlement(
                task=task,
                attempt=result.attempt,
                status="done",
                agent=result.agent,
                seconds=result.seconds,
                output=result.output,
                kind=self.tasks[task].kind,
            )
        return self._settlement(
            task, "failed", result.error or ErrorInfo(message="no reason given"), now, result.seconds
        )

    def _settlement(
        self, task: str, status: SettledAs, error: ErrorInfo, now: datetime, seconds: float = 0
    ) -> Settlement:
        """How an attempt that did not succeed ends: tried again, routed elsewhere, or failed for good."""
        state, plan = self.tasks[task], self.index.tasks[task]
        again, route = None, None
        lost = status == "lost"
        tries_left = state.losses + 1 < LOSSES if lost else state.failures + 1 < plan.retry.attempts
        total = plan.clocks.total
        in_time = total is None or state.first is None or now < state.first + timedelta(seconds=total)
        if error.retryable and tries_left and in_time:
            delay = (
                0.0 if lost else retry_delay(plan.retry, state.failures + 1, error, f"{self.id}.{task}.{state.attempt}")
            )
            again = now + timedelta(seconds=delay)
        elif state.kind == "run" and in_time:
            route = self.strategy.reroute(Outlook(self), task, state.routes)
        return Settlement(
            task=task,
            attempt=state.attempt,
            status=status,
            agent=state.agent,
            seconds=seconds,
            error=error,
            retry_at=again,
            reroute=route,
            kind=state.kind,
        )

    def _settle(self, settlements: list[Settlement], now: datetime) -> None:
        if not settlements:
            return
        if self.status == "compensating":
            self._settle_undoing(settlements, now)
            return
        changed = {s.task: _status_after(s) for s in settlements if s.status != "late"}
        failed = [task for task, status in changed.items() if status is Status.FAILED]
        stop = self._stop_reason(failed, changed)
        points = self._new_points(changed, failed)
        outlook = Outlook(self, changed, points)
        freed, gone = self._freed(settlements)
        withdrawn = [self.request_id(task) for task in changed if self.tasks[task].status is Status.REQUESTED]
        routed = {s.task: s for s in settlements if s.reroute is not None}
        dispatched, requested, released = self._go_on(outlook, freed, routed, now, stopped=bool(stop))
        self.record(
            TasksSettled(
                at=now,
                results=tuple(settlements),
                blocked=tuple(self._blocked_by(failed, changed)),
                stop=stop,
                reached=points,
                dispatched=dispatched,
                requested=requested,
                released=(*released, *gone, *withdrawn),
            )
        )

    def _freed(self, settlements: Iterable[Settlement]) -> tuple[list[str], list[str]]:
        """Return the leases of attempts that ended: those whose agent said so and is free now, and the others."""
        freed, gone = list[str](), list[str]()
        for settlement in settlements:
            state = self.tasks[settlement.task]
            if settlement.status != "late" and state.status is Status.RUNNING:
                (freed if settlement.status in ("done", "failed") else gone).append(state.lease)
        return freed, gone

    def _stop_reason(self, failed: Sequence[str], changed: Mapping[str, Status]) -> str:
        outlook = Outlook(self, changed)
        stopping = [task for task in failed if self.strategy.stops(outlook, task)]
        return f"task {stopping[0]} failed" if stopping and not self.stopping else ""

    def _new_points(self, changed: Mapping[str, Status], failed: Iterable[str]) -> dict[str, str]:
        """Sync points that are passed now, and by what."""
        outlook, points = Outlook(self, changed), dict[str, str]()
        for task, status in changed.items():
            if status in SATISFIED and (point := self.index.tasks[task].provides):
                points[point] = task
        for task in failed:
            points |= dict.fromkeys(self.strategy.points_of_failure(outlook, task), f"failure of {task}")
        return {point: by for point, by in points.items() if point not in self.points}

    def _blocked_by(self, failed: Iterable[str], changed: Mapping[str, Status]) -> list[str]:
        waiting = (task for task in self.index.behind(failed) if task not in changed)
        return [task for task in waiting if self.tasks[task].status is Status.WAITING]

    def _go_on(
        self, outlook: Outlook, freed: list[str], routed: Mapping[str, Settlement], now: datetime, *, stopped: bool
    ) -> tuple[tuple[Dispatch, ...], tuple[CapacityRequest, ...], tuple[str, ...]]:
        """Hand freed leases to tasks that may start now; ask for the rest, and give back what nobody can use."""
        if stopped or self.stopping or self.paused or self.status != "running":
            return (), (), tuple(freed)
        dispatched, requested = [], []
        for task in self.strategy.startable(outlook, outlook.next_to()):
            lease = next((lease for lease in freed if task not in routed and self._carries(lease, task, now)), None)
            if lease is None:
                requested.append(self.request(task, routed.get(task)))
            else:
                freed.remove(lease)
                held = self.leases[lease]
                attempt = self.tasks[task].attempt + 1
                dispatched.append(Dispatch(task=task, attempt=attempt, agent=held.agent, lease=lease, epoch=held.epoch))
        return tuple(dispatched), tuple(requested), tuple(freed)

    def _carries(self, lease: str, task: str, now: datetime) -> bool:
        """Whether a lease that just became free can serve the task: saves the way through the resource manager."""
        held = self.leases.get(lease)
        if held is None or held.carry_until is None or now >= held.carry_until:
            return False
        state, need, granted = self.tasks[task], self.index.tasks[task].demands, self.index.tasks[held.task].demands
        fits = (
            need is granted
            or need == granted
            or all(getattr(need, name) <= getattr(granted, name) for name in type(need).model_fields)
        )
        return fits and self._capability(task) in held.capabilities and held.agent not in state.failed_on

    def _settle_undoing(self, settlements: list[Settlement], now: datetime) -> None:
        if late := [s for s in settlements if s.status == "late"]:
            self.record(TasksSettled(at=now, results=tuple(late)))
        settlements = [s for s in settlements if s.status != "late"]
        if not settlements:
            return
        freed = [self.tasks[s.task].lease for s in settlements if self.tasks[s.task].status is Status.RUNNING]
        asked = [self.request_id(s.task) for s in settlements if self.tasks[s.task].status is Status.REQUESTED]
        over = {s.task for s in settlements if s.retry_at is None}
        left = [task for task in self.undoing if task not in over]
        requested = (self.request(left[0]),) if left and over and left[0] not in self.active else ()
        self.record(
            CompensationSettled(at=now, results=tuple(settlements), requested=requested, released=(*freed, *asked))
        )


def _fits(state: TaskState, result: TaskResult) -> bool:
    return result.attempt == state.attempt


def _late(task: str, result: TaskResult) -> Settlement:
    return Settlement(task=task, attempt=result.attempt, status="late", agent=result.agent, seconds=result.seconds)


def _status_after(settlement: Settlement) -> Status:
    if settlement.status == "done":
        return Status.DONE
    if settlement.retry_at is not None:
        return Status.RETRYING
    return Status.WAITING if settlement.reroute is not None else Status.FAILED
