"""A whole running system that is told nonsense, and an outsider who tells it. One for all tests of a module."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from contracts.outcomes import Outcome
from nexus.agent import Agent, AgentHost, Job
from nexus.client import Client
from nexus.embedded import CORE, embedded
from services.coordinator import handlers
from shared import delivery
from shared.deadletters import DeadLetter
from shared.outcomes import known
from shared.settings import Settings

SOON = (0.05, 0.1, 0.2, 0.3)
"""Delays between attempts, so that what is tried again and again is given up within a second."""
CONFIG = {
    "orchestrator": {"planning": {"capability_wait": 0.3}},
    "nexus": {"resource_limits": {"cpu": 50}},
}


@dataclass
class Outsider:
    """Somebody with a connection and no manners."""

    client: Client
    lately: int = 0

    async def publish(self, subject: str, payload: bytes, identity: str = "") -> str:
        """Publish bytes into a stream; return the id that they go by."""
        identity = identity or uuid4().hex
        await self.client.nc.jetstream().publish(subject, payload, headers={"Nats-Msg-Id": identity})
        return identity

    async def outcome(self, identity: str, within: float = 10) -> Outcome:
        async with asyncio.timeout(within):
            while (found := await known(self.client.nc, identity)) is None:
                await asyncio.sleep(0.02)
        return found

    async def told(self, subject: str, payload: bytes) -> Outcome:
        """Publish a command; return what became of it."""
        return await self.outcome(await self.publish(subject, payload))

    async def letter(self, subject: str, within: float = 10) -> DeadLetter:
        """Return the newest dead letter of a subject that no test has asked for."""
        async with asyncio.timeout(within):
            while True:
                new = [one for one in await self.client.dead_letters() if one.sequence > self.lately]
                if found := [one for one in new if one.subject == subject]:
                    self.lately = found[-1].sequence
                    return found[-1]
                await asyncio.sleep(0.02)

    async def no_letter(self) -> bool:
        return all(one.sequence <= self.lately for one in await self.client.dead_letters())

    async def started(self, project: str) -> None:
        """Wait until the coordinator carries the project out."""
        async with asyncio.timeout(10):
            while (await self.client.project(project)).started_at is None:
                await asyncio.sleep(0.02)

    async def project(self, *tasks: dict[str, Any], **more: Any) -> str:
        """Hand in a project as it should be, and return its id once it is planned."""
        given = [{"capability": "work", "retry": {"attempts": 1}, **task} for task in tasks or ({"id": "a"},)]
        project = str((await self.client.create_project(title="sane", tasks=given, **more)).result["project"])
        async with asyncio.timeout(10):
            while not (await self.client.project(project)).tasks:
                await asyncio.sleep(0.02)
        return project


def worker() -> Agent:
    """Answers at once, unless it is told to sleep."""
    agent = Agent("worker", slots=4)

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        await asyncio.sleep(float(job.input.get("seconds", 0)))
        return {"done": True}

    return agent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outsider(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outsider]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(delivery, "DELAYS", SOON)
        patched.setattr(handlers, "PATIENCE", 0.3)
        settings = Settings.load(CONFIG, environ={}, data=tmp_path_factory.mktemp("bad") / "nexus", sync="1m")
        async with (
            embedded(settings, services=(*CORE, "metrics")) as system,
            AgentHost([worker()], settings=system.settings, beat=0.5),
            system.client() as client,
        ):
            yield Outsider(client)
