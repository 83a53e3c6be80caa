"""One way through the coordinator: decide on an execution, then carry out what follows from the fact."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from contracts.base import Event
from contracts.coordinator import ENDED, Consequences, Dispatch, TaskRetried, TaskSkipped, TasksSettled
from contracts.envelope import decode
from services.coordinator.assignments import Outgoing, assignment, withdrawal
from services.coordinator.domain import Execution
from services.coordinator.domain.clocks import task_wakeups
from services.coordinator.domain.state import Status, TaskState
from services.coordinator.vitals import Attempt, Vitals
from shared.delivery import OUTAGE
from shared.domain import DomainError
from shared.lineage import Lineage
from shared.publisher import Publisher
from shared.records import Log
from shared.repository import AggregateNotFound, Change, Origin, Repository
from shared.timers import Timers

R = TypeVar("R")
STEPS = 1000
"""Most facts in a row that time alone may lead to; more means that two of them chase each other."""
PAY_EVERY = 1.0
"""Seconds between two looks at what an outage left undone."""

log = logging.getLogger(__name__)


@dataclass
class Outcome(Generic[R]):
    """What a decision came to, and what it leads to."""

    result: R
    messages: list[Outgoing] = field(default_factory=list)
    wakeup: datetime | None = None
    again: bool = False
    """Something is due at once."""


def now() -> datetime:
    """Read the clock; decisions get it as an argument."""
    return datetime.now(UTC)


class Conductor:
    """Acts on executions: the log first, then assignments and timers, which can be told again from the log."""

    def __init__(
        self,
        executions: Repository[Execution],
        log: Log,
        publisher: Publisher,
        timers: Timers,
        reconnects: Callable[[], int] = lambda: 0,
    ) -> None:
        """`reconnects`: how often the connection to the server was lost and found again so far."""
        self.executions, self.vitals = executions, Vitals(now())
        self._reconnects, self._excused = reconnects, reconnects()
        self._log, self._publisher, self._timers = log, publisher, timers
        self.lineage = Lineage(log, "planner")
        self._owed: dict[str, None] = {}

    async def act(
        self, project: str, decide: Callable[[Execution], R], *, origin: Origin | None = None, create: bool = False
    ) -> Change[Outcome[R]]:
        """Decide, store, and carry out what follows, until nothing more is due."""
        traceparent = origin.traceparent if origin else None
        with self._owing(project):
            change = await self.executions.change(
                project, lambda execution: self._decide(execution, decide, traceparent), create=create, origin=origin
            )
            await self._carry_out(project, change, traceparent)
        if not change.repeated and change.result.again:
            await self.advance(project, origin=_because_of(origin))
        return change

    async def advance(self, project: str, *, origin: Origin | None = None) -> None:
        """Do what is due by now, one fact after the other."""
        traceparent = origin.traceparent if origin else None
        with self._owing(project):
            for _ in range(STEPS):
                change = await self.executions.change(
                    project,
                    lambda execution: self._decide(execution, self._advance, traceparent),
                    origin=origin,
                )
                await self._carry_out(project, change, traceparent)
                if not change.events:
                    await self._wake(project, change.result.wakeup, traceparent)
                    return
        raise RuntimeError(f"project {project} does not come to rest")

    async def resume(self, project: str) -> None:
        """After a restart: send again what is recorded and not settled, and do what became due meanwhile."""
        execution = await self.executions.get(project)
        if execution.ended:
            return
        dispatched = [
            dispatch_of(task, state) for task, state in execution.tasks.items() if state.status is Status.RUNNING
        ]
        self.vitals.gave(project, dispatched)
        origin = await self._latest(project)
        await self._publisher.publish_all(
            assignment(execution, dispatch, origin.traceparent) for dispatch in dispatched
        )
        await self.advance(project, origin=origin)

    async def remind(self, missing: Sequence[tuple[str, Dispatch]]) -> None:
        """Send assignments again that their agents do not speak of, if they still stand."""
        for project, dispatch in missing:
            execution = await self.executions.get(project)
            state = execution.tasks.get(dispatch.task)
            if state and state.status is Status.RUNNING and state.attempt == dispatch.attempt:
                origin = await self._latest(project)
                await self._publisher.publish_all([assignment(execution, dispatch, origin.traceparent)])
            else:
                self.vitals.took_back(project, dispatch.agent, dispatch.task, dispatch.attempt)

    async def recall(self, agent: str, attempts: Iterable[Attempt]) -> None:
        """Take back what an agent works on and should not; the first time that it was told may have got lost."""
        for project, task, attempt in attempts:
            with suppress(AggregateNotFound):
                execution = await self.executions.get(project)
                state = execution.tasks.get(task)
                if state and state.status is Status.RUNNING and (state.attempt, state.agent) == (attempt, agent):
                    self.vitals.gave(project, [dispatch_of(task, state)])
                else:
                    reason = execution.stopping or "it was given up"
                    await self._publisher.publish_all([withdrawal(project, task, attempt, agent, reason, None)])

    @contextmanager
    def _owing(self, project: str) -> Iterator[None]:
        """Note a project of which something may stand in the log that was not carried out."""
        try:
            yield
        except (DomainError, AggregateNotFound):
            raise  # nothing was recorded
        except BaseException:
            self._owed[project] = None
            raise

    async def pay(self) -> None:
        """Carry out, for ever, what could not be carried out while the server was away."""
        while True:
            await asyncio.sleep(PAY_EVERY)
            failures = [error for project in list(self._owed) if (error := await self._settle_debt(project))]
            if failures:
                raise failures[0]  # the loop says so, is started again and tries once more

    async def _settle_debt(self, project: str) -> Exception | None:
        """One project that cannot go on must not keep the others waiting."""
        try:
            with suppress(AggregateNotFound):  # then nothing was recorded
                await self.resume(project)
                log.info("project %s goes on after an outage", project)
        except OUTAGE:
            return None
        except Exception as error:
            log.exception("project %s cannot go on", project)
            return error
        self._owed.pop(project, None)
        return None

    async def _latest(self, project: str) -> Origin:
        """The trace lives in the log: what goes on after a restart stays in it."""
        last = await self._log.last(project)
        return Origin.of(decode(last.state)) if last else Origin()

    def _advance(self, execution: Execution) -> None:
        execution.advance(now(), self._heard(execution, execution.active))

    def _heard(self, execution: Execution, tasks: Iterable[str]) -> dict[str, datetime]:
        if (reconnects := self._reconnects()) != self._excused:
            self._excused = reconnects
            self.vitals.excuse(now())
        return self.vitals.heard(execution.id, tasks)

    def _decide(self, execution: Execution, decide: Callable[[Execution], R], traceparent: str | None) -> Outcome[R]:
        outcome = Outcome(decide(execution))
        facts = execution.pending
        for fact in facts:
            outcome.messages += _messages(execution, fact, traceparent)
        if facts:
            touched = [task for fact in facts for task in _touched(fact)]
            heard = self._heard(execution, touched)
            outcome.wakeup = min((at for at, _ in task_wakeups(execution, touched, heard)), default=None)
            outcome.again = (
                execution.at_rest
                or _frees_others(facts[-1])
                or (outcome.wakeup is not None and outcome.wakeup <= facts[-1].at)
            )
        else:
            heard = self._heard(execution, execution.active)
            look = execution.next_wakeup(heard)
            outcome.wakeup = look[0] if look else None
        return outcome

    async def _carry_out(self, project: str, change: Change[Outcome[R]], traceparent: str | None) -> None:
        for fact in change.events:
            self._note(project, fact)
        if change.repeated:
            return
        if change.result.messages:
            await self._publisher.publish_all(change.result.messages)
        if change.events:
            await self._wake(project, change.result.wakeup, traceparent)

    def _note(self, project: str, fact: Event) -> None:
        if isinstance(fact, TasksSettled):
            for settled in fact.results:
                self.vitals.took_back(project, settled.agent, settled.task, settled.attempt)
        if isinstance(fact, Consequences):
            self.vitals.gave(project, fact.dispatched)
        if isinstance(fact, ENDED):
            self.vitals.forget(project)

    async def _wake(self, project: str, at: datetime | None, traceparent: str | None) -> None:
        if at is not None:
            await self._timers.arm(project, at, project=project, traceparent=traceparent)


def dispatch_of(task: str, state: TaskState) -> Dispatch:
    """Return the dispatch that a running task came from."""
    return Dispatch(
        task=task, attempt=state.attempt, agent=state.agent, lease=state.lease, epoch=state.epoch, kind=state.kind
    )


def _messages(execution: Execution, fact: Event, traceparent: str | None) -> list[Outgoing]:
    """What agents have to be told after a fact."""
    if not isinstance(fact, Consequences):
        return []
    messages = [assignment(execution, dispatch, traceparent) for dispatch in fact.dispatched]
    for settled in getattr(fact, "results", ()):
        if settled.status == "timed_out" and settled.agent:
            reason = settled.error.message if settled.error else settled.status
            messages.append(withdrawal(execution.id, settled.task, settled.attempt, settled.agent, reason, traceparent))
    for task, state in execution.stood_down(fact.at):
        messages.append(withdrawal(execution.id, task, state.attempt, state.agent, execution.stopping, traceparent))
    return messages


def _frees_others(fact: Event) -> bool:
    """Whether a command may have brought tasks back that the fact itself does not ask capacity for."""
    return isinstance(fact, TaskSkipped) or (isinstance(fact, TaskRetried) and fact.by == "command")


def _touched(fact: Event) -> list[str]:
    if not isinstance(fact, Consequences):
        return []
    tasks = [dispatch.task for dispatch in fact.dispatched] + [request.task for request in fact.requested]
    return tasks + [settled.task for settled in getattr(fact, "results", ()) if settled.retry_at]


def _because_of(origin: Origin | None) -> Origin | None:
    """What follows by itself has the same cause, but is no effect that the idempotency key stands for."""
    return Origin(origin.causationid, origin.correlationid, origin.traceparent, origin.actor) if origin else None
