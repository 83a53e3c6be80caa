"""The agents of the benchmark, in a process of their own: they do nothing, at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from nexus.agent import Agent, AgentHost, Job
from nexus.bench.workloads import CAPABILITY
from shared.settings import Settings

AGENTS = 4
SLOTS = 512


async def nothing(_job: Job) -> dict[str, Any]:
    """The work of every task."""
    return {}


def create(settings: Settings | None = None) -> Starlette:
    """Build the process: agents, and a page that says whether they are there."""
    agents = [Agent(f"bench-{n}", slots=SLOTS) for n in range(AGENTS)]
    for agent in agents:
        agent.handle("run", CAPABILITY, nothing)
    host = AgentHost(agents, settings=settings)

    @asynccontextmanager
    async def live(_app: Starlette) -> AsyncIterator[None]:
        async with host:
            yield

    async def readyz(_request: Request) -> PlainTextResponse:
        trouble = host.trouble()
        return PlainTextResponse(trouble or "ok", 503 if trouble else 200)

    return Starlette(routes=[Route("/readyz", readyz)], lifespan=live)
