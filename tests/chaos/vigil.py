"""Looks all the time whether every unfinished task waits for something: a moment, or a thing with a name."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from nexus.client import Client
from nexus.history import Entry
from nexus.view import ProjectView
from nexus.waits import waits
from services.coordinator.domain import Execution
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.streams import TIMERS

EVERY = 1.0
GRACE = 45.0
"""Seconds for services and server that are killed again and again, or away for long, to do what is due."""


class Vigil:
    """Folds the log while it grows, as the coordinator does and as a client does."""

    def __init__(self, client: Client) -> None:
        self._client, self._mapper = client, EventMapper()
        self._executions: dict[str, Execution] = {}
        self._views: dict[str, ProjectView] = {}
        self._worried: dict[str, tuple[int, float]] = {}
        self.looks = 0
        self.problems: list[str] = []

    async def keep(self) -> None:
        """Look, for ever."""
        following = asyncio.create_task(self._follow())
        try:
            while True:
                await asyncio.sleep(EVERY)
                if following.done():
                    following.result()  # says why nobody follows any more
                for project, execution in list(self._executions.items()):
                    if not execution.ended:
                        await self._look(execution, self._views[project])
        finally:
            following.cancel()

    async def _follow(self) -> None:
        async for logged in EventLog(self._client.nc, "client").tail():
            entry = Entry(logged)
            if entry.event is None or not (project := entry.project):
                continue
            self._views.setdefault(project, ProjectView(project)).apply(entry.event, entry.sequence)
            if entry.topic.startswith("coordinator.execution."):
                self._executions.setdefault(project, Execution(project)).apply(entry.event)

    async def _look(self, execution: Execution, view: ProjectView) -> None:
        self.looks += 1
        for task in execution.open_tasks():
            if execution.status == "running" and not waits(view, task):
                self._complain(f"{execution.id}.{task} is {execution.tasks[task].status} and waits for nothing")
        reason = await self._unwatched(execution)
        version, since = self._worried.get(execution.id, (0, 0.0))
        if not reason or version != execution.version:
            self._worried[execution.id] = execution.version, time.monotonic()
        elif time.monotonic() - since > GRACE:
            self._complain(f"{execution.id}: {reason}")

    async def _unwatched(self, execution: Execution) -> str:
        """Return why nobody would wake the project up in time; empty if somebody will."""
        found = execution.next_wakeup({})
        if found is None:
            return ""  # what it waits for has a name
        at, why = found
        now = datetime.now(UTC)
        if at < now - timedelta(seconds=EVERY):
            return f"the {why} was due at {at}"
        try:
            await self._client.nc.jetstream().get_last_msg(TIMERS, f"nexus.timers.coordinator.{execution.id}")
        except NotFoundError:
            return f"no timer for the {why} at {at}" if at > now else ""
        except (NatsError, TimeoutError):
            return ""
        return ""

    def _complain(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
