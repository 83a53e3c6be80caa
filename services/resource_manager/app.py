"""Resource manager: shares capacity out. Run with `uvicorn --factory services.resource_manager.app:create`."""

import asyncio
from datetime import timedelta

from faststream.asgi import AsgiFastStream

from contracts.resource_manager import Capacity
from services.resource_manager.allocator import Allocator, now
from services.resource_manager.domain import Pool, Terms
from services.resource_manager.gauges import Gauges
from services.resource_manager.handlers import Handlers
from services.resource_manager.matching import assign, solver
from services.resource_manager.origins import Origins
from services.resource_manager.policies import DURABLE, FACTS, Policies
from services.resource_manager.sweep import Sweep
from services.resource_manager.watch import Watch
from shared.inflow import InflowSpec
from shared.repository import Repository
from shared.service import Parts, Runtime, service
from shared.settings import Settings
from shared.streams import EVENTS


def create(settings: Settings | None = None) -> AsgiFastStream:
    """Build the service."""
    return service("resource_manager", compose, settings or Settings.load())


async def compose(runtime: Runtime) -> Parts:
    """Put the resource manager together."""
    settings = runtime.settings
    pools = Repository(runtime.log, Pool, snapshots=runtime.snapshots, every=settings.snapshot_every)
    origins, gauges = Origins(runtime.log), Gauges(runtime.registry)
    allocator = Allocator(pools, origins, assign, terms(settings), gauges)
    await allocator.state(lambda pool: pool.configure(capacity(settings), now()), create=True)
    await origins.recall(await allocator.see(lambda pool: list(pool.claims)))
    watch = Watch(runtime.nc, allocator, gauges)
    await watch.start()
    await allocator.look_again()
    sweep = Sweep(allocator, watch, advice=settings.orchestrator.optimization.enable_auto_scaling)
    return Parts(
        commands=Handlers(allocator).table(),
        inflows=[InflowSpec(EVENTS, DURABLE, FACTS, Policies(allocator, origins).hear)],
        background={"sweep": sweep.run, "matching": load_solver},
        closing=[watch.stop],
    )


def capacity(settings: Settings) -> Capacity:
    """Return what the settings say that the pool has."""
    limits = settings.nexus.resource_limits
    return Capacity(
        cpu=limits.cpu,
        memory=limits.memory,
        disk=limits.disk,
        network=limits.network,
        agents=settings.nexus.max_agents,
        projects=settings.agents.orchestrator.max_concurrent_projects,
    )


def terms(settings: Settings) -> Terms:
    """Return for how long leases are granted."""
    carry = settings.lease_carry
    return Terms(
        lease=timedelta(seconds=settings.lease_term),
        carry=timedelta(seconds=carry),
        carry_contended=timedelta(seconds=min(carry, 0.5)),
    )


async def load_solver() -> None:
    """Have what matching needs at hand before it is needed: loading it takes most of a second."""
    await asyncio.sleep(0.5)
    await asyncio.to_thread(solver)
