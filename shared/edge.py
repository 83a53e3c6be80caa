"""The public edge: FastStream subscribers on durables that may vanish, each with somebody who looks after it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from shared.consumers import Consumer
from shared.incoming import Incoming
from shared.loops import end
from shared.metrics import Meter
from shared.streams import INBOX

BATCH = 32
ACK_WAIT = 3.0
PULL = PullSub(batch_size=BATCH, timeout=1.0)
LOOK_EVERY = 1.0
DEAF_AFTER = 3
"""Looks in a row that find messages waiting, nobody asking for them and nothing in hand."""

log = logging.getLogger(__name__)


async def incoming(message: StreamMessage[Msg]) -> Incoming:
    """Decode for FastStream: nothing but the message itself; headers in any case, and JSON, are our own affair."""
    return Incoming(message.raw_message)


def inbox_prefix(nc: Client) -> bytes:
    """Return where answers to this connection arrive: nats-py's pull subscriptions do not look it up themselves."""
    return f"{nc.new_inbox().rpartition('.')[0]}.".encode()


class Edge:
    """One durable of the inbox, read by FastStream one message per call, several calls at once."""

    def __init__(
        self,
        broker: NatsBroker,
        nc: Client,
        *,
        durable: str,
        filters: str,
        handle: Callable[[Incoming], Awaitable[None]],
        meter: Meter,
    ) -> None:
        self.durable = durable
        self._nc, self._handle, self._meter = nc, handle, meter
        self._consumer = Consumer(nc, INBOX, durable, [filters], ACK_WAIT)
        self._in_hand = 0
        self._alive = monotonic()
        self._deaf = 0
        self._trouble = "not started"
        self._task: asyncio.Task[None] | None = None
        self._subscriber = broker.subscriber(
            filters,
            durable=durable,
            stream=JStream(INBOX, declare=False),  # streams are made in one place only
            pull_sub=PULL,
            ack_policy=AckPolicy.MANUAL,  # the Delivery middleware settles
            no_reply=True,
            decoder=incoming,
            inbox_prefix=inbox_prefix(nc),
        )
        self._subscriber(self._take)

    async def _take(self, message: Incoming) -> None:
        self._in_hand += 1
        try:
            await self._handle(message)
        finally:
            self._in_hand -= 1
            self._alive = monotonic()

    async def prepare(self) -> None:
        """Make the durable; the broker starts the subscriber."""
        await self._consumer.ensure()
        self._trouble = ""

    def watch(self) -> None:
        """Look after the durable from now on."""
        self._task = asyncio.create_task(self._watch(), name=f"watch {self.durable}")

    async def stop(self) -> None:
        """Take nothing more and finish what is in hand."""
        if self._task:
            await end(self._task)
        await self._subscriber.stop()

    def trouble(self) -> str:
        """Return why messages do not flow; empty if they do."""
        return self._trouble

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self._nc.is_connected:
                self._trouble = "not connected"
                continue
            try:
                await self._look()
            except (NatsError, TimeoutError, OSError) as error:
                self._trouble = str(error) or type(error).__name__
            except Exception as error:  # nobody else would look after it
                log.exception("subscriber %s", self.durable)
                self._trouble = f"{type(error).__name__}: {error}"

    async def _look(self) -> None:
        try:
            info = await self._nc.jetstream(timeout=2).consumer_info(INBOX, self.durable)
        except NotFoundError:
            await self._again("its durable is gone")
            return
        # A consumer that is asked for messages proves that somebody listens; so does a handler at work.
        asked = bool(info.num_waiting) or self._in_hand or monotonic() - self._alive < 2 * LOOK_EVERY
        self._deaf = 0 if asked else self._deaf + 1
        if self._deaf >= DEAF_AFTER:
            await self._again("nobody asks for its messages")
        elif asked:
            self._trouble = ""

    async def _again(self, reason: str) -> None:
        # FastStream never makes a durable again that was deleted underneath, and its ping stays content.
        log.warning("subscriber %s: started again: %s", self.durable, reason)
        self._trouble, self._deaf = reason, 0
        self._meter.restarted(self.durable)
        await self._consumer.ensure()
        await self._subscriber.stop()
        await self._subscriber.start()
        self._trouble = ""
