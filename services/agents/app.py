"""The reference agents in one process. Run with `uvicorn --factory services.agents.app:create`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from nexus.agent import Agent, AgentHost
from services.agents.analyst import analyst
from services.agents.backend import backend
from services.agents.database import database
from services.agents.frontend import frontend
from services.agents.tester import tester
from shared import logs
from shared.readiness import Page, Readiness, metrics_page
from shared.settings import Settings

GRACE = 6.0
"""Seconds that agents have to finish what is in hand when the process is stopped."""


def agents(settings: Settings) -> list[Agent]:
    """Return the five agents; they write below the folder that the settings name."""
    output = settings.nexus.demo_output.expanduser().absolute()
    return [make(output) for make in (analyst, database, backend, frontend, tester)]


def create(settings: Settings | None = None) -> Starlette:
    """Build the application: agents on one connection, their health, and what they measure."""
    chosen = settings or Settings.load()
    registry, ready = CollectorRegistry(), Readiness("agents")
    host = AgentHost(agents(chosen), settings=chosen, grace=GRACE, registry=registry)
    ready.watch("agents", host.trouble)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        logs.setup(chosen.log_level)
        async with host:
            ready.started.set()
            yield
            ready.started.clear()

    pages = {"/healthz": ready.healthz, "/readyz": ready.readyz, "/metrics": metrics_page(registry)}
    return Starlette(routes=[Route(path, Page(page)) for path, page in pages.items()], lifespan=lifespan)
