"""All projects at a glance, from the few events that begin, hold up and end them. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python

from contracts import coordinator, planner
from contracts.base import Event

KINDS: tuple[type[Event], ...] = (
    planner.ProjectCreated,
    planner.ProjectPlanned,
    planner.PlanApproved,
    planner.ProjectRefused,
    coordinator.ExecutionStarted,
    coordinator.ExecutionPaused,
    coordinator.ExecutionResumed,
    coordinator.TaskRetried,
    coordinator.TaskSkipped,
    coordinator.CompensationStarted,
    *coordinator.ENDED,
)
FILTERS = tuple(f"nexus.events.{kind.SERVICE}.*.{kind.NAME}" for kind in KINDS)


@dataclass
class ProjectSummary:
    """One project in a list."""

    id: str
    status: str = "unknown"
    """As in `nexus.view.ProjectView`."""
    title: str = ""
    type: str = ""
    priority: int = 3
    tasks: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float = 0
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        found: dict[str, Any] = to_jsonable_python(self)
        return found


@dataclass
class ProjectList:
    """Projects in the order in which they were described."""

    projects: dict[str, ProjectSummary] = field(default_factory=dict)

    def apply(self, project: str, event: Event) -> None:
        """Let an event take effect."""
        one = self.projects.setdefault(project, ProjectSummary(project))
        match event:
            case planner.ProjectCreated() if one.started_at is not None:
                one.created_at = event.at
            case planner.ProjectCreated():
                one.status, one.created_at = "described", event.at
                one.title, one.type = event.title or event.request.title, event.request.type or ""
                one.priority = event.request.priority
            case planner.ProjectPlanned() if one.started_at is None:
                one.status, one.title, one.type = "planned", event.title, event.type
                one.tasks = len(event.plan.tasks)
            case planner.ProjectRefused():
                one.status, one.reason, one.ended_at = "refused", event.message, event.at
            case coordinator.ExecutionStarted():
                one.status, one.started_at, one.tasks = "running", event.at, len(event.plan.tasks)
                one.title, one.type, one.priority = event.title, event.type, event.priority
            case coordinator.Consequences():
                _go_on(one, event)


def _go_on(one: ProjectSummary, event: coordinator.Consequences) -> None:
    match event:
        case coordinator.Ended():
            one.status, one.ended_at, one.seconds = event.NAME.removeprefix("execution_"), event.at, event.seconds
            one.reason = getattr(event, "reason", "")
        case coordinator.ExecutionPaused() if one.status == "running":
            one.status = "paused"
        case coordinator.ExecutionResumed() if one.status == "paused":
            one.status = "running"
        case coordinator.CompensationStarted():
            one.status, one.reason = "compensating", event.reason
        case coordinator.TaskRetried() | coordinator.TaskSkipped() if one.ended_at is not None:
            one.status, one.ended_at, one.seconds, one.reason = "running", None, 0, ""
