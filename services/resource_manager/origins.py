"""Which trace the facts about a project belong to: the one that its coordinator's facts came in."""

import asyncio
from collections.abc import Iterable

from pydantic_core import from_json

from contracts.base import Event
from shared.mapper import Origin
from shared.records import Log

MOST = 10_000


class Origins:
    """The newest origin of each project, as far as this process has heard of it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._known: dict[str, Origin] = {}

    def note(self, project: str, origin: Origin) -> None:
        """Keep where the newest message of a project came from."""
        self._known.pop(project, None)
        self._known[project] = origin
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def of(self, event: Event) -> Origin | None:
        """Return where a fact belongs; none if it concerns no project."""
        return self._known.get(getattr(event, "project", ""))

    async def recall(self, projects: Iterable[str]) -> None:
        """Find out from the log about projects that an earlier process heard of."""
        await asyncio.gather(*(self._recall(project) for project in projects if project not in self._known))

    async def _recall(self, project: str) -> None:
        for logged in await self._log.read(project, service="coordinator", limit=1):
            message = from_json(logged.state)
            self.note(project, Origin(message.get("id"), project, message.get("traceparent")))
