import asyncio
import os

import pytest
from nats.aio.client import Client
from nats.errors import Error

from shared.eventlog import EventLog
from shared.memory import MemorySnapshots
from shared.repository import Repository
from shared.snapshots import PREFIX, AggregateSnapshots, Snapshot, Snapshots, SnapshotStore
from tests.shared.bakery import Order

FIRST = Snapshot(fold=1, sequence=7, version=3, state={"name": "ä", "loaves": [1, 2]})


@pytest.fixture(params=["memory", pytest.param("jetstream", marks=pytest.mark.nats)])
def snapshots(request: pytest.FixtureRequest) -> SnapshotStore:
    if request.param == "memory":
        return MemorySnapshots()
    return Snapshots(request.getfixturevalue("store"), "bakery")


async def test_what_was_saved_is_loaded(snapshots: SnapshotStore) -> None:
    await snapshots.save("order-1", FIRST)

    assert await snapshots.load("order-1") == FIRST
    assert await snapshots.load("order-2") is None


async def test_only_the_newest_is_kept(snapshots: SnapshotStore) -> None:
    newer = Snapshot(2, 9, 4, ["other"])
    await snapshots.save("order-1", FIRST)
    await snapshots.save("order-1", newer)

    assert await snapshots.load("order-1") == newer


async def test_a_large_one_is_saved_in_parts(snapshots: SnapshotStore) -> None:
    large = Snapshot(1, 7, 3, os.urandom(3_000_000).hex())
    await snapshots.save("order-1", large)
    assert await snapshots.load("order-1") == large

    await snapshots.save("order-1", FIRST)
    assert await snapshots.load("order-1") == FIRST


@pytest.mark.nats
async def test_parts_of_different_snapshots_are_not_mixed(store: Client, caplog: pytest.LogCaptureFixture) -> None:
    """As when the process dies while it saves."""
    snapshots = Snapshots(store, "bakery")
    await snapshots.save("order-1", Snapshot(1, 7, 3, os.urandom(1_000_000).hex()))
    await store.jetstream().publish(f"{PREFIX}.bakery.order-1.1", b"new", headers={"Nexus-Snapshot": "other"})

    assert await snapshots.load("order-1") is None
    assert not caplog.text


@pytest.mark.nats
async def test_services_do_not_see_each_others(store: Client) -> None:
    await Snapshots(store, "bakery").save("order-1", FIRST)

    assert await Snapshots(store, "mill").load("order-1") is None


@pytest.mark.nats
async def test_an_unreadable_one_is_no_snapshot(store: Client, caplog: pytest.LogCaptureFixture) -> None:
    await store.jetstream().publish(f"{PREFIX}.bakery.order-1", b"rubbish", headers={"Nexus-Parts": "1"})

    assert await Snapshots(store, "bakery").load("order-1") is None
    assert "the snapshot order-1 of bakery cannot be read" in caplog.text


@pytest.mark.nats
async def test_without_the_stream_there_are_none(store: Client) -> None:
    await store.jetstream().delete_stream("NEXUS_SNAPSHOTS")

    assert await Snapshots(store, "bakery").load("order-1") is None
    with pytest.raises(Error):
        await Snapshots(store, "bakery").save("order-1", FIRST)


@pytest.mark.nats
async def test_an_aggregate_comes_back_from_its_snapshot_and_what_followed(store: Client) -> None:
    log, snapshots = EventLog(store, "bakery"), Snapshots(store, "bakery")
    orders = Repository(log, Order, snapshots=snapshots, every=5)
    await orders.change("o-1", lambda order: order.place("Ada"), create=True)
    for _ in range(7):
        await orders.change("o-1", lambda order: order.add("rye"))
    await asyncio.sleep(0.05)

    found = await snapshots.load("order-o-1")

    assert found is not None
    assert (found.sequence, found.version, found.fold) == (5, 5, 1)
    assert await Repository(log, Order, snapshots=snapshots).get("o-1") == await Repository(log, Order).get("o-1")


async def test_a_snapshot_of_another_fold_is_not_used() -> None:
    kept = MemorySnapshots()
    await kept.save("order-o-1", Snapshot(0, 7, 3, {"id": "o-1", "version": 3}))

    assert await AggregateSnapshots(kept, Order, 5).load("o-1") is None


async def test_a_snapshot_that_does_not_fit_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    kept = MemorySnapshots()
    await kept.save("order-o-1", Snapshot(1, 7, 3, {"id": "o-1", "version": "many"}))

    assert await AggregateSnapshots(kept, Order, 5).load("o-1") is None
    assert "does not fit" in caplog.text


async def test_a_snapshot_that_is_too_new_is_not_used() -> None:
    kept = MemorySnapshots()
    await kept.save("order-o-1", Snapshot(1, 7, 3, {"id": "o-1", "version": 3}))

    assert await AggregateSnapshots(kept, Order, 5).load("o-1", until=6) is None
    assert await AggregateSnapshots(kept, Order, 5).load("o-1", until=7) is not None


async def test_a_snapshot_that_cannot_be_saved_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Full(MemorySnapshots):
        async def save(self, *_: object) -> None:
            raise Error("no space")

    AggregateSnapshots(Full(), Order, 5).consider(Order("o-1", version=5), 7, 4)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert "the snapshot order-o-1 was not saved" in caplog.text


async def test_a_snapshot_shows_the_moment_at_which_it_was_taken() -> None:
    """It is written later, when the aggregate may have gone on."""
    kept, order = MemorySnapshots(), Order("o-1", version=5)

    AggregateSnapshots(kept, Order, 5).consider(order, 7, 4)
    order.loaves.append(("rye", 1))
    await asyncio.sleep(0)

    found = await kept.load("order-o-1")
    assert found is not None
    assert found.state["loaves"] == []
