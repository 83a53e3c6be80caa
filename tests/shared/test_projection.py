import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from nats.aio.client import Client

from nexus.server import EmbeddedServer
from shared.eventlog import EventLog, Log
from shared.memory import MemoryLog, MemorySnapshots
from shared.projection import Projection
from shared.records import Logged
from shared.snapshots import Snapshot, Snapshots, SnapshotStore
from shared.streams import provision
from tests.shared.bakery import record
from tests.shared.conftest import connected, soon


@dataclass
class Loaves:
    """How many loaves each order has."""

    count: dict[str, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)


def fold(view: Loaves, logged: Logged) -> Loaves:
    view.count[logged.key] = view.count.get(logged.key, 0) + 1
    view.order.append(logged.id)
    return view


async def fill(log: Log, key: str, count: int) -> None:
    seen = 0
    for version in range(1, count + 1):
        seen = await log.append([record(key, version)], seen={key: seen})


@asynccontextmanager
async def running(projection: Projection[Any]) -> AsyncIterator[Projection[Any]]:
    task = asyncio.create_task(projection.run())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            await projection.caught_up()
        yield projection
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


def loaves(log: Log, snapshots: SnapshotStore | None = None, **options: Any) -> Projection[Loaves]:
    return Projection(log, "loaves", Loaves, fold, snapshots=snapshots, **options)


async def test_a_view_knows_what_was_and_what_comes(log: Log) -> None:
    await fill(log, "rye", 3)

    async with running(loaves(log)) as projection:
        assert (projection.view.count, projection.position) == ({"rye": 3}, 3)
        await fill(log, "wheat", 2)
        await asyncio.wait_for(projection.reached(5), 5)
        assert projection.view.count == {"rye": 3, "wheat": 2}
        assert projection.live


async def test_a_view_hears_only_what_concerns_it(log: Log) -> None:
    await fill(log, "rye", 2)
    await fill(log, "wheat", 2)

    async with running(loaves(log, filters=["nexus.events.bakery.wheat.>"])) as projection:
        assert (projection.view.count, projection.position) == ({"wheat": 2}, 4)


async def test_a_view_of_nothing_is_blank(log: Log) -> None:
    async with running(loaves(log)) as projection:
        assert (projection.view, projection.position) == (Loaves(), 0)


async def test_listeners_hear_each_portion_after_it_was_folded(log: Log) -> None:
    await fill(log, "rye", 2)
    projection, heard = loaves(log), list[tuple[list[int], int]]()

    def listen(events: Sequence[Logged]) -> None:
        heard.append(([event.id for event in events], len(projection.view.order)))

    projection.listen(listen)
    async with running(projection):
        await fill(log, "wheat", 1)
        await asyncio.wait_for(projection.reached(3), 5)

    assert heard == [([1, 2], 2), ([3], 3)]


async def test_a_view_goes_on_from_its_checkpoint() -> None:
    log, snapshots = MemoryLog("bakery"), MemorySnapshots()
    await fill(log, "rye", 10)
    async with running(loaves(log, snapshots, every=10)):
        await fill(log, "wheat", 2)

    kept = await snapshots.load("loaves")
    assert kept is not None
    assert (kept.sequence, kept.version) == (10, 10)

    again, heard = loaves(log, snapshots), list[int]()
    again.listen(lambda events: heard.extend(event.id for event in events))
    async with running(again):
        assert heard == [11, 12]
        assert again.view.order == list(range(1, 13))


async def test_a_checkpoint_is_made_from_time_to_time() -> None:
    log, snapshots = MemoryLog("bakery"), MemorySnapshots()
    async with running(loaves(log, snapshots, seconds=0)) as projection:
        await fill(log, "rye", 1)
        await projection.reached(1)
        await soon(lambda: "loaves" in snapshots.kept)


async def test_a_checkpoint_of_another_version_is_not_used() -> None:
    log, snapshots = MemoryLog("bakery"), MemorySnapshots()
    await fill(log, "rye", 2)
    await snapshots.save("loaves", Snapshot(1, 1, 1, {"count": {"old": 1}, "order": [1]}))

    async with running(loaves(log, snapshots, version=2)) as projection:
        assert projection.view.count == {"rye": 2}


async def test_a_checkpoint_that_does_not_fit_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    log, snapshots = MemoryLog("bakery"), MemorySnapshots()
    await fill(log, "rye", 2)
    await snapshots.save("loaves", Snapshot(1, 1, 1, {"count": "many"}))

    async with running(loaves(log, snapshots)) as projection:
        assert projection.view.count == {"rye": 2}
    assert "the checkpoint of loaves does not fit" in caplog.text


async def test_what_cannot_be_folded_is_not_skipped() -> None:
    log = MemoryLog("bakery")
    await fill(log, "rye", 2)

    def picky(view: Loaves, logged: Logged) -> Loaves:
        if logged.id == 2:
            raise ValueError("no rye")
        return fold(view, logged)

    projection = Projection(log, "picky", Loaves, picky)
    waiting = asyncio.create_task(projection.reached(2))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="no rye") as error:
        await projection.run()

    assert error.value.__notes__ == ["picky could not fold bakery.order.loaf_added at sequence 2"]
    for wait in (projection.caught_up(), waiting):
        with pytest.raises(RuntimeError, match="picky is not kept up to date"):
            await wait
    assert not projection.live


async def test_a_view_that_failed_begins_anew(log: Log) -> None:
    await fill(log, "rye", 2)
    failing = [True]

    def fold_later(view: Loaves, logged: Logged) -> Loaves:
        view = fold(view, logged)
        if logged.id == 2 and failing:
            raise ValueError(failing.pop())
        return view

    projection = Projection(log, "late", Loaves, fold_later)
    with pytest.raises(ValueError, match="True"):
        await projection.run()

    async with running(projection):
        assert projection.view.order == [1, 2]
        assert projection.live


@pytest.mark.nats
async def test_a_view_outlives_the_server(server: EmbeddedServer) -> None:
    nc: Client = await connected(server.access.authority)
    await provision(nc)
    log = EventLog(nc, "bakery", timeout=1)
    await fill(log, "rye", 50)

    async with running(loaves(log, Snapshots(nc, "bakery"), every=20)) as projection:
        await server.kill()
        await server.start()
        await fill(log, "wheat", 50)
        await asyncio.wait_for(projection.reached(100), 10)
        assert projection.view.order == list(range(1, 101))
        await projection.checkpoint()

    kept = await Snapshots(nc, "bakery").load("loaves")
    assert kept is not None
    assert kept.sequence == 100
    await log.close()
    await nc.close()
