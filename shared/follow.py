"""Following the log: every event once, in order, without gaps, whatever happens to the server or to the consumer."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error
from pydantic_core import from_json, to_json

from shared.records import Logged

PULL = 1000  # messages asked for at a time
HEARTBEAT = 2.0  # seconds between the server's signs of life
LOOK = 0.5  # seconds between looks at the connection
EXPIRES = 60.0  # seconds after which the server forgets what was asked for
NANO = 1_000_000_000

log = logging.getLogger(__name__)


class _Broken(Exception):
    """The consumer is gone, deaf, or skipped something."""


async def follow(nc: Client, stream: str, filters: Sequence[str], after: int = 0) -> AsyncGenerator[list[Logged]]:
    """Yield every event after `after`, for ever, in whatever portions they come."""
    while not nc.is_closed:
        consumer = _Consumer(nc, stream, filters, after)
        try:
            await consumer.start()
            while True:
                events = await consumer.next()
                if events:
                    after = events[-1].id
                    yield events
        except (_Broken, Error, TimeoutError) as reason:
            log.info("following %s: again from %d: %r", stream, after + 1, reason)
            await asyncio.sleep(0.2)
        finally:
            await consumer.stop()


class _Consumer:
    """One ordered consumer: temporary, unacknowledged, read by pulling so that a slow reader is never overrun."""

    def __init__(self, nc: Client, stream: str, filters: Sequence[str], after: int) -> None:
        self._nc, self._stream, self._filters, self._after = nc, stream, filters, after
        self._name = f"follow-{uuid4().hex}"
        self._subscription: Subscription | None = None
        self._arrived: list[Msg] = []
        self._signal = asyncio.Event()
        self._asked = 0  # messages that the server may still send
        self._delivered = 0  # the consumer's own count
        self._reconnects = nc.stats["reconnects"]

    async def start(self) -> None:
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(self._inbox, cb=self._take)
        config = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "ack_policy": "none",
            "filter_subjects": list(self._filters),
            "inactive_threshold": int(300 * NANO),
            "mem_storage": True,
            "num_replicas": 1,
        }
        request = to_json({"stream_name": self._stream, "config": config})
        answer = await self._nc.request(f"$JS.API.CONSUMER.CREATE.{self._stream}.{self._name}", request, timeout=5)
        if error := from_json(answer.data).get("error"):
            raise _Broken(error["description"])

    async def _take(self, msg: Msg) -> None:
        self._arrived.append(msg)
        self._signal.set()

    async def next(self) -> list[Logged]:
        """Wait for what comes next; nothing if it was only a sign of life."""
        if self._asked < PULL // 2:
            await self._pull()
        await self._sign_of_life()
        self._signal.clear()
        arrived, self._arrived = self._arrived, []
        return [event for msg in arrived if (event := self._read(msg))]

    async def _sign_of_life(self) -> None:
        silent = 0.0
        while not self._arrived:
            try:
                async with asyncio.timeout(LOOK):  # wait_for of Python 3.11 may swallow a cancellation
                    await self._signal.wait()
            except TimeoutError:
                silent += LOOK
                if silent > 2.5 * HEARTBEAT or self._nc.stats["reconnects"] != self._reconnects:
                    raise _Broken("no sign of life") from None  # after a reconnect nobody answers the old pull

    async def _pull(self) -> None:
        request = {"batch": PULL, "expires": int(EXPIRES * NANO), "idle_heartbeat": int(HEARTBEAT * NANO)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        await self._nc.publish(subject, to_json(request), self._inbox)
        self._asked += PULL

    def _read(self, msg: Msg) -> Logged | None:
        headers = msg.headers or {}
        if "Status" in headers:
            self._status(headers)
            return None
        position, delivered = _place(msg.reply)
        if delivered != self._delivered + 1:
            raise _Broken(f"message {self._delivered + 1} of the consumer is missing")
        self._delivered = delivered
        self._asked -= 1
        return Logged.of(msg.subject, headers, msg.data, position)

    def _status(self, headers: dict[str, str]) -> None:
        if headers["Status"] == "100":
            return
        if headers["Status"] == "408" or "Nats-Pending-Messages" in headers:
            self._asked -= int(headers.get("Nats-Pending-Messages", self._asked))
            return
        raise _Broken(f"{headers['Status']} {headers.get('Description', '')}")

    async def stop(self) -> None:
        """Leave nothing behind; what cannot be said now, the server finds out by itself."""
        if self._nc.is_closed or self._subscription is None:
            return
        try:
            await self._subscription.unsubscribe()
            await self._nc.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}", b"")
        except Error as reason:
            log.debug("the consumer %s is left to expire: %r", self._name, reason)


def _place(reply: str) -> tuple[int, int]:
    """Return the sequences of the stream and of the consumer from `$JS.ACK.…`, with or without a domain."""
    tokens = reply.split(".")
    start = 5 if len(tokens) == 9 else 7
    return int(tokens[start]), int(tokens[start + 1])
