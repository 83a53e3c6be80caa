"""A message that arrived from a stream, with what its acknowledgement subject says about it."""

from collections.abc import Mapping
from functools import cached_property

from nats.aio.msg import Msg

from contracts.envelope import CloudEvent, Malformed, decode
from shared.records import Logged

NOTHING: Mapping[str, str] = {}


class Incoming:
    """One delivered message. Its handler may `fail` it alone; what is not failed counts as handled."""

    def __init__(self, msg: Msg) -> None:
        # $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<sequence>.<…>.<time>.<pending>[.<random>]
        tokens = msg.reply.split(".")
        at = 2 if len(tokens) == 9 else 4
        self.subject, self.payload, self.reply = msg.subject, msg.data, msg.reply
        self.headers: Mapping[str, str] = msg.headers or NOTHING
        self.stream = tokens[at]
        self.deliveries = int(tokens[at + 2])
        self.position = int(tokens[at + 3])
        self.stored_ns = int(tokens[at + 5])
        self.pending = int(tokens[at + 6])
        self.error: Exception | None = None

    @cached_property
    def ce(self) -> CloudEvent:
        """The message itself; raises `Malformed` when it cannot be understood."""
        return decode(self.payload, self.headers, subject=self.subject, position=self.position)

    @property
    def logged(self) -> Logged:
        """The message as an event of the log, which it must be."""
        return Logged.of(self.subject, self.headers, self.payload, self.position)

    @property
    def id(self) -> str:
        """What names it: its CloudEvents id where it can be understood."""
        try:
            return self.ce.id
        except Malformed:
            return self.header("nats-msg-id") or f"seq-{self.position}"

    @property
    def traceparent(self) -> str | None:
        """The trace it belongs to, from its header or its envelope."""
        if found := self.headers.get("traceparent"):
            return found
        try:
            return self.ce.traceparent
        except Malformed:
            return None

    def header(self, name: str) -> str | None:
        """Return a header, whatever the case of its name."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)

    def fail(self, error: Exception) -> None:
        """Say that this message could not be handled; the others of its batch are not touched."""
        self.error = error

    def __repr__(self) -> str:
        return f"<{self.subject} {self.stream}:{self.position} delivery {self.deliveries}>"
