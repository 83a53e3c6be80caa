"""Load, decide, append: the one place where an aggregate changes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from eventsourcing.persistence import IntegrityError

from contracts.base import Event
from shared.domain import Aggregate, DomainError
from shared.mapper import EventMapper, Origin
from shared.records import Log, Logged
from shared.snapshots import AggregateSnapshots, SnapshotStore

__all__ = ["AggregateNotFound", "Change", "Origin", "Repository"]

A = TypeVar("A", bound=Aggregate)
R = TypeVar("R")


class AggregateNotFound(LookupError):
    """Nothing was ever recorded under this id."""


@dataclass(frozen=True)
class Change(Generic[R]):
    """What a decision came to."""

    result: R
    sequence: int
    """The last event of the aggregate: of this decision, or before it if nothing had to be said."""
    events: list[Event]
    repeated: bool = False
    """The same cause had its effect before: nothing was decided, `result` is None."""


@dataclass(slots=True)
class _Copy(Generic[A]):
    aggregate: A
    seen: int  # sequence of its last event


class Repository(Generic[A]):
    """Aggregates of one kind, rebuilt from the log and kept warm: the guarded append is what checks a warm copy."""

    def __init__(
        self, log: Log, kind: type[A], *, warm: int = 1000, snapshots: SnapshotStore | None = None, every: int = 500
    ) -> None:
        self._log, self._kind, self._limit = log, kind, warm
        self._mapper = EventMapper(key_is_project=kind.KEY_IS_PROJECT)
        self._snapshots = AggregateSnapshots(snapshots, kind, every) if snapshots else None
        self._warm: dict[str, _Copy[A]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str) -> A:
        """Return the aggregate as the log has it now: a copy of the caller's own."""
        return self._existing(await self._load(key)).aggregate

    async def at(self, key: str, sequence: int) -> A:
        """Return the aggregate as it was at this sequence of the log."""
        return self._existing(await self._load(key, until=sequence)).aggregate

    async def change(
        self,
        key: str,
        decide: Callable[[A], R],
        *,
        create: bool = False,
        origin: Origin | None = None,
        origins: Callable[[Event], Origin | None] | None = None,
        attempts: int = 10,
    ) -> Change[R]:
        """Let `decide` act on the current state; decide again if somebody else was faster.

        `decide` is pure and may run several times. With `create`, what does not exist yet is decided on as a blank.
        `origins` tells where each fact comes from, if one decision answers to several causes.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            while True:
                kept = self._warm.pop(key, None)
                copy = kept or await self._load(key)
                if not create:
                    self._existing(copy)
                try:
                    return await self._decide(key, copy, decide, origin, origins or (lambda _: origin))
                except IntegrityError:
                    if (attempts := attempts - 1) <= 0:
                        raise
                except DomainError:
                    if kept is None or not await self._outdated(key, kept):
                        raise

    async def _decide(
        self,
        key: str,
        copy: _Copy[A],
        decide: Callable[[A], R],
        origin: Origin | None,
        origins: Callable[[Event], Origin | None],
    ) -> Change[R]:
        aggregate = copy.aggregate
        if origin and origin.once and origin.once in aggregate.causes:
            self._keep(key, copy)
            sequence = await self._sequence(key, aggregate.causes[origin.once])
            return Change(None, sequence, [], repeated=True)  # type: ignore[arg-type]  # as `repeated` says
        before = aggregate.version
        try:
            result = decide(aggregate)
        except BaseException:
            if not aggregate.collect_events():  # it recorded nothing, so it left no trace
                self._keep(key, copy)
            raise
        events = aggregate.collect_events()
        if events:
            sources = [origins(event) for event in events]
            steps = enumerate(zip(events, sources, strict=True), before + 1)
            records = [self._mapper.to_record(event, key, version, source) for version, (event, source) in steps]
            copy.seen = await self._log.append(records, seen={key: copy.seen})
            for version, source in enumerate(sources, before + 1):
                if source and source.once:
                    aggregate.causes[source.once] = version
        self._keep(key, copy)
        if events and self._snapshots:
            self._snapshots.consider(aggregate, copy.seen, before)
        return Change(result, copy.seen, events)

    async def _outdated(self, key: str, copy: _Copy[A]) -> bool:
        """Tell whether a refusal came from an old state; the next attempt then sees the present one."""
        if key not in self._warm:  # the copy was dropped: the next attempt reads it anew
            return True
        news = await self._log.read(key, after=copy.seen)
        self._fold(copy, news)
        return bool(news)

    def _keep(self, key: str, copy: _Copy[A]) -> None:
        if copy.aggregate.version == 0:
            return
        self._warm[key] = copy
        if len(self._warm) > self._limit:
            del self._warm[next(iter(self._warm))]

    async def _load(self, key: str, until: int | None = None) -> _Copy[A]:
        copy = _Copy(self._kind(id=key), 0)
        if self._snapshots and (found := await self._snapshots.load(key, until)):
            copy = _Copy(found[0], found[1])
        self._fold(copy, await self._log.read(key, after=copy.seen, until=until))
        return copy

    def _fold(self, copy: _Copy[A], events: list[Logged]) -> None:
        aggregate = copy.aggregate
        for logged in events:
            event, once = self._mapper.unpack(logged)
            aggregate.apply(event)
            if once:
                aggregate.causes[once] = aggregate.version
            copy.seen = logged.id

    async def _sequence(self, key: str, version: int) -> int:
        return next(e.id for e in await self._log.read(key) if e.originator_version == version)

    @staticmethod
    def _existing(copy: _Copy[A]) -> _Copy[A]:
        if copy.aggregate.version == 0:
            raise AggregateNotFound(copy.aggregate.id)
        return copy
