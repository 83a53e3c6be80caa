"""A world for an execution: a resource manager that grants everything, agents that do as they are told, a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.agents import TaskResult
from contracts.coordinator import Consequences, Dispatch, ErrorInfo
from contracts.planner import ProjectPlanned
from contracts.resource_manager import Lease
from contracts.work import Plan, ProtocolConfig, Task
from services.coordinator.domain import Execution

START = datetime(2026, 1, 1, tzinfo=UTC)


def planned(*tasks: Task, protocol: str = "asynchronous", **config: object) -> ProjectPlanned:
    """A plan of these tasks, phases in order of appearance."""
    phases = tuple(dict.fromkeys(task.phase for task in tasks if task.phase))
    plan = Plan(tasks=tasks, phases=phases, protocol=ProtocolConfig.model_validate({"type": protocol, **config}))
    return ProjectPlanned(at=START, title="a test", plan=plan)


def task(name: str, *after: str, **fields: object) -> Task:
    """A task that retries at once and needs capability `work`."""
    defaults = {"capability": "work", "retry": {"attempts": 1, "initial": 0}}
    return Task.model_validate({"id": name, "depends_on": after, **defaults, **fields})


@dataclass
class World:
    """Runs one execution; what it states is kept in `events`."""

    execution: Execution = field(default_factory=lambda: Execution("p"))
    now: datetime = START
    events: list[Any] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    """Requests that nothing was granted for yet."""
    live: set[str] = field(default_factory=set)
    """Leases that the resource manager thinks are held."""
    working: list[Dispatch] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    carry: float | None = None
    epoch: int = 0

    def decide(self, decision: Callable[[Execution], Any]) -> Any:
        """Let something happen and take note of what is stated."""
        before = set(self.execution.points)
        result = decision(self.execution)
        told = {point for event in self.execution.pending for point in getattr(event, "reached", ())}
        assert set(self.execution.points) - before == told
        for event in self.execution.collect_events():
            self.events.append(event)
            if isinstance(event, Consequences):
                self._follow(event)
        return result

    def _follow(self, event: Consequences) -> None:
        self.waiting = [r for r in self.waiting if r not in event.released] + [r.id for r in event.requested]
        self.live -= set(event.released)
        self.working += event.dispatched
        self.started += [d.task for d in event.dispatched if d.kind == "run"]
        if event.NAME.startswith("execution_") and self.execution.ended:
            self.waiting, self.live = [], set()

    def begin(self, plan: ProjectPlanned) -> "World":
        """Start the execution."""
        self.decide(lambda e: e.begin(plan, None, "", self.now))
        return self

    def grant(self, *tasks: str) -> None:
        """Grant what is asked for, or only these tasks."""
        asked = [r for r in self.waiting if not tasks or r.split(".")[1] in tasks]
        for request in asked:
            self.waiting.remove(request)
            self.live.add(request)
        leases = [self.lease(request) for request in asked]
        self.decide(lambda e: e.take(leases, self.now))

    def lease(self, request: str) -> Lease:
        """The lease that answers a request."""
        self.epoch += 1
        return Lease(
            id=request,
            project="p",
            task=request.split(".")[1],
            agent="a",
            capabilities=("work",),
            epoch=self.epoch,
            until=self.now + timedelta(seconds=30),
            carry_until=self.now + timedelta(seconds=self.carry) if self.carry else None,
        )

    def result(self, dispatch: Dispatch, status: str = "done", **fields: object) -> TaskResult:
        """What the agent says about an attempt."""
        body = {"agent": dispatch.agent, "attempt": dispatch.attempt, "lease": dispatch.lease, "epoch": dispatch.epoch}
        return TaskResult.model_validate({**body, "status": status, "kind": dispatch.kind, **fields})

    def finish(self, *tasks: str, status: str = "done", **fields: object) -> None:
        """Let the agents end these tasks, or all that they work on."""
        done = [d for d in self.working if not tasks or d.task in tasks]
        self.working = [d for d in self.working if d not in done]
        reports = [(d.task, self.result(d, status, **fields)) for d in done]
        self.decide(lambda e: e.settle(reports, self.now))
        self.advance()

    def settle(self, *reports: tuple[str, TaskResult]) -> None:
        """Deliver results as they are."""
        self.decide(lambda e: e.settle(reports, self.now))

    def over(self) -> bool:
        """Whether the execution has ended."""
        return self.execution.ended

    def fail(self, *tasks: str, retryable: bool = True) -> None:
        """Let these tasks fail."""
        self.finish(*tasks, status="failed", error=ErrorInfo(message="broken", retryable=retryable))

    def advance(self, seconds: float = 0) -> None:
        """Let time pass, and whatever is due happen."""
        self.now += timedelta(seconds=seconds)
        for _ in range(100):
            before = len(self.events)
            self.decide(lambda e: e.advance(self.now, {}))
            if len(self.events) == before:
                return
        raise AssertionError("it does not come to rest")

    def run(self) -> "World":
        """Grant and finish until nothing moves."""
        for _ in range(1000):
            if not self.waiting and not self.working:
                break
            self.grant()
            self.finish()
        return self

    def names(self) -> list[str]:
        """The facts so far, by name."""
        return [event.NAME for event in self.events]

    def status(self, task: str) -> str:
        """Where a task stands."""
        return str(self.execution.tasks[task].status)
