"""Who gets what next: a plan for those who wait, most urgent first, that fits into the room there is.

A request is admitted only if every resource fits: the pool's amounts, and the slots and own amounts of one agent.
Smaller and later requests may go ahead of one that does not fit, until it has waited `PATIENCE` seconds: from then on
what it lacks (an amount of the pool, or the agent nearest to having room) is kept free for it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.resource_manager.domain.amounts import DIMENSIONS
from services.resource_manager.domain.ledger import Room, Seats
from services.resource_manager.domain.line import Ask, Kind, Line, Waiting, Walk

PATIENCE = 10.0
"""Seconds that a request lets others go ahead."""
TOGETHER = 128
"""Most requests that are matched to agents at one time."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that fits into the pool, and the agents that have room for it, in the order of their ids."""

    project: str
    agents: tuple[str, ...]
    avoid: tuple[str, ...]
    slots: int


Match = Callable[[Sequence[Wish], Mapping[str, Seats]], list[str | None]]
"""Gives each wish, the most urgent first, an agent or none."""


class Admission:
    """The plan of one decision cycle."""

    def __init__(
        self, room: Room, lines: Sequence[Line], match: Match, now: float, withdrawn: Collection[str] = ()
    ) -> None:
        self._room, self._lines, self._match, self._now = room, lines, match, now
        self._withdrawn = withdrawn
        self.granted: dict[str, tuple[Waiting, str]] = {}
        """Request id to the request and its agent."""
        self.reasons: dict[Kind, str] = {}
        """Why no other of this kind can have what it wants."""
        self._able: dict[Ask, list[Seats]] = {}
        self._claims: dict[Ask, tuple[str, tuple[str, ...]]] = {}
        self._fitting: dict[Ask, tuple[str, ...]] = {}
        self._left: dict[tuple[str, tuple[str, ...]], int] = {}
        while rows := self._gather():
            self._place(rows)
        self._crowd = self._crowding()

    def _gather(self) -> list[tuple[Waiting, Wish]]:
        """Set the pool's amounts apart for as many as can be matched together."""
        self.reasons, self._fitting, self._left = {}, {}, {}
        self._room.kept.clear()
        rows: list[tuple[Waiting, Wish]] = []
        walk = Walk(*self._lines)
        for who in walk:
            if who.request.id in self.granted or who.request.id in self._withdrawn:
                continue
            wish = self._wish(who)
            if isinstance(wish, str):
                self.reasons[who.kind] = wish
                walk.pass_over(who.kind)
                if self._now - who.since >= PATIENCE:
                    self._keep_free(who, wish)
                continue
            self._room.reserve(who.project, who.needs)
            rows.append((who, wish))
            if len(rows) == TOGETHER:
                break
        return rows

    def _wish(self, who: Waiting) -> Wish | str:
        """Return what the request may get, or what it lacks."""
        request, room = who.request, self._room
        for n, limit in enumerate(room.limits):
            if limit is not None and who.needs[n] > limit:
                return f"never:{DIMENSIONS[n]}"
        able = self._agents(who)
        if not able:
            return f"no_agent:{request.capability}"
        if not room.admits(who.project):
            return "projects"
        claim, fitting = self._claim(who), self._with_room(who, able)
        left = self._left.get(claim)
        if left is None:  # those who ask for the same agents share the slots of these
            left = sum(seats.free for seats in room.seats.values() if seats.suits(*claim))
        if not fitting or who.slots > left:
            return f"agents_busy:{request.capability}"
        lacks = room.lacking(who.needs)
        if lacks is not None:
            return DIMENSIONS[lacks]
        self._left[claim] = left - who.slots
        return Wish(who.project, fitting, request.avoid, who.slots)

    def _with_room(self, who: Waiting, able: Sequence[Seats]) -> tuple[str, ...]:
        """Return those of the agents that could do it now."""
        fitting = self._fitting.get(who.ask)
        if fitting is None:
            kept = self._room.kept
            fitting = tuple(seats.id for seats in able if seats.id not in kept and seats.fits(who.slots, who.needs))
            self._fitting[who.ask] = fitting
        return fitting

    def _claim(self, who: Waiting) -> tuple[str, tuple[str, ...]]:
        """Return what is asked for; where none of the chosen agents has the capability, any that has it will do."""
        claim = self._claims.get(who.ask)
        if claim is None:
            capability, chosen = who.request.capability, who.request.agents
            among = any(seats.suits(capability, chosen) for seats in self._room.seats.values())
            claim = self._claims[who.ask] = capability, chosen if among else ()
        return claim

    def _agents(self, who: Waiting) -> list[Seats]:
        """Return the agents that could do it if they were free."""
        able = self._able.get(who.ask)
        if able is None:
            claim = self._claim(who)
            able = self._able[who.ask] = [
                seats
                for _, seats in sorted(self._room.seats.items())
                if seats.suits(*claim) and seats.could(who.slots, who.needs)
            ]
        return able

    def _keep_free(self, who: Waiting, reason: str) -> None:
        """Let nobody who came later take what this one lacks."""
        if reason in DIMENSIONS:
            self._room.kept.add(DIMENSIONS.index(reason))
        elif reason.startswith("agents_busy:"):
            self._room.kept.add(max(self._agents(who), key=lambda seats: seats.free).id)
            self._fitting.clear()

    def _place(self, rows: Sequence[tuple[Waiting, Wish]]) -> None:
        """Give agents; who gets none is looked at again in the next round."""
        agents = self._match([wish for _, wish in rows], self._room.seats)
        for (who, _), agent in zip(rows, agents, strict=True):
            if agent is None or not self._room.seats[agent].fits(who.slots, who.needs):
                self._room.unreserve(who.project, who.needs)
            else:
                self._room.seats[agent].shift(who.project, who.slots, who.needs, 1)
                self.granted[who.request.id] = (who, agent)

    def _crowding(self) -> dict[str, set[str]]:
        """Return capability to the projects that wait for such an agent; under "" those that wait for the pool."""
        crowd: dict[str, set[str]] = {}
        for (project, ask), reason in self.reasons.items():
            if reason in DIMENSIONS:
                crowd.setdefault("", set()).add(project)
            elif reason.startswith("agents_busy:"):
                crowd.setdefault(ask[0], set()).add(project)
        return crowd

    def still_waiting(self, line: Line) -> Iterator[tuple[Waiting, str]]:
        """Yield those of a line who get nothing yet, and why."""
        for kind, entries in line.kinds.items():
            for _, _, who in entries:
                if who.request.id not in self.granted and who.request.id not in self._withdrawn:
                    yield who, self.reasons[kind]

    def contended(self, project: str, capabilities: Sequence[str]) -> bool:
        """Tell whether other projects wait for what an agent with these capabilities could do."""
        return any(self._crowd.get(capability, set()) - {project} for capability in ("", *capabilities))
