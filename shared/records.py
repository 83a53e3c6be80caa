"""What an event log keeps, and what every event log can do."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from eventsourcing.persistence import Notification, StoredEvent

ALL = ("nexus.events.>",)
OURS = re.compile(rb"NATS/1\.0\r\nNats-Msg-Id: ([^\r]*)\r\nNexus-Topic: ([^\r]*)\r\nNexus-Version: (\d+)\r\n")


@dataclass(frozen=True)
class Record(StoredEvent):
    """An event on its way into the log. `id` is unique: it is how a lost acknowledgement is settled."""

    id: str
    project: str | None = None
    """The project it belongs to, where the aggregate is not the project itself."""
    traceparent: str | None = None


@dataclass(frozen=True)
class Logged(Notification):
    """An event as it lies in the log; `id` is its place there, the sequence of the stream."""

    message_id: str = ""
    subject: str = ""

    @classmethod
    def of(cls, subject: str, headers: Mapping[str, str] | None, payload: bytes, sequence: int) -> Self:
        """Read a message of the log."""
        known = headers or {}
        return cls(
            originator_id=subject.split(".", 4)[3],
            originator_version=int(known.get("Nexus-Version", 0)),
            topic=known.get("Nexus-Topic", ""),
            state=payload,
            id=sequence,
            message_id=known.get("Nats-Msg-Id", ""),
            subject=subject,
        )

    @classmethod
    def parsed(cls, subject: str, head: bytes, payload: bytes, sequence: int) -> Self:
        """Read a message of the log from what came over the wire; fast for what an `EventLog` wrote."""
        if ours := OURS.match(head):
            identity, topic, version = ours.groups()
            return cls(
                subject.split(".", 4)[3], int(version), topic.decode(), payload, sequence, identity.decode(), subject
            )
        lines = (line.partition(":") for line in head.decode().split("\r\n")[1:] if line)
        return cls.of(subject, {name: value.strip() for name, _, value in lines}, payload, sequence)

    @property
    def sequence(self) -> int:
        """Its place in the log."""
        return self.id

    @property
    def key(self) -> str:
        """The aggregate that stated it."""
        return str(self.originator_id)

    @property
    def service(self) -> str:
        """The service that stated it."""
        return self.subject.split(".", 3)[2]

    @property
    def project(self) -> str | None:
        """The trailing project token, where there is one."""
        tokens = self.subject.split(".")
        return tokens[5] if len(tokens) > 5 else None


class Log(Protocol):
    """What the log on JetStream and the log of a test have in common."""

    async def append(self, records: Sequence[Record], *, seen: Mapping[str, int]) -> int:
        """Append all or nothing, if nothing followed `seen` on these aggregates; return the last sequence."""

    async def read(
        self,
        aggregate: str = "*",
        *,
        service: str | None = None,
        after: int = 0,
        until: int | None = None,
        limit: int | None = None,
    ) -> list[Logged]:
        """Return the events of one aggregate, or of all of a service, in the order of the log."""

    async def last(self, aggregate: str = "*") -> Logged | None:
        """Return the newest event of one aggregate, or of the service."""

    async def story(self, project: str, *, until: int | None = None) -> list[Logged]:
        """Return everything that the log says about a project."""

    def replay(
        self, filters: Sequence[str] = ALL, *, after: int = 0, until: int | None = None
    ) -> AsyncGenerator[list[Logged]]:
        """Yield what the log holds, fast and in large portions, and end."""

    def follow(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[list[Logged]]:
        """Yield every event after `after`, for ever, in whatever portions they come."""

    def tail(self, *, filters: Sequence[str] = ALL, after: int = 0) -> AsyncGenerator[Logged]:
        """Yield every event after `after`, for ever."""
