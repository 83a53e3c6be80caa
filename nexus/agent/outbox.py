"""Sending without waiting: each message is sent again until its stream has it, also across a restart of the server."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error
from pydantic_core import from_json

PATIENCE = 3.0  # seconds to wait for an acknowledgement before sending again
SOON = 0.5  # seconds to wait where no stream took the message
TICK = 0.1

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Letter:
    subject: str
    payload: bytes
    headers: dict[str, str]
    due: float = field(default=0.0)
    """When it is to be sent again."""


class Outbox:
    """What was sent and is not yet acknowledged. Every message has a `Nats-Msg-Id`, so that sending twice is once."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._letters: dict[str, _Letter] = {}
        self._empty = asyncio.Event()
        self._count = 0
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._repeating: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._letters)

    async def start(self) -> None:
        """Begin to listen for acknowledgements."""
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(f"{self._inbox}.*", cb=self._answered)
        self._repeating = asyncio.create_task(self._repeat(), name="outbox")

    async def send(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """Send, and go on; the outbox sees to it that the message arrives."""
        self._count += 1
        token = str(self._count)
        letter = self._letters[token] = _Letter(subject, payload, dict(headers))
        await self._send(token, letter)

    async def flush(self, patience: float) -> int:
        """Wait until everything is acknowledged, at most `patience` seconds; return how many messages are left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._letters:
                    self._empty.clear()
                    await self._empty.wait()
        return len(self._letters)

    async def stop(self) -> None:
        """Stop listening; what is not acknowledged by now is given up."""
        if self._repeating:
            self._repeating.cancel()
            await asyncio.gather(self._repeating, return_exceptions=True)
        if self._subscription and not self._nc.is_closed:
            await self._subscription.unsubscribe()
        if self._letters:
            log.warning("%d messages were never acknowledged", len(self._letters))

    async def _send(self, token: str, letter: _Letter) -> None:
        letter.due = asyncio.get_running_loop().time() + PATIENCE
        if not self._nc.is_connected:
            return  # sent as soon as the connection is back
        try:
            await self._nc.publish(letter.subject, letter.payload, f"{self._inbox}.{token}", letter.headers)
        except Error as error:
            log.debug("%s will be sent again: %r", letter.subject, error)

    async def _answered(self, msg: Msg) -> None:
        token = msg.subject.rpartition(".")[2]
        letter = self._letters.get(token)
        if letter is None:
            return
        if msg.data and b'"error"' not in msg.data:
            self._remove(token)
            return
        error = from_json(msg.data).get("error", {}) if msg.data else {"code": 503, "description": "no stream takes it"}
        if error.get("code") == 400:
            log.error("%s was refused for good: %s", letter.subject, error.get("description"))
            self._remove(token)
        else:
            log.warning("%s was not taken and will be sent again: %s", letter.subject, error.get("description"))
            letter.due = asyncio.get_running_loop().time() + SOON

    def _remove(self, token: str) -> None:
        del self._letters[token]
        if not self._letters:
            self._empty.set()

    async def _repeat(self) -> None:
        loop, seen = asyncio.get_running_loop(), self._nc.stats["reconnects"]
        while True:
            await asyncio.sleep(TICK)
            if not self._nc.is_connected:
                continue
            reconnects = self._nc.stats["reconnects"]
            again = reconnects != seen  # nobody knows what of it was still in a buffer
            seen = reconnects
            for token, letter in list(self._letters.items()):
                if again or letter.due <= loop.time():
                    await self._send(token, letter)
