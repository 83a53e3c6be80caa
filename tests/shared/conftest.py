import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from shared.eventlog import EventLog, Log
from shared.memory import MemoryLog, Shelf
from shared.streams import EVENTS, SNAPSHOTS, provision


class Server:
    """A nats-server of a test's own, to be killed and started again on the same port and folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [
            str(Path(sys.executable).parent / "nats-server"),
            *("-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(folder), *options),
        ]
        self.url = f"nats://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, "nats-server did not start"
            else:
                return

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    own = Server(tmp_path / "jetstream")
    yield own
    own.kill()


@pytest.fixture(scope="session")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server(tmp_path_factory.mktemp("jetstream"))
    yield server.url
    server.kill()


async def connected(url: str) -> Client:
    return await nats.connect(url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, error_cb=_ignore)


async def _ignore(error: Exception) -> None:
    """Tests that restart the server expect its absence."""


@pytest.fixture
async def nc(shared_url: str) -> AsyncIterator[Client]:
    """A connection, with an empty log behind it."""
    client = await connected(shared_url)
    for stream in (EVENTS, SNAPSHOTS):
        with suppress(NotFoundError):
            await client.jetstream().delete_stream(stream)
    await provision(client)
    yield client
    await client.close()


Logs = Callable[[str], Log]


@pytest.fixture(params=["memory", pytest.param("jetstream", marks=pytest.mark.nats)])
def logs(request: pytest.FixtureRequest) -> Logs:
    """Opens the log of a service: of one that lives in memory, and of one on a real server."""
    if request.param == "memory":
        shelf = Shelf()
        return lambda service: MemoryLog(service, shelf)
    client = request.getfixturevalue("nc")
    return lambda service: EventLog(client, service)


@pytest.fixture
def log(logs: Logs) -> Log:
    return logs("bakery")


async def soon(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a condition has no event to wait for
            await asyncio.sleep(0.01)
