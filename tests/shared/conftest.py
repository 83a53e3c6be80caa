import asyncio
from collections.abc import AsyncIterator, Callable

import nats
import pytest
from faststream.asgi import AsgiFastStream
from nats.aio.client import Client

from shared.eventlog import EventLog, Log
from shared.memory import MemoryLog, Shelf
from shared.service import running
from shared.settings import Settings
from shared.streams import provision
from tests.shared.serving import Bakery, Outside

Logs = Callable[[str], Log]


@pytest.fixture
async def store(nc: Client) -> Client:
    """A connection to a server with an empty log."""
    await provision(nc)
    return nc


@pytest.fixture(params=["memory", pytest.param("jetstream", marks=pytest.mark.nats)])
def logs(request: pytest.FixtureRequest) -> Logs:
    """Opens the log of a service: of one that lives in memory, and of one on a real server."""
    if request.param == "memory":
        shelf = Shelf()
        return lambda service: MemoryLog(service, shelf)
    client = request.getfixturevalue("store")
    return lambda service: EventLog(client, service)


@pytest.fixture
def log(logs: Logs) -> Log:
    return logs("bakery")


async def connected(url: str) -> Client:
    """A connection that bears a server that comes and goes."""
    return await nats.connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, error_cb=_ignore)


async def _ignore(error: Exception) -> None:
    """Tests that restart the server expect its absence."""


async def soon(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def bakery() -> Bakery:
    """A service that is not running yet."""
    return Bakery()


@pytest.fixture
async def app(bakery: Bakery, settings: Settings) -> AsyncIterator[AsgiFastStream]:
    """That service, running."""
    async with running(bakery.create, settings) as started:
        yield started


@pytest.fixture
def client(nc: Client) -> Outside:
    """Somebody who talks to it."""
    return Outside(nc)
