"""What the planner knows of the others: who could do which work, and how much may be held. Folded from the log."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from contracts.base import Event
from contracts.resource_manager import AgentDrained, AgentJoined, AgentLeft, AgentLost, Capacity, CapacityChanged
from contracts.work import Demand
from shared.mapper import EventMapper
from shared.projection import Projection
from shared.records import Log, Logged
from shared.snapshots import SnapshotStore

FOLD = 1
"""Version of the fold: raise it when `Workforce` changes."""
CHECKPOINT = 200
"""Facts between two checkpoints."""
AMOUNTS = ("cpu", "memory", "disk", "network")
FILTERS = tuple(
    f"nexus.events.resource_manager.*.{event.NAME}"
    for event in (AgentJoined, AgentDrained, AgentLost, AgentLeft, CapacityChanged)
)


@dataclass(slots=True)
class Offer:
    """What an agent offered when it joined last."""

    capabilities: tuple[str, ...]
    slots: int
    capacity: Demand | None
    present: bool = True

    def fits(self, demand: Demand) -> bool:
        """Tell whether the agent, with nothing else to do, could hold this."""
        if demand.slots > self.slots:
            return False
        return self.capacity is None or all(getattr(demand, n) <= getattr(self.capacity, n) for n in AMOUNTS)


@dataclass
class Workforce:
    """All agents that ever joined, and the pool's limits since they were changed."""

    agents: dict[str, Offer] = field(default_factory=dict)
    capabilities: set[str] = field(default_factory=set)
    """Every capability that an agent ever offered."""
    limits: Capacity | None = None

    def apply(self, event: Event) -> None:
        """Let a fact of the resource manager take effect; others have none."""
        match event:
            case AgentJoined():
                self.agents[event.agent] = Offer(event.capabilities, event.slots, event.capacity)
                self.capabilities.update(event.capabilities)
            case AgentDrained() | AgentLost() | AgentLeft():
                if offer := self.agents.get(event.agent):
                    offer.present = False
            case CapacityChanged():
                self.limits = event.capacity

    def slots(self, capabilities: Set[str]) -> int:
        """Return the slots of the present agents that can do at least one of these."""
        return sum(o.slots for o in self.agents.values() if o.present and not capabilities.isdisjoint(o.capabilities))

    def misfit(self, capabilities: Iterable[str], demand: Demand) -> bool:
        """Tell whether agents with these capabilities are known, and none of them could ever hold this."""
        wanted = set(capabilities)
        able = [offer for offer in self.agents.values() if not wanted.isdisjoint(offer.capabilities)]
        return bool(able) and not any(offer.fits(demand) for offer in able)


def follow(log: Log, snapshots: SnapshotStore) -> Projection[Workforce]:
    """Return the workforce as the log has it, and goes on having it."""
    mapper = EventMapper()

    def fold(workforce: Workforce, logged: Logged) -> Workforce:
        workforce.apply(mapper.to_event(logged))
        return workforce

    return Projection(
        log, "workforce", Workforce, fold, filters=FILTERS, snapshots=snapshots, version=FOLD, every=CHECKPOINT
    )
