"""The event log on JetStream. Appending is publishing: what is stored here is what others hear.

One event is one message on `nexus.events.<service>.<aggregate>.<event>[.<project>]`.
"""

import asyncio
import heapq
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import uuid4

from eventsourcing.persistence import DataError, IntegrityError, OperationalError
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError
from pydantic_core import from_json, to_json

from shared import telemetry
from shared.bulk import BulkReader
from shared.follow import follow
from shared.records import ALL, Log, Logged, Record
from shared.wire import Answer, Wire

__all__ = ["ALL", "EventLog", "Log", "Logged", "Record"]

BATCH_LIMIT = 1000  # the server's, for an atomic batch
PAGE = 500  # events; where more than a page is left, a bulk reader is faster
# Wrong last sequence; the same against an earlier message of the batch; an id of the batch is stored already.
REFUSED = (10071, 10164, 10201)
# Whether the server took it cannot be known.
UNSURE = (TimeoutError, ConnectionError, NoRespondersError)
PAUSE = 0.25  # seconds between attempts while the server does not answer
STORY = ("nexus.events.planner.{}.>", "nexus.events.coordinator.{}.>", "nexus.events.resource_manager.*.*.{}")
SUBJECT = re.compile(r"nexus\.events(\.[!-)+\-/-=?-~]+){3,4}")  # printable, without the . * > that mean something
PLAIN = re.compile(r"[!-~]+")
FOUND = re.compile(rb"\r\nNats-Subject: ([^\r]*)\r\nNats-Sequence: (\d+)\r\n")
PENDING = re.compile(rb"\r\nNats-Num-Pending: (\d+)\r\n")

T = TypeVar("T")


class EventLog:
    """One service's place in the log: it appends its own events and reads everybody's."""

    def __init__(
        self, nc: Client, service: str, *, stream: str = "NEXUS_EVENTS", patience: float = 15.0, timeout: float = 5.0
    ) -> None:
        """`patience`: seconds to go on while the server is away; `timeout`: seconds to wait for one answer."""
        self.nc, self.service, self.stream = nc, service, stream
        self._patience, self._timeout = patience, timeout
        self._wire = Wire.of(nc)

    async def close(self) -> None:
        """Close the connection that the logs of this client share; the next append would open it again."""
        await self._wire.close()

    async def append(self, records: Sequence[Record], *, seen: Mapping[str, int]) -> int:
        """Append all or nothing, if nothing followed `seen` on these aggregates; return the last sequence.

        `IntegrityError`: something followed. `OperationalError`: the outcome is unknown. `DataError`: too large.
        """
        if not 0 < len(records) <= BATCH_LIMIT:
            raise DataError(f"an append takes 1 to {BATCH_LIMIT} events, not {len(records)}")
        if not telemetry.enabled():
            return await self._append(records, seen)
        with ExitStack() as spans:
            return await self._append([self._traced(record, spans) for record in records], seen)

    def _traced(self, record: Record, spans: ExitStack) -> Record:
        """Give an event the context of its own sending: whoever reacts to it is that span's child."""
        sending = telemetry.sending(
            self._subject(record), parent=record.traceparent, message_id=record.id, project=record.project
        )
        return replace(record, traceparent=spans.enter_context(sending).traceparent)

    async def _append(self, records: Sequence[Record], seen: Mapping[str, int]) -> int:
        try:
            return await self._patiently(partial(self._publish, records, seen), "the outcome of an append is unknown")
        except IntegrityError:
            # Perhaps it was an earlier attempt of ours that got there first, and its acknowledgement was lost.
            end = await self._stored(records, seen)
            if end is None:
                raise
            return end

    async def _publish(self, records: Sequence[Record], seen: Mapping[str, int]) -> int:
        if len(records) == 1:
            record = records[0]
            guard = self._guard(str(record.originator_id), seen)
            return await self._ask(self._subject(record), record.state, f"{_headers(record)}{guard}")
        return await self._publish_batch(records, seen)

    async def _publish_batch(self, records: Sequence[Record], seen: Mapping[str, int]) -> int:
        batch, guarded, end = uuid4().hex, set[str](), 0
        for n, record in enumerate(records, 1):
            key = str(record.originator_id)
            guard = "" if key in guarded else self._guard(key, seen)
            guarded.add(key)
            headers = f"{_headers(record)}{guard}Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {n}\r\n"
            if n == len(records):
                end = await self._ask(self._subject(record), record.state, f"{headers}Nats-Batch-Commit: 1\r\n")
            elif n == 1:
                await self._ask(self._subject(record), record.state, headers)
            else:
                self._wire.publish(self._subject(record), record.state, headers)
        return end

    def _home(self, key: str) -> str:
        return f"nexus.events.{self.service}.{key}"

    def _guard(self, key: str, seen: Mapping[str, int]) -> str:
        return (
            f"Nats-Expected-Last-Subject-Sequence: {seen[key]}\r\n"
            f"Nats-Expected-Last-Subject-Sequence-Subject: {self._home(key)}.>\r\n"
        )

    def _subject(self, record: Record) -> str:
        subject = f"{self._home(str(record.originator_id))}.{record.topic.rpartition('.')[2]}"
        if record.project:
            subject = f"{subject}.{record.project}"
        if not SUBJECT.fullmatch(subject):
            raise DataError(f"{subject!r} is no subject of an event: ids must be tokens")
        return subject

    async def _ask(self, subject: str, payload: bytes, headers: str) -> int:
        if len(payload) + len(headers) > self.nc.max_payload - 16:
            raise DataError(f"{subject}: {len(payload)} bytes are more than the server takes ({self.nc.max_payload})")
        _, answer = await self._wire.request(subject, payload, headers, timeout=self._timeout)
        ack = from_json(answer) if answer else {}
        error = ack.get("error")
        if error is None:
            return int(ack.get("seq", 0))  # none for the first message of a batch
        if error.get("err_code") in REFUSED:
            raise IntegrityError(error["description"])
        if error.get("code") == 503:
            raise TimeoutError(error["description"])  # no leader, or too many batches in flight: it may pass
        raise OperationalError(f"{subject}: {error['description']}")

    async def _stored(self, records: Sequence[Record], seen: Mapping[str, int]) -> int | None:
        """Return where these records ended up if they are stored: ours is then the first that followed."""
        key = str(records[0].originator_id)
        first = await self._read(f"{self._home(key)}.>", seen[key], None, limit=1)
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
        async with aclosing(self._pages(subject, after, until, limit)) as pages:
            async for page in pages:
                found += page
                if until is not None and found and found[-1].id > until:
                    return [event for event in found if event.id <= until]
        return found

    async def _pages(
        self, subject: str, after: int, until: int | None, limit: int | None
    ) -> AsyncGenerator[list[Logged]]:
        pending, left = 1, limit
        while pending and (left is None or left > 0):
            if left is None and pending > PAGE:
                async with aclosing(self.replay([subject], after=after, until=until)) as portions:
                    async for events in portions:
                        yield events
                return
            size = PAGE if left is None else min(PAGE, left)
            request = {"next_by_subj": subject, "seq": after + 1, "batch": size}
            page, pending = await self._patiently(partial(self._direct_get, request), f"{self.stream} cannot be read")
            if page:
                after, left = page[-1].id, None if left is None else left - len(page)
            yield page

    async def _direct_get(self, request: dict[str, object]) -> tuple[list[Logged], int]:
        found, end = await self._wire.collect(
            f"$JS.API.DIRECT.GET.{self.stream}", to_json(request), timeout=self._timeout
        )
        if not end.startswith((b"NATS/1.0 204", b"NATS/1.0 404")):  # end of batch; nothing there
            raise OperationalError(f"{self.stream} cannot be read: {end.decode()}")
        pending = PENDING.search(end)
        return [_direct(answer) for answer in found], int(pending[1]) if pending else 0

    async def last(self, aggregate: str = "*") -> Logged | None:
        """Return the newest event of one aggregate, or of the service."""
        return await self._last(self._home(aggregate))

    async def _last(self, home: str) -> Logged | None:
        request = to_json({"last_by_subj": f"{home}.>"})
        ask = partial(self._wire.request, f"$JS.API.DIRECT.GET.{self.stream}", request, timeout=self._timeout)
        answer = await self._patiently(ask, f"{self.stream} cannot be read")
        if answer[0].startswith(b"NATS/1.0 404"):
            return None
        if answer[0].startswith(b"NATS/1.0 "):
            raise OperationalError(f"{self.stream} cannot be read: {answer[0].decode()}")
        return _direct(answer)

    async def story(self, project: str, *, until: int | None = None) -> list[Logged]:
        """Return everything that the log says about a project, in the order in which it happened."""
        parts = await asyncio.gather(*(self._read(subject.format(project), 0, until) for subject in STORY))
        return list(heapq.merge(*parts, key=lambda event: event.id))

    async def replay(
        self, filters: Sequence[str] = ALL, *, after: int = 0, until: int | None = None
    ) -> AsyncGenerator[list[Logged]]:
        """Yield what the log holds, fast and in large portions, and end."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                reader = BulkReader(self.nc, self.stream, filters, timeout=self._timeout)
                async with aclosing(reader.read(after, until)) as portions:
                    async for events in portions:
                        after, deadline = events[-1].id, loop.time() + self._patience
                        yield events
            except UNSURE as error:
                if loop.time() >= deadline:
                    raise OperationalError(f"{self.stream} cannot be read: {error!r}") from error
                await asyncio.sleep(PAUSE)
            except ConnectionClosedError as error:
                raise OperationalError(f"{self.stream} cannot be read: the connection is closed") from error
            else:
                return

    async def follow(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[list[Logged]]:
        """Yield every event after `after`, for ever, in whatever portions they come."""
        async with aclosing(self.replay(filters, after=after)) as portions:
            async for events in portions:
                after = events[-1].id
                yield events
        async with aclosing(follow(self.nc, self.stream, filters, after)) as portions:
            async for events in portions:
                yield events

    async def tail(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[Logged]:
        """Yield every event after `after`, for ever."""
        async with aclosing(self.follow(filters=filters, after=after)) as portions:
            async for events in portions:
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
            except ConnectionClosedError as error:
                raise OperationalError(f"{failure}: the connection is closed") from error


def _headers(record: Record) -> str:
    if not PLAIN.fullmatch(f"{record.id}{record.topic}"):
        raise DataError(f"{record.id!r} or {record.topic!r} cannot stand in a header")
    headers = (
        f"Nats-Msg-Id: {record.id}\r\nNexus-Topic: {record.topic}\r\nNexus-Version: {record.originator_version}\r\n"
    )
    if record.traceparent and PLAIN.fullmatch(record.traceparent):
        return f"{headers}traceparent: {record.traceparent}\r\n"
    return headers


def _direct(answer: Answer) -> Logged:
    head, payload = answer
    found = FOUND.search(head)
    if found is None:
        raise OperationalError(f"no answer to a direct get: {head.decode()}")
    return Logged.parsed(found[1].decode(), head, payload, int(found[2]))
