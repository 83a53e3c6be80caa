"""Outcomes: each command is answered once, on a subject made of its id; the same id is told the same again."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from nats.aio.client import Client
from pydantic_core import from_json

from contracts.envelope import CloudEvent
from contracts.outcomes import Outcome, Problem
from shared.publisher import Publisher
from shared.streams import OUTCOMES

OUTCOME_TYPE = "nexus.outcome"
PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handler's answer: where in the log its effect stands, and what the caller needs to go on."""

    sequence: int | None = None
    result: dict[str, Any] = field(default_factory=dict)


def token(identity: str) -> str:
    """Return an id as one token of a subject: itself where it is one, else a part of its hash."""
    if PLAIN.fullmatch(identity):
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def outcome_subject(command_id: str) -> str:
    """Return where the outcome of a command is told."""
    return f"nexus.outcomes.{token(command_id)}"


def accepted(command_id: str, answer: Accepted | None, warnings: tuple[Problem, ...] = ()) -> Outcome:
    """Return the outcome of a command that was carried out."""
    done = answer or Accepted()
    return Outcome(command=command_id, status="accepted", sequence=done.sequence, result=done.result, warnings=warnings)


def refused(command_id: str, code: str, message: str, problems: tuple[Problem, ...] = ()) -> Outcome:
    """Return the outcome of a command that was not carried out and never will be."""
    return Outcome(command=command_id, status="refused", code=code, message=message, problems=problems)


async def answer(publisher: Publisher, service: str, outcome: Outcome, *, traceparent: str | None = None) -> int:
    """Tell what became of a command."""
    event = CloudEvent(
        id=uuid4().hex,
        type=OUTCOME_TYPE,
        source=f"nexus/{service}",
        subject=outcome.command,
        data=outcome.model_dump(mode="json", exclude_defaults=True),
        causationid=outcome.command,
        traceparent=traceparent,
    )
    return await publisher.publish(outcome_subject(outcome.command), event)


async def known(nc: Client, command_id: str) -> Outcome | None:
    """Return what was told about a command within the last hour."""
    found = await nc.request(f"$JS.API.DIRECT.GET.{OUTCOMES}.{outcome_subject(command_id)}", b"", timeout=2)
    if not found.data:
        return None
    return Outcome.model_validate(from_json(found.data)["data"])
