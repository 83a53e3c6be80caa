"""Where the tasks of an execution stand, and what a plan implies about their order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from contracts.coordinator import AttemptKind, ErrorInfo
from contracts.work import Fields, Plan, Task

if TYPE_CHECKING:
    from services.coordinator.domain.fold import ExecutionState


class Status(StrEnum):
    """Where a task stands."""

    WAITING = "waiting"  # for tasks, sync points or its turn
    REQUESTED = "requested"  # for capacity
    RUNNING = "running"
    RETRYING = "retrying"  # for the end of its back-off; holds nothing
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    BLOCKED = "blocked"  # can no longer begin
    CANCELLED = "cancelled"
    UNDONE = "undone"
    NOT_UNDONE = "not_undone"


SATISFIED = frozenset({Status.DONE, Status.SKIPPED})
OPEN = frozenset({Status.WAITING, Status.REQUESTED, Status.RUNNING, Status.RETRYING})
BUSY = frozenset({Status.REQUESTED, Status.RUNNING, Status.RETRYING})


@dataclass(slots=True)
class TaskState:
    """Where one task stands."""

    status: Status = Status.WAITING
    kind: AttemptKind = "run"
    attempt: int = 0
    """Number of the latest attempt; each request for capacity begins a new one."""
    failures: int = 0
    losses: int = 0
    capability: str = ""
    """Empty: the task's own; else an alternative that it was routed to."""
    routes: int = 0
    agent: str = ""
    lease: str = ""
    epoch: int = 0
    since: datetime | None = None
    """When it came to this status."""
    first: datetime | None = None
    """When its first attempt was dispatched."""
    retry_at: datetime | None = None
    given_up: tuple[int, ...] = ()
    """Attempts that ended without a result; theirs would be late."""
    failed_on: tuple[str, ...] = ()
    output: Fields = field(default_factory=dict)
    error: ErrorInfo | None = None
    seconds: float = 0


@dataclass(slots=True)
class Held:
    """A lease that the execution has in use."""

    agent: str
    epoch: int
    task: str
    """Whose demands it was granted for: a task fits if it needs no more."""
    capabilities: tuple[str, ...] = ()
    carry_until: datetime | None = None


class PlanIndex:
    """What follows from a plan and never changes."""

    def __init__(self, plan: Plan) -> None:
        self.tasks: dict[str, Task] = {task.id: task for task in plan.tasks}
        self.dependents: dict[str, list[str]] = defaultdict(list)
        self.waiters: dict[str, list[str]] = defaultdict(list)
        self.providers: dict[str, list[str]] = defaultdict(list)
        self._phases = {phase: n for n, phase in enumerate(plan.phases)}
        for task in plan.tasks:
            for earlier in task.depends_on:
                self.dependents[earlier].append(task.id)
            for point in task.waits_for:
                self.waiters[point].append(task.id)
            if task.provides:
                self.providers[task.provides].append(task.id)

    @cached_property
    def topological(self) -> list[str]:
        """Every task after the tasks that it depends on."""
        missing = {task.id: len(task.depends_on) for task in self.tasks.values()}
        order = [task for task, count in missing.items() if not count]
        for task in order:
            for dependent in self.dependents.get(task, ()):
                missing[dependent] -= 1
                if not missing[dependent]:
                    order.append(dependent)
        return order

    @cached_property
    def rank(self) -> dict[str, float]:
        """Seconds from a task's start to the end of the longest chain behind it: the greater, the more urgent."""
        rank: dict[str, float] = {}
        for task in reversed(self.topological):
            behind = max((rank[dependent] for dependent in self.dependents.get(task, ())), default=0.0)
            rank[task] = behind + self.tasks[task].estimate
        return rank

    @cached_property
    def total_order(self) -> list[str]:
        """One task after the other: phases in order where dependencies allow it, then the longest chain first."""
        last = len(self._phases)
        phase: dict[str, int] = {}
        for task in self.topological:
            own = self._phases.get(self.tasks[task].phase, last)
            phase[task] = max([own, *(phase[earlier] for earlier in self.tasks[task].depends_on)])
        depth = {task: n for n, task in enumerate(self.topological)}
        return sorted(self.topological, key=lambda task: (phase[task], -self.rank[task], depth[task]))

    def behind(self, tasks: Iterable[str]) -> list[str]:
        """Everything that depends on one of `tasks`, directly or not, in plan order."""
        found: set[str] = set()
        frontier = list(tasks)
        while frontier:
            for dependent in self.dependents.get(frontier.pop(), ()):
                if dependent not in found:
                    found.add(dependent)
                    frontier.append(dependent)
        return [task for task in self.tasks if task in found]


class Outlook:
    """An execution as it will stand once what is being decided has taken effect; read-only. Protocols see this."""

    def __init__(
        self, execution: "ExecutionState", changed: Mapping[str, Status] | None = None, points: Iterable[str] = ()
    ) -> None:
        self.index = execution.index
        self.config = execution.protocol
        self._tasks, self._changed = execution.tasks, dict(changed or {})
        self._points, self._new_points = execution.points, set(points)

    def status(self, task: str) -> Status:
        """Where the task will stand."""
        return self._changed.get(task) or self._tasks[task].status

    def satisfied(self, task: str) -> bool:
        """Whether what depends on the task may go on."""
        return self.status(task) in SATISFIED

    def reached(self, point: str) -> bool:
        """Whether the sync point is passed."""
        return point in self._points or point in self._new_points

    def startable(self, task: str) -> bool:
        """Whether a task waits, and everything that it waits for is there."""
        if self.status(task) is not Status.WAITING:
            return False
        plan = self.index.tasks[task]
        return all(map(self.satisfied, plan.depends_on)) and all(map(self.reached, plan.waits_for))

    def next_to(self) -> list[str]:
        """Tasks that may be concerned by what is being decided: behind what changes, or waiting for its points."""
        found: dict[str, None] = {}
        for task in self._changed:
            found |= dict.fromkeys([task, *self.index.dependents.get(task, ())])
        for point in self._new_points:
            found |= dict.fromkeys(self.index.waiters.get(point, ()))
        return list(found)
