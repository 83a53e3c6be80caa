"""The event log on JetStream. Appending is publishing: what is stored here is what others hear.

One event is one message on `nexus.events.<service>.<aggregate>.<event>[.<project>]`.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from eventsourcing.persistence import DataError, IntegrityError, OperationalError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import (
    ConnectionClosedError,
    ConnectionDrainingError,
    ConnectionReconnectingError,
    MaxPayloadError,
    NoRespondersError,
    OutboundBufferLimitError,
)
from pydantic_core import from_json, to_json

from shared.follow import follow
from shared.records import ALL, Log, Logged, Record

__all__ = ["ALL", "EventLog", "Log", "Logged", "Record"]

BATCH_LIMIT = 1000  # the server's, for an atomic batch
PAGE = 500
# Wrong last sequence; the same against an earlier message of the batch; an id of the batch is stored already.
REFUSED = (10071, 10164, 10201)
# Whether the server took it cannot be known.
UNSURE = (TimeoutError, NoRespondersError, ConnectionReconnectingError, OutboundBufferLimitError)
SEEN = "Nats-Expected-Last-Subject-Sequence"
PAUSE = 0.25  # seconds between attempts while the server does not answer
STORY = ("nexus.events.planner.{}.>", "nexus.events.coordinator.{}.>", "nexus.events.resource_manager.*.*.{}")

T = TypeVar("T")


class EventLog:
    """One service's place in the log: it appends its own events and reads everybody's."""

    def __init__(
        self, nc: Client, service: str, *, stream: str = "NEXUS_EVENTS", patience: float = 15.0, timeout: float = 5.0
    ) -> None:
        """`patience`: seconds to go on while the server is away; `timeout`: seconds to wait for one answer."""
        self.nc, self.service, self.stream = nc, service, stream
        self._patience, self._timeout = patience, timeout

    async def append(self, records: Sequence[Record], *, seen: Mapping[str, int]) -> int:
        """Append all or nothing, if nothing followed `seen` on these aggregates; return the last sequence.

        `IntegrityError`: something followed. `OperationalError`: the outcome is unknown. `DataError`: too large.
        """
        if not 0 < len(records) <= BATCH_LIMIT:
            raise DataError(f"an append takes 1 to {BATCH_LIMIT} events, not {len(records)}")
        try:
            return await self._patiently(partial(self._publish, records, seen), "the outcome of an append is unknown")
        except IntegrityError:
            # Perhaps it was an earlier attempt of ours that got there first, and its acknowledgement was lost.
            end = await self._stored(records, seen)
            if end is None:
                raise
            return end
        except MaxPayloadError as error:
            raise DataError(f"an event is larger than the server takes ({self.nc.max_payload} bytes)") from error

    async def _publish(self, records: Sequence[Record], seen: Mapping[str, int]) -> int:
        *earlier, last = self._messages(records, seen)
        for n, (subject, payload, headers) in enumerate(earlier):
            if n == 0:
                await self._ask(subject, payload, headers)
            else:
                await self.nc.publish(subject, payload, headers=headers)
        return int((await self._ask(*last))["seq"])

    async def _ask(self, subject: str, payload: bytes, headers: dict[str, str]) -> dict[str, Any]:
        answer = await self.nc.request(subject, payload, timeout=self._timeout, headers=headers)
        ack: dict[str, Any] = from_json(answer.data) if answer.data else {}
        error = ack.get("error")
        if error is None:
            return ack
        if error.get("err_code") in REFUSED:
            raise IntegrityError(error["description"])
        if error.get("code") == 503:
            raise TimeoutError(error["description"])  # no leader, or too many batches in flight: it may pass
        raise OperationalError(f"{subject}: {error['description']}")

    def _messages(
        self, records: Sequence[Record], seen: Mapping[str, int]
    ) -> Iterator[tuple[str, bytes, dict[str, str]]]:
        batch, guarded, count = uuid4().hex, set[str](), len(records)
        for n, record in enumerate(records, 1):
            key = str(record.originator_id)
            headers = {
                "Nats-Msg-Id": record.id,
                "Nexus-Topic": record.topic,
                "Nexus-Version": str(record.originator_version),
            }
            if record.traceparent:
                headers["traceparent"] = record.traceparent
            if key not in guarded:
                guarded.add(key)
                headers[SEEN] = str(seen[key])
                headers[f"{SEEN}-Subject"] = f"nexus.events.{self.service}.{key}.>"
            if count > 1:
                headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(n)}
                if n == count:
                    headers["Nats-Batch-Commit"] = "1"
            yield self._subject(record), record.state, headers

    def _subject(self, record: Record) -> str:
        name = record.topic.rpartition(".")[2]
        subject = f"nexus.events.{self.service}.{record.originator_id}.{name}"
        return f"{subject}.{record.project}" if record.project else subject

    async def _stored(self, records: Sequence[Record], seen: Mapping[str, int]) -> int | None:
        """Return where these records ended up if they are stored: ours is then the first that followed."""
        key = str(records[0].originator_id)
        first = await self.read(key, after=seen[key], limit=1)
        # The messages of a batch lie side by side.
        return first[0].id + len(records) - 1 if first and first[0].message_id == records[0].id else None

    async def read(
        self,
        aggregate: str = "*",
        *,
        service: str | None = None,
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
    ) -> list[Logged]:
        """Return the events of one aggregate, or of all of a service, in order; no consumer is created."""
        return await self._read(f"nexus.events.{service or self.service}.{aggregate}.>", after, until, limit)

    async def _read(self, subject: str, after: int, until: int | None, limit: int | None = None) -> list[Logged]:
        found: list[Logged] = []
        async for page in self._pages(subject, after, limit):
            found += page
            if until is not None and found and found[-1].id > until:
                return [event for event in found if event.id <= until]
        return found

    async def _pages(self, subject: str, after: int, limit: int | None) -> AsyncIterator[list[Logged]]:
        pending, left = 1, limit
        while pending and (left is None or left > 0):
            size = PAGE if left is None else min(PAGE, left)
            request = {"next_by_subj": subject, "seq": after + 1, "batch": size}
            page, pending = await self._patiently(partial(self._direct_get, request), f"{self.stream} cannot be read")
            if page:
                after, left = page[-1].id, None if left is None else left - len(page)
            yield page

    async def _direct_get(self, request: dict[str, Any]) -> tuple[list[Logged], int]:
        found: list[Logged] = []
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def collect(msg: Msg) -> None:
            headers = msg.headers or {}
            if "Status" not in headers:
                found.append(_direct(msg))
            elif end.done():
                return
            elif headers["Status"] in ("204", "404"):  # end of batch; nothing there
                end.set_result(int(headers.get("Nats-Num-Pending", 0)))
            elif headers["Status"] == "503":
                end.set_exception(NoRespondersError())
            else:
                end.set_exception(OperationalError(f"{self.stream}: {headers}"))

        inbox = self.nc.new_inbox()
        subscription = await self.nc.subscribe(inbox, cb=collect)
        try:
            await self.nc.publish(f"$JS.API.DIRECT.GET.{self.stream}", to_json(request), inbox)
            pending = await asyncio.wait_for(end, self._timeout)
            return found, pending
        finally:
            await subscription.unsubscribe()

    async def last(self, aggregate: str = "*") -> Logged | None:
        """Return the newest event of one aggregate, or of the service."""
        request = to_json({"last_by_subj": f"nexus.events.{self.service}.{aggregate}.>"})
        subject = f"$JS.API.DIRECT.GET.{self.stream}"
        msg = await self._patiently(
            partial(self.nc.request, subject, request, timeout=self._timeout), f"{self.stream} cannot be read"
        )
        status = (msg.headers or {}).get("Status")
        if status not in (None, "404"):
            raise OperationalError(f"{self.stream}: {msg.headers}")
        return None if status else _direct(msg)

    async def story(self, project: str, *, until: int | None = None) -> list[Logged]:
        """Return everything that the log says about a project, in the order in which it happened."""
        parts = await asyncio.gather(*(self._read(subject.format(project), 0, until) for subject in STORY))
        return list(heapq.merge(*parts, key=lambda event: event.id))

    async def replay(
        self, filters: Sequence[str] = ALL, *, after: int = 0, until: int | None = None
    ) -> AsyncIterator[list[Logged]]:
        """Yield what the log holds, fast and in large portions, and end."""
        parts = await asyncio.gather(*(self._read(subject, after, until) for subject in filters))
        yield list(heapq.merge(*parts, key=lambda event: event.id))

    def follow(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncIterator[list[Logged]]:
        """Yield every event after `after`, for ever, in whatever portions they come."""
        return follow(self.nc, self.stream, filters, after)

    async def tail(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncIterator[Logged]:
        """Yield every event after `after`, for ever."""
        async for events in self.follow(filters=filters, after=after):
            for event in events:
                yield event

    async def _patiently(self, attempt: Callable[[], Awaitable[T]], failure: str) -> T:
        """Try again while the server is away; whatever is tried must bear being done twice."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await attempt()
            except UNSURE as error:
                if loop.time() >= deadline:
                    raise OperationalError(f"{failure}: {type(error).__name__} {error}") from error
                await asyncio.sleep(PAUSE)
            except (ConnectionClosedError, ConnectionDrainingError) as error:
                raise OperationalError(f"{failure}: the connection is closed") from error


def _direct(msg: Msg) -> Logged:
    headers = msg.headers or {}
    return Logged.of(headers["Nats-Subject"], headers, msg.data, int(headers["Nats-Sequence"]))
