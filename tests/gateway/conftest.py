"""The whole system inside the test, and its gateway on a port of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from nexus.agent import Agent, AgentHost, Job, TaskFailed
from nexus.embedded import System, embedded
from nexus.ports import free_port
from services.gateway.app import create
from shared.settings import Settings

SERVICES = ("planner", "resource_manager", "coordinator", "metrics")

Serving = Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
async def system(settings: Settings, tmp_path: Path) -> AsyncIterator[System]:
    async with embedded(settings, data=tmp_path / "system", services=SERVICES) as running:
        yield running


@pytest.fixture
async def worker(system: System) -> AsyncIterator[Agent]:
    """Works at once; what `input.fails` says fails at the first attempt, what `input.slow` says takes so long."""
    agent = Agent("worker", ["work"], slots=4)

    @agent.task("work")
    async def work(job: Job) -> dict[str, object]:
        await asyncio.sleep(job.input.get("slow", 0))
        if job.attempt <= job.input.get("fails", 0):
            raise TaskFailed("it fell down", code="fell", retryable=False)
        return {"attempt": job.attempt}

    async with AgentHost([agent], settings=system.settings, grace=0.2):
        yield agent


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway under uvicorn, as it runs everywhere."""
    port = free_port()
    config = uvicorn.Config(create(settings), port=port, lifespan="on", ws="none", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        try:
            yield client
        finally:
            server.should_exit = True
            await task


@pytest.fixture
def serving() -> Serving:
    return served


@pytest.fixture
async def http(system: System) -> AsyncIterator[httpx.AsyncClient]:
    async with served(system.settings) as client:
        yield client
