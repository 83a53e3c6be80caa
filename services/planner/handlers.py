"""Each command of the planner, and what it does about it.

DomainError
├── UnknownProject   nobody ever described it
├── Unstaffed        … (NotYet) no agent can do it so far; refused if that is still so some seconds later
└── ProjectNotFound  … (NotYet) it may be on its way
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from contracts.base import Command
from contracts.planner import ApprovePlan, CreateProject
from services.planner.admission import oversized, unheard_of
from services.planner.circumstances import Circumstances
from services.planner.domain import IdTaken, Project
from services.planner.findings import Finding, Refused, refuse
from services.planner.naming import LENGTHS, project_id, title_of
from services.planner.planning import check
from shared.domain import DomainError, NotYet
from shared.lineage import Lineage
from shared.outcomes import Accepted
from shared.patience import Patience
from shared.repository import AggregateNotFound, Origin, Repository
from shared.service import Handler


class UnknownProject(DomainError):
    """Nobody ever described it."""

    code = "unknown_project"


class ProjectNotFound(NotYet):
    """It may be on its way: commands can overtake each other."""

    code = "unknown_project"


class Unstaffed(NotYet):
    """No agent can do it so far; one may be about to join."""

    code = "unknown_capability"


class Handlers:
    """The planner's commands."""

    def __init__(self, projects: Repository[Project], lineage: Lineage, circumstances: Circumstances) -> None:
        self._projects, self._lineage, self._circumstances = projects, lineage, circumstances
        self._patience = Patience(circumstances.settings.capability_wait)

    def table(self) -> Mapping[type[Command], Handler]:
        """Return what handles which command."""
        return {CreateProject: self.create_project, ApprovePlan: self.approve_plan}

    async def create_project(self, cmd: CreateProject, origin: Origin) -> Accepted:
        """Note the project; it is planned when the log says so. What can be told at once is refused at once."""
        command = origin.once or ""
        found = list(check(cmd, self._circumstances.rules))
        unstaffed = list(self._unstaffed(cmd))
        if (found or unstaffed) and (before := await self._created_before(cmd, command, origin)):
            return before
        if unstaffed and not found and not self._patience.over(command):
            raise Unstaffed(str(Refused(unstaffed)))
        refuse([*found, *unstaffed])
        for length in LENGTHS:
            with suppress(IdTaken):
                return await self._create(project_id(cmd, command, length), cmd, origin)
        raise IdTaken(f"there are two projects of the id {project_id(cmd, command)} already")

    async def approve_plan(self, cmd: ApprovePlan, origin: Origin) -> Accepted:
        """Let a planned project begin."""
        try:
            mine = replace(origin, correlationid=cmd.project)
            async with self._lineage.join(cmd.project, mine, "approve plan") as own:
                change = await self._projects.change(cmd.project, lambda p: p.approve(now()), origin=own)
        except AggregateNotFound:
            kind = UnknownProject if self._patience.over(origin.once or "") else ProjectNotFound
            raise kind(f"there is no project {cmd.project}") from None
        return Accepted(change.sequence, {"project": cmd.project})

    async def _create(self, project: str, cmd: CreateProject, origin: Origin) -> Accepted:
        title = title_of(cmd)
        change = await self._projects.change(
            project, lambda p: p.create(cmd, title, now()), create=True, origin=replace(origin, correlationid=project)
        )
        return Accepted(change.sequence, {"project": project})

    async def _created_before(self, cmd: CreateProject, command: str, origin: Origin) -> Accepted | None:
        """What this command did before stays done, also if other settings would refuse it today."""
        for length in LENGTHS:
            project = project_id(cmd, command, length)
            with suppress(AggregateNotFound):
                change = await self._projects.change(project, lambda _: None, origin=origin)
                if change.repeated:
                    return Accepted(change.sequence, {"project": project})
        return None

    def _unstaffed(self, cmd: CreateProject) -> list[Finding]:
        known = self._circumstances
        if cmd.tasks is None or not known.settings.strict_capabilities:
            return []
        if not known.known.live:
            raise NotYet("the planner is still reading which agents there are")
        capabilities = known.capabilities(cmd.requirements.get("capabilities"))
        return [*unheard_of(cmd.tasks, capabilities), *oversized(cmd.tasks, known.workforce)]


def now() -> datetime:
    """Return the present time, UTC."""
    return datetime.now(UTC)
