"""The `eventsourcing` library's recorders over our log, for its conformance suite and for tools; no service uses them.

They wait in the thread of a portal and decide nothing that the log does not decide. Choose them for a library
`Application` with `PERSISTENCE_MODULE=shared.recorder`, `NEXUS_NATS_URL` and, if its name is no token, `NEXUS_SERVICE`.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import nats
from anyio.from_thread import BlockingPortal, start_blocking_portal
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import resolve_topic
from nats.aio.client import Client

from shared.eventlog import EventLog
from shared.records import Logged, Record
from shared.streams import provision

TRACKED = "tracked"
UPSTREAM = "upstream:"
"""Marks the key of a tracking record, which lives beside the events of the service and not among them."""


class RecorderLog(EventLog):
    """The log of one application, with the positions that it tracks; both may go into one batch."""

    def _home(self, key: str) -> str:
        if key.startswith(UPSTREAM):
            return f"nexus.events.{self.service}-tracking.{key.removeprefix(UPSTREAM)}"
        return super()._home(key)

    async def newest(self, key: str) -> Logged | None:
        """Return the newest event, or the newest position, under this key."""
        return await self._last(self._home(key))

    async def insert(self, records: Sequence[Record]) -> list[int]:
        """Append these if each has a higher version than what its aggregate has; return where they are."""
        seen, newest = dict[str, int](), dict[str, int]()
        for record in records:
            key, version = str(record.originator_id), record.originator_version
            if key not in seen:
                last = await self.newest(key)
                seen[key], newest[key] = (last.id, last.originator_version) if last else (0, version - 1)
            if version <= newest[key]:
                raise IntegrityError(f"{key} has version {newest[key]}, so {version} cannot follow")
            newest[key] = version
        end = await self.append(records, seen=seen)
        return list(range(end - len(records) + 1, end + 1))


class JetStreamAggregateRecorder(AggregateRecorder):
    """Stores and selects the events of aggregates."""

    def __init__(self, portal: BlockingPortal, log: RecorderLog) -> None:
        self.portal, self.log = portal, log

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        self._insert(stored_events, **kwargs)
        return None

    def _insert(self, stored_events: Sequence[StoredEvent], tracking: Tracking | None = None) -> list[int]:
        records = [*([_tracking_record(tracking)] if tracking else []), *map(_event_record, stored_events)]
        places = self.portal.call(self.log.insert, records) if records else []
        return places[1:] if tracking else places

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        events = [
            StoredEvent(originator_id, n.originator_version, n.topic, n.state)
            for n in self.portal.call(self.log.read, str(originator_id))
            if (gt is None or n.originator_version > gt) and (lte is None or n.originator_version <= lte)
        ]
        return (events[::-1] if desc else events)[:limit]


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, ApplicationRecorder):
    """Also tells what happened in which order: an event's notification id is its sequence in the log."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        return self._insert(stored_events, **kwargs) or None

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = 0 if start is None else max(start - inclusive_of_start, 0)
        read = partial(self.log.read, after=after, until=stop, limit=None if topics else limit)
        return _notifications(self.portal.call(read), topics)[:limit]

    def max_notification_id(self) -> int | None:
        last = self.portal.call(self.log.last)
        return last.id if last else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return JetStreamSubscription(self, gt, topics)


class JetStreamSubscription(Subscription[JetStreamApplicationRecorder]):
    """Waits for what comes next in the log of the application."""

    def __init__(
        self, recorder: JetStreamApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        super().__init__(recorder, gt, topics)
        filters = [f"nexus.events.{recorder.log.service}.>"]
        self._tail = recorder.log.tail(filters=filters, after=gt or 0)
        self._next: Future[Logged] | None = None

    def stop(self) -> None:
        super().stop()
        if self._next is None or not self._next.cancel():
            self._recorder.portal.call(self._close)

    async def _close(self) -> None:
        with suppress(RuntimeError):  # a thread is still reading: it sees that it should stop
            await self._tail.aclose()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            self._next = self._recorder.portal.start_task_soon(self._tail.__anext__)
            try:
                found = _notifications([self._next.result()], self._topics)
            except (CancelledError, StopAsyncIteration):
                break
            if found:
                return found[0]
        raise StopIteration


class JetStreamTrackingRecorder(TrackingRecorder):
    """Remembers how far the events of others were processed."""

    def __init__(self, portal: BlockingPortal, log: RecorderLog) -> None:
        self.portal, self.log = portal, log

    def insert_tracking(self, tracking: Tracking) -> None:
        self.portal.call(self.log.insert, [_tracking_record(tracking)])

    def max_tracking_id(self, application_name: str) -> int | None:
        last = self.portal.call(self.log.newest, f"{UPSTREAM}{application_name}")
        return last.originator_version if last else None


class JetStreamProcessRecorder(JetStreamTrackingRecorder, JetStreamApplicationRecorder, ProcessRecorder):
    """Stores events and the position they came from in one atomic batch."""


class JetStreamFactory(InfrastructureFactory[JetStreamTrackingRecorder]):
    """Opens one connection, in a thread of its own, and hands out recorders that share it."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def close(self) -> None:
        self._portal = None
        self._stack.close()

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return JetStreamAggregateRecorder(*self._infrastructure("" if purpose == "events" else f"-{purpose}"))

    def application_recorder(self) -> ApplicationRecorder:
        return JetStreamApplicationRecorder(*self._infrastructure())

    def tracking_recorder(
        self, tracking_recorder_class: type[JetStreamTrackingRecorder] | None = None
    ) -> JetStreamTrackingRecorder:
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        chosen = tracking_recorder_class or (resolve_topic(topic) if topic else JetStreamTrackingRecorder)
        return chosen(*self._infrastructure())

    def process_recorder(self) -> ProcessRecorder:
        return JetStreamProcessRecorder(*self._infrastructure())

    def _infrastructure(self, suffix: str = "") -> tuple[BlockingPortal, RecorderLog]:
        if self._portal is None:
            self._portal = self._stack.enter_context(start_blocking_portal())
            self._nc = self._portal.call(_connect, self.env.get("NEXUS_NATS_URL") or "nats://127.0.0.1:4222")
            self._stack.callback(self._portal.call, self._nc.close)
        service = self.env.get("NEXUS_SERVICE") or self.env.name.lower() or "application"
        return self._portal, self._portal.call(partial(RecorderLog, self._nc, f"{service}{suffix}"))


async def _connect(url: str) -> Client:
    nc = await nats.connect(url, max_reconnect_attempts=-1)
    await provision(nc)
    return nc


def _event_record(event: StoredEvent) -> Record:
    return Record(str(event.originator_id), event.originator_version, event.topic, event.state, uuid4().hex)


def _tracking_record(tracking: Tracking) -> Record:
    return Record(f"{UPSTREAM}{tracking.application_name}", tracking.notification_id, TRACKED, b"{}", uuid4().hex)


def _notifications(events: Iterable[Logged], topics: Sequence[str]) -> list[Notification]:
    return [
        Notification(_originator(event.key), event.originator_version, event.topic, event.state, event.id)
        for event in events
        if not topics or event.topic in topics
    ]


def _originator(key: str) -> UUID | str:
    with suppress(ValueError):
        if len(key) == 36:
            return UUID(key)
    return key
