"""What the resource manager does about the coordinator's facts."""

from collections import defaultdict
from contextlib import ExitStack

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from contracts.coordinator import ENDED, CapacityRequest
from services.resource_manager.allocator import Allocator, patiently
from services.resource_manager.domain import Heard
from services.resource_manager.domain.state import parts
from services.resource_manager.origins import Origins
from shared import telemetry
from shared.incoming import Incoming
from shared.mapper import Origin

FACTS = ("nexus.events.coordinator.*.*",)
"""All of the coordinator's facts: any may ask for capacity or release it, also one that does not exist yet."""
DURABLE = "resource_manager-requests"
ENDINGS = frozenset(event.NAME for event in ENDED)


class Wanted(TypedDict, total=False):
    """The part of a fact that concerns capacity: a plan of a thousand tasks is not looked at."""

    requested: tuple[CapacityRequest, ...]
    released: tuple[str, ...]


_wanted = TypeAdapter(Wanted)


class Policies:
    """Reactions; each may be delivered again, and in any order."""

    def __init__(self, allocator: Allocator, origins: Origins) -> None:
        self._allocator, self._origins = allocator, origins

    async def hear(self, batch: list[Incoming]) -> None:
        """Give and take back what the facts ask for, all in one decision."""
        heard, said = [], defaultdict[str, list[Incoming]](list)
        for message in batch:
            try:
                one = understood(message)
            except ValueError as error:  # not JSON, or no request as the contract has it
                message.fail(error)
                continue
            if one:
                heard.append(one)
                said[one.project].append(message)
        if heard:
            with ExitStack() as spans:
                for project, messages in said.items():
                    span = spans.enter_context(telemetry.processing(messages, durable=DURABLE))
                    self._origins.note(project, Origin(messages[0].id, project, span.traceparent))
                await patiently(lambda: self._allocator.answer(heard))


def understood(message: Incoming) -> Heard | None:
    """Return what a fact means for capacity; None if nothing."""
    project, name = message.subject.split(".")[3:5]
    ended = name in ENDINGS
    data = message.ce.data
    if not isinstance(data, dict) or not (ended or data.get("requested") or data.get("released")):
        return None
    wanted = _wanted.validate_python({key: data[key] for key in Wanted.__annotations__ if key in data})
    requested, released = wanted.get("requested", ()), wanted.get("released", ())
    for one in (*(request.id for request in requested), *released):
        parts(one)
    return Heard(project, requested, released, ended, message.position)
