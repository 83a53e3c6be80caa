"""Everything that the log says, folded from its first event with today's code and without any snapshot."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from contracts.coordinator import Dispatch, Settlement
from contracts.planner import ProjectPlanned
from nexus.history import Entry, view_of
from nexus.view import ProjectView
from services.coordinator.domain import Execution
from services.metrics.domain import Alert
from services.metrics.performance import Performance
from services.planner.domain import Project
from services.resource_manager.domain import Pool
from shared.domain import Aggregate
from shared.eventlog import EventLog

Attempt = tuple[str, str, int, str]
"""Project, task, number, kind."""


@dataclass
class Past:
    """What happened, and what became of it."""

    entries: list[Entry] = field(default_factory=list)
    pool: Pool = field(default_factory=lambda: Pool("default"))
    projects: dict[str, Project] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    performance: Performance = field(default_factory=Performance)
    planned: dict[str, ProjectPlanned] = field(default_factory=dict)
    position: int = 0

    @classmethod
    async def read(cls, log: EventLog) -> "Past":
        """Read the whole log."""
        past = cls()
        async for portion in log.replay():
            for logged in portion:
                past.apply(Entry(logged))
        return past

    def apply(self, entry: Entry) -> None:
        """Let an event take effect, in order."""
        event, key = entry.event, entry.logged.key
        assert event is not None, f"today's code does not know {entry.topic}"
        self.entries.append(entry)
        self.position = entry.sequence
        self.performance.apply(key, event)
        if isinstance(event, ProjectPlanned):
            self.planned[key] = event
        aggregate = self._aggregate(entry.topic.rpartition(".")[0], key)
        if aggregate is not None:
            aggregate.apply(event)
            if once := entry.envelope.get("idempotencykey"):
                aggregate.causes[once] = aggregate.version

    def _aggregate(self, topic: str, key: str) -> Aggregate | None:
        match topic:
            case "planner.project":
                return self.projects.setdefault(key, Project(key))
            case "coordinator.execution":
                return self.executions.setdefault(key, Execution(key))
            case "metrics.alert":
                return self.alerts.setdefault(key, Alert(key))
            case "resource_manager.pool":
                return self.pool
        return None

    def view(self, project: str) -> ProjectView:
        """Return the project as any client folds it."""
        return view_of(project, (entry for entry in self.entries if entry.project == project))

    def causes(self) -> dict[str, list[int]]:
        """Return the effects of each command: idempotency key to places in the log."""
        found = defaultdict[str, list[int]](list)
        for entry in self.entries:
            if once := entry.envelope.get("idempotencykey"):
                found[once].append(entry.sequence)
        return found

    def dispatched(self) -> list[tuple[Attempt, Dispatch]]:
        """Return every attempt that was given to an agent."""
        return [
            ((entry.logged.key, one.task, one.attempt, one.kind), one)
            for entry, one in self._said("dispatched")
            if isinstance(one, Dispatch)
        ]

    def settled(self) -> list[tuple[Attempt, Settlement]]:
        """Return how every attempt ended."""
        return [
            ((entry.logged.key, one.task, one.attempt, one.kind), one)
            for entry, one in self._said("results")
            if isinstance(one, Settlement)
        ]

    def _said(self, what: str) -> list[tuple[Entry, Any]]:
        return [(entry, one) for entry in self.entries for one in getattr(entry.event, what, ())]
