"""Presence: an agent says that it is there, what it can do, and how far it is with what it has in hand."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from nats.aio.client import Client
from nats.errors import Error

from contracts.agents import Beat
from contracts.envelope import CONTENT_TYPE, CloudEvent, encode
from nexus.agent.desk import Desk

SOONEST = 1.0  # seconds between two beats, if progress asks for more than the usual

log = logging.getLogger("nexus.agent")


class Presence:
    """Hello, a beat at every interval, and bye."""

    def __init__(self, nc: Client, desk: Desk, *, interval: float) -> None:
        self._nc, self._desk, self._interval = nc, desk, interval
        self.instance = uuid4().hex
        self.draining = False
        self._count = 0
        self._last = 0.0
        self._reconnects = 0
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say hello, and go on saying it."""
        self._reconnects = self._nc.stats["reconnects"]
        await self._say("hello")
        self._beating = asyncio.create_task(self._beat(), name=f"beats of {self._desk.agent.name}")

    async def drain(self) -> None:
        """Ask for no further work."""
        self.draining = True
        await self._say("beat")

    async def stop(self) -> None:
        """Say bye."""
        if self._beating:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        await self._say("bye")

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._pause()
            if (reconnects := self._nc.stats["reconnects"]) != self._reconnects:
                self._reconnects = reconnects
                await self._say("hello")  # perhaps the server forgot who is there
            elif loop.time() - self._last >= min(self._interval, SOONEST):
                await self._say("beat")

    async def _pause(self) -> None:
        """Until the next beat is due: at the interval, or sooner if there is progress to tell of."""
        loop = asyncio.get_running_loop()
        due = self._last + self._interval
        try:
            async with asyncio.timeout_at(due):
                await self._desk.told.wait()
        except TimeoutError:
            return
        self._desk.told.clear()
        soonest = min(due, self._last + SOONEST)
        await asyncio.sleep(max(0.0, soonest - loop.time()))

    async def _say(self, what: Literal["hello", "beat", "bye"]) -> None:
        self._last = asyncio.get_running_loop().time()
        if not self._nc.is_connected:
            return  # an old sign of life is worth nothing later
        subject, payload, identity = self._message(what)
        try:
            await self._nc.publish(subject, payload, headers={"Content-Type": CONTENT_TYPE, "Nats-Msg-Id": identity})
        except Error as error:
            log.debug("%s was not said: %r", subject, error)

    def _message(self, what: str) -> tuple[str, bytes, str]:
        agent = self._desk.agent
        self._count += 1
        identity = f"{self.instance}.{self._count}"
        beat = Beat(
            agent=agent.name,
            instance=self.instance,
            capabilities=agent.capabilities,
            slots=agent.slots,
            capacity=agent.capacity,
            interval=self._interval,
            draining=self.draining,
            running=self._desk.running(),
        )
        event = CloudEvent(
            id=identity,
            type=Beat.TYPE,
            source=f"nexus/agents/{agent.name}",
            subject=agent.name,
            time=datetime.now(UTC),
            data=beat,
        )
        return f"nexus.agents.{agent.name}.{what}", encode(event), identity
