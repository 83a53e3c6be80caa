"""Durable consumers: made, brought up to date, and made again where they were left, should one vanish."""

import logging
from collections.abc import Sequence
from datetime import datetime

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamInfo
from nats.js.errors import NotFoundError

from shared.streams import ensure

MAX_ACK_PENDING = 5000
"""Not less: what waits for its next attempt counts, and must not keep others from coming."""

ASK = 2.0
"""Seconds to wait for an answer of the server; one that was killed while asked never answers."""

log = logging.getLogger(__name__)


class Consumer:
    """One durable pull consumer, acknowledged message by message."""

    def __init__(
        self, nc: Client, stream: str, durable: str, filters: Sequence[str], ack_wait: float, after: int = 0
    ) -> None:
        self._nc, self.stream, self.durable, self._filters = nc, stream, durable, list(filters)
        self._ack_wait, self._after = ack_wait, after
        self._passed = after
        self._owed: set[int] = set()
        self._born: datetime | None = None
        self.next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"

    def passed(self, position: int) -> None:
        """Note a message that is settled."""
        self._owed.discard(position)
        self._passed = max(self._passed, position)

    def owes(self, position: int) -> None:
        """Note a message that will come again."""
        self._owed.add(position)
        self._passed = max(self._passed, position)

    async def ensure(self) -> None:
        """Make the consumer, and its stream if that is missing; correct its configuration."""
        js = self._nc.jetstream(timeout=ASK)
        stream = await self._stream(js)
        try:
            found = (await js.consumer_info(self.stream, self.durable)).config
        except NotFoundError:
            await js.add_consumer(self.stream, self._fresh(stream.config.retention))
            log.info("consumer %s of %s: made", self.durable, self.stream)
            return
        wanted = self._config(found.deliver_policy or DeliverPolicy.ALL, found.opt_start_seq)
        if _differs(found, wanted):
            await js.add_consumer(self.stream, wanted)
            log.info("consumer %s of %s: configuration brought up to date", self.durable, self.stream)

    async def _stream(self, js: JetStreamContext) -> StreamInfo:
        try:
            info = await js.stream_info(self.stream)
        except NotFoundError:
            await ensure(self._nc, self.stream)
            info = await js.stream_info(self.stream)
        if self._born is not None and info.created != self._born:
            # Another stream of that name starts counting at one.
            self._passed = 0
            self._owed.clear()
        self._born = info.created
        return info

    def _fresh(self, retention: RetentionPolicy | None) -> ConsumerConfig:
        start = min(self._owed, default=self._passed + 1)
        if start <= 1 or retention == RetentionPolicy.WORK_QUEUE:
            return self._config(DeliverPolicy.ALL, None)
        return self._config(DeliverPolicy.BY_START_SEQUENCE, start)

    def _config(self, policy: DeliverPolicy, start: int | None) -> ConsumerConfig:
        return ConsumerConfig(
            durable_name=self.durable,
            filter_subjects=self._filters,
            deliver_policy=policy,
            opt_start_seq=start,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait,
            max_ack_pending=MAX_ACK_PENDING,
            max_deliver=-1,
        )


def _differs(found: ConsumerConfig, wanted: ConsumerConfig) -> bool:
    subjects = found.filter_subjects or ([found.filter_subject] if found.filter_subject else [])
    return (
        sorted(subjects) != sorted(wanted.filter_subjects or ())
        or found.ack_wait != wanted.ack_wait
        or found.max_ack_pending != wanted.max_ack_pending
    )
