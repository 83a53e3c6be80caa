"""What the wire and the log say about a program, whatever it says of itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nats.aio.msg import Msg

from contracts.agents import Beat, TaskResult
from contracts.envelope import decode
from nexus.client import Client
from nexus.embedded import System
from nexus.history import Entry

PATIENCE = 20.0


@dataclass
class Witness:
    """Hears everything that agents are told and say, and can read the log."""

    client: Client
    beats: list[tuple[str, Beat]] = field(default_factory=list)
    """hello, beat or bye, and what it said."""
    results: list[TaskResult] = field(default_factory=list)
    told: list[Msg] = field(default_factory=list)
    """Assignments and withdrawals."""

    async def hear(self, msg: Msg) -> None:
        """Take note of a message."""
        match msg.subject.split(".")[1:]:
            case ["agents", _, kind]:
                self.beats.append((kind, Beat.model_validate(decode(msg.data, msg.headers).data)))
            case ["results", *_]:
                self.results.append(TaskResult.model_validate(decode(msg.data, msg.headers).data))
            case ["tasks", _]:
                self.told.append(msg)

    async def beat(self, wanted: Callable[[str, Beat], object]) -> Beat:
        """Wait for a sign of life of some kind."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [beat for kind, beat in self.beats if wanted(kind, beat)]):
                await asyncio.sleep(0.01)
        return found[0]

    async def tell_again(self) -> None:
        """Publish once more what an agent was told first."""
        msg = self.told[0]
        headers = {name: value for name, value in (msg.headers or {}).items() if name.lower() != "nats-msg-id"}
        await self.client.nc.jetstream().publish(msg.subject, msg.data, headers=headers)

    async def story(self, project: str) -> list[Entry]:
        """Return the history of a project once everything that it held is given back."""
        async with asyncio.timeout(PATIENCE):
            while (await self.client.project(project)).leases:
                await asyncio.sleep(0.01)
        return await self.client.history(project)


@asynccontextmanager
async def witness(system: System) -> AsyncIterator[Witness]:
    """Listen for as long as the block lasts."""
    async with system.client("the-test") as client:
        heard = Witness(client)
        for family in ("agents", "results", "tasks"):
            await client.nc.subscribe(f"nexus.{family}.>", cb=heard.hear)
        await client.nc.flush()
        yield heard


def facts(story: list[Entry], name: str) -> list[dict[str, Any]]:
    """Return what the events of one name say."""
    return [entry.data for entry in story if entry.name == name]
