"""Who waits, and in which order.

The order is by priority, then age, and age cures priority: every minute of waiting counts as much as one level. Because
all grow older at the same speed, `priority * LEVEL + since` orders them for good: nobody has to be sorted again.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from contracts.coordinator import CapacityRequest
from contracts.resource_manager import Queued
from services.resource_manager.domain.amounts import Amounts, amounts
from services.resource_manager.domain.state import parts

LEVEL = 60.0
"""Seconds of waiting that are worth one level of priority."""

Ask = tuple[str, tuple[str, ...], int, Amounts]
"""What is asked for: capability, choice of agents, slots, amounts."""
Kind = tuple[str, Ask]
"""A project, and what it asks for. What stops the first request of a kind stops them all."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that wants capacity, with what the planning of a cycle needs to know again and again."""

    request: CapacityRequest
    since: float
    """When it was first heard of, seconds of the epoch."""
    project: str
    slots: int
    needs: Amounts
    ask: Ask
    kind: Kind


Entry = tuple[float, int, Waiting]


def waiting(queued: Queued) -> Waiting:
    """Prepare a request."""
    request = queued.request
    project, needs, slots = parts(request.id)[0], amounts(request.demand), request.demand.slots
    ask = (request.capability, request.agents, slots, needs)
    return Waiting(request, queued.since.timestamp(), project, slots, needs, ask, (project, ask))


class Line:
    """Requests in the order in which they are served, apart by kind."""

    def __init__(self, queue: Iterable[Queued] = (), *, first: int = 0) -> None:
        self.kinds: dict[Kind, list[Entry]] = {}
        self.turn = first
        """Those who come at one moment keep their order."""
        self._entries: dict[str, Entry] = {}
        for queued in queue:
            self.add(queued)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, queued: Queued) -> Waiting:
        """Let a request wait."""
        who = waiting(queued)
        entry = (queued.request.priority * LEVEL + who.since, self.turn, who)
        self.turn += 1
        self._entries[queued.request.id] = entry
        insort(self.kinds.setdefault(who.kind, []), entry, key=_place)
        return who

    def remove(self, request: str) -> None:
        """Let a request wait no more."""
        entry = self._entries.pop(request)
        entries = self.kinds[entry[2].kind]
        if len(entries) == 1:
            del self.kinds[entry[2].kind]
        else:
            del entries[bisect_left(entries, _place(entry), key=_place)]


class Walk:
    """Meets those who wait, the most urgent first; after `pass_over` none of that kind is met again."""

    def __init__(self, *lines: Line) -> None:
        self._passed: set[Kind] = set()
        self._heap = [(*entries[0][:2], 0, entries) for line in lines for entries in line.kinds.values()]
        heapify(self._heap)

    def pass_over(self, kind: Kind) -> None:
        """Meet no other of this kind."""
        self._passed.add(kind)

    def __iter__(self) -> Iterator[Waiting]:
        heap, passed = self._heap, self._passed
        while heap:
            _, _, at, entries = heappop(heap)
            who = entries[at][2]
            if who.kind in passed:
                continue
            yield who
            at += 1
            if at < len(entries) and who.kind not in passed:
                heappush(heap, (*entries[at][:2], at, entries))


def _place(entry: Entry) -> tuple[float, int]:
    return entry[0], entry[1]
