"""The graph of a project's tasks: what is wrong with it, and an order in which it can be done. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from contracts.work import Task
from services.planner.findings import Finding, meant, pointer

Graph = dict[str, list[str]]
"""Task to the tasks that must be done before it."""

MOST_CYCLES = 10


def graph_of(tasks: Sequence[Task]) -> Graph:
    """Return who must come before whom: by dependency, or because it provides a sync point that is waited for."""
    graph: Graph = {task.id: list(task.depends_on) for task in tasks}
    waiting = [task for task in tasks if task.waits_for]
    if waiting:
        providers = providers_of(tasks)
        for task in waiting:
            graph[task.id] += [provider for name in task.waits_for for provider in providers.get(name, ())]
    return graph


def providers_of(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return the tasks that reach each sync point."""
    providers: dict[str, list[str]] = {}
    for task in tasks:
        if task.provides is not None:
            providers.setdefault(task.provides, []).append(task.id)
    return providers


def unprovided(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return each sync point that no task reaches, with those that wait for it: only a signal can let them go on."""
    provided = {task.provides for task in tasks if task.provides is not None}
    waiting: dict[str, list[str]] = {}
    for task in tasks:
        for name in task.waits_for:
            if name not in provided:
                waiting.setdefault(name, []).append(task.id)
    return waiting


def faults(tasks: Sequence[Task]) -> list[Finding]:
    """Return everything that is wrong with a graph: no tasks, ids twice, unknown dependencies, cycles."""
    if not tasks:
        return [Finding("no_tasks", "/tasks", "a project needs at least one task")]
    places = {task.id: place for place, task in reversed(list(enumerate(tasks)))}
    found = list(_twice(tasks, places)) + list(_unknown(tasks, places))
    known = {task: [before for before in befores if before in places] for task, befores in graph_of(tasks).items()}
    return found + [_cycle(cycle, tasks, places) for cycle in cycles(known)]


def _twice(tasks: Sequence[Task], places: Mapping[str, int]) -> Iterator[Finding]:
    for place, task in enumerate(tasks):
        if places[task.id] != place:
            message = f"{task.id} is also the id of /tasks/{places[task.id]}; every task needs an id of its own"
            yield Finding("duplicate_task", pointer("tasks", place, "id"), message)


def _unknown(tasks: Sequence[Task], places: Mapping[str, int]) -> Iterator[Finding]:
    for place, task in enumerate(tasks):
        for nth, name in enumerate(task.depends_on):
            if name not in places:
                message = f"there is no task {name}{meant(name, places)}"
                yield Finding("unknown_dependency", pointer("tasks", place, "depends_on", nth), message)


def cycles(graph: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return cycles that have no task in common, each in the order of work and closed: `[a, b, a]`."""
    found: list[list[str]] = []
    left = dict(graph)
    while len(found) < MOST_CYCLES:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            found.append(cycle)
            broken = set(cycle)
            left = {task: [b for b in before if b not in broken] for task, before in left.items() if task not in broken}
        else:
            break
    return found


def _cycle(cycle: list[str], tasks: Sequence[Task], places: Mapping[str, int]) -> Finding:
    """Start at the task that comes first in the request, so that the same fault is always said in the same words."""
    ring = cycle[:-1]
    start = ring.index(min(ring, key=lambda name: places[name]))
    ring = ring[start:] + ring[:start]
    place, before = places[ring[0]], ring[-1]
    task = tasks[place]
    where: tuple[str | int, ...] = ("waits_for",)
    if before in task.depends_on:
        where = ("depends_on", task.depends_on.index(before))
    path = " → ".join([*ring, ring[0]])
    return Finding("cycle", pointer("tasks", place, *where), f"the tasks wait for each other: {path}")


def topological(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks so that each comes after those it depends on; the graph must have no faults."""
    return list(TopologicalSorter(graph).static_order())
