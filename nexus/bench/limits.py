"""What the machine itself can do: raw JetStream publish and consume of the same bytes, pipelined, with nats-py."""

import asyncio
import time
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig

STREAM = "BENCH_LIMIT"
WINDOW = 256


@dataclass
class Limit:
    """Messages per second, of as many bytes each as an event of the log has."""

    publish: float
    consume: float
    size: int


async def limit(nc: Client, count: int = 4000, *, size: int) -> Limit:
    """Publish and consume `count` messages of `size` bytes on a stream on disk."""
    js = nc.jetstream(timeout=30)
    await js.add_stream(StreamConfig(STREAM, subjects=["bench.limit"]))
    try:
        return Limit(count / await _publish(nc, count, b"x" * size), count / await _consume(nc, count), size)
    finally:
        await js.delete_stream(STREAM)


async def _publish(nc: Client, count: int, payload: bytes) -> float:
    js, room = nc.jetstream(timeout=30), asyncio.Semaphore(WINDOW)

    async def one() -> None:
        async with room:
            await js.publish("bench.limit", payload)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return time.perf_counter() - began


async def _consume(nc: Client, count: int) -> float:
    subscription = await nc.jetstream().pull_subscribe(
        "bench.limit", durable="bench", stream=STREAM, config=ConsumerConfig(max_ack_pending=2 * WINDOW)
    )
    began, found = time.perf_counter(), 0
    while found < count:
        for message in await subscription.fetch(WINDOW, timeout=30):
            await message.ack()
            found += 1
    return time.perf_counter() - began
