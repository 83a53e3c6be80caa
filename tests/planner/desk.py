"""The planner over a log that is a list: its commands and reactions without a server."""

from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.base import Event
from contracts.planner import (
    ApprovePlan,
    CreateProject,
    ProjectCreated,
)
from services.planner.analysis import RuleAnalyst
from services.planner.circumstances import Circumstances, rules_of
from services.planner.domain import Project
from services.planner.handlers import Handlers
from services.planner.policies import Policies
from services.planner.projections import Workforce, follow
from shared.incoming import Incoming
from shared.lineage import Lineage
from shared.mapper import EventMapper, Origin
from shared.memory import MemoryLog, MemorySnapshots
from shared.outcomes import Accepted
from shared.projection import Projection
from shared.repository import Repository
from shared.settings import Settings


@dataclass
class Desk:
    """The planner's commands and reactions, without a server."""

    log: MemoryLog
    known: Projection[Workforce]
    circumstances: Circumstances
    handlers: Handlers

    async def create(self, request: CreateProject, command: str = "c-1") -> Accepted:
        origin = Origin(causationid=command, once=command, traceparent="00-t", actor="ann")
        return await self.handlers.create_project(request, origin)

    async def approve(self, project: str, command: str = "a-1") -> Accepted:
        return await self.handlers.approve_plan(ApprovePlan(project=project), Origin(causationid=command, once=command))

    async def plan(self, analyst: Any = None) -> list[Incoming]:
        """Deliver all that was created to a planner that has just been started."""
        projects = Repository(self.log, Project)
        policies = Policies(projects, self.circumstances, analyst or RuleAnalyst(self.circumstances.rules.catalog))
        batch = [
            Incoming(
                Msg(
                    Client(),
                    subject=logged.subject,
                    reply=f"$JS.ACK.NEXUS_EVENTS.planner-plan.1.{logged.id}.1.0.0",
                    data=logged.state,
                    headers={"Nexus-Topic": logged.topic, "Nats-Msg-Id": logged.message_id},
                )
            )
            for logged in self.log.shelf.events
            if logged.topic == ProjectCreated.TOPIC
        ]
        await policies.plan_projects(batch)
        return batch

    def told(self, project: str = "*") -> list[Event]:
        """Return the facts about a project."""
        mapper = EventMapper()
        return [mapper.to_event(e) for e in self.log.shelf.events if project in ("*", e.key)]


def desk(config: dict[str, Any] | None = None, log: MemoryLog | None = None) -> Desk:
    settings = Settings.load(config or {}, environ={})
    log = log or MemoryLog("planner")
    known = follow(log, MemorySnapshots())
    known._live.set()
    circumstances = Circumstances(settings.orchestrator.planning, rules_of(settings), known)
    return Desk(log, known, circumstances, Handlers(Repository(log, Project), Lineage(log, "planner"), circumstances))


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]
