"""Sending a command, and hearing what became of it.

CommandError
  Refused          it was not carried out, and never will be
  OutcomeUnknown   nothing was heard in time; sending it again with the same id is safe
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic_core import from_json

from contracts.base import INLINE_LIMIT, Command, wire_type
from contracts.envelope import CloudEvent
from contracts.outcomes import Outcome, Problem
from shared import telemetry
from shared.outcomes import known, outcome_subject
from shared.publisher import PayloadTooLarge, Publisher, envelope

LOOKS = (0.1, 0.4, 1.0)
"""Seconds between two looks for an outcome that was told while nobody listened."""
AGAIN = 3.0
"""Seconds without an outcome after which the command is sent once more: it may have been told and forgotten."""


class CommandError(Exception):
    """A command did not lead to an accepted outcome."""


class Refused(CommandError):
    """A command was refused."""

    def __init__(self, outcome: Outcome) -> None:
        found = "".join(f"\n  {problem.pointer or '/'}: {problem.message}" for problem in outcome.problems)
        super().__init__(f"{outcome.message or outcome.code}{found}")
        self.outcome = outcome

    @property
    def code(self) -> str:
        """A word for programs."""
        return self.outcome.code

    @property
    def message(self) -> str:
        """A sentence for people."""
        return self.outcome.message

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the input, one entry per error."""
        return self.outcome.problems


class OutcomeUnknown(CommandError):
    """Nothing was heard of a command in time."""

    def __init__(self, command_id: str, seconds: float, *, stored: bool) -> None:
        what = (
            "It is stored, and will be carried out when its service is back."
            if stored
            else "It is not known to be stored: is Nexus running on this server?"
        )
        super().__init__(
            f"no outcome of command {command_id} within {seconds:g} s. {what} "
            f"Sending it again with the same id ({command_id}) is safe: it takes effect once."
        )
        self.command_id = command_id


class Sender:
    """Sends commands over one connection."""

    def __init__(self, nc: Client, publisher: Publisher, actor: str | None) -> None:
        self._nc, self._publisher, self._actor = nc, publisher, actor

    async def send(
        self,
        command: Command,
        identity: str | None,
        actor: str | None,
        seconds: float,
        traceparent: str | None = None,
    ) -> Outcome:
        """Publish a command and wait for its outcome; `traceparent`: a trace to go on with, if none is open here."""
        event = CloudEvent(
            id=identity or uuid4().hex,
            type=wire_type(type(command)),
            source="nexus/client",
            subject=getattr(command, "project", ""),
            time=datetime.now(UTC),
            data=command.model_dump(mode="json", exclude_defaults=True),
            project=getattr(command, "project", None),
            traceparent=telemetry.current_traceparent() or traceparent,
            actor=actor or self._actor,
        )
        check_size(event)
        attempt = _Attempt(self._nc, self._publisher, command.SUBJECT, event)
        try:
            async with asyncio.timeout(seconds):
                outcome = await attempt.run()
        except (TimeoutError, OperationalError) as error:
            raise OutcomeUnknown(event.id, seconds, stored=attempt.stored) from error
        if outcome.status == "refused":
            raise Refused(outcome)
        return outcome


class _Attempt:
    """One command on its way."""

    def __init__(self, nc: Client, publisher: Publisher, subject: str, event: CloudEvent) -> None:
        self._nc, self._publisher, self._subject, self._event = nc, publisher, subject, event
        self._heard: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.stored = False

    async def run(self) -> Outcome:
        """Listen first, then publish, then wait."""
        subscription = await self._nc.subscribe(outcome_subject(self._event.id), cb=self._hear)
        try:
            await self._publisher.publish(self._subject, self._event)
            self.stored = True
            return await self._wait()
        finally:
            if not self._nc.is_closed:
                await subscription.unsubscribe()

    async def _wait(self) -> Outcome:
        loop = asyncio.get_running_loop()
        began, looks = loop.time(), 0
        while True:
            pause = LOOKS[min(looks, len(LOOKS) - 1)]
            await asyncio.wait([self._heard], timeout=pause)
            if self._heard.done():
                return self._heard.result()
            looks += 1
            with suppress(NatsError, TimeoutError):
                if told := await known(self._nc, self._event.id):
                    return told
            if looks >= len(LOOKS) and loop.time() - began > AGAIN:
                await self._send_again()
                began = float("inf")

    async def _send_again(self) -> None:
        payload, headers = envelope(self._event, self._event.traceparent)
        # Under another name for the stream, which would drop it; its service knows it by the id inside.
        await self._publisher.store(self._subject, payload, headers | {"Nats-Msg-Id": f"{self._event.id}.again"})

    async def _hear(self, msg: Msg) -> None:
        if not self._heard.done():
            self._heard.set_result(Outcome.model_validate(from_json(msg.data)["data"]))


def check_size(event: CloudEvent) -> None:
    """Refuse what is too large to travel, before it is sent."""
    size = len(envelope(event, None)[0])
    if size > INLINE_LIMIT:
        raise PayloadTooLarge(
            f"{event.type} has {size:,} bytes; at most {INLINE_LIMIT:,} travel in a message. "
            "Put what is large into the object store and send a reference to it."
        )


__all__ = ["CommandError", "OutcomeUnknown", "PayloadTooLarge", "Refused", "Sender", "check_size"]
