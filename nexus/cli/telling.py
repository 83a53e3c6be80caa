"""Events in a person's words, one line each."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from contracts import coordinator, metrics, planner, resource_manager
from contracts.base import Event
from contracts.coordinator import Consequences, Settlement
from nexus.history import Entry

MOST_NAMES = 4
"""Names in one line; of more, only the number is told."""


def line(entry: Entry, *, with_project: bool = True) -> str:
    """Return an event as one line of plain text."""
    project = f" {entry.project}" if with_project and entry.project else ""
    return f"#{entry.sequence} {clock(entry.at)} {entry.service}{project} {entry.name}{_colon(what(entry))}"


def what(entry: Entry) -> str:
    """Return what an event says beyond its name; empty if there is nothing to add."""
    event = entry.event
    if event is None:
        return "(unknown to this version)"
    tell = TELL.get(type(event))
    said = tell(event) if tell else ""
    if isinstance(event, Consequences):
        said = "; ".join(part for part in (said, *_consequences(event)) if part)
    return said


def clock(moment: datetime) -> str:
    """Return the local time of day, to the millisecond."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def seconds(amount: float) -> str:
    """Return a duration as people read it."""
    if amount < 10:
        return f"{amount:.2f} s"
    if amount < 120:
        return f"{amount:.1f} s"
    minutes, rest = divmod(round(amount), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def names(found: Iterable[str]) -> str:
    """Return some names, or how many there are."""
    listed = list(found)
    if len(listed) <= MOST_NAMES:
        return ", ".join(listed)
    return f"{', '.join(listed[: MOST_NAMES - 1])} and {len(listed) - MOST_NAMES + 1} more"


def _colon(said: str) -> str:
    return f": {said}" if said else ""


def _consequences(event: Consequences) -> Iterable[str]:
    if event.reached:
        yield f"reached {names(event.reached)}"
    if event.dispatched:
        yield f"started {names(f'{one.task} on {one.agent}' for one in event.dispatched)}"
    if event.requested:
        yield f"capacity asked for {names(one.task for one in event.requested)}"


def _settled(result: Settlement) -> str:
    undone = result.kind == "compensate"
    if result.status == "done":
        return f"{result.task} {'undone' if undone else 'done'} in {seconds(result.seconds)}"
    again = f", again at {clock(result.retry_at)}" if result.retry_at else ""
    again = f", now to {result.reroute}" if result.reroute else again
    error = f" ({_first_line(result.error.message)})" if result.error else ""
    return f"{result.task} {result.status.replace('_', ' ')}{error}{again}"


def _first_line(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= 120 else first[:117] + "..."


def _planned(event: planner.ProjectPlanned) -> str:
    plan = event.plan
    waits = "" if event.approved else ", waits for approval"
    return (
        f"{len(plan.tasks)} tasks, critical path {seconds(_critical(plan))}, at best {seconds(plan.lower_bound)}, "
        f"complexity {plan.complexity.score:g}{waits}"
    )


def _critical(plan: Any) -> float:
    estimates = {task.id: task.estimate for task in plan.tasks}
    return float(sum(estimates[task] for task in plan.critical_path))


def _joined(event: resource_manager.AgentJoined) -> str:
    return f"{event.agent} ({', '.join(event.capabilities)}; {event.slots} slots)"


def _queued(event: resource_manager.CapacityQueued) -> str:
    return names(f"{one.request.task} waits for {one.reason}" for one in event.queued)


TELL: dict[type[Event], Callable[[Any], str]] = {
    planner.ProjectCreated: lambda e: e.title or e.request.title or _first_line(e.request.description),
    planner.ProjectAnalysed: lambda e: (
        f"{e.template or 'own tasks'}: {'; '.join(e.reasons)}" if e.reasons else e.template
    ),
    planner.ProjectPlanned: _planned,
    planner.PlanRevised: lambda e: e.reason,
    planner.ProjectRefused: lambda e: e.message,
    coordinator.ExecutionStarted: lambda e: f"{e.protocol.type} protocol",
    coordinator.CapacityDeclined: lambda e: e.reason,
    coordinator.TasksSettled: lambda e: "; ".join(
        (*(_settled(result) for result in e.results), *([f"stop: {e.stop}"] if e.stop else []))
    ),
    coordinator.TaskRetried: lambda e: names(e.tasks),
    coordinator.TaskSkipped: lambda e: e.task,
    coordinator.SignalReceived: lambda e: f"{e.name}{f' from {e.source}' if e.source else ''}",
    coordinator.SyncPointMissed: lambda e: e.name,
    coordinator.CompensationStarted: lambda e: f"{e.reason}: undo {names(e.tasks)}",
    coordinator.CompensationSettled: lambda e: "; ".join(_settled(result) for result in e.results),
    coordinator.ExecutionCompleted: lambda e: (
        f"in {seconds(e.seconds)}" + (f", without {names(e.degraded)}" if e.degraded else "")
    ),
    coordinator.ExecutionFailed: lambda e: e.reason,
    coordinator.ExecutionCancelled: lambda e: e.reason,
    coordinator.ExecutionRolledBack: lambda e: e.reason,
    coordinator.ProtocolDefined: lambda e: f"{e.name or e.config.type}",
    resource_manager.AgentJoined: _joined,
    resource_manager.AgentDrained: lambda e: e.agent,
    resource_manager.AgentLost: lambda e: e.agent,
    resource_manager.AgentLeft: lambda e: e.agent,
    resource_manager.CapacityLeased: lambda e: names(f"{one.task} on {one.agent}" for one in e.leases),
    resource_manager.CapacityQueued: _queued,
    resource_manager.LeaseReleased: lambda e: "all of it" if e.ended else names(e.leases),
    resource_manager.LeaseExpired: lambda e: f"{names(e.leases)}: {e.reason} ({e.agent})",
    resource_manager.ScalingAdvised: lambda e: f"{e.agents:+d} {e.capability}: {e.reason}",
    resource_manager.Rebalanced: lambda e: e.reason,
    metrics.AlertRaised: lambda e: e.summary,
    metrics.AlertResolved: lambda e: e.rule,
}
