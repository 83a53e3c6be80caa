"""A program of another language while it runs: what it says, line by line, and how it ends."""

import asyncio
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic_core import from_json

from nexus.embedded import System

Line: TypeAlias = dict[str, Any]
PATIENCE = 30.0


@dataclass
class Program:
    """A running program, and what it printed so far."""

    process: Process
    lines: list[Line] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def line(self, key: str) -> Line:
        """Wait for a line that tells `key`."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [line for line in self.lines if key in line]):
                assert self.process.returncode is None, self.errors
                await asyncio.sleep(0.01)
        return found[0]

    async def end(self) -> None:
        """Wait until it ends by itself, in good order."""
        async with asyncio.timeout(PATIENCE):
            assert await self.process.wait() == 0, self.errors

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        await self.end()


@asynccontextmanager
async def running(command: Sequence[str], system: System, *roles: str) -> AsyncIterator[Program]:
    """Run a program against a system; it knows nothing but the address and the credentials of the nats-server."""
    options = system.credentials
    environment = {"NATS_URL": system.url, "NATS_USER": options["user"], "NATS_PASSWORD": options["password"]}
    process = await asyncio.create_subprocess_exec(*command, *roles, env=environment, stdout=PIPE, stderr=PIPE)
    program = Program(process)
    reading = asyncio.gather(
        _read(process.stdout, lambda line: program.lines.append(from_json(line))),
        _read(process.stderr, lambda line: program.errors.append(line.decode())),
    )
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def _read(stream: asyncio.StreamReader | None, take: Callable[[bytes], None]) -> None:
    assert stream
    async for line in stream:
        take(line)
