"""The continuous pull loop: hands over whatever has accumulated, settles it, and survives what may happen to it.

One pull is always open. Messages that arrive while a batch is handled form the next batch: a burst travels together,
a single message waits for nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter, time_ns
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic_core import to_json

from contracts.envelope import Malformed
from shared.consumers import Consumer
from shared.delivery import OUTAGE, Retry, Settlement, family
from shared.incoming import Incoming
from shared.loops import end
from shared.metrics import Meter

__all__ = ["Handle", "Incoming", "Inflow", "InflowSpec"]

BATCH = 256
ACK_WAIT = 3.0
"""Seconds until a message that nobody speaks for is delivered again: how fast a killed service's work is taken up."""
HEARTBEAT = 1.0
EXPIRES = 30.0
STUCK = 60.0
"""Seconds in a handler after which an inflow no longer counts as healthy."""
PATIENCE = 10.0
"""Seconds that a stop waits for the batch in hand."""
NANO = 1_000_000_000
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)

Handle = Callable[[list[Incoming]], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InflowSpec:
    """What one inflow takes, and who handles it.

    `handle` gets what has arrived, in order. It may be given a message again, and alone; what it does not `fail` is
    acknowledged when it returns. If it raises, its messages are handed over one by one to find the culprit.
    """

    stream: str
    durable: str
    filters: Sequence[str]
    handle: Handle
    batch: int = BATCH
    ack_wait: float = ACK_WAIT
    after: int = 0
    """Where a new durable starts in the stream: behind this sequence."""


class _Lost(Exception):
    """The consumer is gone or deaf."""


EXPECTED = (_Lost, NatsError, TimeoutError, OSError)


class Inflow:
    """A durable consumer of one stream, read continuously by one task."""

    def __init__(self, nc: Client, spec: InflowSpec, settlement: Settlement, meter: Meter) -> None:
        self.spec = spec
        self._nc, self._settlement, self._meter = nc, settlement, meter
        self._consumer = Consumer(nc, spec.stream, spec.durable, spec.filters, spec.ack_wait, spec.after)
        # History is decoded by whoever folds it; what comes from outside is looked at before it is handed over.
        self._decode = not any(family(subject) == "events" for subject in spec.filters)
        self._arrived: list[Incoming] = []
        self._in_hand: list[Incoming] = []
        self._asked = 0  # messages that the server may still send
        self._waiter: asyncio.Future[None] | None = None
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._lost = ""
        self._open = False
        self._alive = self._since = self._spoken = monotonic()
        self._reconnects = 0

    # Life

    def start(self) -> None:
        """Begin."""
        self._stopping = False
        self._task = asyncio.create_task(self.run(), name=f"inflow {self.spec.durable}")

    async def stop(self) -> None:
        """Finish the batch in hand and give back what waits behind it."""
        self._stopping = True
        self._wake()
        if self._task:
            await asyncio.wait([self._task], timeout=PATIENCE)
            await end(self._task)

    async def run(self) -> None:
        """Take messages until `stop`, whatever happens to the server or to the consumer."""
        failures = 0
        watch = asyncio.create_task(self._watch(), name=f"watch {self.spec.durable}")
        try:
            while not self._stopping:
                try:
                    await self._begin()
                    failures = 0
                    await self._flow()
                except Exception as reason:
                    if self._stopping:
                        break
                    self._open, self._lost = False, str(reason) or type(reason).__name__
                    if isinstance(reason, EXPECTED):
                        log.log(logging.WARNING if failures else logging.INFO, "%s: again: %s", self, self._lost)
                    else:
                        log.error("%s: crashed, again", self, exc_info=reason)
                    self._meter.restarted(self.spec.durable)
                    await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                    failures += 1
        finally:
            watch.cancel()
            await self._end()

    def age(self) -> float:
        """Return the seconds since the last sign of life."""
        return monotonic() - self._alive

    def trouble(self) -> str:
        """Return why messages do not flow; empty if they do."""
        if not self._open:
            return self._lost or "not started"
        if self._in_hand and monotonic() - self._since > STUCK:
            return f"a batch of {len(self._in_hand)} is in hand for {monotonic() - self._since:.0f} s"
        if self._asked and self.age() > 3 * HEARTBEAT:
            return f"no sign of life for {self.age():.1f} s"
        return ""

    def healthy(self) -> bool:
        """Tell whether messages flow."""
        return not self.trouble()

    def __repr__(self) -> str:
        return f"<inflow {self.spec.durable}>"

    # Taking

    async def _begin(self) -> None:
        await self._leave()
        await self._consumer.ensure()
        self._reconnects = self._nc.stats["reconnects"]
        self._lost, self._asked, self._alive = "", 0, monotonic()
        self._inbox = self._nc.new_inbox()
        self._subscription = await self._nc.subscribe(self._inbox, cb=self._receive)
        await self._ask()
        self._open = True

    async def _leave(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription and not self._nc.is_closed:
            await subscription.unsubscribe()

    async def _end(self) -> None:
        self._open = False
        if self._nc.is_connected:
            if self._subscription:
                # What is on its way arrives, so that it can be given back.
                await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py says no types
            for message in self._arrived:
                await self._settlement.back(message)
        self._arrived, self._subscription = [], None

    async def _flow(self) -> None:
        while not self._stopping:
            if not self._arrived and not self._lost:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
            if self._arrived:
                batch, self._arrived = self._arrived, []
                await self._ask()
                await self._process(batch)
            elif self._lost:
                raise _Lost(self._lost)

    async def _ask(self) -> None:
        """Keep a pull open for as many as may wait here while others are handled."""
        free = self.spec.batch - self._asked - len(self._arrived)
        if free < self.spec.batch // 2 and self._asked:
            return
        if free > 0:
            request = {"batch": free, "expires": int(EXPIRES * NANO), "idle_heartbeat": int(HEARTBEAT * NANO)}
            self._asked += free
            await self._nc.publish(self._consumer.next_subject, to_json(request), self._inbox)

    async def _receive(self, msg: Msg) -> None:
        self._alive = monotonic()
        if msg.reply.startswith("$JS.ACK."):
            self._asked -= 1
            self._arrived.append(Incoming(msg))
            self._wake()
        else:
            await self._hear(msg.headers or {})

    async def _hear(self, headers: dict[str, str]) -> None:
        status, text = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":
            return
        if status == "408" or "Nats-Pending-Messages" in headers:
            self._asked -= int(headers.get("Nats-Pending-Messages", self._asked))
            if status == "408":
                await self._ask()
                return
        # 404, 409: deleted, moved, shut down; 503: nobody answers for this consumer.
        self._lose(f"the server says {status} {text}".strip())

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._wake()

    async def _watch(self) -> None:
        """Notice silence and reconnections; speak for messages that wait long."""
        while True:
            await asyncio.sleep(min(0.5, self.spec.ack_wait / 6))
            if self._open and self._nc.stats["reconnects"] != self._reconnects:
                self._lose("the connection is a new one")
            elif self._open and self._asked and self.age() > 2.5 * HEARTBEAT and self._nc.is_connected:
                self._lose(f"the server was silent for {self.age():.1f} s")
            if self._in_hand and monotonic() - max(self._since, self._spoken) > self.spec.ack_wait / 3:
                self._spoken = monotonic()
                await self._speak()

    async def _speak(self) -> None:
        try:
            for message in [*self._in_hand, *self._arrived]:
                await self._settlement.in_progress(message)
        except NatsError as error:
            log.debug("%s: %r", self, error)

    # Handling

    async def _process(self, batch: list[Incoming]) -> None:
        self._in_hand, self._since = batch, monotonic()
        started = perf_counter()
        try:
            await self._hand_over(batch)
            self._meter.handled(self.spec.durable, perf_counter() - started)
            await self._settle(batch)
        finally:
            self._in_hand = []
        last = batch[-1]
        self._meter.batch(self.spec.durable, len(batch))
        self._meter.flow(self.spec.durable, last.pending, (time_ns() - last.stored_ns) / NANO)

    async def _hand_over(self, batch: list[Incoming]) -> None:
        good = [message for message in batch if _readable(message)] if self._decode else batch
        if not good:
            return
        try:
            await self.spec.handle(good)
        except OUTAGE as error:
            for message in good:
                message.fail(error)
        except Exception as error:  # noqa: BLE001  whatever it is, `fate` knows an answer
            if len(good) == 1:
                good[0].fail(error)
            else:
                await self._one_by_one(good)

    async def _one_by_one(self, messages: list[Incoming]) -> None:
        for message in messages:
            message.error = None
            try:
                await self.spec.handle([message])
            except Exception as error:  # noqa: BLE001  see above
                message.fail(error)

    async def _settle(self, batch: list[Incoming]) -> None:
        done = 0
        for message in batch:
            if message.error is None:
                await self._settlement.done(message)
                self._consumer.passed(message.position)
                done += 1
            else:
                self._consumer.owes(message.position)
        if done:
            self._meter.settled(family(batch[0].subject), "done", done)
        if done < len(batch):
            await self._settle_failed([message for message in batch if message.error])

    async def _settle_failed(self, failed: list[Incoming]) -> None:
        told: Exception | None = None
        for message in failed:
            try:
                # One outage fails a whole batch, and is told once.
                verdict = await self._settlement.settle(message, message.error, quiet=message.error is told)
            except OUTAGE as error:
                log.warning("%s: could not be settled: %r", message, error)
                await self._settlement.back(message, 1.0)
            else:
                if not isinstance(verdict, Retry):
                    self._consumer.passed(message.position)
            told = message.error


def _readable(message: Incoming) -> Any:
    try:
        return message.ce
    except Malformed as error:
        message.fail(error)
        return None
