"""Snapshots: what was folded so far, so that a long history is not read from its birth. Losing one costs only time."""

import asyncio
import logging
import zlib
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nats.aio.client import Client
from nats.errors import Error
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared.domain import Aggregate

PREFIX = "nexus.snapshots"
A = TypeVar("A", bound=Aggregate)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A state, and how far in the log it goes."""

    fold: int
    """Version of the fold that made it."""
    sequence: int
    """The last event of the log that is in it."""
    version: int
    """How many events are in it."""
    state: Any
    """A JSON value."""


class SnapshotStore(Protocol):
    """Keeps the newest snapshot of each name."""

    async def save(self, name: str, snapshot: Snapshot) -> None:
        """Keep this one instead of the one before."""

    async def load(self, name: str) -> Snapshot | None:
        """Return the newest one."""


class Snapshots:
    """The snapshots of one service: the last message on each `nexus.snapshots.<service>.<name>`."""

    def __init__(self, nc: Client, service: str, *, stream: str = "NEXUS_SNAPSHOTS") -> None:
        self._nc, self._service, self._stream = nc, service, stream

    async def save(self, name: str, snapshot: Snapshot) -> None:
        """Keep this one instead of the one before."""
        body = zlib.compress(to_json(snapshot), 1)
        answer = await self._nc.request(f"{PREFIX}.{self._service}.{name}", body, timeout=10)
        if error := from_json(answer.data).get("error"):
            raise Error(f"{self._stream}: {error['description']}")

    async def load(self, name: str) -> Snapshot | None:
        """Return the newest one; none if there is none or if it cannot be read."""
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{PREFIX}.{self._service}.{name}"
        try:
            msg = await self._nc.request(subject, b"", timeout=10)
            if (msg.headers or {}).get("Status"):
                return None
            return Snapshot(**from_json(zlib.decompress(msg.data)))
        except (Error, ValueError, TypeError, zlib.error) as reason:
            log.warning("the snapshot %s of %s cannot be read, the log is: %s", name, self._service, reason)
            return None


class AggregateSnapshots(Generic[A]):
    """Snapshots of one kind of aggregate, taken every so many events, in the background."""

    def __init__(self, store: SnapshotStore, kind: type[A], every: int) -> None:
        self._store, self._kind, self._every = store, kind, every
        self._adapter: TypeAdapter[A] = TypeAdapter(kind)
        self._saving: set[asyncio.Task[None]] = set()

    async def load(self, key: str, until: int | None = None) -> tuple[A, int] | None:
        """Return the aggregate and the sequence of its last event, if today's fold made it and it is not too new."""
        found = await self._store.load(self._name(key))
        if found is None or found.fold != self._kind.FOLD or (until is not None and found.sequence > until):
            return None
        try:
            aggregate = self._adapter.validate_python(found.state)
        except ValidationError as reason:
            log.warning("the snapshot of %s %s does not fit, the log is read: %s", self._kind.__name__, key, reason)
            return None
        return aggregate, found.sequence

    def consider(self, aggregate: A, sequence: int, before: int) -> None:
        """Take a snapshot if the last decision went past a multiple of `every`."""
        if aggregate.version // self._every == before // self._every:
            return
        state = self._adapter.dump_python(aggregate, mode="json")
        snapshot = Snapshot(self._kind.FOLD, sequence, aggregate.version, state)
        task = asyncio.create_task(self._save(self._name(aggregate.id), snapshot))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save(self, name: str, snapshot: Snapshot) -> None:
        try:
            await self._store.save(name, snapshot)
        except Error as reason:
            log.warning("the snapshot %s was not saved: %r", name, reason)

    def _name(self, key: str) -> str:
        return f"{self._kind.TOPIC.rpartition('.')[2]}-{key}"
