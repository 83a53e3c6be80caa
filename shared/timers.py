"""Timers that outlive the process: JetStream keeps a schedule and publishes `nexus.due.<service>.<key>` in time.

A timer is a promise to look again no later than that; arming twice, or arming again after a restart, is harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4
from weakref import WeakValueDictionary

from contracts.base import is_token
from contracts.envelope import CONTENT_TYPE, CloudEvent, encode
from shared.inflow import Incoming, InflowSpec
from shared.publisher import Publisher
from shared.streams import TIMERS

KEPT = "168h"
"""How long a due timer waits for a service that is down; whoever starts arms its timers anew."""


@dataclass(frozen=True, slots=True)
class Due:
    """A timer whose time has come."""

    key: str
    message: Incoming


class Timers:
    """The timers of one service, one per key. One that is not needed any more rings once, for nothing."""

    def __init__(self, publisher: Publisher, service: str) -> None:
        self._publisher, self._service = publisher, service
        self._armed: dict[str, datetime] = {}
        """Until they are heard of."""
        self._arming: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def arm(self, key: str, at: datetime, *, project: str | None = None, traceparent: str | None = None) -> bool:
        """Wake up for `key` at `at`, or earlier if that was asked for already; return whether it had to be said."""
        if not is_token(key):
            raise ValueError(f"{key!r} is no token of a subject: letters, digits, _ and - only")
        if at.tzinfo is None:
            raise ValueError(f"{at} says no time zone")  # the server would refuse it (10189)
        async with self._arming.setdefault(key, asyncio.Lock()):  # what is said last counts, so one after the other
            armed, now = self._armed.get(key), datetime.now(UTC)
            if armed is not None and now < armed <= at:
                return False
            if armed is not None and armed <= now:
                at = min(at, now)  # not heard of yet: this schedule takes its place and must not put it off
            subject = f"nexus.timers.{self._service}.{key}"
            await self._publisher.store(subject, *self._schedule(key, at, project, traceparent))
            self._armed[key] = at
            return True

    def inflow(self, handle: Callable[[list[Due]], Awaitable[None]], *, batch: int = 256) -> InflowSpec:
        """Return the inflow that hands over the timers that are due."""

        async def take(messages: list[Incoming]) -> None:
            due = [Due(message.subject.rpartition(".")[2], message) for message in messages]
            for one in due:
                # From here on the same key can be armed again, whatever our clock says.
                self._armed.pop(one.key, None)
            await handle(due)

        filters = (f"nexus.due.{self._service}.*",)
        return InflowSpec(stream=TIMERS, durable=f"{self._service}-due", filters=filters, handle=take, batch=batch)

    def _schedule(
        self, key: str, at: datetime, project: str | None, traceparent: str | None
    ) -> tuple[bytes, dict[str, str]]:
        event = CloudEvent(
            id=uuid4().hex,
            type=f"nexus.{self._service}.due",
            source=f"nexus/{self._service}",
            subject=key,
            data={"key": key, "at": at},
            project=project,
            traceparent=traceparent,
        )
        # No Nats-Msg-Id: said twice, the second schedule takes the place of the first.
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Nats-Schedule": f"@at {at.astimezone(UTC).isoformat().replace('+00:00', 'Z')}",
            "Nats-Schedule-Target": f"nexus.due.{self._service}.{key}",
            "Nats-Schedule-TTL": KEPT,
        }
        if traceparent:
            headers["traceparent"] = traceparent
        return encode(event), headers
