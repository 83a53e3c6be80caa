"""What an unfinished task waits for. Every one has a next wake-up, or a name for what must happen first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from nexus.view import ProjectView
from nexus.view_parts import SATISFIED, TaskView

Kind = Literal["approval", "start", "resume", "task", "sync_point", "turn", "capacity", "lease", "clock", "retry"]


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that a task waits for."""

    kind: Kind
    name: str = ""
    """Which task, sync point, lease, clock, or reason of the resource manager."""
    until: datetime | None = None
    """When the waiting ends by itself."""

    def __str__(self) -> str:
        said = {
            "approval": "waits for approval",
            "start": "waits for the coordinator to begin",
            "resume": "waits until the project is resumed",
            "task": f"waits for task {self.name}",
            "sync_point": f"waits for sync point {self.name}",
            "turn": "waits for its turn",
            "capacity": f"waits for capacity: {self.name}",
            "lease": f"runs under lease {self.name}, renewed while its agent is alive",
            "clock": f"may take until its {self.name} clock ends it",
            "retry": "waits to be tried again",
        }[self.kind]
        return f"{said} (until {self.until:%H:%M:%S})" if self.until else said


def waits(view: ProjectView, name: str) -> tuple[Wait, ...]:
    """Return what a task waits for; nothing if it has come to its end."""
    task = view.tasks[name]
    if view.ended or (view.status == "compensating" and task.status == "waiting" and task.kind == "run"):
        return ()
    if view.started_at is None:
        return (Wait("start") if view.approved else Wait("approval", "approve_plan or execute_project"),)
    match task.status:
        case "waiting":
            return tuple(_waiting(view, task))
        case "requested":
            return (Wait("capacity", _capacity(view, task), _after(task.since, task.plan.clocks.queue)),)
        case "running":
            return tuple(_running(view, task))
        case "retrying":
            return (Wait("resume"),) if view.paused else (Wait("retry", until=task.retry_at),)
        case "done" if task.kind == "compensate" and view.status == "compensating":
            return (Wait("turn", "to be undone"),)
    return ()


def _waiting(view: ProjectView, task: TaskView) -> Iterator[Wait]:
    if view.paused:
        yield Wait("resume")
    missing = [earlier for earlier in task.plan.depends_on if view.tasks[earlier].status not in SATISFIED]
    yield from (Wait("task", earlier) for earlier in missing)
    points = [point for point in task.plan.waits_for if view.points[point].status != "reached"]
    yield from (Wait("sync_point", point, _expected(view, point)) for point in points)
    if not missing and not points and not view.paused:
        yield Wait("turn")


def _expected(view: ProjectView, point: str) -> datetime | None:
    return _after(view.started_at, view.protocol.expects.get(point))


def _capacity(view: ProjectView, task: TaskView) -> str:
    request = f"{view.id}.{task.id}.{task.attempt}"
    if request in view.leases:
        return "granted, about to be dispatched"
    return task.queued_for or "an answer of the resource manager"


def _running(view: ProjectView, task: TaskView) -> Iterator[Wait]:
    lease = view.leases.get(task.lease)
    yield Wait("lease", task.lease, lease.until if lease else None)
    if end := _after(task.since, task.plan.clocks.run):
        yield Wait("clock", "run", end)
    if end := _after(task.first, task.plan.clocks.total):
        yield Wait("clock", "total", end)


def _after(moment: datetime | None, seconds: float | None) -> datetime | None:
    return moment + timedelta(seconds=seconds) if moment and seconds is not None else None
