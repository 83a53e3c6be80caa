"""The CloudEvents 1.0 envelope: written as structured JSON, read in every form that people send.

Specification: CloudEvents 1.0.2 and its NATS binding. What a plain publisher leaves out is filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from pydantic_core import from_json, to_json

CONTENT_TYPE = "application/cloudevents+json"
ATTRIBUTES = ("id", "type", "source", "subject", "time")
EXTENSIONS = ("project", "causationid", "correlationid", "traceparent", "sequence", "actor", "idempotencykey")


class Malformed(ValueError):
    """A message cannot be understood: it is no JSON, or no CloudEvent. Sending the same again will not help."""


@dataclass(slots=True)
class CloudEvent:
    """One message with what is known about it. `data` is a JSON value."""

    id: str
    type: str
    source: str
    subject: str
    data: Any
    time: datetime | None = None
    project: str | None = None
    causationid: str | None = None
    correlationid: str | None = None
    traceparent: str | None = None
    sequence: str | None = None
    actor: str | None = None
    idempotencykey: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)


def encode(event: CloudEvent) -> bytes:
    """Return the structured JSON form."""
    body: dict[str, Any] = {"specversion": "1.0", "id": event.id, "type": event.type, "source": event.source}
    if event.subject:
        body["subject"] = event.subject
    if event.time is not None:
        body["time"] = event.time
    for name in EXTENSIONS:
        value = getattr(event, name)
        if value is not None:
            body[name] = value
    if event.extensions:
        body |= event.extensions
    body["datacontenttype"] = "application/json"
    body["data"] = event.data
    return to_json(body, inf_nan_mode="constants")


def decode(
    payload: bytes, headers: Mapping[str, str] | None = None, *, subject: str = "", position: int | None = None
) -> CloudEvent:
    """Read structured JSON, binary (`ce-*` headers) or plain JSON; raise `Malformed` with the place and the reason.

    `subject` is the NATS subject and `position` the stream sequence: they stand in for what a plain message lacks.
    """
    lower = {name.lower(): value for name, value in headers.items()} if headers else {}
    content_type = lower.get("content-type", "").lower()
    if not content_type.startswith("application/cloudevents") and any(name.startswith("ce-") for name in lower):
        return _binary(payload, lower, subject, position)
    body = _json(payload, subject)
    if isinstance(body, dict) and "specversion" in body:
        return _structured(body, lower, subject, position)
    if content_type.startswith("application/cloudevents"):
        raise Malformed(f"{subject}: content type says CloudEvents, but the attribute specversion is missing")
    return _event({}, body, lower, subject, position)


def _structured(body: dict[str, Any], headers: Mapping[str, str], subject: str, position: int | None) -> CloudEvent:
    if body.get("specversion") != "1.0":
        raise Malformed(f"{subject}: specversion is {body.get('specversion')!r}, understood is '1.0'")
    attributes = {name: value for name, value in body.items() if name not in ("data", "data_base64", "specversion")}
    if "data_base64" in body:
        raise Malformed(f"{subject}: data_base64 is not understood here, send JSON in data")
    return _event(attributes, body.get("data"), headers, subject, position)


def _binary(payload: bytes, headers: Mapping[str, str], subject: str, position: int | None) -> CloudEvent:
    attributes = {name[3:]: _header_value(value) for name, value in headers.items() if name.startswith("ce-")}
    version = attributes.pop("specversion", "1.0")
    if version != "1.0":
        raise Malformed(f"{subject}: ce-specversion is {version!r}, understood is '1.0'")
    return _event(attributes, _json(payload, subject), headers, subject, position)


def _event(
    attributes: dict[str, Any], data: Any, headers: Mapping[str, str], subject: str, position: int | None
) -> CloudEvent:
    attributes.pop("datacontenttype", None)
    for name in (*ATTRIBUTES, *EXTENSIONS):
        if not isinstance(attributes.get(name, ""), str):
            raise Malformed(f"{subject}: attribute {name} must be a string, not {attributes[name]!r}")
    known = {name: attributes.pop(name, None) for name in EXTENSIONS}
    known["traceparent"] = headers.get("traceparent") or known["traceparent"]
    return CloudEvent(
        id=attributes.pop("id", None) or headers.get("nats-msg-id") or _made_up_id(subject, position),
        type=attributes.pop("type", None) or subject,
        source=attributes.pop("source", None) or "anonymous",
        subject=attributes.pop("subject", None) or "",
        time=_time(attributes.pop("time", None), subject),
        data=data,
        extensions=attributes,
        **known,
    )


def _made_up_id(subject: str, position: int | None) -> str:
    if position is None:
        raise Malformed(f"{subject}: the message has no id, no Nats-Msg-Id header and no place in a stream")
    return f"seq-{position}"


def _time(text: str | None, subject: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{subject}: time {text!r} is not RFC 3339") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _json(payload: bytes, subject: str) -> Any:
    if not payload:
        return {}
    try:
        return from_json(payload)
    except ValueError as error:
        raise Malformed(f"{subject}: not JSON: {error}") from error


def _header_value(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise Malformed(f"header value {text!r} is not percent-encoded UTF-8") from error
