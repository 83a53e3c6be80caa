"""What the planner does about its own facts: what was described is analysed and planned, also after a crash."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from contracts.planner import CreateProject, ProjectCreated
from services.planner.analysis import Analyst
from services.planner.circumstances import Circumstances
from services.planner.domain import Project
from services.planner.findings import Refused
from services.planner.planning import make_plan
from shared import telemetry
from shared.incoming import Incoming
from shared.mapper import EventMapper
from shared.repository import Origin, Repository

R = TypeVar("R")

DURABLE = "planner-plan"
FILTER = f"nexus.events.planner.*.{ProjectCreated.NAME}"


class Policies:
    """Reactions; each may be delivered again."""

    def __init__(self, projects: Repository[Project], circumstances: Circumstances, analyst: Analyst) -> None:
        self._projects, self._circumstances, self._analyst = projects, circumstances, analyst
        self._mapper = EventMapper()

    async def plan_projects(self, batch: list[Incoming]) -> None:
        """Plan what was described, each project for itself: one that cannot be planned does not hold up the others."""
        await asyncio.gather(*(self._handled(message) for message in batch))

    async def _handled(self, message: Incoming) -> None:
        try:
            with telemetry.processing([message], durable=DURABLE) as span:
                logged = message.logged
                event = self._mapper.to_event(logged)
                assert isinstance(event, ProjectCreated)
                origin = replace(Origin.of(message.ce), correlationid=logged.key, traceparent=span.traceparent)
                await self._plan(logged.key, event, origin)
        except Exception as error:  # noqa: BLE001  the message's fate is decided by what was raised
            message.fail(error)

    async def _plan(self, project: str, event: ProjectCreated, origin: Origin) -> None:
        stage, template = await self._ask(project, lambda p: (p.stage, p.template), origin)
        if stage not in ("created", "analysed"):
            return
        try:
            if event.request.tasks is None and stage == "created":
                template = await self._analyse(project, event.request, origin)
            rules, workforce, now = self._circumstances.rules, self._circumstances.workforce, datetime.now(UTC)
            planned = make_plan(event.request, template, rules, workforce, title=event.title, at=now)
        except Refused as refusal:
            await self._refuse(project, refusal, origin)
        else:
            await self._ask(project, lambda p: p.accept_plan(planned), origin)

    async def _analyse(self, project: str, request: CreateProject, origin: Origin) -> str:
        """Ask the analyst, once: what it says is a fact from then on, and the first answer counts."""
        found, now = await self._analyst.analyse(request), datetime.now(UTC)

        def keep(state: Project) -> str:
            state.note_analysis(
                analyst=found.analyst, template=found.template, reasons=found.reasons, findings=found.findings, at=now
            )
            return state.template

        return await self._ask(project, keep, origin)

    async def _refuse(self, project: str, refusal: Refused, origin: Origin) -> None:
        code, message, problems, now = refusal.code, str(refusal), refusal.problems, datetime.now(UTC)
        await self._ask(project, lambda p: p.refuse(code=code, message=message, problems=problems, at=now), origin)

    async def _ask(self, project: str, decide: Callable[[Project], R], origin: Origin) -> R:
        return (await self._projects.change(project, decide, origin=origin)).result
