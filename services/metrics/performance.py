"""How the system does: one fold over the log, of bounded size. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from contracts import coordinator, planner, resource_manager
from contracts.base import Event
from contracts.coordinator import Consequences, Settlement
from contracts.resource_manager import Capacity
from contracts.work import Demand
from services.metrics.distribution import Distribution
from services.metrics.trends import Trends

RESOURCES = ("cpu", "memory", "disk", "network")
WORKERS = 1000
"""Agents whose work is remembered; of those that are gone, the ones that ended something last."""
ENDINGS = ("completed", "failed", "cancelled", "rolled_back")


@dataclass(slots=True)
class Work:
    """What one agent, or all agents of a capability, did."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Holding:
    """A lease."""

    project: str
    agent: str
    demand: Demand


@dataclass(slots=True)
class Waiting:
    """A request that waits for capacity."""

    project: str
    reason: str
    since: datetime


@dataclass(slots=True)
class Under:
    """A project that is under way."""

    protocol: str
    began: datetime
    paused: bool = False


@dataclass
class Performance:
    """Projects, tasks, resources, agents and coordination, as far as the log tells."""

    created: int = 0
    planned: int = 0
    refused: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    active: dict[str, Under] = field(default_factory=dict)
    project_seconds: Distribution = field(default_factory=Distribution)
    settled: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    task_seconds: Distribution = field(default_factory=Distribution)
    agents: dict[str, int] = field(default_factory=dict)
    """Slots of each agent that is there."""
    lost: int = 0
    work: dict[str, Work] = field(default_factory=dict)
    """By agent, whoever ended something last at the end."""
    capacity: Capacity = field(default_factory=Capacity)
    leases: dict[str, Holding] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    """Sum over the leases, by resource."""
    queue: dict[str, Waiting] = field(default_factory=dict)
    expired: int = 0
    protocols: dict[str, str] = field(default_factory=dict)
    """Type of each protocol that is defined."""
    points_reached: int = 0
    points_missed: int = 0
    signals: int = 0
    trends: Trends = field(default_factory=Trends)
    last: datetime | None = None

    def apply(self, key: str, event: Event) -> None:
        """Let an event take effect; `key` is the aggregate that stated it."""
        self._pass_time(event.at)
        match event:
            case planner.ProjectCreated():
                self.created += 1
            case planner.ProjectPlanned():
                self.planned += 1
            case planner.ProjectRefused():
                self.refused += 1
            case coordinator.ProtocolDefined():
                self.protocols[key] = event.config.type
            case coordinator.ProtocolRetired():
                self.protocols.pop(key, None)
            case Consequences():
                self._coordinate(key, event)
            case _:
                self._manage(event)

    def _pass_time(self, at: datetime) -> None:
        """What was held until now counts for the time that it was held."""
        if self.last is not None and at > self.last:
            self.trends.hold(self.last, at, self.held)
        self.last = max(at, self.last) if self.last else at

    def _coordinate(self, project: str, event: Consequences) -> None:
        self.points_reached += len(event.reached)
        match event:
            case coordinator.ExecutionStarted():
                self.active[project] = Under(event.protocol.type, event.at)
            case coordinator.TasksSettled():
                for settlement in event.results:
                    self._settle(settlement, event.at)
            case coordinator.TaskRetried():
                self.retried += len(event.tasks)
                self.active.setdefault(project, Under("", event.at))
            case coordinator.TaskSkipped():
                self.active.setdefault(project, Under("", event.at))
            case coordinator.SyncPointMissed():
                self.points_missed += 1
            case coordinator.SignalReceived():
                self.signals += 1
            case coordinator.ExecutionPaused() | coordinator.ExecutionResumed() | coordinator.CompensationStarted() if (
                project in self.active
            ):
                self.active[project].paused = isinstance(event, coordinator.ExecutionPaused)
            case coordinator.Ended():
                self._end(project, event)

    def _end(self, project: str, event: coordinator.Ended) -> None:
        status = event.NAME.removeprefix("execution_")
        self.active.pop(project, None)
        self.ended[status] += 1
        self.trends.count(event.at, f"projects_{status}")
        if status == "completed":
            self.project_seconds.add(event.seconds)

    def _settle(self, settlement: Settlement, at: datetime) -> None:
        self.settled[settlement.status] += 1
        self.trends.count(at, f"tasks_{settlement.status}")
        work = self._work_of(settlement.agent or "nobody")
        if settlement.status == "done":
            work.done += 1
            self.task_seconds.add(settlement.seconds)
        else:
            work.failed += 1
        work.seconds += settlement.seconds

    def _work_of(self, agent: str) -> Work:
        work = self.work[agent] = self.work.pop(agent, Work())
        if len(self.work) > WORKERS and (gone := next((name for name in self.work if name not in self.agents), None)):
            del self.work[gone]
        return work

    def _manage(self, event: Event) -> None:
        match event:
            case resource_manager.CapacityChanged():
                self.capacity = event.capacity
            case resource_manager.AgentJoined():
                self.agents[event.agent] = event.slots
                self._drop(event.replaces)
            case resource_manager.AgentLost() | resource_manager.AgentLeft():
                self.agents.pop(event.agent, None)
                self.lost += isinstance(event, resource_manager.AgentLost)
            case _:
                self._lease(event)

    def _lease(self, event: Event) -> None:
        match event:
            case resource_manager.CapacityLeased():
                self._drop((*event.released, *(lease.id for lease in event.leases)))
                for lease in event.leases:
                    self._hold(lease)
            case resource_manager.CapacityQueued():
                self._drop(event.released)
                for one in event.queued:
                    self.queue[one.request.id] = Waiting(event.project, one.reason, one.since)
            case resource_manager.LeaseReleased() if event.ended:
                self._drop_all(event.project)
            case resource_manager.LeaseReleased():
                self._drop(event.leases)
            case resource_manager.LeaseExpired():
                self.expired += len(event.leases)
                self._drop(event.leases)

    def _hold(self, lease: resource_manager.Lease) -> None:
        self.leases[lease.id] = Holding(lease.project, lease.agent, lease.demand)
        self._weigh(lease.demand, 1)

    def _drop(self, ids: Iterable[str]) -> None:
        for one in ids:
            self.queue.pop(one, None)
            if holding := self.leases.pop(one, None):
                self._weigh(holding.demand, -1)

    def _drop_all(self, project: str) -> None:
        self._drop([name for name, holding in self.leases.items() if holding.project == project])
        self._drop([name for name, waiting in self.queue.items() if waiting.project == project])

    def _weigh(self, demand: Demand, sign: int) -> None:
        for name in (*RESOURCES, "slots"):
            if amount := getattr(demand, name):
                self.held[name] = self.held.get(name, 0) + sign * amount
        if not self.leases:
            self.held.clear()  # sums of floats do not come back to zero by themselves

    def busy(self) -> Counter[str]:
        """Return the slots in use by agent."""
        found: Counter[str] = Counter()
        for holding in self.leases.values():
            found[holding.agent] += holding.demand.slots
        return found

    def limits(self) -> dict[str, float | None]:
        """Return how much there is of each resource; None is no limit."""
        found = {name: getattr(self.capacity, name) for name in RESOURCES}
        return found | {"slots": float(sum(self.agents.values()))}
