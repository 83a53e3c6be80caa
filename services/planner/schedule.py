"""The schedule that knows no limits: earliest starts, slack, critical path (critical path method). Pure, O(V + E)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.work import Slack, Task
from services.planner.graph import graph_of, topological


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each task can start at the earliest, and how long it may wait. Seconds."""

    earliest: Mapping[str, float]
    slack: Mapping[str, float]
    critical_path: tuple[str, ...]
    length: float
    """Duration of the critical path."""
    depth: int
    """Most tasks in one chain."""
    width: int
    """Most tasks at the same distance from the start: about how many can run at once."""

    def entries(self) -> tuple[Slack, ...]:
        """Return the schedule in the words of the contract."""
        return tuple(
            Slack(task=task, earliest=round(start, 6), slack=round(self.slack[task], 6))
            for task, start in self.earliest.items()
        )


def schedule(tasks: Sequence[Task]) -> Schedule:
    """Return the schedule of a graph without faults."""
    graph = graph_of(tasks)
    estimate = {task.id: task.estimate for task in tasks}
    order = topological(graph)
    earliest, levels = _forward(order, graph, estimate)
    length = max(start + estimate[task] for task, start in earliest.items())
    latest = _backward(order, graph, estimate, length)
    return Schedule(
        earliest={task.id: earliest[task.id] for task in tasks},
        slack={task.id: max(0.0, latest[task.id] - earliest[task.id]) for task in tasks},
        critical_path=_critical_path(order, graph, estimate, earliest),
        length=length,
        depth=max(levels.values()) + 1,
        width=_largest_group(levels),
    )


def _forward(
    order: Sequence[str], graph: Mapping[str, Sequence[str]], estimate: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, int]]:
    earliest: dict[str, float] = {}
    levels: dict[str, int] = {}
    for task in order:
        earliest[task] = max((earliest[before] + estimate[before] for before in graph[task]), default=0.0)
        levels[task] = max((levels[before] + 1 for before in graph[task]), default=0)
    return earliest, levels


def _backward(
    order: Sequence[str], graph: Mapping[str, Sequence[str]], estimate: Mapping[str, float], length: float
) -> dict[str, float]:
    latest = {task: length - estimate[task] for task in order}
    for task in reversed(order):
        for before in graph[task]:
            latest[before] = min(latest[before], latest[task] - estimate[before])
    return latest


def _critical_path(
    order: Sequence[str],
    graph: Mapping[str, Sequence[str]],
    estimate: Mapping[str, float],
    earliest: Mapping[str, float],
) -> tuple[str, ...]:
    """Walk back from the task that ends last, each time to the dependency that ends last."""
    ends = {task: earliest[task] + estimate[task] for task in order}
    task = max(order, key=ends.__getitem__)
    path = [task]
    while graph[task]:
        task = max(graph[task], key=ends.__getitem__)
        path.append(task)
    return tuple(reversed(path))


def _largest_group(levels: Mapping[str, int]) -> int:
    sizes: dict[int, int] = {}
    for level in levels.values():
        sizes[level] = sizes.get(level, 0) + 1
    return max(sizes.values())
