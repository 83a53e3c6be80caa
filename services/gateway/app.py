"""Gateway: HTTP API and dashboard. Run with `uvicorn --factory services.gateway.app:create`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from nats.aio.client import Client as Connection
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from nexus.connection import connect
from services.gateway import commands, reading, streaming
from services.gateway.describing import describe
from services.gateway.measuring import Measured, Traffic
from services.gateway.problems import install
from services.gateway.projections import follow
from services.gateway.security import Door, checks, is_loopback
from services.gateway.state import State
from services.gateway.stopping import announced
from shared import logs, telemetry
from shared.eventlog import EventLog
from shared.loops import Loops
from shared.metrics import Meter
from shared.projection import Projection
from shared.readiness import Asgi, NotReady, Page, Readiness, connected, metrics_page, streams_exist
from shared.settings import Settings
from shared.streams import EVENTS, INBOX, OUTCOMES

PATIENCE = 30.0
"""Seconds to wait for the nats-server at the start."""
STATIC = Path(__file__).parent / "static"
ABOUT = """Describe projects, follow them, and steer them.

Commands are answered when their outcome is known; send an `Idempotency-Key` and ask again as often as you like. Errors
are `application/problem+json` (RFC 9457). Everything below `/v1` needs a bearer token where one is configured.
"""

log = logging.getLogger(__name__)


def create(settings: Settings | None = None) -> FastAPI:
    """Build the application; it connects when it is started, not before."""
    chosen = settings or Settings.load()
    life = Life(chosen)
    app = FastAPI(
        title="Nexus",
        version="1",
        description=ABOUT,
        lifespan=life.run,
        docs_url=None,  # FastAPI's pages of documentation load from other hosts
        redoc_url=None,
        openapi_url="/openapi.json",
        generate_unique_id_function=lambda route: route.name,
    )
    for router in (commands.router, reading.router, streaming.router):
        app.include_router(router)
    app.router.routes.extend(_pages(life))
    install(app)
    describe(app, token=chosen.gateway_token is not None)
    app.add_middleware(Door, checks=checks(chosen))
    app.add_middleware(Measured, traffic=life.traffic)
    return app


def _pages(life: "Life") -> list[Route | Mount]:
    health = {"/healthz": life.ready.healthz, "/readyz": life.ready.readyz}
    pages: dict[str, Asgi] = {**health, "/metrics": metrics_page(life.meter.registry)}
    return [
        *(Route(path, Page(page)) for path, page in pages.items()),
        Route("/", _dashboard),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


async def _dashboard(_: Any) -> FileResponse:
    return FileResponse(STATIC / "index.html")


class Life:
    """One gateway between start and stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.meter, self.ready = Meter(), Readiness("gateway")
        self.traffic = Traffic(self.meter.registry)

    @asynccontextmanager
    async def run(self, app: FastAPI) -> AsyncIterator[None]:
        """Connect, keep the board up to date, and end in good order."""
        logs.setup(self._settings.log_level)
        telemetry.setup("gateway", self._settings.otlp_endpoint)
        if not is_loopback(self._settings.host) and not self._settings.gateway_token:
            log.warning("everybody who reaches %s may send commands: set NEXUS_GATEWAY_TOKEN", self._settings.host)
        nc = await connect(settings=self._settings, name="nexus gateway", patience=PATIENCE)
        events = EventLog(nc, "gateway")
        board = follow(events)
        loops = Loops({"board": board.run}, self.meter)
        state = app.state.gateway = State(nc, self._settings, board, self.traffic)
        self._demand_readiness(nc, board, loops)
        loops.start()
        self.ready.started.set()
        try:
            with announced(state.stopping):
                yield
        finally:
            self.ready.started.clear()
            await loops.stop()
            await events.close()
            await nc.close()
            await asyncio.to_thread(telemetry.shutdown, "gateway")

    def _demand_readiness(self, nc: Connection, board: Projection[Any], loops: Loops) -> None:
        async def up_to_date() -> None:
            if not board.live:
                raise NotReady("the lists are not up to date yet")

        self.ready.watch("connection", connected(nc))
        self.ready.add("streams", streams_exist(nc, [EVENTS, INBOX, OUTCOMES]))
        self.ready.add("board", up_to_date)
        self.ready.watch("loops", loops.trouble)
