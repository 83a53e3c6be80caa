"""Event <-> what the log keeps of it: a CloudEvent in JSON that any program can read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from os import urandom
from typing import Any, NotRequired, Self

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from typing_extensions import TypedDict

from contracts.base import Event, event_class, wire_type
from contracts.envelope import CloudEvent
from shared.records import Logged, Record


class UnreadableEvent(Exception):
    """The log holds an event that this program does not understand."""


@dataclass(frozen=True)
class Origin:
    """Where a decision comes from: it goes into the envelope of each event that follows from it."""

    causationid: str | None = None
    correlationid: str | None = None
    traceparent: str | None = None
    actor: str | None = None
    once: str | None = None
    """The idempotency key to remember: whatever carries it again has no further effect."""

    @classmethod
    def of(cls, ce: CloudEvent, once: bool = False) -> Self:
        """Decide because of this message; with `once`, at most once."""
        return cls(
            causationid=ce.id,
            correlationid=ce.correlationid or ce.project or ce.id,
            traceparent=ce.traceparent,
            actor=ce.actor,
            once=(ce.idempotencykey or ce.id) if once else None,
        )


NOWHERE = Origin()


class EventMapper:
    """Writes and reads the events of aggregates."""

    def __init__(self, *, key_is_project: bool = False) -> None:
        self._key_is_project = key_is_project

    def to_record(self, event: Event, aggregate_id: str, version: int, origin: Origin | None = None) -> Record:
        """Wrap an event for the log."""
        kind, origin, identity = type(event), origin or NOWHERE, urandom(16).hex()
        constants, has_project = _constants(kind)
        about: str | None = event.project if has_project else None  # type: ignore[attr-defined]  # `has_project` says so
        body = constants | {
            "id": identity,
            "subject": aggregate_id,
            "time": event.at,
            "sequence": f"{version:010}",
        }
        if project := aggregate_id if self._key_is_project else about:
            body["project"] = project
        for name in ("causationid", "correlationid", "traceparent", "actor"):
            if value := getattr(origin, name):
                body[name] = value
        if origin.once:
            body["idempotencykey"] = origin.once
        # Field by field, what `contracts.envelope.encode` would write, in half the time.
        data = event.__pydantic_serializer__.to_json(event, exclude_defaults=True)
        return Record(
            originator_id=aggregate_id,
            originator_version=version,
            topic=kind.TOPIC,
            state=b'%b,"data":%b}' % (to_json(body)[:-1], data),
            id=identity,
            project=None if self._key_is_project else about,
            traceparent=origin.traceparent,
        )

    def to_event(self, logged: Logged) -> Event:
        """Read an event of the log as today's code knows it."""
        return self.unpack(logged)[0]

    def unpack(self, logged: Logged) -> tuple[Event, str | None]:
        """Read an event and the idempotency key of what caused it."""
        kind = _known(logged.topic, logged.id)
        try:
            if kind.VERSION == 1:
                envelope = _reader(kind).validate_json(logged.state)
                if envelope.get("dataversion", 1) == 1:
                    return envelope["data"], envelope.get("idempotencykey")
            body = from_json(logged.state)
            version = body.get("dataversion", 1)
            return typed(logged.topic, body.get("data"), version, logged.id), body.get("idempotencykey")
        except ValueError as error:
            raise UnreadableEvent(f"{logged.topic} at sequence {logged.id}: {error}") from error


def typed(topic: str, data: Any, version: int = 1, sequence: int | None = None) -> Event:
    """Build the event of this topic from the `data` of its envelope, upcast to today's version."""
    kind = _known(topic, sequence)
    place = f"{topic} at sequence {sequence}"
    if version > kind.VERSION:
        raise UnreadableEvent(f"{place} has version {version}; this program knows versions up to {kind.VERSION}")
    for older in range(version, kind.VERSION):
        upcast = getattr(kind, f"upcast_v{older}_v{older + 1}", None)
        if upcast is None:
            raise UnreadableEvent(f"{place} has version {version}; {kind.__name__} lacks upcast_v{older}_v{older + 1}")
        data = upcast(data)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise UnreadableEvent(f"{place}: {error}") from error


def _known(topic: str, sequence: int | None) -> type[Event]:
    try:
        return event_class(topic)
    except KeyError:
        raise UnreadableEvent(f"unknown topic {topic!r} at sequence {sequence}") from None


@cache
def _constants(kind: type[Event]) -> tuple[dict[str, Any], bool]:
    """Return what all envelopes of this kind have in common, and whether the event names a project."""
    common: dict[str, Any] = {
        "specversion": "1.0",
        "type": wire_type(kind),
        "source": f"nexus/{kind.SERVICE}",
        "datacontenttype": "application/json",
    }
    if kind.VERSION > 1:
        common["dataversion"] = kind.VERSION
    return common, "project" in kind.model_fields


@cache
def _reader(kind: type[Event]) -> TypeAdapter[Any]:
    """One pass from bytes to the typed event, without Python objects in between."""
    return TypeAdapter(
        TypedDict(  # type: ignore[operator]  # made at run time
            f"{kind.__name__}Envelope",
            {"data": kind, "dataversion": NotRequired[int], "idempotencykey": NotRequired[str | None]},
        )
    )
