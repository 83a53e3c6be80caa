"""Publishing into streams: confirmed by the server, repeated while it is away, many at a time where there are many."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionReconnectingError, MaxPayloadError, OutboundBufferLimitError
from pydantic_core import from_json

from contracts.envelope import CONTENT_TYPE, CloudEvent, encode
from shared import telemetry

ATTEMPT = 2.0
"""Seconds to wait for one confirmation."""
PATIENCE = 15.0
"""Seconds to go on while the server is away."""
PAUSE = 0.2
LOOK_EVERY = 0.25
"""Seconds between looks at whether the connection was lost meanwhile, and confirmations with it."""
TOO_LARGE = 10054

Raw = tuple[str, bytes, dict[str, str]]
"""Subject, payload, headers."""


class PayloadTooLarge(ValueError):
    """The server takes no message of this size: put the data into the object store and send a reference."""


class _Round:
    """One attempt at publishing some messages: what is confirmed so far, and the future of the last confirmation."""

    __slots__ = ("end", "found", "missing", "reason")

    def __init__(self, missing: int) -> None:
        self.found: dict[int, int] = {}
        self.missing = missing
        self.reason = ""
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def confirm(self, number: int, sequence: int) -> None:
        self.found[number] = sequence
        self._one_less()

    def refuse(self, error: Exception) -> None:
        if not self.end.done():
            self.end.set_exception(error)

    def unsure(self, reason: str) -> None:
        self.reason = reason
        self._one_less()

    def give_up(self, reason: str) -> None:
        self.reason = reason
        if not self.end.done():
            self.end.set_result(None)

    def _one_less(self) -> None:
        self.missing -= 1
        if not self.missing and not self.end.done():
            self.end.set_result(None)


class _Watch:
    """Ends an attempt whose connection was replaced: what was confirmed on the old one is not heard any more."""

    __slots__ = ("_attempt", "_connections", "_nc", "_timer")

    def __init__(self, nc: Client, attempt: _Round) -> None:
        self._nc, self._attempt, self._connections = nc, attempt, nc.stats["reconnects"]
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        if self._nc.stats["reconnects"] != self._connections:
            self._attempt.give_up("the connection was lost")
        else:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def cancel(self) -> None:
        self._timer.cancel()


class Publisher:
    """Puts messages into streams. A message that is repeated keeps its id, so the server drops the second one."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = f"{nc.new_inbox()}."
        self._subscription: Subscription | None = None
        self._waiting: dict[str, tuple[_Round, int]] = {}
        self._count = 0

    async def publish(self, subject: str, event: CloudEvent) -> int:
        """Publish one message; return its sequence in the stream once it is stored there."""
        with telemetry.sending(subject, parent=event.traceparent, message_id=event.id, project=event.project) as sent:
            return await self.store(subject, *envelope(event, sent.traceparent))

    async def publish_all(self, messages: Iterable[tuple[str, CloudEvent]]) -> list[int]:
        """Publish all at once and wait until every one is stored; return their sequences."""
        prepared = []
        for subject, event in messages:
            # The span ends before the confirmation: what is sent together is confirmed together.
            with telemetry.sending(
                subject, parent=event.traceparent, message_id=event.id, project=event.project
            ) as sent:
                prepared.append((subject, *envelope(event, sent.traceparent)))
        return await self.store_all(prepared)

    async def store(self, subject: str, payload: bytes, headers: dict[str, str]) -> int:
        """Publish bytes with headers; `Nats-Msg-Id` makes repeating them harmless."""
        return (await self.store_all([(subject, payload, headers)]))[0]

    async def store_all(self, messages: Sequence[Raw]) -> list[int]:
        """Publish many; raise `OperationalError` when the server stays away or refuses one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        found: dict[int, int] = {}
        while len(found) < len(messages):
            missing = [number for number in range(len(messages)) if number not in found]
            reason = await self._attempt(messages, missing, found)
            if reason and loop.time() > deadline:
                raise OperationalError(f"{messages[missing[0]][0]}: {reason}")
            if reason:
                await asyncio.sleep(PAUSE)
        return [found[number] for number in range(len(messages))]

    async def _attempt(self, messages: Sequence[Raw], missing: Sequence[int], found: dict[int, int]) -> str:
        """Publish what is missing and note what is confirmed; return why something still is not."""
        attempt, replies = _Round(len(missing)), list[str]()
        watch = _Watch(self._nc, attempt)
        try:
            async with asyncio.timeout(ATTEMPT):
                for number in missing:
                    subject, payload, headers = messages[number]
                    reply = await self._expect(attempt, number)
                    replies.append(reply)
                    await self._nc.publish(subject, payload, reply, headers)
                await attempt.end
        except (TimeoutError, ConnectionReconnectingError, OutboundBufferLimitError) as error:
            attempt.reason = str(error) or "not confirmed in time"
        except MaxPayloadError as error:
            raise PayloadTooLarge(f"{subject}: the server takes at most {self._nc.max_payload} bytes") from error
        finally:
            watch.cancel()
            for reply in replies:
                self._waiting.pop(reply, None)
            found |= attempt.found
        return attempt.reason

    async def _expect(self, attempt: _Round, number: int) -> str:
        if self._subscription is None:
            self._subscription = await self._nc.subscribe(f"{self._inbox}*", cb=self._confirmed)
        self._count += 1
        reply = f"{self._inbox}{self._count}"
        self._waiting[reply] = attempt, number
        return reply

    async def _confirmed(self, msg: Msg) -> None:
        if (expected := self._waiting.pop(msg.subject, None)) is None:
            return
        attempt, number = expected
        answer: dict[str, Any] = (
            from_json(msg.data) if msg.data else {"error": {"code": 503, "description": "no stream answers"}}
        )
        if (error := answer.get("error")) is None:
            attempt.confirm(number, answer["seq"])
        elif error.get("code") == 503:
            attempt.unsure(error.get("description", ""))
        elif error.get("err_code") == TOO_LARGE:
            attempt.refuse(PayloadTooLarge(error["description"]))
        else:
            attempt.refuse(OperationalError(error.get("description", "")))


def envelope(event: CloudEvent, traceparent: str | None) -> tuple[bytes, dict[str, str]]:
    """Return an event as payload and headers, in the trace that it is sent in."""
    headers = {"Content-Type": CONTENT_TYPE, "Nats-Msg-Id": event.id}
    if traceparent:
        headers["traceparent"] = traceparent
        if traceparent != event.traceparent:
            event = replace(event, traceparent=traceparent)
    return encode(event), headers
