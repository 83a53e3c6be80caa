"""What the planner knows of the others: who could do which work, and how much may be held. Folded from the log."""

import asyncio
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from contracts.base import Event
from contracts.resource_manager import AgentDrained, AgentJoined, AgentLeft, AgentLost, Capacity, CapacityChanged
from contracts.work import Demand
from shared.mapper import EventMapper
from shared.records import Log, Logged
from shared.snapshots import Snapshot, SnapshotStore

FOLD = 1
"""Version of the fold: raise it when `Workforce` changes."""
NAME = "workforce"
CHECKPOINT = 200
"""Facts between two snapshots."""
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


class KnownWorkforce:
    """The workforce as the log has it, followed while the planner runs."""

    def __init__(self, log: Log, snapshots: SnapshotStore) -> None:
        self._log, self._snapshots, self._mapper = log, snapshots, EventMapper()
        self.workforce = Workforce()
        self.caught_up = asyncio.Event()
        self._position = self._folded = 0

    async def watch(self) -> None:
        """Catch up with the log, and go on listening."""
        await self._restore()
        async for portion in self._log.replay(FILTERS, after=self._position):
            await self._fold(portion)
        self.caught_up.set()
        async for portion in self._log.follow(filters=FILTERS, after=self._position):
            await self._fold(portion)

    async def probe(self) -> None:
        """Raise while the log has not been read to its end for the first time."""
        if not self.caught_up.is_set():
            raise RuntimeError("the workforce is still being read from the log")

    async def _restore(self) -> None:
        kept = await self._snapshots.load(NAME)
        if kept and kept.fold == FOLD and kept.sequence > self._position:
            self.workforce, self._position = _STATE.validate_python(kept.state), kept.sequence

    async def _fold(self, portion: Iterable[Logged]) -> None:
        for logged in portion:
            self.workforce.apply(self._mapper.to_event(logged))
            self._position, self._folded = logged.id, self._folded + 1
        if self._folded >= CHECKPOINT:
            state = _STATE.dump_python(self.workforce, mode="json")
            await self._snapshots.save(NAME, Snapshot(FOLD, self._position, 0, state))
            self._folded = 0


_STATE = TypeAdapter(Workforce)
