"""Reading much of the log at once: nothing twice, nothing missing, whatever else comes over the line."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

import shared.bulk
from nexus.server import EmbeddedServer
from shared.bulk import BulkReader
from shared.eventlog import EventLog
from shared.records import Logged
from shared.streams import provision
from tests.shared.bakery import record
from tests.shared.conftest import connected

LOG = "NEXUS_EVENTS"


async def fill(nc: Client, count: int, *, size: int = 0) -> EventLog:
    """A log of `count` events of many aggregates."""
    log = EventLog(nc, "bakery")
    for start in range(0, count, 500):
        events = [record(f"k{n}", state=b"x" * size) for n in range(start, min(start + 500, count))]
        await asyncio.gather(*(log.append([event], seen={event.originator_id: 0}) for event in events))  # type: ignore[dict-item]
    return log


async def everything(portions: AsyncIterator[list[Logged]]) -> list[Logged]:
    return [event for events in [events async for events in portions] for event in events]


def bulk(nc: Client, *filters: str) -> BulkReader:
    return BulkReader(nc, LOG, filters or ["nexus.events.>"], timeout=5)


async def test_it_reads_what_the_log_reads(store: Client) -> None:
    log = await fill(store, 1200)

    assert await everything(bulk(store).read(0, None)) == await log.read()


async def test_it_reads_more_than_it_asks_for_at_a_time(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.bulk, "PULL", 7)
    await fill(store, 1000)

    assert [event.id for event in await everything(bulk(store).read(0, None))] == list(range(1, 1001))


async def test_large_events_arrive_whole(store: Client) -> None:
    await fill(store, 60, size=200_000)

    assert {len(event.state) for event in await everything(bulk(store).read(0, None))} == {200_000}


async def test_it_stops_where_it_is_told_to(store: Client) -> None:
    await fill(store, 100)

    assert [event.id for event in await everything(bulk(store).read(10, 20))] == list(range(11, 21))
    assert await everything(bulk(store).read(100, None)) == []
    assert await everything(bulk(store).read(500, None)) == []


async def test_it_reads_what_others_wrote_without_headers(store: Client) -> None:
    await store.jetstream().publish("nexus.events.stranger.x.said", b"hi")

    [event] = await everything(bulk(store).read(0, None))

    assert (event.subject, event.state, event.topic, event.message_id) == (
        "nexus.events.stranger.x.said",
        b"hi",
        "",
        "",
    )


async def test_it_reads_headers_in_any_order(store: Client) -> None:
    headers = {"Nexus-Version": "3", "Mood": "good: very", "Nexus-Topic": "a.b.c", "Nats-Msg-Id": "i"}
    await store.jetstream().publish("nexus.events.stranger.x.said", b"hi", headers=headers)

    [event] = await everything(bulk(store).read(0, None))

    assert (event.originator_version, event.topic, event.message_id) == (3, "a.b.c", "i")


async def test_it_leaves_no_consumer_behind(store: Client) -> None:
    await fill(store, 2000)
    await everything(bulk(store).read(0, None))
    given_up = bulk(store).read(0, None)
    await anext(given_up)
    await given_up.aclose()
    await asyncio.sleep(0.05)

    assert await store.jetstream().consumers_info(LOG) == []


async def test_a_missing_stream_is_named(store: Client) -> None:
    await store.jetstream().delete_stream(LOG)

    with pytest.raises(OperationalError, match="NEXUS_EVENTS cannot be read: stream not found"):
        await everything(bulk(store).read(0, None))


async def test_a_replay_goes_on_when_its_consumer_is_deleted(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.bulk, "PULL", 100)
    log = await fill(store, 3000, size=2000)
    heard: list[int] = []

    async for events in log.replay():
        if not heard:
            for consumer in await store.jetstream().consumers_info(LOG):
                await store.jetstream().delete_consumer(LOG, consumer.name)
        heard += [event.id for event in events]

    assert heard == list(range(1, 3001))


async def test_a_replay_goes_on_when_the_server_comes_back(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.bulk, "PULL", 100)
    nc = await connected(server.access.authority)
    await provision(nc)
    log = await fill(nc, 3000, size=2000)
    heard: list[int] = []

    async for events in log.replay():
        if not heard:
            await server.kill()
            await server.start()
        heard += [event.id for event in events]

    assert heard == list(range(1, 3001))
    await nc.close()


class Deaf:
    """A writer that only remembers."""

    def __init__(self) -> None:
        self.said = b""

    def write(self, data: bytes) -> None:
        self.said += data


def message(n: int, left: int, body: bytes) -> bytes:
    head = b"NATS/1.0\r\nNats-Msg-Id: i%d\r\nNexus-Topic: bakery.order.loaf_added\r\nNexus-Version: 1\r\n\r\n" % n
    reply = b"$JS.ACK.NEXUS_EVENTS.bulk-1.1.%d.%d.1795499431535866736.%d" % (n + 10, n, left)
    sizes = b"%d %d" % (len(head), len(head) + len(body))
    return b"HMSG nexus.events.bakery.k%d.loaf_added 1 %b %b\r\n%b%b\r\n" % (n, reply, sizes, head, body)


def status(text: bytes) -> bytes:
    head = b"NATS/1.0 %b\r\n\r\n" % text
    return b"HMSG _INBOX.x 1 %d %d\r\n%b\r\n" % (len(head), len(head), head)


TIMEOUT = status(b"408 Request Timeout\r\nNats-Pending-Messages: 1\r\nNats-Pending-Bytes: 0")
LINE = b"PING\r\n" + message(1, 3, b"a\r\nHMSG ") + b"+OK\r\n" + message(2, 2, b"") + TIMEOUT + message(3, 1, b"c" * 50)


@given(st.lists(st.integers(0, len(LINE)), max_size=8).map(sorted))
def test_events_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    writer: Any = Deaf()
    reader = BulkReader.__new__(BulkReader)
    reader._rest, reader._delivered, reader._stream = b"", 0, LOG
    events: list[Logged] = []
    left = 9

    for start, end in zip([0, *cuts], [*cuts, len(LINE)], strict=True):
        found, left = reader._parse(LINE[start:end], left, writer)
        events += found

    assert [(event.key, event.id, event.state) for event in events] == [
        ("k1", 11, b"a\r\nHMSG "),
        ("k2", 12, b""),
        ("k3", 13, b"c" * 50),
    ]
    assert left == 1
    assert writer.said == b"PONG\r\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (message(2, 0, b""), "message 1 of the consumer is missing"),
        (status(b"409 Consumer Deleted"), "409 Consumer Deleted"),
    ],
)
def test_what_breaks_the_order_is_not_read_on(line: bytes, reason: str) -> None:
    reader = BulkReader.__new__(BulkReader)
    reader._rest, reader._delivered, reader._stream = b"", 0, LOG
    writer: Any = Deaf()

    with pytest.raises(ConnectionResetError, match=reason):
        reader._parse(line, 9, writer)
