"""The event log of a test: a list. It passes the same tests as the log on JetStream."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from eventsourcing.persistence import DataError, IntegrityError
from pydantic_core import from_json, to_json

from shared.records import ALL, Logged, Record
from shared.snapshots import Snapshot

BATCH_LIMIT = 1000


@dataclass
class Shelf:
    """What several `MemoryLog`s, one per service, have in common: the one log of all services."""

    events: list[Logged] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryLog:
    """`EventLog` without a server."""

    def __init__(self, service: str, shelf: Shelf | None = None) -> None:
        self.service, self.shelf = service, shelf or Shelf()

    async def append(self, records: Sequence[Record], *, seen: Mapping[str, int]) -> int:
        """Append all or nothing, if nothing followed `seen` on these aggregates; return the last sequence."""
        if not 0 < len(records) <= BATCH_LIMIT:
            raise DataError(f"an append takes 1 to {BATCH_LIMIT} events, not {len(records)}")
        await asyncio.sleep(0)  # where the real one waits, others may run
        for key in dict.fromkeys(str(record.originator_id) for record in records):
            last = await self.last(key)
            if (last.id if last else 0) != seen[key]:
                first = await self.read(key, after=seen[key], limit=1)
                if first and first[0].message_id == records[0].id:
                    return first[0].id + len(records) - 1
                raise IntegrityError(f"wrong last sequence: {last.id if last else 0}")
        for record in records:
            self.shelf.events.append(self._logged(record))
        self.shelf.grown.set()
        return len(self.shelf.events)

    def _logged(self, record: Record) -> Logged:
        subject = f"nexus.events.{self.service}.{record.originator_id}.{record.topic.rpartition('.')[2]}"
        return Logged(
            originator_id=str(record.originator_id),
            originator_version=record.originator_version,
            topic=record.topic,
            state=record.state,
            id=len(self.shelf.events) + 1,
            message_id=record.id,
            subject=f"{subject}.{record.project}" if record.project else subject,
        )

    async def read(
        self,
        aggregate: str = "*",
        *,
        service: str | None = None,
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
    ) -> list[Logged]:
        """Return the events of one aggregate, or of all of a service, in order."""
        return self._matching([f"nexus.events.{service or self.service}.{aggregate}.>"], after, until)[:limit]

    async def last(self, aggregate: str = "*") -> Logged | None:
        """Return the newest event of one aggregate, or of the service."""
        return next(iter(self._matching([f"nexus.events.{self.service}.{aggregate}.>"])[::-1]), None)

    async def story(self, project: str, *, until: int | None = None) -> list[Logged]:
        """Return everything that the log says about a project."""
        return self._matching([f"nexus.events.*.{project}.>", f"nexus.events.*.*.*.{project}"], until=until)

    async def replay(
        self, filters: Sequence[str] = ALL, *, after: int = 0, until: int | None = None
    ) -> AsyncGenerator[list[Logged]]:
        """Yield what the log holds, and end."""
        if found := self._matching(filters, after, until):
            yield found

    async def follow(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[list[Logged]]:
        """Yield every event after `after`, for ever, in whatever portions they come."""
        while True:
            grown, end = self.shelf.grown, len(self.shelf.events)
            if found := self._matching(filters, after, end):
                yield found
            after = max(after, end)
            if len(self.shelf.events) == end:
                grown.clear()
                await grown.wait()

    async def tail(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[Logged]:
        """Yield every event after `after`, for ever."""
        async for events in self.follow(filters=filters, after=after):
            for event in events:
                yield event

    def _matching(self, filters: Sequence[str], after: int = 0, until: int | None = None) -> list[Logged]:
        return [event for event in self.shelf.events[after:until] if any(_matches(event.subject, f) for f in filters)]


def _matches(subject: str, pattern: str) -> bool:
    tokens, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">":
        tokens, wanted = tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else [], wanted[:-1]
    return len(tokens) == len(wanted) and all(w in ("*", t) for t, w in zip(tokens, wanted, strict=True))


class MemorySnapshots:
    """`Snapshots` without a server."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def save(self, name: str, snapshot: Snapshot) -> None:
        """Keep this one instead of the one before."""
        self.kept[name] = to_json(snapshot)

    async def load(self, name: str) -> Snapshot | None:
        """Return the newest one."""
        return Snapshot(**from_json(self.kept[name])) if name in self.kept else None
