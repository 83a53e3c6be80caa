"""What an orchestrator can be asked for, one task type each, in terms of the client."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import to_jsonable_python

from contracts.planner import CreateProject
from contracts.work import Plan
from nexus.client import Client
from nexus.embedded import Overview
from nexus.stage import Stage
from nexus.view import ProjectView
from nexus.view_parts import ENDED

PLANNED = ("project_planned", "project_refused")
TOGGLES = ("execute", "wait", "idempotency_key")


class UnknownTask(ValueError):
    """The request asks for something that no orchestrator does, or says what nobody reads."""


class Office:
    """Does what an orchestrator is asked for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._overview, self._folding = Overview(), asyncio.Lock()
        self.tasks: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
            "create_project": self.create_project,
            "get_project": self.get_project,
            "list_projects": self.list_projects,
            "execute_project": self.execute_project,
            "approve_plan": self.approve_plan,
            "pause_project": self.pause_project,
            "resume_project": self.resume_project,
            "cancel_project": self.cancel_project,
            "retry_task": self.retry_task,
            "skip_task": self.skip_task,
            "send_signal": self.send_signal,
            "create_coordination_protocol": self.create_coordination_protocol,
            "get_performance_metrics": self.get_performance_metrics,
        }

    @property
    def client(self) -> Client:
        """How it talks to the system."""
        return self._stage.client

    async def process(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a request with a `task_type` asks for."""
        fields = dict(request)
        kind = fields.pop("task_type", None)
        if kind not in self.tasks:
            raise UnknownTask(f"task_type {kind!r} is not known{_meant(str(kind), self.tasks)}")
        try:
            return await self.tasks[kind](**fields)
        except TypeError as error:
            if "argument" in str(error) and f"{kind}()" in str(error):
                raise UnknownTask(str(error).rpartition(".")[2]) from error
            raise

    async def create_project(
        self, *, execute: bool = False, wait: bool = False, idempotency_key: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Plan a project, and with `execute` carry it out (with `wait`: to its end). The same key twice is one."""
        for name in fields:
            if name not in CreateProject.model_fields:
                known = (*CreateProject.model_fields, *TOGGLES)
                raise UnknownTask(f"a project has no {name!r}{_meant(name, known)}")
        await self._stage.staff()
        start = fields.pop("start", "auto" if execute else "manual")
        outcome = await self.client.create_project(idempotency_key, start=start, **fields)
        project = str(outcome.result["project"])
        if execute and wait:
            return picture(await self.client.wait(project), outputs=True)
        return picture(await self._planned(project))

    async def _planned(self, project: str) -> ProjectView:
        async for entry in self.client.follow(project):
            if entry.name in PLANNED:
                break
        return await self.client.project(project)

    async def get_project(self, *, project_id: str, at: int | None = None) -> dict[str, Any]:
        """Return where a project stands, or stood."""
        return picture(await self.client.project(project_id, at), outputs=True)

    async def list_projects(self, *, status: str | None = None) -> dict[str, Any]:
        """Return all projects at a glance."""
        found = await self.client.projects()
        return {"projects": [one.as_dict() | {"project_id": one.id} for one in found if status in (None, one.status)]}

    async def execute_project(
        self,
        *,
        project_id: str,
        protocol_id: str | None = None,
        wait: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109  the project goes on, only the waiting ends
    ) -> dict[str, Any]:
        """Carry out a planned project, with a defined protocol or its own."""
        await self._stage.staff()
        await self.client.execute(project_id, protocol_id)
        if wait:
            return picture(await self.client.wait(project_id, timeout), outputs=True)
        return picture(await self.client.project(project_id))

    async def approve_plan(self, *, project_id: str) -> dict[str, Any]:
        """Let a project begin."""
        await self._stage.staff()
        return accepted(project_id, await self.client.approve(project_id))

    async def pause_project(self, *, project_id: str) -> dict[str, Any]:
        """Start nothing new."""
        return accepted(project_id, await self.client.pause(project_id))

    async def resume_project(self, *, project_id: str) -> dict[str, Any]:
        """Go on."""
        return accepted(project_id, await self.client.resume(project_id))

    async def cancel_project(self, *, project_id: str, reason: str = "", rollback: bool = False) -> dict[str, Any]:
        """End a project now."""
        return accepted(project_id, await self.client.cancel(project_id, reason, rollback=rollback))

    async def retry_task(self, *, project_id: str, task_id: str) -> dict[str, Any]:
        """Try a failed task again."""
        return accepted(project_id, await self.client.retry(project_id, task_id))

    async def skip_task(self, *, project_id: str, task_id: str) -> dict[str, Any]:
        """Go on without a task."""
        return accepted(project_id, await self.client.skip(project_id, task_id))

    async def send_signal(self, *, project_id: str, name: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Tell a project that something has happened."""
        return {"project_id": project_id, "stored": await self.client.signal(project_id, name, payload)}

    async def create_coordination_protocol(self, **config: Any) -> dict[str, Any]:
        """Keep a protocol."""
        return {"protocol_id": await self.client.define_protocol(config)}

    async def get_performance_metrics(self) -> dict[str, Any]:
        """Return how the system does."""
        return (await self.overview()).report()

    async def overview(self) -> Overview:
        """Fold the log into numbers, going on where the last one ended."""
        found, end = self._overview, await self.client.end()
        async with self._folding:
            if end > found.position:
                async for entry in self.client.past(after=found.position, until=end):
                    found.apply(entry.logged.key, entry.event, entry.sequence)
        return found

    async def active_projects(self) -> dict[str, Any]:
        """Return the projects that have not ended."""
        return {one.id: one.as_dict() for one in await self.client.projects() if one.status not in ENDED}

    async def waiting(self) -> dict[str, Any]:
        """Return the requests that wait for capacity, and what they lack."""
        return {name: to_jsonable_python(one) for name, one in (await self.overview()).view.queue.items()}

    async def available(self) -> dict[str, Any]:
        """Return what is left of each resource; None is no limit."""
        view = (await self.overview()).view
        limits = view.limits().items()
        return {name: None if limit is None else limit - view.held.get(name, 0) for name, limit in limits}

    async def allocations(self) -> dict[str, Any]:
        """Return the leases."""
        return {name: to_jsonable_python(one) for name, one in (await self.overview()).view.leases.items()}

    async def protocols(self) -> dict[str, Any]:
        """Return the type of each protocol that may be used."""
        return dict((await self.overview()).view.protocols)

    async def coordinations(self) -> dict[str, Any]:
        """Return the projects under way, and the protocol of each."""
        return {name: to_jsonable_python(one) for name, one in (await self.overview()).view.active.items()}


def picture(view: ProjectView, *, outputs: bool = False) -> dict[str, Any]:
    """Return a project as programs want to see it."""
    tasks: dict[str, Any] = {
        name: {"status": task.status, "agent": task.agent, "attempts": task.attempt, "seconds": task.seconds}
        | ({"error": task.error.message} if task.error else {})
        | ({"output": task.output} if outputs else {})
        for name, task in view.tasks.items()
    }
    return {
        "project_id": view.id,
        "status": view.status,
        "reason": view.reason,
        "title": view.title,
        "type": view.type,
        "progress": round(view.progress, 4),
        "seconds": view.seconds,
        "protocol": view.protocol.type,
        "protocol_id": view.protocol_id,
        "plan": summary(view.plan) if view.plan else None,
        "tasks": tasks,
        "sync_points": {name: point.status for name, point in view.points.items()},
        "sequence": view.sequence,
    }


def summary(plan: Plan) -> dict[str, Any]:
    """Return what matters about a plan."""
    return {
        "tasks": [
            {"id": task.id, "phase": task.phase, "capability": task.capability, "estimate": task.estimate}
            | {"depends_on": list(task.depends_on)}
            for task in plan.tasks
        ],
        "phases": list(plan.phases),
        "sync_points": list(plan.sync_points),
        "critical_path": list(plan.critical_path),
        "lower_bound": plan.lower_bound,
        "total_work": plan.total_work,
        "complexity": plan.complexity.score,
        "resources": plan.demands.model_dump(),
        "risks": [risk.model_dump(mode="json") for risk in plan.risks],
        "template": plan.template,
    }


def accepted(project: str, outcome: Any) -> dict[str, Any]:
    """Return the outcome of a command."""
    return {"project_id": project, "status": outcome.status, "sequence": outcome.sequence}


def _meant(word: str, known: Any) -> str:
    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
