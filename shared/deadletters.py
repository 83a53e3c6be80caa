"""Dead letters: what could not be handled is kept on `nexus.dead.<original subject>` and can be sent again."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote
from uuid import uuid4

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from shared.incoming import Incoming
from shared.publisher import Publisher
from shared.streams import AGENTS, DEAD

PREFIX = "nexus.dead."
OURS = ("nexus-code", "nexus-reason", "nexus-attempts", "nexus-stream", "nexus-sequence")
ORIGINAL = "Nexus-Original-"
"""Before the name of a header that would mean something to the server."""
REDRIVE = "Nexus-Redrive"
"""Marks a message that is sent again on purpose: the sequence of its dead letter."""
REASON_LIMIT = 2000


class NoSuchLetter(LookupError):
    """There is no dead letter of that number."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, and why."""

    sequence: int
    subject: str
    payload: bytes
    headers: dict[str, str]
    code: str
    reason: str
    attempts: int
    stream: str
    position: int

    @classmethod
    def of(cls, sequence: int, subject: str, payload: bytes, headers: dict[str, str]) -> "DeadLetter":
        """Read a message of the stream of dead letters."""
        lower = {name.lower(): value for name, value in headers.items()}
        return cls(
            sequence=sequence,
            subject=subject.removeprefix(PREFIX),
            payload=payload,
            headers=_restored(headers),
            code=lower.get("nexus-code", ""),
            reason=unquote(lower.get("nexus-reason", "")),
            attempts=int(lower.get("nexus-attempts", 0)),
            stream=lower.get("nexus-stream", ""),
            position=int(lower.get("nexus-sequence", 0)),
        )


class DeadLetters:
    """Keeps what was given up."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def keep(self, message: Incoming, code: str, reason: str) -> int:
        """Store it; return only when the server has it. The same message twice is one letter."""
        headers = _set_aside(message.headers) | {
            "Nats-Msg-Id": _letter_id(message),
            "Nexus-Code": code,
            "Nexus-Reason": quote(reason[:REASON_LIMIT], safe=" !#$&'()*+,/:;<=>?@[]^_`{|}~"),
            "Nexus-Attempts": str(message.deliveries),
            "Nexus-Stream": message.stream,
            "Nexus-Sequence": str(message.position),
        }
        return await self._publisher.store(PREFIX + message.subject, message.payload, headers)


async def letters(js: JetStreamContext, *, after: int = 0) -> AsyncIterator[DeadLetter]:
    """Yield the dead letters that are kept now, oldest first."""
    while True:
        try:
            found = await js.get_msg(DEAD, seq=after + 1, next=True, subject=f"{PREFIX}>")
        except NotFoundError:
            return
        letter = _letter(found)
        after = letter.sequence
        yield letter


async def redrive(nc: Client, sequence: int) -> int:
    """Send a dead letter to where it came from, then forget it; return its new sequence there."""
    js = nc.jetstream(timeout=5)
    try:
        letter = _letter(await js.get_msg(DEAD, seq=sequence))
    except NotFoundError as error:
        raise NoSuchLetter(f"there is no dead letter {sequence}") from error
    ack = await js.publish(letter.subject, letter.payload, headers=_headers_again(letter))
    await js.delete_msg(DEAD, sequence)
    return ack.seq


def _letter_id(message: Incoming) -> str:
    # A broken agent beats on and on: of what only its last word counts for, one letter in a while is enough.
    # A stream in memory counts from one again after a restart of its server, so its time is part of the name.
    return message.subject if message.stream == AGENTS else f"{message.stream}-{message.position}-{message.stored_ns}"


def _letter(found: RawStreamMsg) -> DeadLetter:
    return DeadLetter.of(found.seq or 0, found.subject or "", found.data or b"", dict(found.headers or {}))


def _set_aside(headers: Mapping[str, str]) -> dict[str, str]:
    return {ORIGINAL + name if name.lower().startswith("nats-") else name: value for name, value in headers.items()}


def _restored(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name.lower() not in OURS and name != "Nats-Msg-Id"}
    return {name.removeprefix(ORIGINAL): value for name, value in kept.items()}


def _headers_again(letter: DeadLetter) -> dict[str, str]:
    # What the server checked or did the first time (expectations, schedules) is not asked for again.
    headers = {name: value for name, value in letter.headers.items() if not name.lower().startswith("nats-")}
    headers |= {"Nats-Msg-Id": uuid4().hex, REDRIVE: str(letter.sequence)}
    lower = {name.lower(): value for name, value in letter.headers.items()}
    structured = lower.get("content-type", "").lower().startswith("application/cloudevents")
    if not structured and b'"specversion"' not in letter.payload and "ce-id" not in lower:
        # A plain message was named by what the server knew of it; it must not change its name now.
        headers["ce-id"] = lower.get("nats-msg-id") or f"seq-{letter.position}"
    return headers
