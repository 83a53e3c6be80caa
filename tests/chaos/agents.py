"""Agents that pretend to work, note every time that they do, and fail as the task's input says.

What an attempt comes to depends on its input and its number alone, so that a project ends the same way in every run.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4
from zlib import crc32

from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.js.api import StreamConfig
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from nexus.agent import Agent, AgentHost, Job, TaskFailed
from nexus.connection import connect
from shared.publisher import Publisher
from shared.settings import Settings
from tests.chaos.workload import BUILD, SHIP

EFFECTS = "CHAOS_EFFECTS"
PREFIX = "chaos.effects"
SLOTS = 6
HOSTS = {"agents": ("ada", "bo"), "more_agents": ("cy", "di")}
"""Process to the agents that live there."""


class Diary:
    """Notes that an attempt began: `chaos.effects.<project>.<task>.<attempt>.<kind>.<process>`."""

    def __init__(self, nc: Client) -> None:
        self._publisher = Publisher(nc)

    async def note(self, job: Job) -> None:
        """Return once it is written down, however long the server is away."""
        subject = f"{PREFIX}.{job.id}.{job.kind}.{os.getpid()}"
        headers = {"Nats-Msg-Id": uuid4().hex}
        while True:
            try:
                await self._publisher.store(subject, b"", headers)
            except OperationalError:
                await asyncio.sleep(0.2)
            else:
                return


async def make_diary(nc: Client) -> None:
    """Make the stream that keeps what agents do."""
    await nc.jetstream().add_stream(StreamConfig(name=EFFECTS, subjects=[f"{PREFIX}.>"]))


def value_of(task: str, upstream: Mapping[str, Mapping[str, Any]]) -> int:
    """Return what a task gives: it depends on everything before it."""
    before = sorted((name, output["value"]) for name, output in upstream.items() if output)
    return crc32(f"{task}{before}".encode())


def fails(given: Mapping[str, Any], attempt: int) -> bool:
    """Tell whether an attempt fails."""
    return attempt <= int(given.get("fails", 0))


def workers(names: Iterable[str], diary: Diary) -> list[Agent]:
    """Return agents that do everything that the workload needs."""

    async def work(job: Job) -> dict[str, Any]:
        await diary.note(job)
        await asyncio.sleep(float(job.input.get("seconds", 0)))
        if fails(job.input, job.attempt):
            raise TaskFailed("as planned", code="planned")
        return {"value": value_of(job.task, job.upstream)}

    async def undo(job: Job) -> None:
        await diary.note(job)
        assert job.output["value"] is not None, "an undoing knows what was done"

    agents = [Agent(name, (BUILD, SHIP), slots=SLOTS) for name in names]
    for agent in agents:
        agent.handle("run", "", work)
        agent.handle("compensate", "", undo)
    return agents


def agents(settings: Settings) -> Starlette:
    """Build the first process of agents."""
    return _process(HOSTS["agents"], settings)


def more_agents(settings: Settings) -> Starlette:
    """Build the second one."""
    return _process(HOSTS["more_agents"], settings)


def _process(names: Iterable[str], settings: Settings) -> Starlette:
    hosts: list[AgentHost] = []

    @asynccontextmanager
    async def live(_app: Starlette) -> AsyncIterator[None]:
        nc = await connect(settings=settings, name="chaos agents", patience=60)
        async with AgentHost(workers(names, Diary(nc)), nc=nc, settings=settings, grace=2) as host:
            hosts.append(host)
            yield
        await nc.close()

    async def readyz(_request: Request) -> PlainTextResponse:
        trouble = hosts[0].trouble() if hosts else "not started"
        return PlainTextResponse(trouble or "ok", 503 if trouble else 200)

    return Starlette(routes=[Route("/readyz", readyz)], lifespan=live)
