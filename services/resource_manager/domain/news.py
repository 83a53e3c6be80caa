"""What the coordinator said, and what of it is new: the same twice, or in another order, comes to the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.coordinator import CapacityRequest
from contracts.resource_manager import Lease, Queued
from services.resource_manager.domain.state import Claim, parts


@dataclass(frozen=True, slots=True)
class Heard:
    """What one event of the coordinator means for capacity."""

    project: str
    requested: tuple[CapacityRequest, ...] = ()
    released: tuple[str, ...] = ()
    ended: bool = False
    position: int = 0
    """Its place in the log."""


@dataclass
class News:
    """What is new in what was heard together."""

    fresh: dict[str, Queued] = field(default_factory=dict)
    """Requests never heard of before; without a reason to wait yet."""
    released: dict[str, list[str]] = field(default_factory=dict)
    """Project to its leases and requests that end, those included whose request has not been heard yet."""
    ended: dict[str, int] = field(default_factory=dict)
    """Project to the place in the log of its end."""
    closed: dict[str, list[str]] = field(default_factory=dict)
    """Project that ended to all that it had."""

    @property
    def gone(self) -> set[str]:
        """All leases and requests that end."""
        return {one for ends in (self.released, self.closed) for leases in ends.values() for one in leases}

    def __bool__(self) -> bool:
        return bool(self.fresh or self.released or self.ended)


class Listener:
    """Takes in what was heard, message by message in the order of the log, beside what is remembered."""

    def __init__(
        self,
        leases: Mapping[str, Lease],
        queue: Mapping[str, Queued],
        claims: Mapping[str, Claim],
        ended: Mapping[str, int],
        now: datetime,
    ) -> None:
        self._leases, self._queue, self._claims, self._ended, self._now = leases, queue, claims, ended, now
        self._newest: dict[tuple[str, str], int] = {}
        self.news = News()

    def listen(self, heard: Iterable[Heard]) -> News:
        """Return what is new."""
        for one in sorted(heard, key=lambda one: one.position):
            for lease in one.released:
                self._release(lease, one.position)
            for request in one.requested:
                self._request(request, one.position)
            if one.ended:
                self._end(one.project, one.position)
        if self.news.ended:
            self._sweep_up()
        return self.news

    def _request(self, request: CapacityRequest, position: int) -> None:
        project, task, attempt = parts(request.id)
        if position > self._void(project) and attempt > self._known(project, task):
            self._newest[project, task] = attempt
            self.news.fresh[request.id] = Queued(request=request, reason="", since=self._now)

    def _release(self, lease: str, position: int) -> None:
        project, task, attempt = parts(lease)
        if position <= self._void(project):
            return
        live = lease in self._leases or lease in self._queue or lease in self.news.fresh
        known = self._known(project, task)
        if lease not in self.news.released.get(project, ()) and (live or attempt > known):
            self._newest[project, task] = max(attempt, known)
            self.news.released.setdefault(project, []).append(lease)
            self.news.fresh.pop(lease, None)

    def _end(self, project: str, position: int) -> None:
        if position <= self._void(project):
            return
        self.news.ended[project], self.news.closed[project] = position, []
        self.news.released.pop(project, None)
        for key in [key for key in self._newest if key[0] == project]:
            del self._newest[key]
        for request in [request for request in self.news.fresh if parts(request)[0] == project]:
            del self.news.fresh[request]

    def _sweep_up(self) -> None:
        """Take from the ended projects all that they have."""
        for lease in (*self._leases, *self._queue):
            project = parts(lease)[0]
            if project in self.news.closed:
                self.news.closed[project].append(lease)

    def _void(self, project: str) -> int:
        """Return the place in the log up to which requests of the project no longer count; -1 if all do."""
        if project in self.news.ended:
            return self.news.ended[project]
        if claim := self._claims.get(project):
            return claim.after
        return self._ended.get(project, -1)

    def _known(self, project: str, task: str) -> int:
        """Return the newest attempt heard of."""
        if (project, task) in self._newest:
            return self._newest[project, task]
        claim = None if project in self.news.ended else self._claims.get(project)
        return claim.attempts.get(task, 0) if claim else 0
