"""Read models: the log folded into a view that answers questions. A view can always be made again from the log."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from nats.errors import Error
from pydantic import TypeAdapter, ValidationError

from shared.records import ALL, Log, Logged
from shared.snapshots import Snapshot, SnapshotStore

V = TypeVar("V")
Listener = Callable[[Sequence[Logged]], None]
log = logging.getLogger(__name__)


class Projection(Generic[V]):
    """One view: restored from its checkpoint, caught up with the log, then kept up to date for ever by `run`.

    `view` is the class of the view; without arguments it makes the blank one. `fold` returns the view after an event;
    it may change the one it was given, and nothing else. Raise `version` when the fold or the view changes:
    older checkpoints are then not used. A checkpoint is made every so many events and seconds, whichever comes first.
    """

    def __init__(
        self,
        source: Log,
        name: str,
        view: type[V],
        fold: Callable[[V, Logged], V],
        *,
        filters: Sequence[str] = ALL,
        snapshots: SnapshotStore | None = None,
        version: int = 1,
        every: int = 20_000,
        seconds: float = 60.0,
    ) -> None:
        self.name, self.view = name, view()
        self.position = 0  # the last event of the log that is in the view
        self._log, self._kind, self._fold, self._filters = source, view, fold, filters
        self._snapshots, self._version, self._every, self._seconds = snapshots, version, every, seconds
        self._adapter: TypeAdapter[V] = TypeAdapter(view)
        self._listeners: list[Listener] = []
        self._live, self._moved = asyncio.Event(), asyncio.Event()
        self._error: BaseException | None = None
        self._saved_at, self._unsaved, self._folded = 0.0, 0, 0

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each portion of events, after they were folded."""
        self._listeners.append(listener)

    @property
    def live(self) -> bool:
        """Whether the view has caught up and is kept up to date."""
        return self._live.is_set() and self._error is None

    async def caught_up(self) -> None:
        """Wait until the view knows everything that the log held when `run` began."""
        await self._live.wait()
        self._check()

    async def reached(self, sequence: int) -> None:
        """Wait until the view is at this place of the log, or behind it."""
        while self.position < sequence:
            self._check()
            await self._moved.wait()

    async def run(self) -> None:
        """Keep the view up to date, for ever; whatever goes wrong in the fold ends it, for history is not skipped."""
        self._error = None
        self._live.clear()
        try:
            await self._restore()
            await self._consume(self._log.replay(self._filters, after=self.position))
            self._live.set()
            await self._consume(self._log.follow(filters=self._filters, after=self.position))
        except BaseException as error:
            self._error = error
            self._live.set()
            self._move()
            raise

    async def _consume(self, source: AsyncGenerator[list[Logged]]) -> None:
        async with aclosing(source) as portions:
            async for events in portions:
                self._take(events)
                if self._due():
                    await self.checkpoint()

    def _take(self, events: Sequence[Logged]) -> None:
        fold, view = self._fold, self.view
        for event in events:
            try:
                view = fold(view, event)
            except Exception as error:
                error.add_note(f"{self.name} could not fold {event.topic} at sequence {event.id}")
                raise
        self.view, self.position = view, events[-1].id
        self._unsaved += len(events)
        self._folded += len(events)
        for listener in self._listeners:
            listener(events)
        self._move()

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _check(self) -> None:
        if self._error is not None:
            raise RuntimeError(f"{self.name} is not kept up to date") from self._error

    def _due(self) -> bool:
        if self._snapshots is None or not self._unsaved:
            return False
        return self._unsaved >= self._every or asyncio.get_running_loop().time() - self._saved_at >= self._seconds

    async def checkpoint(self) -> None:
        """Keep the view as it is, so that the next start begins here."""
        self._saved_at, unsaved, self._unsaved = asyncio.get_running_loop().time(), self._unsaved, 0
        if self._snapshots is None or not unsaved:
            return
        state = self._adapter.dump_python(self.view, mode="json")
        try:
            await self._snapshots.save(self.name, Snapshot(self._version, self.position, self._folded, state))
        except Error as reason:
            log.warning("the checkpoint of %s was not saved: %r", self.name, reason)

    async def _restore(self) -> None:
        self.view, self.position, self._folded, self._unsaved = self._kind(), 0, 0, 0
        self._saved_at = asyncio.get_running_loop().time()
        found = await self._snapshots.load(self.name) if self._snapshots else None
        if found is None or found.fold != self._version:
            return
        try:
            self.view = self._adapter.validate_python(found.state)
        except ValidationError as reason:
            log.warning("the checkpoint of %s does not fit, the log is read: %s", self.name, reason)
            return
        self.position, self._folded = found.sequence, found.version
