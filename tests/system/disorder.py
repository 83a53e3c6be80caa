"""A transport that delivers everything twice, late and out of order: as JetStream may, only all the time."""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.domain import NotYet
from shared.edge import Edge
from shared.incoming import Incoming
from shared.inflow import Inflow

ECHOED = ("nexus.commands.>", "nexus.results.*.*", "nexus.signals.*.*", "nexus.tasks.*", "nexus.agents.*.*")
ECHO = "Test-Echo"
HELD = 0.25
"""Share of messages that are held back when they come for the first time: those behind them overtake."""
LATE = 0.6
"""Most seconds until something is published again."""
REMEMBERED = 200


class HeldBack(NotYet):
    """It is not handled now, but when it comes again."""


def disordered(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Let every service of this process get its messages twice, shuffled, and some of them late."""
    _disorder_inflows(monkeypatch, Random(f"inflow {seed}"))
    _disorder_edges(monkeypatch, Random(f"edge {seed}"))


def _disorder_inflows(monkeypatch: pytest.MonkeyPatch, rng: Random) -> None:
    hand_over = Inflow._hand_over
    heard: dict[str, deque[Incoming]] = {}

    async def twice(inflow: Inflow, batch: list[Incoming]) -> None:
        past = heard.setdefault(inflow.spec.durable, deque(maxlen=REMEMBERED))
        held = [message for message in batch if message.deliveries == 1 and rng.random() < HELD]
        for message in held:
            message.fail(HeldBack("held back"))
        present = [message for message in batch if message not in held]
        old = rng.sample(list(past), min(len(past), 3))
        deck = [*present, *map(_copy, present), *map(_copy, old)]
        rng.shuffle(deck)
        for chunk in _cut(deck, rng):
            await hand_over(inflow, chunk)
        past.extend(present)

    monkeypatch.setattr(Inflow, "_hand_over", twice)


def _disorder_edges(monkeypatch: pytest.MonkeyPatch, rng: Random) -> None:
    take = Edge._take

    async def late(edge: Edge, message: Incoming) -> None:
        if message.deliveries == 1 and rng.random() < HELD:
            raise HeldBack("held back")
        await take(edge, message)

    monkeypatch.setattr(Edge, "_take", late)


@asynccontextmanager
async def echo(nc: Client, seed: int) -> AsyncIterator[None]:
    """Publish everything a second time under another name, in whatever order."""
    rng, late = Random(f"echo {seed}"), set[asyncio.Task[None]]()

    async def again(msg: Msg) -> None:
        await asyncio.sleep(rng.uniform(0, LATE))
        headers = {**(msg.headers or {}), ECHO: "1"}
        if "Nats-Msg-Id" in headers:
            headers["Nats-Msg-Id"] += "-echo"
        await nc.publish(msg.subject, msg.data, headers=headers)

    async def hear(msg: Msg) -> None:
        if ECHO not in (msg.headers or {}):
            late.add(asyncio.create_task(again(msg)))

    subscriptions = [await nc.subscribe(subject, cb=hear) for subject in ECHOED]
    yield
    for subscription in subscriptions:
        await subscription.unsubscribe()
    await asyncio.gather(*late)


def _copy(message: Incoming) -> Incoming:
    found = copy.copy(message)
    found.error = None
    return found


def _cut(deck: list[Any], rng: Random) -> Iterator[list[Any]]:
    at = 0
    while at < len(deck):
        size = rng.randint(1, 8)
        yield deck[at : at + size]
        at += size
