"""Finding a system for a verb, or starting one for as long as the verb takes."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nexus.cli.errors import NothingRuns
from nexus.client import Client
from nexus.server_folder import running
from nexus.system_folder import running_system
from shared.settings import Settings

if TYPE_CHECKING:
    from nexus.embedded import System

T = TypeVar("T")

ACTOR = "cli"


@dataclass
class Options:
    """What was said before the verb."""

    data: Path | None = None
    config: Path | None = None
    server: str | None = None

    def arguments(self) -> list[str]:
        """Return them as they would be typed again."""
        given = {"--data": self.data, "--config": self.config, "--server": self.server}
        return [word for name, value in given.items() if value is not None for word in (name, str(value))]


options = Options()


def settings() -> Settings:
    """Return the settings of this command line."""
    found = Settings.load(options.config, data=options.data, nats_url=options.server)
    return found.model_copy(update={"data": found.data.absolute()})


def go(step: Coroutine[Any, Any, T]) -> T:
    """Run a verb's coroutine."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(step)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def located(chosen: Settings) -> Settings | None:
    """Return settings that name the system to use, if one is named or runs on the data folder."""
    if chosen.nats_url:
        return chosen
    access = running(chosen.data)
    return access.applied(chosen) if access else None


@asynccontextmanager
async def reading() -> AsyncIterator[Client]:
    """Yield a client that can read the log; nothing but a nats-server is started for it."""
    chosen = settings()
    if found := located(chosen):
        async with Client.connect(settings=found, actor=ACTOR) as client:
            yield client
        return
    from nexus.server import EmbeddedServer
    from shared.streams import provision

    if not (chosen.data / "jetstream").is_dir():
        raise NothingRuns(f"no system runs on {chosen.data}, and none ever did: start one with `nexus up`")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer.of(chosen))
        known = server.access.applied(chosen)
        client = await stack.enter_async_context(Client.connect(settings=known, actor=ACTOR))
        await provision(client.nc)
        yield client


@asynccontextmanager
async def commanding() -> AsyncIterator[Client]:
    """Yield a client whose commands are heard; without a running system, services are started for them."""
    chosen = settings()
    if found := located(chosen):
        async with Client.connect(settings=found, actor=ACTOR) as client:
            yield client
        return
    from nexus.embedded import CORE, embedded

    async with embedded(chosen, services=CORE) as system, system.client(ACTOR) as client:
        yield client


@asynccontextmanager
async def working(services: Iterable[str] | None = None) -> AsyncIterator[tuple[Client, "System | None"]]:
    """Yield a client of a system that carries projects out: the running one, or one that ends with the block."""
    chosen = settings()
    if found := located(chosen):
        async with Client.connect(settings=found, actor=ACTOR) as client:
            yield client, None
        return
    from nexus.embedded import WORKING, embedded

    async with (
        embedded(chosen, services=services or WORKING, in_process=False) as system,
        system.client(ACTOR) as client,
    ):
        yield client, system


def temporary() -> bool:
    """Tell whether a verb would have to start a system for itself."""
    chosen = settings()
    return located(chosen) is None and running_system(chosen.data) is None
