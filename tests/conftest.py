"""What tests share: a nats-server of their own.

Every test that asks for a server gets a fresh one, on a free port and an empty folder. Starting and stopping one costs
about 20 ms (measured), no more than deleting and making the streams again would, and nothing that a test leaves behind,
be it a stream, a consumer or a forgotten client, can reach the next. A test may kill its server: nobody else has it.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from nexus.server import EmbeddedServer, embedded_server
from shared.settings import Settings


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """A real nats-server with JetStream; what it wrote survives its kill, though not a power cut."""
    async with embedded_server(tmp_path / "nexus", sync="1m") as running:
        yield running


@pytest.fixture
async def nats_url(server: EmbeddedServer) -> str:
    """Where that server listens, with its credentials: enough to connect with."""
    return server.access.authority


@pytest.fixture
async def nc(nats_url: str) -> AsyncIterator[Client]:
    """A connection to a server on which nothing exists yet."""
    connection = await nats.connect(nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
    yield connection
    await connection.close()


@pytest.fixture
async def settings(server: EmbeddedServer, tmp_path: Path) -> Settings:
    """Settings of a process that uses that server and writes into the test's own folder."""
    chosen = Settings.load({}, environ={}, data=tmp_path / "nexus", demo_output=tmp_path / "output")
    return server.access.applied(chosen)
