"""What a pool of capacity and agents may decide.

Decisions return facts and record nothing: the shell records them one by one, or as a batch where there are many. In the
order in which they are returned they never hold more than there is, at no version of the pool.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.agents import Beat
from contracts.base import Event
from contracts.resource_manager import (
    AgentDrained,
    AgentJoined,
    AgentLeft,
    AgentLost,
    Capacity,
    CapacityChanged,
    Lease,
    LeaseExpired,
    LeaseRenewed,
    Queued,
)
from services.resource_manager.domain.admission import Admission, Match
from services.resource_manager.domain.drafting import IDS_AT_ONCE, Draft, Grant, Terms, stated
from services.resource_manager.domain.fold import PoolFold
from services.resource_manager.domain.ledger import Room
from services.resource_manager.domain.line import Line
from services.resource_manager.domain.news import Heard, Listener, News
from services.resource_manager.domain.ordering import ordered
from shared.domain import DomainError

RENEWED_AT = 2 / 3
"""A lease is renewed when no more than this part of its term is left."""


class UnknownAgent(DomainError):
    """No such agent is in the pool."""

    code = "unknown_agent"


@dataclass
class Pool(PoolFold):
    """Capacity that projects share, the agents that work for them, and the leases that say who has what."""

    def answer(self, heard: Iterable[Heard], now: datetime, match: Match, terms: Terms) -> list[Event]:
        """Give back what is no longer needed, and what there is then to those who wait."""
        news = Listener(self.leases, self.queue, self.claims, self.ended, now).listen(heard)
        return self._cycle(news, now, match, terms) if news else []

    def look_again(self, now: datetime, match: Match, terms: Terms, *, review: bool = False) -> list[Event]:
        """Give what there is now to those who wait; with `review`, say to the others if they lack something else."""
        return self._cycle(News(), now, match, terms, review) if self.queue else []

    def _cycle(self, news: News, now: datetime, match: Match, terms: Terms, review: bool = False) -> list[Event]:
        drafts = {
            (project, True): Draft(project, released=ids, ended=news.ended[project])
            for project, ids in news.closed.items()
        }
        drafts |= {(project, False): Draft(project, released=ids) for project, ids in news.released.items()}
        if self.queue or news.fresh:
            self._plan(news, drafts, now, match, review)
        order = ordered(list(drafts.values()), self._room(), self.leases)
        return list(stated(order, self.epoch, now, terms))

    def _plan(
        self, news: News, drafts: dict[tuple[str, bool], Draft], now: datetime, match: Match, review: bool
    ) -> None:
        """Add to the drafts what each project gets and what it has to wait for."""

        def draft(project: str) -> Draft:  # where a project ended and goes on at once, that is two stories
            return drafts.setdefault((project, False), Draft(project))

        fresh = Line(news.fresh.values(), first=self.line.turn)
        plan = Admission(self._room_after(news), (self.line, fresh), match, now.timestamp(), news.gone)
        for who, agent in plan.granted.values():
            can = self.agents[agent].capabilities
            draft(who.project).granted.append(Grant(who, agent, can, plan.contended(who.project, can)))
        for who, reason in plan.still_waiting(fresh):
            queued = Queued(request=who.request, reason=reason, since=now)
            draft(who.project).queued.append(queued)
        for who, reason in plan.still_waiting(self.line) if review else ():
            known = self.queue[who.request.id]
            if known.reason != reason:
                draft(who.project).queued.append(known.model_copy(update={"reason": reason}))

    def _room_after(self, news: News) -> Room:
        room = self._room()
        for lease in news.gone & self.leases.keys():
            room.leave(self.leases[lease])
        for project in news.ended:
            room.forget_project(project)
        return room

    def _room(self) -> Room:
        holding = (project for project, claim in self.claims.items() if claim.holds)
        return Room(self.capacity, self.agents, self.ledger, holding)

    def greet(self, beat: Beat, now: datetime) -> list[Event]:
        """Take notice of an agent's sign of life: it joins, has started again, changed, or drains."""
        known = self.agents.get(beat.agent)
        if known is None and self.is_full:
            return []
        events: list[Event] = []
        restarted = known is not None and known.instance != beat.instance
        replaced = self._leases_of(beat.agent) if restarted else []
        events += _expired(replaced, beat.agent, "agent_restarted", now)
        looks = (beat.instance, beat.capabilities, beat.slots, beat.capacity, beat.interval)
        drained = known is not None and known.draining and not restarted
        if known is None or looks != (known.instance, known.capabilities, known.slots, known.capacity, known.beat):
            events.append(
                AgentJoined(
                    at=now,
                    agent=beat.agent,
                    instance=beat.instance,
                    capabilities=beat.capabilities,
                    slots=beat.slots,
                    capacity=beat.capacity,
                    beat=beat.interval,
                    replaces=tuple(lease.id for lease in replaced),
                )
            )
        elif drained:
            return []
        if beat.draining or drained:
            events.append(AgentDrained(at=now, agent=beat.agent))
        return events

    @property
    def is_full(self) -> bool:
        """Whether no further agent may join."""
        return self.capacity.agents is not None and len(self.agents) >= self.capacity.agents

    def part(self, agent: str, instance: str | None, now: datetime) -> list[Event]:
        """Take notice of an agent's goodbye; an earlier run of it has nothing more to say."""
        known = self.agents.get(agent)
        if known is None or instance not in (None, known.instance):
            return []
        return [*_expired(self._leases_of(agent), agent, "agent_left", now), AgentLeft(at=now, agent=agent)]

    def lose(self, silent: Mapping[str, datetime | None], now: datetime) -> list[Event]:
        """Give up agents that have not been heard of for too long; the value says since when."""
        events: list[Event] = []
        for agent in silent.keys() & self.agents.keys():
            events += _expired(self._leases_of(agent), agent, "agent_lost", now)
            events.append(AgentLost(at=now, agent=agent, last_seen=silent[agent]))
        return events

    def drain(self, agent: str, now: datetime) -> list[Event]:
        """Give an agent no further work."""
        if agent not in self.agents:
            raise UnknownAgent(f"no agent {agent} is in the pool {self.id}")
        return [] if self.agents[agent].draining else [AgentDrained(at=now, agent=agent)]

    def resize(self, capacity: Capacity, now: datetime) -> list[Event]:
        """Set the limits that `capacity` names; what is leased stays, also where it is more than that."""
        named = {name: getattr(capacity, name) for name in capacity.model_fields_set}
        wanted = self.capacity.model_copy(update=named)
        return [] if wanted == self.capacity else [CapacityChanged(at=now, capacity=wanted)]

    def configure(self, capacity: Capacity, now: datetime) -> list[Event]:
        """Set the limits that the settings state, unless they state what they stated before."""
        if capacity == self.configured:
            return []
        return [CapacityChanged(at=now, capacity=capacity, by="settings")]

    def renew(self, alive: Collection[str], now: datetime, terms: Terms) -> list[Event]:
        """Let the leases of living agents go on."""
        due = now + terms.lease * RENEWED_AT
        ids = [lease.id for lease in self.leases.values() if lease.until <= due and lease.agent in alive]
        return [
            LeaseRenewed(at=now, leases=tuple(ids[start : start + IDS_AT_ONCE]), until=now + terms.lease)
            for start in range(0, len(ids), IDS_AT_ONCE)
        ]

    def _leases_of(self, agent: str) -> list[Lease]:
        return [lease for lease in self.leases.values() if lease.agent == agent]


def _expired(leases: Iterable[Lease], agent: str, reason: str, now: datetime) -> list[Event]:
    projects: dict[str, list[str]] = {}
    for lease in leases:
        projects.setdefault(lease.project, []).append(lease.id)
    return [
        LeaseExpired(at=now, project=project, leases=tuple(ids), agent=agent, reason=reason)
        for project, ids in projects.items()
    ]
