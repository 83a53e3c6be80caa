"""The AsyncAPI 3.0 document: every subject, who sends what on it, described from the view of the Nexus system."""

from typing import Any

from contracts import agents, coordinator, metrics, planner, resource_manager
from contracts.base import COMMANDS, EVENTS, Command, Event, wire_type

SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
PARAMETERS = {
    "project": "Id of a project, such as `shop-7f3k9c`.",
    "task": "Id of a task of the project's plan.",
    "name": "Name of the signal; a sync point of that name is reached.",
    "aggregate": "Who stated it: a project, a pool, a protocol or a rule.",
    "agent": "Name of an agent.",
    "command": "Id of the command, or half of its sha256 where it is not of the form `[A-Za-z0-9_-]{1,64}`.",
    "subject": "The subject that the message was sent to.",
}


OURS = frozenset(module.__name__ for module in (coordinator, metrics, planner, resource_manager))
"""A registry also knows what others, such as tests, define for themselves."""


def document() -> dict[str, Any]:
    """Return the whole document."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for address, name, action, summary, reply in _rows():
        _add(channels, operations, messages, address, name, action, summary, reply)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Nexus",
            "version": "1.0.0",
            "description": "Each message is a CloudEvent in JSON; commands, results and signals may be plain JSON too.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {"nats": {"host": "localhost:4222", "protocol": "nats", "description": "NATS with JetStream"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _rows() -> list[tuple[str, str, str, str, str | None]]:
    """Address, message type, action, summary, address of the answer."""
    rows: list[tuple[str, str, str, str, str | None]] = []
    for subject, command in sorted(COMMANDS.items()):
        if command.__module__ not in OURS:
            continue
        rows.append((subject, wire_type(command), "receive", _first(command), "nexus.outcomes.{command}"))
    for _, event in sorted(EVENTS.items()):
        if event.__module__ not in OURS:
            continue
        tail = ".{project}" if "project" in event.model_fields else ""
        address = f"nexus.events.{event.SERVICE}.{{aggregate}}.{event.NAME}{tail}"
        rows.append((address, wire_type(event), "send", _first(event), None))
    rows += [
        (
            "nexus.signals.{project}.{name}",
            "nexus.signal",
            "receive",
            "Anything from outside that a project waits for.",
            None,
        ),
        ("nexus.results.{project}.{task}", agents.TaskResult.TYPE, "receive", _first(agents.TaskResult), None),
        ("nexus.agents.{agent}.hello", agents.Beat.TYPE, "receive", "An agent begins.", None),
        ("nexus.agents.{agent}.beat", agents.Beat.TYPE, "receive", "An agent is alive.", None),
        ("nexus.agents.{agent}.bye", agents.Beat.TYPE, "receive", "An agent ends.", None),
        ("nexus.tasks.{agent}", agents.Assignment.TYPE, "send", _first(agents.Assignment), None),
        ("nexus.tasks.{agent}", agents.Withdrawal.TYPE, "send", _first(agents.Withdrawal), None),
        ("nexus.outcomes.{command}", "nexus.outcome", "send", "The answer to a command.", None),
        (
            "nexus.dead.{subject}",
            "nexus.dead",
            "send",
            "A message that could not be handled, as it was; why is in headers.",
            None,
        ),
    ]
    return rows


def _add(
    channels: dict[str, Any],
    operations: dict[str, Any],
    messages: dict[str, Any],
    address: str,
    name: str,
    action: str,
    summary: str,
    reply: str | None,
) -> None:
    channel_id, message_id = _identifier(address), _identifier(name)
    channel = channels.setdefault(channel_id, {"address": address, "messages": {}, **_parameters(address)})
    channel["messages"][message_id] = {"$ref": f"#/components/messages/{message_id}"}
    messages.setdefault(message_id, _message(name, summary))
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel_id}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel_id}/messages/{message_id}"}],
    }
    if reply:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{_identifier(reply)}"}}
    operations[f"{action}_{channel_id}_{message_id}"] = operation


def _message(name: str, summary: str) -> dict[str, Any]:
    data = {} if name in ("nexus.signal", "nexus.dead") else {"data": {"$ref": f"./schemas/{name}.json"}}
    return {
        "name": name,
        "summary": summary,
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {
                "allOf": [{"$ref": "./schemas/cloudevent.json"}],
                "properties": {"type": {"const": name}, **data} if data else {},
            },
        },
    }


def _parameters(address: str) -> dict[str, Any]:
    names = [part[1:-1] for part in address.split(".") if part.startswith("{")]
    return {"parameters": {name: {"description": PARAMETERS[name]} for name in names}} if names else {}


def _identifier(text: str) -> str:
    return text.replace("{", "").replace("}", "").replace(".", "_").replace("-", "_")


def _first(message: type[Command] | type[Event] | type) -> str:
    return (message.__doc__ or "").strip().splitlines()[0]
