"""What the tests of the resource manager are made from, with sane defaults."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.agents import Beat
from contracts.base import Event
from contracts.coordinator import CapacityRequest
from contracts.resource_manager import Capacity, CapacityLeased, CapacityQueued, Lease, LeaseReleased
from contracts.work import Demand
from services.resource_manager.domain import Heard, Pool, Terms
from services.resource_manager.domain.amounts import amounts, own_limits, pool_limits
from services.resource_manager.domain.state import parts
from services.resource_manager.matching import assign

START = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms()


def at(seconds: float = 0) -> datetime:
    return START + timedelta(seconds=seconds)


def request(identity: str, capability: str = "work", **fields: Any) -> CapacityRequest:
    demand = Demand(**{name: fields.pop(name) for name in list(fields) if name in Demand.model_fields})
    return CapacityRequest(id=identity, task=parts(identity)[1], capability=capability, demand=demand, **fields)


def asks(*requests: CapacityRequest | str, position: int = 0) -> Heard:
    asked = tuple(request(one) if isinstance(one, str) else one for one in requests)
    return Heard(parts(asked[0].id)[0], requested=asked, position=position)


def gives_back(*leases: str, position: int = 0) -> Heard:
    return Heard(parts(leases[0])[0], released=leases, position=position)


def ends(project: str, position: int = 0) -> Heard:
    return Heard(project, ended=True, position=position)


def beat(agent: str, *capabilities: str, slots: int = 1, instance: str = "1", **fields: Any) -> Beat:
    return Beat(agent=agent, instance=instance, capabilities=capabilities or ("work",), slots=slots, **fields)


def pool(*agents: Beat, **capacity: Any) -> Pool:
    made = Pool(id="default")
    let(made, made.configure(Capacity(**capacity), at()))
    for one in agents:
        let(made, made.greet(one, at()))
    return made


def let(pool: Pool, events: Sequence[Event]) -> list[Event]:
    """Record what was decided, looking at the pool after each fact."""
    for event in events:
        pool.record(event)
        check(pool)
    pool.collect_events()
    return list(events)


def hear(pool: Pool, *heard: Heard, now: float = 0, terms: Terms = TERMS) -> list[Event]:
    return let(pool, pool.answer(heard, at(now), assign, terms))


def look(pool: Pool, now: float = 0, *, review: bool = False) -> list[Event]:
    return let(pool, pool.look_again(at(now), assign, TERMS, review=review))


def leases(events: Iterable[Event]) -> dict[str, Lease]:
    return {lease.id: lease for event in events if isinstance(event, CapacityLeased) for lease in event.leases}


def reasons(events: Iterable[Event]) -> dict[str, str]:
    return {one.request.id: one.reason for event in events if isinstance(event, CapacityQueued) for one in event.queued}


def released(events: Iterable[Event]) -> set[str]:
    found: set[str] = set()
    for event in events:
        match event:
            case CapacityLeased() | CapacityQueued():
                found.update(event.released)
            case LeaseReleased():
                found.update(event.leases)
    return found


def names(events: Iterable[Event]) -> list[str]:
    return [event.NAME for event in events]


def check(pool: Pool) -> None:
    """What must hold after every single fact."""
    held = [0, 0, 0, 0]
    slots: dict[str, int] = {}
    by_agent: dict[str, list[int]] = {}
    for lease in pool.leases.values():
        assert lease.agent in pool.agents
        slots[lease.agent] = slots.get(lease.agent, 0) + lease.demand.slots
        for n, amount in enumerate(amounts(lease.demand)):
            held[n] += amount
            by_agent.setdefault(lease.agent, [0, 0, 0, 0])[n] += amount
    assert pool.ledger.held == held
    assert {agent: account.slots for agent, account in pool.ledger.accounts.items()} == slots
    assert {agent: account.held for agent, account in pool.ledger.accounts.items()} == by_agent
    assert not pool.queue.keys() & pool.leases.keys()
    assert len(pool.line) == len(pool.queue)
    epochs = [lease.epoch for lease in pool.leases.values()]
    assert len(set(epochs)) == len(epochs)
    assert max(epochs, default=0) <= pool.epoch


def within_limits(pool: Pool) -> bool:
    """Whether no more is held than there is; agents that shrank or limits that were lowered excepted by the caller."""
    over = [
        limit is not None and held > limit
        for held, limit in zip(pool.ledger.held, pool_limits(pool.capacity), strict=True)
    ]
    for agent, account in pool.ledger.accounts.items():
        own = pool.agents[agent]
        over.append(account.slots > own.slots)
        over += [
            limit is not None and held > limit
            for held, limit in zip(account.held, own_limits(own.capacity), strict=True)
        ]
    holding = {lease.project for lease in pool.leases.values()}
    over.append(pool.capacity.projects is not None and len(holding) > pool.capacity.projects)
    return not any(over)
