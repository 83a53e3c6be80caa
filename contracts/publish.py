"""Writes the contracts down for other languages: `python -m contracts.publish`.

`schemas/<type>.json` (JSON Schema 2020-12, one per message), `examples/<type>.json` (one golden message each) and
`asyncapi.yaml` (AsyncAPI 3.0).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import from_json

from contracts import samples
from contracts.asyncapi import document
from contracts.base import Command, Event, Message, wire_type
from contracts.envelope import EXTENSIONS, CloudEvent, encode

HERE = Path(__file__).parent
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def files() -> dict[str, str]:
    """Return everything that is generated: path below `contracts/` to text."""
    found: dict[str, str] = {"schemas/cloudevent.json": _text(envelope_schema())}
    for subject, name, message, event in messages():
        found[f"schemas/{name}.json"] = _text(schema(type(message), name))
        found[f"examples/{name}.json"] = _text({"subject": subject, "message": from_json(encode(event))})
    found["asyncapi.yaml"] = yaml.safe_dump(document(), sort_keys=False, width=120, allow_unicode=True)
    return found


def messages() -> Iterator[tuple[str, str, Message, CloudEvent]]:
    """Yield the sample of each message: subject, type, message, and its envelope."""
    for command in samples.COMMANDS:
        yield command.SUBJECT, wire_type(type(command)), command, _enveloped(command, "", "shop-admin")
    for n, (aggregate, event) in enumerate(samples.EVENTS, 1):
        yield _event_subject(aggregate, event), wire_type(type(event)), event, _enveloped(event, aggregate, "", n)
    for subject, kind, message in samples.OTHERS:
        yield subject, kind, message, _enveloped(message, "", "", kind=kind)


def schema(message: type[Message], name: str) -> dict[str, Any]:
    """Return the JSON Schema of a message's `data`."""
    body = message.model_json_schema(mode="validation")
    return {"$schema": DIALECT, "$id": f"urn:nexus:schema:{name}", **body}


def envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema of the envelope in which every message travels."""
    return {
        "$schema": DIALECT,
        "$id": "urn:nexus:schema:cloudevent",
        "title": "CloudEvent",
        "description": "CloudEvents 1.0 in structured JSON, with the extensions that Nexus uses.",
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type", "subject")},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            **{name: {"type": "string"} for name in EXTENSIONS},
            "data": True,
        },
        "additionalProperties": True,
    }


def _event_subject(aggregate: str, event: Event) -> str:
    subject = f"nexus.events.{event.SERVICE}.{aggregate}.{event.NAME}"
    project = getattr(event, "project", None)
    return f"{subject}.{project}" if project else subject


def _enveloped(message: Message, aggregate: str, actor: str, sequence: int = 0, kind: str = "") -> CloudEvent:
    named = message if isinstance(message, Command | Event) else None
    name = kind or wire_type(type(named))  # type: ignore[arg-type]  # without a kind it is one of these
    return CloudEvent(
        id=f"{name.rpartition('.')[2].replace('_', '-')}-1",
        type=name,
        source=f"nexus/{named.SERVICE}" if isinstance(named, Event) else "shop",
        subject=aggregate,
        time=samples.AT,
        project=samples.SHOP,
        correlationid=samples.SHOP,
        causationid="create-shop-1" if isinstance(named, Event) else None,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        sequence=f"{sequence:010}" if sequence else None,
        actor=actor or None,
        data=message.model_dump(mode="json", exclude_defaults=True),
    )


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = HERE) -> None:
    """Write everything, and remove what is no longer generated."""
    wanted = files()
    for old in [*folder.glob("schemas/*.json"), *folder.glob("examples/*.json")]:
        if str(old.relative_to(folder)) not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
