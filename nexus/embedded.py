"""The whole system for one program or one test: a nats-server, all services, the reference agents.

Errors, beside those of `nexus.server`:
  SystemRunning · ServiceFailed · PortInUse
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from contracts.base import Event
from nexus.agent import Agent, AgentHost
from nexus.client import Client
from nexus.connection import connect, shown
from nexus.server import EmbeddedServer
from nexus.supervisor import ServiceFailed, Supervisor, together
from nexus.system_folder import Announcement, Mode, SystemFolder, SystemRunning
from shared.settings import Settings
from shared.streams import check_server, provision

__all__ = ["SERVICES", "ServiceFailed", "System", "SystemRunning", "embedded"]

CORE = ("planner", "resource_manager", "coordinator")
SERVICES = (*CORE, "metrics", "gateway", "agents")
"""What a whole system consists of, in processes of their own."""
WORKING = (*CORE, "agents")
"""What carries a project out; enough inside a program, where nobody asks over HTTP."""
PAUSE = 0.2
PATIENCE = 20.0
"""Seconds that agents in a process of their own have to end, before they are killed."""
GRACE = 5.0
"""Seconds that agents inside a program have to finish what is in hand when it ends."""


log = logging.getLogger(__name__)


class Host(Protocol):
    """Where services run."""

    @property
    def pids(self) -> dict[str, int]: ...

    @property
    def urls(self) -> dict[str, str]: ...

    async def start(self, services: Iterable[str], settings: Settings) -> None: ...

    async def kill(self, name: str) -> int: ...

    async def stop(self, name: str) -> None: ...

    async def resume(self, name: str) -> None: ...

    async def restart(self, name: str) -> None: ...

    async def close(self) -> None: ...


class System:
    """A running system, and what a test of failure may do to it."""

    def __init__(self, settings: Settings, mode: Mode, host: Host, server: EmbeddedServer | None) -> None:
        self.settings, self.mode, self.host, self.server = settings, mode, host, server
        """`settings` name the nats-server that the system uses."""

    @property
    def url(self) -> str:
        """Where its nats-server listens."""
        return self.settings.nats_url or ""

    @property
    def credentials(self) -> dict[str, Any]:
        """What `nats.connect` needs beside the address."""
        return self.settings.nats_options()

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.host.pids)

    @property
    def pids(self) -> dict[str, int]:
        """Process of each service, and of the nats-server if it is ours; 0 while one is down."""
        server = {"nats": self.server.pid if self.server.alive else 0} if self.server else {}
        return self.host.pids | server

    @property
    def urls(self) -> dict[str, str]:
        """Where each service listens for HTTP; empty for services inside this program."""
        return self.host.urls

    def client(self, actor: str | None = None) -> Client:
        """Return a client of this system, to be used with `async with`."""
        return Client.connect(settings=self.settings, actor=actor)

    async def kill(self, name: str) -> int:
        """Kill a service, or `nats`, as a crash would; it is started again. Return the process that died."""
        if name == "nats" and self.server:
            pid = self.server.pid
            await self.server.kill()
            return pid
        return await self.host.kill(name)

    async def stop(self, name: str) -> None:
        """Stop a service, and leave it so until `resume`."""
        await self.host.stop(name)

    async def resume(self, name: str) -> None:
        """Start a service that was stopped; wait until it is ready."""
        await self.host.resume(name)

    async def restart(self, name: str) -> None:
        """Stop a service in good order and start it again; wait until it is ready."""
        await self.host.restart(name)

    def announcement(self) -> Announcement:
        """Return what others must know to find this system."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        return Announcement(os.getpid(), self.mode, shown(self.url), started, self.urls, self.pids)


@asynccontextmanager
async def embedded(
    settings: Settings | None = None,
    *,
    data: Path | str | None = None,
    services: Iterable[str] | None = None,
    in_process: bool = True,
) -> AsyncIterator[System]:
    """Run a system for as long as the block lasts.

    With `in_process` the services are tasks of this event loop: quick, and enough for tests and small programs. Without
    it each is a process under uvicorn, started again when it dies; none outlives this program, however it ends.
    Settings that name a server make the services use that one.
    """
    chosen = settings or Settings.load()
    if data is not None:
        chosen = chosen.model_copy(update={"data": Path(data)})
    names = tuple(services) if services is not None else WORKING if in_process else SERVICES
    folder = SystemFolder(chosen.data)
    async with AsyncExitStack() as stack:
        lock = await folder.claim()
        stack.callback(os.close, lock)
        if in_process:
            stack.enter_context(_quiet(folder))
        supervisor = None if in_process else Supervisor(chosen, folder.logs, lock)
        host: Host = _Inside() if supervisor is None else _Processes(supervisor)
        server = None if chosen.nats_url else EmbeddedServer.of(chosen)
        if server:
            stack.push_async_callback(server.stop)
        stack.push_async_callback(host.close)
        chosen = await _ground(chosen, server, supervisor)
        await host.start(names, chosen)
        system = System(chosen, "in_process" if in_process else "processes", host, server)
        if server:
            keeper = asyncio.create_task(_keep(server), name="keep nats-server")
            stack.push_async_callback(_ended, keeper)
        folder.announce(system.announcement())
        stack.callback(folder.forget)
        yield system


async def _ground(settings: Settings, server: EmbeddedServer | None, supervisor: Supervisor | None) -> Settings:
    """Start what everything stands on, and return the settings that name it."""
    if supervisor:
        await supervisor.prepare()  # it imports while the server comes up
    if server:
        settings = (await server.start()).applied(settings)
    nc = await connect(settings=settings, name="nexus setup")
    try:
        check_server(nc)
        await provision(nc)
    finally:
        await nc.close()
    return settings


async def _keep(server: EmbeddedServer) -> None:
    """Start the nats-server again when it dies."""
    while True:
        await server.wait()
        await asyncio.sleep(PAUSE)
        try:
            await server.kill()  # what is left of the one that died
            await server.start()
        except Exception as error:  # noqa: BLE001  no room on the disk, say: whatever it is, it may pass
            log.error("the nats-server died and does not start again, it is tried again: %r", error)
            await asyncio.sleep(PAUSE * 5)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def factory(name: str) -> str:
    """Return where a service is made."""
    return f"services.{name}.app:create"


class _Processes:
    """Each service is a process under uvicorn."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.kill, self.stop = supervisor.kill, supervisor.stop
        self.resume, self.restart = supervisor.resume, supervisor.restart

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._supervisor.processes.items()}

    @property
    def urls(self) -> dict[str, str]:
        return {name: process.url for name, process in self._supervisor.processes.items()}

    async def start(self, services: Iterable[str], settings: Settings) -> None:
        self._supervisor.apply(settings)
        await self._supervisor.start({name: factory(name) for name in services})

    async def close(self) -> None:
        try:
            if "agents" in self._supervisor.processes:
                async with asyncio.timeout(PATIENCE):
                    await self.stop("agents")  # while somebody still hears them say bye
        except TimeoutError:
            log.warning("the agents do not end within %g s; they are killed", PATIENCE)
        finally:
            await self._supervisor.close()


class _Inside:
    """Each service is a task of this event loop, with a connection of its own."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._running: dict[str, AbstractAsyncContextManager[Any] | None] = {}

    @property
    def pids(self) -> dict[str, int]:
        return {name: os.getpid() if running else 0 for name, running in self._running.items()}

    @property
    def urls(self) -> dict[str, str]:
        return {}

    async def start(self, services: Iterable[str], settings: Settings) -> None:
        self._settings = settings
        self._running = dict.fromkeys(services)
        await together(self.resume(name) for name in self._running)

    async def resume(self, name: str) -> None:
        if self._running[name] is None:
            context = await self._context(name)
            await context.__aenter__()
            self._running[name] = context

    async def _context(self, name: str) -> AbstractAsyncContextManager[Any]:
        from shared.service import running

        module = await asyncio.to_thread(import_module, f"services.{name}.app")
        if name == "agents":  # no service: it has no part in the frame
            return AgentHost(module.agents(self._settings), settings=self._settings, grace=GRACE)
        return running(module.create, self._settings)

    async def stop(self, name: str) -> None:
        context, self._running[name] = self._running[name], None
        if context:
            await context.__aexit__(None, None, None)

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.resume(name)

    async def kill(self, name: str) -> int:
        """A task has no process of its own to kill: stop it and start it again."""
        await self.restart(name)
        return os.getpid()

    async def close(self) -> None:
        async with AsyncExitStack() as stack:  # whatever goes wrong with one, the others are stopped
            for name in reversed(_agents_first(self._running)):
                stack.push_async_callback(self.stop, name)


def _agents_first(names: Iterable[str]) -> list[str]:
    """Order services so that those who must hear the agents say bye still listen."""
    return sorted(names, key=lambda name: name != "agents")


def reference_agents(settings: Settings) -> list[Agent]:
    """Return the agents that write projects from templates."""
    from services.agents.app import agents

    return agents(settings)


class Overview:
    """How a system does: what the metrics service folds, for whoever can read the log."""

    def __init__(self) -> None:
        from services.metrics.performance import Performance

        self.view = Performance()
        self.position = 0
        """Place in the log of the last event that counts."""

    def apply(self, key: str, event: Event | None, position: int) -> None:
        """Let an event take effect; `key` is the aggregate that stated it."""
        if event is not None:
            self.view.apply(key, event)
        self.position = position

    def report(self) -> dict[str, Any]:
        """Return the numbers."""
        from services.metrics.reporting import report

        return report(self.view, self.position, datetime.now(UTC))


def templates(settings: Settings) -> dict[str, Any]:
    """Return what projects can be planned from, by id."""
    from services.planner.catalog import Catalog

    return {name: one.model_dump(mode="json") for name, one in Catalog.load(settings).templates.items()}


@contextmanager
def _quiet(folder: SystemFolder) -> Iterator[None]:
    """Let services inside a program that says nothing about logs write theirs to a file, not to its terminal."""
    if logging.getLogger().handlers:
        yield
        return
    folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = logging.FileHandler(folder.logs / "embedded.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    ours = [logging.getLogger(name) for name in ("nexus", "services", "shared")]
    for logger in ours:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in ours:
            logger.removeHandler(handler)
        handler.close()
