"""The whole system for one program or one test: a nats-server, all services, the reference agents.

Errors, beside those of `nexus.server`:
  SystemRunning · ServiceFailed · PortInUse
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from nexus.client import Client
from nexus.connection import connect
from nexus.server import EmbeddedServer
from nexus.supervisor import ServiceFailed, Supervisor, together
from nexus.system_folder import Announcement, Mode, SystemFolder, SystemRunning
from shared.settings import Settings
from shared.streams import provision

__all__ = ["SERVICES", "ServiceFailed", "System", "SystemRunning", "embedded"]

CORE = ("planner", "resource_manager", "coordinator")
SERVICES = (*CORE, "agents")
"""What a whole system consists of, in processes of their own."""
INSIDE = (*CORE, "agents")
"""What runs inside a program: nobody asks it over HTTP."""
PAUSE = 0.2


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
        return Announcement(os.getpid(), self.mode, self.url, started, self.urls, self.pids)


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
    names = tuple(services) if services is not None else INSIDE if in_process else SERVICES
    folder = SystemFolder(chosen.data)
    async with AsyncExitStack() as stack:
        lock = folder.claim()
        stack.callback(os.close, lock)
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
        await provision(nc)
    finally:
        await nc.close()
    return settings


async def _keep(server: EmbeddedServer) -> None:
    """Start the nats-server again when it dies."""
    while True:
        await server.wait()
        await asyncio.sleep(PAUSE)
        await server.kill()  # what is left of the one that died
        await server.start()


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
        self.close = supervisor.close

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._supervisor.processes.items()}

    @property
    def urls(self) -> dict[str, str]:
        return {name: process.url for name, process in self._supervisor.processes.items()}

    async def start(self, services: Iterable[str], settings: Settings) -> None:
        self._supervisor.apply(settings)
        await self._supervisor.start({name: factory(name) for name in services})


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
        from shared.service import running

        if self._running[name] is None:
            module, _, attribute = factory(name).partition(":")
            create = getattr(await asyncio.to_thread(import_module, module), attribute)
            context = running(create, self._settings)
            await context.__aenter__()
            self._running[name] = context

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
        first: Mapping[str, Any] = {"agents": None}
        for name in sorted(self._running, key=lambda name: name not in first):
            await self.stop(name)
