"""Planner: turns described projects into plans. Run with `uvicorn --factory services.planner.app:create`."""

from functools import partial

from faststream.asgi import AsgiFastStream

from services.planner.analysis import RuleAnalyst
from services.planner.circumstances import Circumstances, rules_of
from services.planner.domain import Project
from services.planner.handlers import Handlers
from services.planner.planning import Rules
from services.planner.policies import DURABLE, FILTER, Policies
from services.planner.projections import follow
from shared.inflow import InflowSpec
from shared.lineage import Lineage
from shared.repository import Repository
from shared.service import Parts, Runtime, service
from shared.settings import Settings


def create(settings: Settings | None = None) -> AsgiFastStream:
    """Build the service; raise `SettingsError` if the settings contradict the templates."""
    settings = settings or Settings.load()
    return service("planner", partial(compose, rules_of(settings)), settings)


async def compose(rules: Rules, runtime: Runtime) -> Parts:
    """Put the planner together."""
    projects = Repository(runtime.log, Project)
    workforce = follow(runtime.log, runtime.snapshots)
    circumstances = Circumstances(runtime.settings.orchestrator.planning, rules, workforce)
    policies = Policies(projects, circumstances, RuleAnalyst(rules.catalog))
    return Parts(
        commands=Handlers(projects, Lineage(runtime.log, "planner"), circumstances).table(),
        inflows=[InflowSpec("NEXUS_EVENTS", DURABLE, [FILTER], policies.plan_projects)],
        background={"workforce": workforce.run},
        probes={"workforce": circumstances.probe},
    )
