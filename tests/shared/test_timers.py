"""A timer wakes its service no later than asked, also when the server was killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from nats.aio.client import Client

from nexus.server import EmbeddedServer
from shared.deadletters import DeadLetters
from shared.delivery import Settlement
from shared.inflow import Inflow
from shared.metrics import Meter
from shared.publisher import Publisher
from shared.streams import TIMERS, provision
from shared.timers import Due, Timers

pytestmark = pytest.mark.nats


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class Bell:
    """Timers of a service together with whoever listens to them."""

    def __init__(self, nc: Client) -> None:
        self.publisher = Publisher(nc)
        self.timers = Timers(self.publisher, "coordinator")
        self.rung: list[tuple[str, datetime]] = []
        self.due: list[Due] = []
        meter = Meter()
        settlement = Settlement(nc, DeadLetters(self.publisher), meter)
        self.inflow = Inflow(nc, self.timers.inflow(self.ring), settlement, meter)

    async def ring(self, due: list[Due]) -> None:
        self.due += due
        self.rung += [(one.key, datetime.now(UTC)) for one in due]

    async def heard(self, count: int, within: float = 5) -> list[str]:
        async with asyncio.timeout(within):
            while len(self.rung) < count:
                await asyncio.sleep(0.005)
        return [key for key, _ in self.rung]


@pytest.fixture
async def bell(nc: Client) -> AsyncIterator[Bell]:
    await provision(nc)
    bell = Bell(nc)
    bell.inflow.start()
    yield bell
    await bell.inflow.stop()


async def test_a_timer_rings_at_its_time_and_not_before(bell: Bell) -> None:
    at = soon(0.3)

    assert await bell.timers.arm("p", at)

    assert await bell.heard(1) == ["p"]
    _, rung = bell.rung[0]
    assert timedelta() <= rung - at < timedelta(seconds=0.2)  # measured: a few ms


async def test_a_time_that_has_passed_rings_at_once(bell: Bell) -> None:
    await bell.timers.arm("p", soon(-3600))

    assert await bell.heard(1, within=1) == ["p"]


async def test_it_need_not_be_said_twice_nor_later(bell: Bell) -> None:
    at = soon(0.3)

    said = [await bell.timers.arm("p", when) for when in (at, at, at + timedelta(hours=1))]
    await bell.heard(1)

    assert said == [True, False, False]
    assert await bell.timers.arm("p", soon(0.1))  # once it rang it may be armed again
    assert await bell.heard(2) == ["p", "p"]


async def test_a_timer_that_rang_by_the_servers_clock_may_be_armed_again_at_once(bell: Bell) -> None:
    await bell.timers.arm("p", soon(0.1))
    bell.timers._armed["p"] = soon(60)  # what we would believe if our clock were slow

    await bell.heard(1)

    assert await bell.timers.arm("p", soon(61))


async def test_an_earlier_time_takes_the_place_of_a_later_one(bell: Bell, nc: Client) -> None:
    await bell.timers.arm("p", soon(3600))

    assert await bell.timers.arm("p", soon(0.1))

    await bell.heard(1)
    await asyncio.sleep(0.1)
    state = await nc.jetstream().stream_info(TIMERS, subjects_filter="nexus.timers.>")
    assert not state.state.subjects  # the later one is gone


async def test_each_key_has_a_timer_of_its_own(bell: Bell) -> None:
    for key in ("a", "b", "c"):
        await bell.timers.arm(key, soon(0.1))

    assert sorted(await bell.heard(3)) == ["a", "b", "c"]


async def test_a_timer_rings_after_its_server_was_killed_and_came_back(bell: Bell, server: EmbeddedServer) -> None:
    await bell.timers.arm("later", soon(1.5))
    await bell.timers.arm("meanwhile", soon(0.2))

    await server.kill()
    await asyncio.sleep(0.3)
    await server.start()

    assert sorted(await bell.heard(2)) == ["later", "meanwhile"]


async def test_a_service_that_starts_again_may_arm_what_is_armed(bell: Bell, nc: Client) -> None:
    at = soon(0.3)
    await bell.timers.arm("p", at)

    assert await Timers(bell.publisher, "coordinator").arm("p", at)

    await bell.heard(1)
    await asyncio.sleep(0.3)
    assert len(bell.rung) == 1


async def test_what_is_due_waits_for_a_service_that_is_down(bell: Bell, nc: Client) -> None:
    await bell.inflow.stop()
    await bell.timers.arm("p", soon(0.1))
    await asyncio.sleep(0.3)

    again = Bell(nc)
    again.inflow.start()

    assert await again.heard(1) == ["p"]
    await again.inflow.stop()


async def test_a_due_timer_tells_its_project_and_its_trace(bell: Bell) -> None:
    trace = f"00-{'1' * 32}-{'2' * 16}-01"

    await bell.timers.arm("p", soon(0.05), project="shop", traceparent=trace)
    await bell.heard(1)

    message = bell.due[0].message
    assert (message.ce.project, message.ce.data["key"], message.traceparent) == ("shop", "p", trace)


@pytest.mark.parametrize("key", ["a.b", "", "a b", ">"])
async def test_a_key_is_one_token(bell: Bell, key: str) -> None:
    with pytest.raises(ValueError, match="token"):
        await bell.timers.arm(key, soon(1))


async def test_a_time_without_its_zone_is_refused(bell: Bell) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await bell.timers.arm("p", datetime.now())  # noqa: DTZ005


class Desk(Publisher):
    """Takes schedules as slowly as a test wants, and keeps the last one, as the stream does."""

    def __init__(self) -> None:
        self.at = datetime.min.replace(tzinfo=UTC)
        self.pauses = [0.0]

    async def store(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:  # noqa: ARG002
        await asyncio.sleep(self.pauses.pop(0) if self.pauses else 0)
        self.at = datetime.fromisoformat(headers["Nats-Schedule"].removeprefix("@at "))
        return 1


async def test_a_timer_that_is_overdue_and_unheard_is_not_put_off(nc: Client) -> None:
    desk = Desk()
    timers = Timers(desk, "coordinator")
    await timers.arm("p", soon(0.01))
    await asyncio.sleep(0.02)  # the server is about to ring: another schedule would take its place

    await timers.arm("p", soon(60))

    assert desk.at <= datetime.now(UTC)


async def test_two_timers_of_a_key_at_once_leave_the_earlier_one(nc: Client) -> None:
    desk = Desk()
    timers = Timers(desk, "coordinator")
    desk.pauses = [0.02, 0.05]  # the later one would be stored last

    await asyncio.gather(timers.arm("p", soon(10)), timers.arm("p", soon(60)))

    assert desk.at < soon(11)
