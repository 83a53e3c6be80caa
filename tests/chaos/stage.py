"""The whole system as real processes on an empty folder, and what a test may do to it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy

from nexus.client import Client
from nexus.connection import connect
from nexus.server import EmbeddedServer
from nexus.supervisor import Supervisor
from shared.settings import Settings
from shared.streams import TABLE, TASKS, provision
from tests.chaos.agents import make_diary

SERVICES = {
    **{name: f"services.{name}.app:create" for name in ("planner", "resource_manager", "coordinator", "metrics")},
    "agents": "tests.chaos.agents:agents",
    "more_agents": "tests.chaos.agents:more_agents",
}
NATS = "nats"
VICTIMS = (*SERVICES, NATS)
BEAT = 0.5
CONFIG = {
    "agents": {"orchestrator": {"max_concurrent_projects": 25}},
    "nexus": {"resource_limits": {"cpu": 60}},
    "agent_beat": BEAT,
    "lease_term": 5,
    "snapshot_every": 8,
}


def chaos_settings(data: Path, sync: str = "always") -> Settings:
    """Return settings under which there is something to fight for, and agents beat fast."""
    return Settings.load(CONFIG, environ={}, data=data, sync=sync, log_level="info")


@dataclass
class Stage:
    """What runs."""

    server: EmbeddedServer
    supervisor: Supervisor
    settings: Settings
    client: Client

    async def kill(self, victim: str, away: float = 0.0) -> bool:
        """Kill a process as a crash would; it comes back. Return whether there was one to kill.

        `away`: seconds until the nats-server is started again; the supervisor starts services by itself.
        """
        if victim != NATS:
            self.supervisor.processes[victim].deaths = 0  # it is not to be blamed: no back-off
            return bool(await self.supervisor.kill(victim))
        await self.server.kill()
        await asyncio.sleep(away)
        await self.server.start()
        return True

    async def freeze(self, victim: str, seconds: float) -> bool:
        """Let a service stand still for a while; return whether there was one."""
        if not (pid := self.pid(victim)):
            return False
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        with suppress(ProcessLookupError):  # somebody was faster
            os.kill(pid, signal.SIGCONT)
        return True

    async def ready(self) -> None:
        """Wait until everything is back."""
        await self.supervisor.ready()

    def pid(self, name: str) -> int:
        """Return the process of a service; 0 while it is down."""
        return self.supervisor.processes[name].pid


@asynccontextmanager
async def stage(data: Path, sync: str = "always", services: Mapping[str, str] = SERVICES) -> AsyncIterator[Stage]:
    """Start the system; everything ends with the block. `services`: name to factory."""
    settings = chaos_settings(data, sync)
    server = EmbeddedServer.of(settings)
    supervisor = Supervisor(settings, data / "logs")
    try:
        await supervisor.prepare()
        settings = (await server.start()).applied(settings)
        nc = await connect(settings=settings, name="chaos")
        await provision(nc)
        await make_diary(nc)
        supervisor.apply(settings)
        await supervisor.start(services)
        async with Client(nc=nc, settings=settings, actor="chaos") as client:
            yield Stage(server, supervisor, settings, client)
        await nc.close()
    finally:
        await supervisor.close()
        await server.stop()


async def rest(client: Client) -> None:
    """Wait until nothing is said any more, and nothing waits to be handled; give up after half a minute."""
    end, calm = 0, 0
    for _ in range(60):
        await asyncio.sleep(0.5)
        last, left = await client.end(), await unhandled(client.nc.jetstream())
        calm = calm + 1 if last == end and not left else 0
        if calm >= 2:
            return
        end = last


async def unhandled(js: JetStreamContext) -> dict[str, int]:
    """Return what waits in the streams that a message leaves when it was handled: subject to number.

    Not what agents are sent: it may wait for one that does not come back.
    """
    found: dict[str, int] = {}
    for config in TABLE:
        if config.retention == RetentionPolicy.WORK_QUEUE and config.name != TASKS:
            info = await js.stream_info(config.name or "", subjects_filter=">")
            found |= info.state.subjects or {}
    return found
