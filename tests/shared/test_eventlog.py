"""What every event log must do. The log of the tests and the log on JetStream pass the same suite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from eventsourcing.persistence import DataError, IntegrityError, OperationalError
from nats.aio.client import Client

from nexus.server import EmbeddedServer
from shared import follow
from shared.eventlog import ALL, EventLog, Log, Logged
from shared.streams import provision
from shared.wire import Answer, Wire
from tests.shared.bakery import record
from tests.shared.conftest import Logs, connected, soon


async def fill(log: Log, key: str, count: int) -> list[int]:
    """Append `count` events one after the other; return their places."""
    places = [0]
    for version in range(1, count + 1):
        places.append(await log.append([record(key, version)], seen={key: places[-1]}))
    return places[1:]


def identities(events: list[Logged]) -> list[str]:
    return [event.message_id for event in events]


async def take(tail: AsyncIterator[Logged], count: int) -> list[Logged]:
    async with asyncio.timeout(20):
        return [await anext(tail) for _ in range(count)]


async def test_what_was_appended_is_read_back(log: Log) -> None:
    end = await log.append([record("rye", 1, project="shop-1")], seen={"rye": 0})

    [event] = await log.read("rye")

    assert event.id == event.sequence == end
    assert (event.originator_id, event.originator_version) == ("rye", 1)
    assert event.topic == "bakery.order.loaf_added"
    assert event.subject == "nexus.events.bakery.rye.loaf_added.shop-1"
    assert (event.service, event.key, event.project, event.message_id) == ("bakery", "rye", "shop-1", "rye-1")
    assert event.state == record("rye").state


async def test_nothing_is_read_where_nothing_is(log: Log) -> None:
    assert await log.read("rye") == []
    assert await log.last("rye") is None
    assert await log.story("rye") == []
    assert [event async for events in log.replay() for event in events] == []


async def test_an_append_is_refused_if_something_followed(log: Log) -> None:
    first, _ = await fill(log, "rye", 2)

    with pytest.raises(IntegrityError):
        await log.append([record("rye", 2, identity="late")], seen={"rye": first})
    with pytest.raises(IntegrityError):
        await log.append([record("rye", 1, identity="new")], seen={"rye": 0})

    assert identities(await log.read("rye")) == ["rye-1", "rye-2"]


async def test_aggregates_do_not_disturb_each_other(log: Log) -> None:
    await fill(log, "rye", 2)

    await log.append([record("wheat")], seen={"wheat": 0})

    assert identities(await log.read("wheat")) == ["wheat-1"]


async def test_several_events_are_stored_side_by_side(log: Log) -> None:
    [first] = await fill(log, "rye", 1)

    end = await log.append([record("rye", 2), record("wheat", 1), record("rye", 3)], seen={"rye": first, "wheat": 0})

    assert end == first + 3
    assert [event.id for event in await log.read("rye")] == [first, first + 1, first + 3]


async def test_one_stale_aggregate_refuses_all_events(log: Log) -> None:
    await fill(log, "rye", 1)

    with pytest.raises(IntegrityError):
        await log.append([record("wheat", 1), record("rye", 1, identity="x")], seen={"rye": 0, "wheat": 0})

    assert await log.read("wheat") == []


@pytest.mark.parametrize("count", [0, 1001])
async def test_an_append_of_nothing_or_too_much_is_refused(log: Log, count: int) -> None:
    with pytest.raises(DataError, match=f"1 to 1000 events, not {count}"):
        await log.append([record("rye", n) for n in range(count)], seen={"rye": 0})


async def test_a_thousand_events_are_stored_at_once(log: Log) -> None:
    assert await log.append([record("rye", n) for n in range(1000)], seen={"rye": 0}) == 1000


async def test_the_same_append_again_finds_the_first(log: Log) -> None:
    """As after a lost acknowledgement, also if somebody went on from there."""
    first, _ = await fill(log, "rye", 2)

    assert await log.append([record("rye", 1)], seen={"rye": 0}) == first


async def test_the_same_events_again_find_the_first(log: Log) -> None:
    both = [record("rye", 1), record("wheat", 1)]
    end = await log.append(both, seen={"rye": 0, "wheat": 0})

    assert await log.append(both, seen={"rye": 0, "wheat": 0}) == end
    assert len(await log.read()) == 2


async def test_one_of_two_writers_is_refused(logs: Logs) -> None:
    writers = logs("bakery"), logs("bakery")

    ends = await asyncio.gather(
        *(w.append([record("rye", identity=f"{n}")], seen={"rye": 0}) for n, w in enumerate(writers)),
        return_exceptions=True,
    )

    assert sorted(type(end).__name__ for end in ends) == ["IntegrityError", "int"]
    assert len(await writers[0].read("rye")) == 1


async def test_hundreds_append_at_the_same_time(log: Log) -> None:
    keys = [f"k{n}" for n in range(500)]

    ends = await asyncio.gather(*(log.append([record(key)], seen={key: 0}) for key in keys))

    assert sorted(ends) == list(range(1, 501))


async def test_a_part_is_read(log: Log) -> None:
    places = await fill(log, "rye", 5)
    await fill(log, "wheat", 1)

    assert identities(await log.read("rye", after=places[1])) == ["rye-3", "rye-4", "rye-5"]
    assert identities(await log.read("rye", until=places[1])) == ["rye-1", "rye-2"]
    assert identities(await log.read("rye", after=places[0], until=places[2])) == ["rye-2", "rye-3"]
    assert identities(await log.read("rye", after=places[0], limit=2)) == ["rye-2", "rye-3"]
    assert await log.read("rye", after=places[-1]) == []


async def test_a_long_history_is_read_whole(log: Log) -> None:
    await log.append([record("rye", n) for n in range(1, 701)], seen={"rye": 0})
    await log.append([record("rye", n) for n in range(701, 1301)], seen={"rye": 700})

    assert [event.originator_version for event in await log.read("rye")] == list(range(1, 1301))
    assert [event.originator_version for event in await log.read("rye", limit=1100)] == list(range(1, 1101))


async def test_a_service_reads_its_own_events_and_those_of_others(logs: Logs) -> None:
    bakery, mill = logs("bakery"), logs("mill")
    await fill(bakery, "rye", 1)
    await fill(mill, "stone", 2)
    await fill(bakery, "wheat", 1)

    assert identities(await bakery.read()) == ["rye-1", "wheat-1"]
    assert identities(await bakery.read(service="mill")) == ["stone-1", "stone-2"]
    assert identities(await bakery.read("stone", service="mill")) == ["stone-1", "stone-2"]
    assert len(await bakery.read(service="*")) == 4


async def test_the_last_event_is_found(log: Log) -> None:
    await fill(log, "rye", 3)
    await fill(log, "wheat", 1)

    last, newest = await log.last("rye"), await log.last()

    assert last is not None
    assert last.message_id == "rye-3"
    assert newest is not None
    assert newest.message_id == "wheat-1"


async def test_the_story_of_a_project_is_told_in_order(logs: Logs) -> None:
    planner, coordinator, pools = logs("planner"), logs("coordinator"), logs("resource_manager")
    await planner.append([record("shop", 1, identity="a")], seen={"shop": 0})
    end = await pools.append([record("default", 1, identity="b", project="shop")], seen={"default": 0})
    await coordinator.append([record("shop", 1, identity="c")], seen={"shop": 0})
    await pools.append([record("default", 2, identity="x", project="other")], seen={"default": end})
    await planner.append([record("other", 1, identity="y")], seen={"other": 0})

    assert identities(await planner.story("shop")) == ["a", "b", "c"]
    assert identities(await planner.story("shop", until=end)) == ["a", "b"]


async def test_what_is_asked_for_is_replayed(logs: Logs) -> None:
    bakery, mill = logs("bakery"), logs("mill")
    await fill(bakery, "rye", 2)
    await fill(mill, "stone", 2)
    await fill(bakery, "wheat", 2)

    async def replayed(*filters: str, after: int = 0, until: int | None = None) -> list[str]:
        portions = bakery.replay(filters or ALL, after=after, until=until)
        return [event.message_id for events in [events async for events in portions] for event in events]

    assert await replayed() == ["rye-1", "rye-2", "stone-1", "stone-2", "wheat-1", "wheat-2"]
    assert await replayed(after=1, until=4) == ["rye-2", "stone-1", "stone-2"]
    assert await replayed("nexus.events.mill.>", until=2) == [], "what comes first lies behind the end"
    assert await replayed("nexus.events.bakery.>") == ["rye-1", "rye-2", "wheat-1", "wheat-2"]
    assert await replayed("nexus.events.mill.>", "nexus.events.bakery.wheat.>", after=3) == [
        "stone-2",
        "wheat-1",
        "wheat-2",
    ]


async def test_the_tail_tells_what_was_and_what_comes(logs: Logs) -> None:
    bakery, mill = logs("bakery"), logs("mill")
    await fill(bakery, "rye", 3)
    tail = bakery.tail(filters=["nexus.events.bakery.>"], after=1)

    before = await take(tail, 2)
    waiting = asyncio.create_task(take(tail, 2))
    await fill(mill, "stone", 2)
    await fill(bakery, "wheat", 2)

    assert identities(before) == ["rye-2", "rye-3"]
    assert identities(await waiting) == ["wheat-1", "wheat-2"]


async def test_two_tails_hear_the_same(log: Log) -> None:
    waiting = [asyncio.create_task(take(log.tail(), 3)) for _ in range(2)]
    await asyncio.sleep(0.05)

    await fill(log, "rye", 3)

    assert [identities(heard) for heard in await asyncio.gather(*waiting)] == [["rye-1", "rye-2", "rye-3"]] * 2


@pytest.mark.nats
async def test_a_missing_stream_is_no_empty_log(store: Client) -> None:
    log = EventLog(store, "bakery", patience=0.1)
    await store.jetstream().delete_stream("NEXUS_EVENTS")

    with pytest.raises(OperationalError):
        await log.read("rye")
    with pytest.raises(OperationalError):
        await log.last("rye")
    with pytest.raises(OperationalError):
        await log.append([record("rye")], seen={"rye": 0})
    with pytest.raises(OperationalError):
        [events async for events in log.replay()]


@pytest.mark.nats
async def test_too_large_an_event_is_refused(store: Client) -> None:
    huge = record("rye")
    object.__setattr__(huge, "state", b"x" * (store.max_payload + 1))

    with pytest.raises(DataError, match="1048577 bytes are more than the server takes"):
        await EventLog(store, "bakery").append([huge], seen={"rye": 0})


@pytest.mark.nats
async def test_a_closed_connection_is_an_operational_error(nats_url: str) -> None:
    client = await connected(nats_url)
    log = EventLog(client, "bakery")
    await client.close()

    with pytest.raises(OperationalError, match="closed"):
        await log.append([record("rye")], seen={"rye": 0})


@pytest.mark.nats
@pytest.mark.parametrize("count", [1, 3])
async def test_a_lost_acknowledgement_is_no_conflict(
    store: Client, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    log = EventLog(store, "bakery")
    [first] = await fill(log, "rye", 1)
    monkeypatch.setattr(Wire, "request", losing(Wire.request, answers=1 if count == 1 else 2))

    end = await log.append([record("rye", 2 + n) for n in range(count)], seen={"rye": first})

    assert end == first + count
    assert len(await log.read("rye")) == 1 + count


def losing(request: Callable[..., Any], *, answers: int) -> Callable[..., Any]:
    """Lose the last of the first `answers` answers."""
    left = answers

    async def lossy(*args: Any, **kwargs: Any) -> Answer:
        nonlocal left
        left -= 1
        answer: Answer = await request(*args, **kwargs)
        if left == 0:
            raise TimeoutError
        return answer

    return lossy


@pytest.mark.nats
async def test_appends_outlive_the_server(server: EmbeddedServer) -> None:
    """The server is killed while many are under way: in the end each event is there, once."""
    client = await connected(server.access.authority)
    await provision(client)
    log = EventLog(client, "bakery", timeout=1)

    async def restart() -> None:
        await asyncio.sleep(0.05)
        await server.kill()
        await asyncio.sleep(0.3)
        await server.start()

    *ends, _ = await asyncio.gather(*(fill(log, f"k{n}", 20) for n in range(30)), restart())

    assert len({place for places in ends for place in places or []}) == 600
    for n, places in enumerate(ends):
        events = await log.read(f"k{n}")
        assert [event.id for event in events] == places
        assert [event.originator_version for event in events] == list(range(1, 21))
    await client.close()


@pytest.mark.nats
async def test_an_append_gives_up_when_the_server_stays_away(server: EmbeddedServer) -> None:
    client = await connected(server.access.authority)
    await provision(client)
    await server.kill()

    with pytest.raises(OperationalError, match="unknown"):
        await EventLog(client, "bakery", patience=0.3, timeout=0.2).append([record("rye")], seen={"rye": 0})

    await server.start()  # a client can't be closed in peace without one
    await soon(lambda: client.is_connected)
    await client.close()


@pytest.mark.nats
async def test_the_tail_outlives_the_server(server: EmbeddedServer) -> None:
    client = await connected(server.access.authority)
    await provision(client)
    log = EventLog(client, "bakery", timeout=1)
    heard: list[Logged] = []

    async def listen() -> None:
        async for event in log.tail():
            heard.append(event)
            if len(heard) == 200:
                return

    listening = asyncio.create_task(listen())
    await fill(log, "rye", 100)
    await server.kill()
    await server.start()
    await fill(log, "wheat", 100)

    await asyncio.wait_for(listening, 20)
    assert [event.id for event in heard] == list(range(1, 201))
    await client.close()


@pytest.mark.nats
async def test_the_tail_outlives_its_consumer(store: Client) -> None:
    log, js = EventLog(store, "bakery"), store.jetstream()
    tail = log.tail()
    await listening(log, tail, "rye")

    for consumer in await js.consumers_info("NEXUS_EVENTS"):
        await js.delete_consumer("NEXUS_EVENTS", consumer.name)
    await fill(log, "wheat", 3)

    assert identities(await take(tail, 3)) == ["wheat-1", "wheat-2", "wheat-3"]


async def listening(log: EventLog, tail: AsyncIterator[Logged], key: str) -> None:
    """Hear one event of the past and one of the present."""
    first = await log.append([record(key, 1)], seen={key: 0})
    await take(tail, 1)
    waiting = asyncio.create_task(take(tail, 1))
    await asyncio.sleep(0.05)
    await log.append([record(key, 2)], seen={key: first})
    await waiting


@pytest.mark.nats
async def test_a_message_lost_on_the_way_is_asked_for_again(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(store, "bakery")
    take_all, lost = follow._Consumer._take, list[str]()

    async def lossy(consumer: Any, msg: Any) -> None:
        if msg.subject.startswith("nexus.events.bakery.wheat") and not lost:
            lost.append(msg.subject)
        else:
            await take_all(consumer, msg)

    monkeypatch.setattr(follow._Consumer, "_take", lossy)
    tail = log.tail()
    await listening(log, tail, "rye")
    await fill(log, "wheat", 3)

    assert identities(await take(tail, 3)) == ["wheat-1", "wheat-2", "wheat-3"]
    assert lost


@pytest.mark.nats
async def test_a_tail_that_ends_leaves_no_consumer(store: Client) -> None:
    log = EventLog(store, "bakery")
    tail = log.tail()
    await listening(log, tail, "rye")
    assert len(await store.jetstream().consumers_info("NEXUS_EVENTS")) == 1

    await tail.aclose()
    await store.flush()
    await asyncio.sleep(0.05)

    assert await store.jetstream().consumers_info("NEXUS_EVENTS") == []
