"""Coordinator: carries plans out. Run with `uvicorn --factory services.coordinator.app:create`."""

from importlib.metadata import entry_points

from faststream.asgi import AsgiFastStream

from contracts.base import EVENTS as PUBLISHED
from services.coordinator.conductor import Conductor
from services.coordinator.domain import Execution, ProtocolDefinition
from services.coordinator.domain.protocols import PROTOCOLS
from services.coordinator.handlers import Handlers
from services.coordinator.policies import Policies
from services.coordinator.projections import ActiveExecutions
from shared.inflow import InflowSpec
from shared.repository import Repository
from shared.service import Parts, Runtime, Subscription, service
from shared.settings import Settings
from shared.streams import AGENTS, EVENTS, RESULTS


def create(settings: Settings | None = None) -> AsgiFastStream:
    """Build the service."""
    return service("coordinator", compose, settings or Settings.load())


async def compose(runtime: Runtime) -> Parts:
    """Put the coordinator together."""
    for plugin in entry_points(group="nexus.protocols"):
        PROTOCOLS.setdefault(plugin.name, plugin.load()())
    snapshots, every = runtime.snapshots, runtime.settings.snapshot_every
    executions = Repository(runtime.log, Execution, snapshots=snapshots, every=every)
    protocols = Repository(runtime.log, ProtocolDefinition, snapshots=snapshots, every=every)
    conductor = Conductor(
        executions, runtime.log, runtime.publisher, runtime.timers, lambda: runtime.nc.stats["reconnects"]
    )
    policies = Policies(conductor, runtime.log)
    active = ActiveExecutions(runtime.log, snapshots)
    return Parts(
        commands=Handlers(conductor, policies, protocols).table(),
        subscriptions=[Subscription("nexus.signals.*.*", "coordinator-signals", policies.receive_signal)],
        inflows=[
            InflowSpec(RESULTS, "coordinator-results", ["nexus.results.*.*"], policies.settle_results),
            InflowSpec(EVENTS, "coordinator-capacity", CAPACITY, policies.use_capacity),
            InflowSpec(EVENTS, "coordinator-plans", PLANS, policies.start_projects),
            runtime.timers.inflow(policies.wake),
            InflowSpec(AGENTS, "coordinator-beats", ["nexus.agents.*.beat"], policies.hear_beats),
        ],
        background={"active": lambda: active.watch(conductor.resume), "debts": conductor.pay},
    )


CAPACITY = ["nexus.events.resource_manager.*.capacity_leased.*", "nexus.events.resource_manager.*.lease_expired.*"]
PLANS = [
    f"nexus.events.planner.*.{PUBLISHED[topic].NAME}"
    for topic in ("planner.project.project_planned", "planner.project.plan_approved")
]
