"""From what one project gets to hear to the facts that say it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from contracts.base import Event
from contracts.resource_manager import CapacityLeased, CapacityQueued, Lease, LeaseReleased, Queued
from services.resource_manager.domain.line import Waiting

AT_ONCE = 800
"""Most leases or requests in one fact: a message has its limits."""
IDS_AT_ONCE = 3000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a lease is granted.

    Fairness: a lease may be carried over to the next task of its project for `carry`. Where other projects wait for the
    same agents, only for `carry_contended`: long enough for a chain of quick tasks, too short to keep others out.
    """

    lease: timedelta = timedelta(seconds=15)
    """Without a sign of life of its agent."""
    carry: timedelta = timedelta(seconds=5)
    carry_contended: timedelta = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Grant:
    """A request that is granted, and by whom it will be done."""

    who: Waiting
    agent: str
    capabilities: tuple[str, ...]
    contended: bool
    """Other projects wait for such an agent."""

    def lease(self, epoch: int, now: datetime, terms: Terms) -> Lease:
        """Return the lease that answers the request."""
        request = self.who.request
        return Lease(
            id=request.id,
            project=self.who.project,
            task=request.task,
            agent=self.agent,
            demand=request.demand,
            capabilities=self.capabilities,
            epoch=epoch,
            until=now + terms.lease,
            carry_until=now + (terms.carry_contended if self.contended else terms.carry),
        )


@dataclass
class Draft:
    """What one project gets to hear."""

    project: str
    released: list[str] = field(default_factory=list)
    granted: list[Grant] = field(default_factory=list)
    queued: list[Queued] = field(default_factory=list)
    ended: int | None = None
    """Where in the log its end stands, if it ended."""


def stated(drafts: Iterable[Draft], epoch: int, now: datetime, terms: Terms) -> Iterator[Event]:
    """Yield the facts, for each draft one where it is possible; `epoch` is the newest so far."""
    for draft in drafts:
        project, released = draft.project, tuple(draft.released)
        for grants in _portions(draft.granted, AT_ONCE):
            leases = tuple(grant.lease(epoch + n, now, terms) for n, grant in enumerate(grants, 1))
            epoch += len(leases)
            yield CapacityLeased(at=now, project=project, leases=leases, released=released)
            released = ()
        for queued in _portions(draft.queued, AT_ONCE):
            yield CapacityQueued(at=now, project=project, queued=queued, released=released)
            released = ()
        if released or draft.ended is not None:
            yield from _released(draft, released, now)


def _released(draft: Draft, released: Sequence[str], now: datetime) -> Iterator[Event]:
    *first, last = _portions(released, IDS_AT_ONCE) or [()]
    for ids in first:
        yield LeaseReleased(at=now, project=draft.project, leases=ids)
    if draft.ended is None:
        yield LeaseReleased(at=now, project=draft.project, leases=last)
    else:
        yield LeaseReleased(at=now, project=draft.project, leases=last, ended=True, position=draft.ended)


def _portions(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]
