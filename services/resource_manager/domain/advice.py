"""How many agents more or fewer would do: advice for whoever starts agents."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil

from contracts.base import Event
from contracts.resource_manager import ScalingAdvised
from services.resource_manager.domain.fold import PoolFold
from services.resource_manager.domain.state import Agent

LONG = timedelta(seconds=30)
"""Who waits longer for an agent calls for another one."""
IDLE = timedelta(minutes=5)
"""An agent without a lease for longer is one too many."""
SELDOM = timedelta(minutes=1)
"""Least time between two pieces of advice about one capability."""
AGAIN = timedelta(minutes=10)
"""Advice that has not changed is repeated after this time."""


def advise(pool: PoolFold, now: datetime) -> list[Event]:
    """Return what is worth saying now: rarely anything."""
    events: list[Event] = []
    wanted = dict(_more(pool, now))
    for capability, count, reason in (*wanted.values(), *_fewer(pool, now)):
        last = pool.advised.get(capability)
        if last is None or now - last.at >= (SELDOM if last.agents != count else AGAIN):
            events.append(ScalingAdvised(at=now, capability=capability, agents=count, reason=reason))
    return events


def _more(pool: PoolFold, now: datetime) -> Iterator[tuple[str, tuple[str, int, str]]]:
    slots: dict[str, int] = {}
    for queued in pool.queue.values():
        capability = queued.request.capability
        lacks_agents = queued.reason in (f"no_agent:{capability}", f"agents_busy:{capability}")
        if lacks_agents and now - queued.since >= LONG:
            slots[capability] = slots.get(capability, 0) + max(1, queued.request.demand.slots)
    for capability, count in slots.items():
        agents = _able(pool, capability)
        usual = sum(agent.slots for agent in agents) / len(agents) if agents else 1
        more, most = ceil(count / usual), pool.capacity.agents
        if most is not None:
            more = min(more, most - len(pool.agents))
        if more > 0:
            seconds = LONG.total_seconds()
            yield capability, (capability, more, f"requests for {count} slots have waited {seconds:g} s or longer")


def _fewer(pool: PoolFold, now: datetime) -> Iterator[tuple[str, int, str]]:
    called_for = {queued.request.capability for queued in pool.queue.values()}
    for capability in sorted({capability for agent in pool.agents.values() for capability in agent.capabilities}):
        able = _able(pool, capability)
        idle = [agent for agent in able if agent.idle_since is not None and now - agent.idle_since >= IDLE]
        spare = min(len(idle), len(able) - 1)
        if capability not in called_for and spare > 0:
            yield capability, -spare, f"{len(idle)} of {len(able)} agents had nothing to do for {IDLE}"


def _able(pool: PoolFold, capability: str) -> list[Agent]:
    return [agent for agent in pool.agents.values() if capability in agent.capabilities and not agent.draining]
