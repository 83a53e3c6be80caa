"""What the log says, as a person or a program outside reads it: entries, and stories of projects as JSON Lines."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic_core import from_json, to_json

from contracts.base import Event
from nexus.view import ProjectView
from shared.mapper import EventMapper, UnreadableEvent
from shared.records import Logged, Record

KEYED_BY_PROJECT = ("planner.project.", "coordinator.execution.")

_mapper = EventMapper()


class BrokenStory(ValueError):
    """A file does not hold the story of a project."""


@dataclass(frozen=True)
class Entry:
    """One event of the log."""

    logged: Logged
    """As it lies there."""

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """The CloudEvent around it."""
        found: dict[str, Any] = from_json(self.logged.state)
        return found

    @cached_property
    def event(self) -> Event | None:
        """The event as today's code knows it; None if it does not."""
        try:
            return _mapper.to_event(self.logged)
        except UnreadableEvent:
            return None

    @property
    def sequence(self) -> int:
        """Its place in the log."""
        return self.logged.sequence

    @property
    def topic(self) -> str:
        """`<service>.<aggregate>.<event>`."""
        return self.logged.topic

    @property
    def service(self) -> str:
        return self.logged.service

    @property
    def name(self) -> str:
        """What happened."""
        return self.topic.rpartition(".")[2]

    @property
    def project(self) -> str | None:
        """The project that it belongs to, if it belongs to one."""
        keyed = self.topic.startswith(KEYED_BY_PROJECT)
        return self.logged.key if keyed else self.logged.project

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = self.envelope.get("data") or {}
        return found

    @property
    def at(self) -> datetime:
        """When it was decided."""
        return datetime.fromisoformat(self.envelope["time"])

    @property
    def actor(self) -> str | None:
        """Who asked for it."""
        return self.envelope.get("actor")

    @property
    def traceparent(self) -> str | None:
        """The trace that it belongs to."""
        return self.envelope.get("traceparent")

    def as_dict(self) -> dict[str, Any]:
        """Return what there is to show."""
        return {
            "sequence": self.sequence,
            "at": self.envelope.get("time"),
            "service": self.service,
            "event": self.name,
            "project": self.project,
            "aggregate": self.logged.key,
            "version": self.logged.originator_version,
            "actor": self.actor,
            "id": self.logged.message_id,
            "causationid": self.envelope.get("causationid"),
            "traceparent": self.traceparent,
            "data": self.data,
        }


def view_of(project: str, entries: Iterable[Entry]) -> ProjectView:
    """Fold the story of a project; what today's code does not know is passed over."""
    view = ProjectView(project)
    for entry in entries:
        if entry.event is not None:
            view.apply(entry.event, entry.sequence)
    return view


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not the same in two views."""

    path: str
    """Where, as a JSON pointer."""
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Yield what differs between two JSON values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            step = str(key).replace("~", "~0").replace("/", "~1")
            yield from differences(before.get(key), after.get(key), f"{path}/{step}")
    elif before != after:
        yield Difference(path, before, after)


def to_lines(project: str, entries: Iterable[Entry]) -> Iterator[str]:
    """Write a story as JSON Lines: one event a line, at last the state that they led to."""
    kept = []
    for entry in entries:
        kept.append(entry)
        yield to_json({"sequence": entry.sequence, "version": entry.logged.originator_version} | _line(entry)).decode()
    yield to_json({"project": project, "view": view_of(project, kept).as_dict()}).decode()


def _line(entry: Entry) -> dict[str, Any]:
    return {"subject": entry.logged.subject, "topic": entry.topic, "event": entry.envelope}


@dataclass(frozen=True, slots=True)
class Story:
    """A project as a file tells of it."""

    project: str
    entries: tuple[Entry, ...]
    view: dict[str, Any]
    """The state that it had led to where it was written."""

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Story":
        """Read what `to_lines` wrote."""
        entries, end = [], dict[str, Any]()
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                body = from_json(line)
                if "view" in body:
                    end = body
                else:
                    entries.append(_entry(body))
            except (ValueError, KeyError, TypeError) as error:
                raise BrokenStory(f"line {number} is no event of a story: {error!r}") from error
        if not entries or "project" not in end:
            raise BrokenStory("this is not the whole story of a project: its events or its last line are missing")
        return cls(end["project"], tuple(entries), end["view"])

    def replayed(self) -> ProjectView:
        """Fold it with today's code."""
        return view_of(self.project, self.entries)

    def differences(self) -> list[Difference]:
        """Return where today's code comes to another state than the code that wrote it."""
        return list(differences(self.view, from_json(to_json(self.replayed().as_dict()))))

    def records(self, service: str) -> list[Record]:
        """Return what one service stated, ready to be appended elsewhere."""
        return [_record(entry) for entry in self.entries if entry.service == service]


def _entry(body: dict[str, Any]) -> Entry:
    headers = {
        "Nexus-Topic": body["topic"],
        "Nexus-Version": str(body["version"]),
        "Nats-Msg-Id": body["event"]["id"],
    }
    return Entry(Logged.of(body["subject"], headers, to_json(body["event"]), body["sequence"]))


def _record(entry: Entry) -> Record:
    logged = entry.logged
    return Record(
        originator_id=logged.originator_id,
        originator_version=logged.originator_version,
        topic=logged.topic,
        state=logged.state,
        id=logged.message_id,
        project=logged.project,
        traceparent=entry.traceparent,
    )
