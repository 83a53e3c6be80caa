"""What the live view shows, as plain data: a project, the agents, and what happened last. Pure."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from contracts.resource_manager import Capacity
from nexus.agents_view import AgentView
from nexus.history import Entry
from nexus.view import ProjectView
from nexus.view_parts import SATISFIED, TaskView

RECENT = 200


@dataclass
class Scene:
    """Everything that is on the screen."""

    view: ProjectView
    limits: Capacity = field(default_factory=Capacity)
    agents: list[AgentView] = field(default_factory=list)
    recent: deque[Entry] = field(default_factory=lambda: deque(maxlen=RECENT))
    middle: int = 0
    """Place in the log where half of the tasks were done: worth looking at again."""

    def hear(self, entry: Entry) -> None:
        """Let an event of the project take effect."""
        if entry.event is not None:
            self.view.apply(entry.event, entry.sequence)
        self.recent.append(entry)
        done = sum(task.status in SATISFIED for task in self.view.tasks.values())
        if not self.middle and self.view.tasks and 2 * done >= len(self.view.tasks):
            self.middle = entry.sequence

    def elapsed(self, now: datetime) -> float:
        """Return the seconds since the project began, until it ended."""
        if self.view.started_at is None:
            return 0.0
        return self.view.seconds or ((self.view.ended_at or now) - self.view.started_at).total_seconds()

    def progress(self, task: str) -> float:
        """Return how far a task is, as its agent says."""
        told = (one for agent in self.agents for one in agent.running)
        mine = (one.progress for one in told if one.project == self.view.id and one.task == task)
        return next(mine, 0.0)

    def phases(self) -> list[tuple[str, float, str]]:
        """Return each phase with the share of it that is done, and how it stands."""
        if self.view.plan is None:
            return []
        found = []
        for phase in self.view.plan.phases or ("tasks",):
            tasks = [task for task in self.view.tasks.values() if phase in (task.plan.phase, "tasks")]
            if tasks:
                found.append((phase, self._share(tasks), _standing(tasks)))
        return found

    def _share(self, tasks: list[TaskView]) -> float:
        weights = [task.plan.estimate or 1e-9 for task in tasks]
        parts = (
            weight * (1.0 if task.status in SATISFIED else self.progress(task.id) if task.status == "running" else 0.0)
            for task, weight in zip(tasks, weights, strict=True)
        )
        return sum(parts) / sum(weights)

    def held(self) -> list[tuple[str, float, float | None]]:
        """Return each resource with what the project holds of it, and the limit."""
        held = self.view.held
        amounts = ("cpu", "memory", "disk", "network")
        found = [(name, float(getattr(held, name)), getattr(self.limits, name)) for name in amounts]
        return [row for row in found if row[1] or (row[2] is not None and row[0] in ("cpu", "memory"))]


def _standing(tasks: list[TaskView]) -> str:
    statuses = {task.status for task in tasks}
    if statuses <= SATISFIED:
        return "done"
    for status in ("failed", "blocked", "running", "retrying", "requested"):
        if status in statuses:
            return status
    return "waiting"


@dataclass(slots=True)
class Branch:
    """A task in the plan's tree, below the dependency that it waits for longest."""

    task: TaskView
    critical: bool
    others: tuple[str, ...]
    """Dependencies that stand elsewhere in the tree."""
    children: list["Branch"] = field(default_factory=list)


def tree(view: ProjectView) -> list[Branch]:
    """Return the plan as trees: each task once, its other dependencies named."""
    critical = set(view.plan.critical_path) if view.plan else set[str]()
    ends = _ends(view)
    branches = {
        name: Branch(task, name in critical, tuple(d for d in task.plan.depends_on if d != _longest(task, ends)))
        for name, task in view.tasks.items()
    }
    roots: list[Branch] = []
    for branch in branches.values():
        parent = _longest(branch.task, ends)
        (branches[parent].children if parent else roots).append(branch)
    for branch in branches.values():
        branch.children.sort(key=lambda child: (not child.critical, ends[child.task.id]))
    return roots


def _longest(task: TaskView, ends: dict[str, float]) -> str | None:
    return max(task.plan.depends_on, key=lambda name: ends[name], default=None)


def _ends(view: ProjectView) -> dict[str, float]:
    """When each task would end if nothing but its dependencies held it up."""
    ends: dict[str, float] = {}
    left = dict(view.tasks)
    while left:
        ready = [name for name, task in left.items() if all(parent in ends for parent in task.plan.depends_on)]
        for name in ready:
            task = left.pop(name)
            ends[name] = max((ends[parent] for parent in task.plan.depends_on), default=0.0) + task.plan.estimate
        if not ready:  # a cycle is refused by the planner; a broken story may still hold one
            ends |= dict.fromkeys(left, 0.0)
            break
    return ends
