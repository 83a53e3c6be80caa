"""What a pool remembers about agents, projects and advice."""

from dataclasses import dataclass, field
from datetime import datetime

from contracts.work import Demand


@dataclass
class Agent:
    """An agent that is there."""

    id: str
    instance: str
    capabilities: tuple[str, ...]
    slots: int
    capacity: Demand | None
    beat: float
    joined: datetime
    draining: bool = False
    idle_since: datetime | None = None
    """Since when it holds no lease."""


@dataclass
class Claim:
    """What a project that has not ended has asked for so far."""

    attempts: dict[str, int] = field(default_factory=dict)
    """Task to the newest attempt heard of: whatever is said about it or an older one again is old news."""
    after: int = -1
    """What was requested up to this place in the log is void: the project had ended then."""
    holds: bool = False
    """It got its first lease: from then on it counts among the projects of the pool."""


@dataclass
class Advice:
    """The last advice about agents of one capability."""

    at: datetime
    agents: int


def parts(lease: str) -> tuple[str, str, int]:
    """Return project, task and attempt of a lease or request; ValueError if it has another form."""
    project, task, attempt = lease.split(".")
    return project, task, int(attempt)
