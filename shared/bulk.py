"""Reading much of the log at once. What nats-py reads at 35,000 messages a second comes at several times that here."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from uuid import uuid4

from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from pydantic_core import from_json, to_json

from shared.records import Logged
from shared.wire import dial

PULL = 4000  # messages asked for at a time; two such portions are under way
CHUNK = 1 << 20
NANO = 1_000_000_000
# Subject; sequences of the stream and of the consumer, how many are left; sizes of the headers and of the whole.
MESSAGE = re.compile(rb"H?MSG (\S+) 1 \$JS\.ACK\.\S+\.(\d+)\.(\d+)\.\d+\.(\d+) (?:(\d+) )?(\d+)\r\n")


class BulkReader:
    """One pass over the log, on a connection of its own: a temporary consumer, pulled as fast as it is read."""

    def __init__(self, nc: Client, stream: str, filters: Sequence[str], *, timeout: float) -> None:
        self._nc, self._stream, self._filters, self._timeout = nc, stream, filters, timeout
        self._name = f"bulk-{uuid4().hex}"
        self._inbox = nc.new_inbox()
        self._rest, self._delivered = b"", 0

    async def read(self, after: int, until: int | None) -> AsyncGenerator[list[Logged]]:
        """Yield what lies after `after`, and end where the log ends or at `until`."""
        reader, writer = await asyncio.wait_for(dial(self._nc, limit=CHUNK), self._timeout)
        try:
            left = await self._consumer(reader, writer, after)
            asked = got = 0
            while left:
                while asked - got <= PULL:
                    self._pull(writer)
                    asked += PULL
                events, left = self._parse(await self._some(reader), left, writer)
                got += len(events)
                if until is not None and events and events[-1].id >= until:
                    if wanted := [event for event in events if event.id <= until]:
                        yield wanted
                    return
                if events:
                    yield events
        finally:
            writer.write(b"PUB $JS.API.CONSUMER.DELETE.%b.%b 0\r\n\r\n" % (self._stream.encode(), self._name.encode()))
            writer.close()

    async def _consumer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, after: int) -> int:
        """Make the consumer; return how many messages it is going to deliver."""
        config = {
            "name": self._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "filter_subjects": list(self._filters),
            "inactive_threshold": 30 * NANO,
            "mem_storage": True,
            "num_replicas": 1,
        }
        body = to_json({"stream_name": self._stream, "config": config})
        writer.write(f"SUB {self._inbox} 1\r\nSUB {self._inbox}.made 2\r\nUNSUB 2 1\r\n".encode())
        self._publish(writer, f"CONSUMER.CREATE.{self._stream}.{self._name} {self._inbox}.made", body)
        async with asyncio.timeout(self._timeout):
            while not (line := await reader.readline()).startswith((b"MSG ", b"HMSG ")):
                if not line:
                    raise ConnectionResetError("the server hung up")
                if line.startswith(b"-ERR"):
                    raise OperationalError(f"{self._stream} cannot be read: {line.decode()}")
            try:
                answer = await reader.readexactly(int(line.split()[-1]) + 2)
            except asyncio.IncompleteReadError as error:
                raise ConnectionResetError("the server hung up") from error
        if answer.startswith(b"NATS/1.0 503"):
            raise ConnectionResetError("no JetStream here")
        made = from_json(answer)
        if "error" in made:
            raise OperationalError(f"{self._stream} cannot be read: {made['error']['description']}")
        return int(made.get("num_pending", 0))

    def _pull(self, writer: asyncio.StreamWriter) -> None:
        body = to_json({"batch": PULL, "expires": 30 * NANO})
        self._publish(writer, f"CONSUMER.MSG.NEXT.{self._stream}.{self._name} {self._inbox}", body)

    @staticmethod
    def _publish(writer: asyncio.StreamWriter, call: str, body: bytes) -> None:
        writer.write(b"PUB $JS.API.%b %d\r\n%b\r\n" % (call.encode(), len(body), body))

    async def _some(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self._timeout):
            data = await reader.read(CHUNK)
        if not data:
            raise ConnectionResetError("the server hung up")
        return data

    def _parse(self, data: bytes, left: int, writer: asyncio.StreamWriter) -> tuple[list[Logged], int]:
        """Cut the complete messages out of what came; return them and how many are still to come."""
        events: list[Logged] = []
        buffer, at = self._rest + data, 0
        size, match, parsed = len(buffer), MESSAGE.match, Logged.parsed
        while True:
            if message := match(buffer, at):
                subject, sequence, delivered, pending, head, total = message.groups()
                start = message.end()
                stop = start + int(total)
                if stop + 2 > size:
                    break
                if int(delivered) != self._delivered + 1:
                    raise ConnectionResetError(f"message {self._delivered + 1} of the consumer is missing")
                self._delivered += 1
                split = start + int(head or 0)
                events.append(parsed(subject.decode(), buffer[start:split], buffer[split:stop], int(sequence)))
                left, at = int(pending), stop + 2
            elif (behind := self._other(buffer, at, writer)) > at:
                at = behind
            else:
                break
        self._rest = buffer[at:]
        return events, left

    def _other(self, buffer: bytes, at: int, writer: asyncio.StreamWriter) -> int:
        """Deal with what is no event; return what is behind it, or `at` if it is not complete yet."""
        end = buffer.find(b"\r\n", at)
        line = buffer[at : max(end, at)]
        if line.startswith((b"MSG ", b"HMSG ")):
            stop = end + 2 + int(line.split()[-1]) + 2
            if stop > len(buffer):
                return at
            if not buffer[end + 2 : stop].startswith((b"NATS/1.0 408", b"NATS/1.0 100")):
                raise ConnectionResetError(f"the consumer ended: {buffer[end + 2 : stop].decode()}")
            return stop
        if line.startswith(b"-ERR"):
            raise OperationalError(f"{self._stream} cannot be read: {line.decode()}")
        if line == b"PING":
            writer.write(b"PONG\r\n")
        return end + 2 if end >= 0 else at
