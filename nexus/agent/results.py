"""How an attempt ended, as the message that says so."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from contracts.agents import TaskResult
from contracts.base import INLINE_LIMIT
from contracts.coordinator import ErrorInfo
from contracts.envelope import CloudEvent, encode
from nexus.agent.artifacts import ArtifactMissing, Artifacts
from nexus.agent.job import LONGEST_MESSAGE, Job, TaskFailed
from nexus.agent.memory import Letter

ROOM = 2_000  # bytes of a result beside its output
PAUSE = 0.5  # seconds between attempts while the server is away

log = logging.getLogger("nexus.agent")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: done with an output, or failed with an error."""

    output: Mapping[str, Any] = field(default_factory=dict)
    error: ErrorInfo | None = None

    @classmethod
    def of(cls, value: Any) -> "Ending":
        """Return the ending of a handler that returned `value`."""
        match value:
            case None:
                return cls()
            case Mapping():
                return cls(value)
            case BaseModel():
                return cls(value.model_dump(mode="json"))
        raise TaskFailed(
            f"the handler returned {type(value).__name__}; an output is a mapping, a pydantic model, or None",
            code="invalid_output",
            retryable=False,
        )

    @classmethod
    def failed(cls, error: BaseException) -> "Ending":
        """Return the ending of a handler that raised; only it knows better than that trying again may help."""
        if isinstance(error, TaskFailed):
            return cls(error=error.info())
        name = type(error).__qualname__
        return cls(error=ErrorInfo(message=f"{name}: {error}"[:LONGEST_MESSAGE], code=name))


@dataclass(frozen=True, slots=True)
class Told:
    """What a result says beside how the attempt ended."""

    agent: str
    job: Job
    seconds: float
    origin: CloudEvent
    """The assignment that it answers."""
    traceparent: str | None


async def letter_of(told: Told, ending: Ending, artifacts: Artifacts) -> Letter:
    """Write the result; an output too large to travel goes to the object store first."""
    try:
        letter = _letter(told, ending)
        if len(letter.payload) <= INLINE_LIMIT:
            return letter
        return _letter(told, Ending(await _moved(told.job, ending.output, artifacts)))
    except PydanticSerializationError as error:
        return _letter(told, _refused(f"the output cannot be written as JSON: {error}", "invalid_output"))
    except ArtifactMissing as error:
        return _letter(told, Ending(error=ErrorInfo(message=str(error), code="no_object_store")))


def _refused(message: str, code: str) -> Ending:
    return Ending(error=ErrorInfo(message=message[:LONGEST_MESSAGE], code=code, retryable=False))


async def _moved(job: Job, output: Mapping[str, Any], artifacts: Artifacts) -> dict[str, Any]:
    content = await asyncio.to_thread(to_json, output, inf_nan_mode="constants")
    name = f"{job.project}/{job.task}/{job.attempt}/output.{job.kind}.json"
    while True:
        try:
            return await artifacts.put_output(name, content)
        except (NatsError, JetStreamError, TimeoutError, OSError) as error:
            if isinstance(error, ArtifactMissing):
                raise
            log.warning("%s: its output waits for the object store: %r", job.id, error)
            await asyncio.sleep(PAUSE)


def _letter(told: Told, ending: Ending) -> Letter:
    job = told.job
    identity = f"{job.id}.{job.kind}"
    data: dict[str, Any] = {
        "agent": told.agent,
        "attempt": job.attempt,
        "lease": job.lease,
        "epoch": job.epoch,
        "status": "failed" if ending.error else "done",
        "output": ending.output,
        "seconds": round(told.seconds, 6),
        "kind": job.kind,
    }
    if ending.error:
        data["error"] = ending.error
    event = CloudEvent(
        id=identity,
        type=TaskResult.TYPE,
        source=f"nexus/agents/{told.agent}",
        subject=job.task,
        time=datetime.now(UTC),
        data=data,
        project=job.project,
        causationid=told.origin.id,
        correlationid=told.origin.correlationid or job.project,
        traceparent=told.traceparent,
    )
    return Letter(f"nexus.results.{job.project}.{job.task}", encode(event), identity, told.traceparent)
