"""A whole system for one measurement: its own nats-server, every service a process, and their CPU and memory."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client

from nexus.server import EmbeddedServer
from nexus.supervisor import Supervisor
from shared.settings import Settings

SERVICES = {
    "planner": "services.planner.app:create",
    "resource_manager": "services.resource_manager.app:create",
    "coordinator": "services.coordinator.app:create",
    "metrics": "services.metrics.app:create",
    "agents": "nexus.bench.agents:create",
}
UNLIMITED = {
    "agents": {"orchestrator": {"max_concurrent_projects": 1_000_000}},
    "nexus": {"max_agents": 1000, "resource_limits": {"cpu": None, "memory": None, "disk": None}},
}


@dataclass
class Usage:
    """What one process has used so far."""

    cpu: float
    """Seconds."""
    memory: float
    """Most memory so far, MiB."""


@dataclass
class System:
    """What runs."""

    nc: Client
    server: EmbeddedServer
    supervisor: Supervisor
    settings: Settings

    def usage(self) -> dict[str, Usage]:
        """Return what each process has used, as far as this machine tells."""
        pids = {"nats-server": self.server.pid, "driver": os.getpid()}
        pids |= {name: process.pid for name, process in self.supervisor.processes.items()}
        return {name: found for name, pid in pids.items() if (found := _usage(pid))}


@asynccontextmanager
async def system(data: Path, sync: str, services: Iterable[str] = SERVICES) -> AsyncIterator[System]:
    """Run nats-server and services on an empty folder; everything ends with the block."""
    settings = Settings.load(UNLIMITED, environ={}, data=data, sync=sync, log_level="warning")
    server = EmbeddedServer.of(settings)
    access = await server.start()
    try:
        settings = access.applied(settings)
        supervisor = Supervisor(settings, data / "logs")
        await supervisor.prepare()
        try:
            await supervisor.start({name: SERVICES[name] for name in services})
            nc = await nats.connect(access.url, user=access.user, password=access.password, name="nexus bench")
            try:
                yield System(nc, server, supervisor, settings)
            finally:
                await nc.close()
        finally:
            await supervisor.close()
    finally:
        await server.stop()


def _usage(pid: int) -> Usage | None:
    """Read the kernel's own accounting, where it lies open as on Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "0")
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(peak) / 1024)
