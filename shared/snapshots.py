"""Snapshots: what was folded so far, so that a long history is not read from its birth. Losing one costs only time."""

import asyncio
import logging
import zlib
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared.domain import Aggregate

PREFIX = "nexus.snapshots"
PART = 512 * 1024  # bytes; servers take up to 1 MiB in a message
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
        parts = [body[start : start + PART] for start in range(0, len(body), PART)]
        headers = {"Nexus-Parts": str(len(parts)), "Nexus-Snapshot": uuid4().hex}
        # The first part goes last: it is the one that counts, and then the others are there.
        for n in range(len(parts) - 1, -1, -1):
            await self._put(f"{name}.{n}" if n else name, parts[n], headers)

    async def _put(self, name: str, body: bytes, headers: dict[str, str]) -> None:
        subject = f"{PREFIX}.{self._service}.{name}"
        answer = await self._nc.request(subject, body, timeout=10, headers=dict(headers))
        if error := from_json(answer.data).get("error"):
            raise Error(f"{subject}: {error['description']}")

    async def load(self, name: str) -> Snapshot | None:
        """Return the newest one; none if there is none or if it cannot be read."""
        try:
            first = await self._get(name)
            if first is None or first.headers is None:
                return None
            body = first.data
            for n in range(1, int(first.headers["Nexus-Parts"])):
                part = await self._get(f"{name}.{n}")
                if part is None or (part.headers or {}).get("Nexus-Snapshot") != first.headers["Nexus-Snapshot"]:
                    return None  # the next one was being saved and its first part is missing
                body += part.data
            return Snapshot(**from_json(zlib.decompress(body)))
        except (Error, ValueError, TypeError, KeyError, zlib.error) as reason:
            log.warning("the snapshot %s of %s cannot be read, the log is: %r", name, self._service, reason)
            return None

    async def _get(self, name: str) -> Msg | None:
        subject = f"$JS.API.DIRECT.GET.{self._stream}.{PREFIX}.{self._service}.{name}"
        msg = await self._nc.request(subject, b"", timeout=10)
        return None if "Status" in (msg.headers or {}) else msg


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
