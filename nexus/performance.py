"""How the system does, in the words of the orchestrator's users: one fold over the log. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from contracts import coordinator, planner, resource_manager
from contracts.base import Event
from contracts.coordinator import Consequences, Settlement
from contracts.resource_manager import Capacity, Lease, Queued
from contracts.work import ProtocolConfig

AMOUNTS = ("cpu", "memory", "disk", "network")
OPEN = ("described", "planned", "running", "paused")


@dataclass
class _AgentWork:
    done: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass
class Performance:
    """Projects, tasks, resources, agents and coordination, as far as the log tells."""

    projects: dict[str, str] = field(default_factory=dict)
    durations: list[float] = field(default_factory=list)
    settled: Counter[str] = field(default_factory=Counter)
    work: dict[str, _AgentWork] = field(default_factory=dict)
    capacity: Capacity = field(default_factory=Capacity)
    leases: dict[str, Lease] = field(default_factory=dict)
    queue: dict[str, Queued] = field(default_factory=dict)
    """Requests that wait for capacity, by id."""
    slots: dict[str, int] = field(default_factory=dict)
    protocols: dict[str, ProtocolConfig] = field(default_factory=dict)
    coordinating: dict[str, str] = field(default_factory=dict)
    """Project under way to the type of its protocol."""
    reached: int = 0

    def apply(self, project: str | None, key: str, event: Event) -> None:
        """Let an event take effect; `key` is the aggregate that stated it."""
        match event:
            case planner.ProjectCreated():
                self.projects[key] = "described"
            case planner.ProjectPlanned():
                self.projects[key] = "planned"
            case planner.ProjectRefused():
                self.projects[key] = "refused"
            case coordinator.ProtocolDefined():
                self.protocols[key] = event.config
            case coordinator.ProtocolRetired():
                self.protocols.pop(key, None)
            case Consequences():
                self._follow(key, event)
            case _:
                self._hold(project, event)

    def _follow(self, project: str, event: Consequences) -> None:
        self._drop(event.released)
        match event:
            case coordinator.ExecutionStarted():
                self.projects[project], self.coordinating[project] = "running", event.protocol.type
            case coordinator.TasksSettled():
                for settlement in event.results:
                    self._settle(settlement)
            case coordinator.SyncPointReached():
                self.reached += 1
            case coordinator.Ended():
                self._end(project, event)

    def _end(self, project: str, event: coordinator.Ended) -> None:
        self.projects[project] = event.NAME.removeprefix("execution_")
        self.coordinating.pop(project, None)
        self._drop_all(project)
        if isinstance(event, coordinator.ExecutionCompleted):
            self.durations.append(event.seconds)

    def _settle(self, settlement: Settlement) -> None:
        self.settled[settlement.status] += 1
        work = self.work.setdefault(settlement.agent or "unknown", _AgentWork())
        work.done += settlement.status == "done"
        work.failed += settlement.status != "done"
        work.seconds += settlement.seconds

    def _hold(self, project: str | None, event: Event) -> None:
        match event:
            case resource_manager.CapacityChanged():
                self.capacity = event.capacity
            case resource_manager.AgentJoined():
                self.slots[event.agent] = event.slots
            case resource_manager.AgentLost() | resource_manager.AgentLeft():
                self.slots.pop(event.agent, None)
            case resource_manager.CapacityLeased():
                self._drop((*event.released, *(lease.id for lease in event.leases)))
                self.leases |= {lease.id: lease for lease in event.leases}
            case resource_manager.CapacityQueued():
                self._drop(event.released)
                self.queue |= {one.request.id: one for one in event.queued}
            case resource_manager.LeaseReleased() if event.ended and project:
                self._drop_all(project)
            case resource_manager.LeaseReleased() | resource_manager.LeaseExpired():
                self._drop(event.leases)

    def _drop(self, ids: Iterable[str]) -> None:
        for one in ids:
            self.leases.pop(one, None)
            self.queue.pop(one, None)

    def _drop_all(self, project: str) -> None:
        self._drop([*(one.id for one in self.leases.values() if one.project == project)])
        self._drop([one for one in self.queue if one.startswith(f"{project}.")])

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers; utilisations are percent of what there is."""
        statuses = Counter(self.projects.values())
        ended = [status for status in self.projects.values() if status not in OPEN]
        done, tried = self.settled["done"], sum(self.settled.values())
        return {
            "projects": {
                "total": len(self.projects),
                "active": len(self.coordinating),
                "completed": statuses["completed"],
                "failed": statuses["failed"] + statuses["rolled_back"],
                "cancelled": statuses["cancelled"],
                "refused": statuses["refused"],
                "success_rate": round(statuses["completed"] / len(ended), 4) if ended else None,
                "average_seconds": round(sum(self.durations) / len(self.durations), 3) if self.durations else None,
            },
            "tasks": {"done": done, "attempts": tried, "success_rate": round(done / tried, 4) if tried else None},
            "resources": self._resources(),
            "agents": {name: self._agent(name) for name in sorted({*self.slots, *self.work})},
            "coordination": {
                "active_protocols": len(self.protocols),
                "active_coordinations": len(self.coordinating),
                "sync_points_reached": self.reached,
            },
        }

    def _resources(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in AMOUNTS:
            held, limit = sum(getattr(one.demand, name) for one in self.leases.values()), getattr(self.capacity, name)
            found[f"{name}_utilization"] = round(100 * held / limit, 2) if limit else 0.0
        used, slots = sum(one.demand.slots for one in self.leases.values()), sum(self.slots.values())
        return found | {"slots": slots, "slots_used": used, "leases": len(self.leases)}

    def available(self) -> dict[str, float | None]:
        """Return what is left of each resource; None is no limit."""
        left: dict[str, float | None] = {}
        for name in AMOUNTS:
            limit = getattr(self.capacity, name)
            held = sum(getattr(one.demand, name) for one in self.leases.values())
            left[name] = None if limit is None else limit - held
        used = sum(one.demand.slots for one in self.leases.values())
        return left | {"slots": sum(self.slots.values()) - used}

    def _agent(self, name: str) -> dict[str, Any]:
        work = self.work.get(name, _AgentWork())
        busy = sum(one.demand.slots for one in self.leases.values() if one.agent == name)
        load = {"slots": self.slots.get(name, 0), "busy": busy}
        return load | {"done": work.done, "failed": work.failed, "seconds": round(work.seconds, 3)}
