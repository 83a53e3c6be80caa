"""Who counts as alive: nobody is blamed for what could not be heard."""

import asyncio
import time
from typing import Any

import pytest
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from prometheus_client import CollectorRegistry

from contracts.resource_manager import Capacity
from services.resource_manager.allocator import Allocator, now
from services.resource_manager.domain import Pool, Terms
from services.resource_manager.gauges import Gauges
from services.resource_manager.matching import assign
from services.resource_manager.origins import Origins
from services.resource_manager.presence import Presence
from services.resource_manager.sweep import Sweep
from services.resource_manager.watch import Watch
from shared.memory import MemoryLog
from shared.repository import Repository
from tests.resource_manager.builders import at, beat

INTERVAL = 0.02
LONG = 5 * INTERVAL


class Line:
    """A connection that is only as good as the test wants it."""

    def __init__(self) -> None:
        self.stats = {"reconnects": 0}
        self.dead = False
        self.pending_msgs = 0
        self.brought = 0
        self.is_closed = False

    async def subscribe(self, _subject: str, **_: Any) -> "Line":
        return self

    def jetstream(self, **_: Any) -> Any:
        raise NatsError

    async def flush(self, **_: Any) -> None:
        if self.dead:
            raise NatsTimeoutError
        self.pending_msgs = self.brought


class House:
    """A watch over a pool in memory."""

    def __init__(self) -> None:
        log, self.line = MemoryLog("resource_manager"), Line()
        self.pools = Repository(log, Pool)
        gauges = Gauges(CollectorRegistry())
        self.allocator = Allocator(self.pools, Origins(log), assign, Terms(), gauges)
        self.watch = Watch(self.line, self.allocator, gauges)  # type: ignore[arg-type]

    async def agents(self) -> set[str]:
        return set((await self.pools.get("default")).agents)


@pytest.fixture
async def house() -> House:
    house = House()
    await house.allocator.state(lambda pool: pool.configure(Capacity(), now()), create=True)
    await house.watch.start()
    await house.allocator.state(lambda pool: pool.greet(beat("ann", interval=INTERVAL), now()))
    return house


async def test_who_is_silent_for_long_is_given_up(house: House) -> None:
    await house.watch.seek_silent()
    assert await house.agents() == {"ann"}

    await asyncio.sleep(LONG)
    await house.watch.seek_silent()

    assert not await house.agents()


async def test_silence_before_a_reconnection_does_not_count(house: House) -> None:
    await asyncio.sleep(LONG)
    house.line.stats["reconnects"] += 1

    await house.watch.seek_silent()

    assert await house.agents() == {"ann"}


async def test_silence_on_a_dead_line_does_not_count(house: House) -> None:
    await asyncio.sleep(LONG)
    house.line.dead = True
    await house.watch.seek_silent()

    house.line.dead = False
    await house.watch.seek_silent()

    assert await house.agents() == {"ann"}


@pytest.mark.parametrize(("waiting", "brought"), [(1, 0), (0, 1)])
async def test_silence_is_none_while_messages_wait_to_be_heard(house: House, waiting: int, brought: int) -> None:
    await asyncio.sleep(LONG)
    house.line.pending_msgs, house.line.brought = waiting, brought

    await house.watch.seek_silent()

    assert await house.agents() == {"ann"}


async def test_silence_while_this_process_stood_still_does_not_count(house: House) -> None:
    await house.allocator.state(lambda pool: pool.greet(beat("ann", interval=0.2), now()))
    sweep = asyncio.create_task(Sweep(house.allocator, house.watch, advice=False).run())
    await asyncio.sleep(0.05)

    time.sleep(1)  # noqa: ASYNC251  nobody gets to do anything
    await asyncio.sleep(0.15)

    assert await house.agents() == {"ann"}
    await asyncio.sleep(1)
    assert not await house.agents()
    sweep.cancel()


def test_three_intervals_are_counted_from_the_last_sign_of_life() -> None:
    presence = Presence(now=0)
    presence.heard("ann", 10, at(10))

    assert presence.silent({"ann": 2}, 16) == {}, "the third is due only now"
    assert presence.silent({"ann": 2}, 16.6) == {"ann": at(10)}


def test_three_intervals_are_counted_from_the_start_for_who_was_never_heard() -> None:
    presence = Presence(now=100)

    assert presence.silent({"ann": 2}, 106) == {}
    assert presence.silent({"ann": 2}, 107) == {"ann": None}


def test_after_an_interruption_everybody_has_three_intervals_again() -> None:
    presence = Presence(now=0)
    presence.heard("ann", 1, at(1))
    presence.begin_again(50)

    assert presence.silent({"ann": 2}, 56) == {}
    assert presence.silent({"ann": 2}, 57) == {"ann": at(1)}


def test_each_agent_has_an_interval_of_its_own() -> None:
    presence = Presence(now=0)

    assert presence.silent({"ann": 1, "bob": 60}, 5).keys() == {"ann"}
