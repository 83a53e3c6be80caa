"""What is published is stored: once, also while the server comes and goes; or its publisher is told why not."""

import asyncio
import os
import signal as signal_module
import time

import pytest
from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.js.api import StreamConfig

from contracts.base import INLINE_LIMIT
from contracts.envelope import CloudEvent, decode
from nexus.server import EmbeddedServer
from shared.publisher import PayloadTooLarge, Publisher
from shared.streams import INBOX, provision

pytestmark = pytest.mark.nats


@pytest.fixture
async def publisher(nc: Client) -> Publisher:
    await provision(nc)
    return Publisher(nc)


def signal(n: int | str) -> tuple[str, CloudEvent]:
    return f"nexus.signals.p.s{n}", CloudEvent(f"id-{n}", "nexus.signal", "test", "p", {"n": n})


async def stored(nc: Client, stream: str = INBOX) -> int:
    return (await nc.jetstream().stream_info(stream)).state.messages


async def test_a_message_is_stored_as_a_cloud_event_under_its_id(publisher: Publisher, nc: Client) -> None:
    sequence = await publisher.publish(*signal(1))

    kept = await nc.jetstream().get_msg(INBOX, seq=sequence)
    assert kept.headers == {"Content-Type": "application/cloudevents+json", "Nats-Msg-Id": "id-1"}
    event = decode(kept.data or b"", kept.headers)
    assert (event.id, event.data, event.subject) == ("id-1", {"n": 1}, "p")


async def test_many_are_stored_in_order(publisher: Publisher, nc: Client) -> None:
    sequences = await publisher.publish_all([signal(n) for n in range(500)])

    assert sequences == list(range(1, 501))
    assert await stored(nc) == 500
    assert await publisher.publish_all([]) == []


async def test_what_is_said_twice_is_stored_once(publisher: Publisher, nc: Client) -> None:
    first = await publisher.publish(*signal(1))

    assert await publisher.publish(*signal(1)) == first
    assert await stored(nc) == 1


async def test_it_waits_for_a_server_that_is_away(publisher: Publisher, nc: Client, server: EmbeddedServer) -> None:
    await publisher.publish(*signal("before"))
    await server.kill()
    waiting = asyncio.create_task(publisher.publish_all([signal(n) for n in range(20)]))
    await asyncio.sleep(0.3)
    assert not waiting.done()

    await server.start()

    assert len(set(await waiting)) == 20
    assert await stored(nc) == 21


async def test_what_was_on_its_way_when_the_server_was_killed_is_said_again_at_once(
    publisher: Publisher, nc: Client, server: EmbeddedServer
) -> None:
    await publisher.publish(*signal("before"))
    os.kill(server.pid, signal_module.SIGSTOP)  # it still takes bytes, but answers nothing
    waiting = asyncio.create_task(publisher.publish(*signal(1)))
    await asyncio.sleep(0.1)
    await server.kill()
    begun = time.monotonic()
    await server.start()

    assert await waiting == 2
    assert time.monotonic() - begun < 1.5


async def test_it_waits_for_a_stream_that_is_being_made(publisher: Publisher, nc: Client) -> None:
    waiting = asyncio.create_task(publisher.store("late.subject", b"{}", {}))
    await asyncio.sleep(0.1)

    await nc.jetstream().add_stream(StreamConfig(name="LATE", subjects=["late.*"]))

    assert await waiting == 1


async def test_it_gives_up_in_the_end(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.publisher.PATIENCE", 0.3)

    with pytest.raises(OperationalError, match="no stream answers"):
        await publisher.store("nobody.hears", b"{}", {})
    assert not publisher._waiting


@pytest.mark.parametrize("size", [INLINE_LIMIT + 20 * 1024, 2 * 1024**2])
async def test_too_large_a_message_is_refused_at_once(publisher: Publisher, size: int) -> None:
    """By the stream's limit, and by the server's."""
    async with asyncio.timeout(1):
        with pytest.raises(PayloadTooLarge):
            await publisher.store("nexus.signals.p.large", b"x" * size, {})
    assert not publisher._waiting


async def test_what_the_server_refuses_is_told(publisher: Publisher, nc: Client) -> None:
    await nc.jetstream().add_stream(StreamConfig(name="FULL", subjects=["full.*"]))

    with pytest.raises(OperationalError, match="wrong last sequence"):
        await publisher.store("full.x", b"{}", {"Nats-Expected-Last-Sequence": "7"})


async def test_nobody_who_stops_waiting_leaves_anything_behind(publisher: Publisher) -> None:
    waiting = asyncio.create_task(publisher.store("nobody.hears", b"{}", {}))
    await asyncio.sleep(0.05)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert not publisher._waiting
