"""Each command of the coordinator, and what it does about it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from contracts.base import Command
from contracts.coordinator import (
    CancelProject,
    DefineProtocol,
    ExecuteProject,
    PauseProject,
    ResumeProject,
    RetireProtocol,
    RetryTask,
    SkipTask,
)
from services.coordinator.conductor import Conductor, now
from services.coordinator.domain import Execution, ProtocolDefinition
from services.coordinator.domain.execution import NotStarted
from services.coordinator.policies import NotPlanned, Policies
from shared.domain import DomainError
from shared.outcomes import Accepted
from shared.patience import Patience
from shared.repository import AggregateNotFound, Origin, Repository
from shared.service import Handler

PATIENCE = 5.0
"""Seconds that a project may begin later than the first command about it arrived."""


class UnknownDefinition(DomainError):
    """No protocol was defined under that id."""

    code = "unknown_protocol"


class UnknownProject(DomainError):
    """Nobody ever described it."""

    code = "unknown_project"


class NeverStarted(DomainError):
    """It is not being carried out, and was not some seconds ago."""

    code = "not_started"


class Handlers:
    """The coordinator's commands."""

    def __init__(self, conductor: Conductor, policies: Policies, protocols: Repository[ProtocolDefinition]) -> None:
        self._conductor, self._policies, self._protocols = conductor, policies, protocols
        self._patience = Patience(PATIENCE)

    def table(self) -> dict[type[Command], Handler]:
        """Return what handles which command."""
        return {
            PauseProject: self.pause_project,
            ResumeProject: self.resume_project,
            CancelProject: self.cancel_project,
            RetryTask: self.retry_task,
            SkipTask: self.skip_task,
            DefineProtocol: self.define_protocol,
            RetireProtocol: self.retire_protocol,
            ExecuteProject: self.execute_project,
        }

    async def pause_project(self, cmd: PauseProject, origin: Origin) -> Accepted:
        """Start nothing new."""
        return await self._act(cmd.project, lambda e: e.pause(now()), origin)

    async def resume_project(self, cmd: ResumeProject, origin: Origin) -> Accepted:
        """Go on."""
        return await self._act(cmd.project, lambda e: e.resume(now()), origin)

    async def cancel_project(self, cmd: CancelProject, origin: Origin) -> Accepted:
        """End the project now."""
        return await self._act(cmd.project, lambda e: e.cancel(cmd.reason, cmd.rollback, now()), origin)

    async def retry_task(self, cmd: RetryTask, origin: Origin) -> Accepted:
        """Try a failed task again."""
        return await self._act(cmd.project, lambda e: e.retry(cmd.task, now()), origin)

    async def skip_task(self, cmd: SkipTask, origin: Origin) -> Accepted:
        """Go on without a task."""
        return await self._act(cmd.project, lambda e: e.skip(cmd.task, now()), origin)

    async def define_protocol(self, cmd: DefineProtocol, origin: Origin) -> Accepted:
        """Keep a protocol; its id follows from the command's, so that sending it again defines the same one."""
        key = f"protocol-{sha256(str(origin.causationid).encode()).hexdigest()[:10]}"
        change = await self._protocols.change(
            key, lambda p: p.define(cmd.config, cmd.name, now()), create=True, origin=origin
        )
        return Accepted(change.sequence, {"protocol": key})

    async def retire_protocol(self, cmd: RetireProtocol, origin: Origin) -> Accepted:
        """Let no further project use a protocol."""
        try:
            change = await self._protocols.change(cmd.protocol, lambda p: p.retire(now()), origin=origin)
        except AggregateNotFound as error:
            raise UnknownDefinition(f"there is no protocol {cmd.protocol}") from error
        return Accepted(change.sequence, {"protocol": cmd.protocol})

    async def execute_project(self, cmd: ExecuteProject, origin: Origin) -> Accepted:
        """Carry out a planned project now."""
        config = None
        if cmd.protocol is not None:
            try:
                config = (await self._protocols.get(cmd.protocol)).usable()
            except AggregateNotFound as error:
                raise UnknownDefinition(f"there is no protocol {cmd.protocol}") from error
        try:
            planned = await self._policies.planned(cmd.project)
        except NotPlanned as error:
            raise await self._absent(cmd.project, origin, "it has no plan, its history says why") from error
        async with self._conductor.lineage.join(cmd.project, origin, "obey command") as own:
            sequence = await self._policies.begin(cmd.project, planned, config, cmd.protocol or "", own)
        return Accepted(sequence, {"project": cmd.project})

    async def _act(self, project: str, decide: Callable[[Execution], Any], origin: Origin) -> Accepted:
        try:
            async with self._conductor.lineage.join(project, origin, "obey command") as own:
                change = await self._conductor.act(project, decide, origin=own)
        except AggregateNotFound as error:
            raise await self._absent(project, origin, "approve its plan or execute it first") from error
        return Accepted(change.sequence, {"project": project})

    async def _absent(self, project: str, origin: Origin, why: str) -> DomainError:
        """Return why nothing can be done to a project of which no execution is known, or no plan."""
        if not self._patience.over(origin.once or ""):
            return NotStarted(f"project {project} is not being carried out")
        if await self._policies.is_described(project):
            return NeverStarted(f"project {project} is not being carried out: {why}")
        return UnknownProject(f"there is no project {project}")
