"""Which projects are being carried out: read from the log, so that a restart finds every one of them."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from nats.errors import Error

from contracts.coordinator import ENDED
from shared.records import Log, Logged
from shared.snapshots import Snapshot, SnapshotStore

FOLD = 1
NAME = "active"
CHECKPOINT = 1000
BEGINS = ("execution_started", "task_retried", "task_skipped")
"""Facts after which a project is under way; a command may reopen one that had ended."""
ENDS = tuple(event.NAME for event in ENDED)
FILTERS = [f"nexus.events.coordinator.*.{name}" for name in (*BEGINS, *ENDS)]

log = logging.getLogger(__name__)


class ActiveExecutions:
    """The projects that have begun and not ended."""

    def __init__(self, events: Log, snapshots: SnapshotStore) -> None:
        self._events, self._snapshots = events, snapshots
        self.projects: dict[str, None] = {}
        self.position = 0
        self._kept = 0

    async def watch(self, resume: Callable[[str], Awaitable[None]]) -> None:
        """Catch up with the log, resume whatever is under way, and go on listening."""
        await self._catch_up()
        failures = [error for project in list(self.projects) if (error := await _attempt(resume, project))]
        if failures:
            raise failures[0]  # the loop is started again and tries once more
        async for portion in self._events.follow(filters=FILTERS, after=self.position):
            self._fold(portion)
            await self._checkpoint(CHECKPOINT)

    async def _catch_up(self) -> None:
        kept = await self._snapshots.load(NAME)
        if kept and kept.fold == FOLD:
            self.projects, self.position = dict.fromkeys(kept.state), kept.sequence
            self._kept = kept.sequence
        async for portion in self._events.replay(FILTERS, after=self.position):
            self._fold(portion)
        await self._checkpoint(CHECKPOINT)

    def _fold(self, portion: Iterable[Logged]) -> None:
        for event in portion:
            if event.topic.rpartition(".")[2] in ENDS:
                self.projects.pop(event.key, None)
            else:
                self.projects[event.key] = None
            self.position = event.id

    async def _checkpoint(self, every: int) -> None:
        if self.position - self._kept >= every:
            self._kept = self.position
            try:
                await self._snapshots.save(NAME, Snapshot(FOLD, self.position, 0, list(self.projects)))
            except Error as reason:
                log.warning("the list of active projects was not saved: %r", reason)


async def _attempt(resume: Callable[[str], Awaitable[None]], project: str) -> Exception | None:
    """One project that cannot be resumed must not keep the others waiting."""
    try:
        await resume(project)
    except Exception as error:
        log.exception("project %s cannot be resumed", project)
        return error
    return None
