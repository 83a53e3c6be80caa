"""Whatever is heard, how often, in which order, and whoever dies: capacity is neither leaked nor overdrawn."""

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import TypeAdapter

from contracts.base import Event
from contracts.coordinator import CapacityRequest
from contracts.resource_manager import Capacity, CapacityLeased, LeaseExpired
from contracts.work import Demand
from services.resource_manager.domain import Heard, Pool, advise
from services.resource_manager.domain.amounts import own_limits, pool_limits
from services.resource_manager.domain.state import parts
from services.resource_manager.matching import assign
from tests.resource_manager.builders import TERMS, at, beat, check

PROJECTS = ("p", "q", "r")
AGENTS = ("ann", "bob", "cid")
CAPABILITIES = ("work", "test")
POOLS = TypeAdapter(Pool)

projects = st.sampled_from(PROJECTS)
agents = st.sampled_from(AGENTS)
amount = st.sampled_from((0, 0, 0.1, 1 / 3, 1, 2, 11 / 3, 11))
demands = st.builds(Demand, cpu=amount, memory=amount, slots=st.sampled_from((1, 1, 1, 1, 0, 2)))


@dataclass
class Story:
    """What the coordinator knows about one project."""

    attempts: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Requests and leases that it has not given back and not been told the end of."""
    end: int | None = None


class PoolMachine(RuleBasedStateMachine):
    """A coordinator that speaks, a transport that repeats and mixes up what it says, and agents that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(id="default")
        self.stories = {project: Story() for project in PROJECTS}
        self.sent: list[Heard] = []
        self.waiting: list[int] = []
        self.seen: set[str] = set()
        self.clock = 0.0
        self.instances = 0
        self.let(self.pool.configure(Capacity(cpu=10, memory=10, agents=3, projects=2), at()))

    # The coordinator

    def say(self, project: str, **what: Any) -> None:
        self.sent.append(Heard(project, position=len(self.sent) + 1, **what))
        self.waiting.append(len(self.sent) - 1)

    @rule(
        project=projects,
        tasks=st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True),
        demand=demands,
        capability=st.sampled_from(CAPABILITIES),
        priority=st.integers(1, 5),
        choice=st.sampled_from(((), (), ("ann",), ("test",))),
    )
    def ask(self, project: str, tasks: list[str], demand: Demand, **more: Any) -> None:
        story = self.stories[project]
        if story.end is not None and not self.delivered(story.end):
            return  # an ended project goes on only when its end is known
        story.end = None
        requested, released = [], []
        for task in tasks:
            released += [one for one in sorted(story.open) if parts(one)[1] == task]
            story.attempts[task] = story.attempts.get(task, 0) + 1
            requested.append(
                CapacityRequest(
                    id=f"{project}.{task}.{story.attempts[task]}",
                    task=task,
                    capability=more["capability"],
                    demand=demand,
                    priority=more["priority"],
                    agents=more["choice"],
                )
            )
        story.open -= set(released)
        story.open |= {request.id for request in requested}
        self.say(project, requested=tuple(requested), released=tuple(released))

    @rule(project=projects, share=st.floats(0, 1))
    def give_back(self, project: str, share: float) -> None:
        story = self.stories[project]
        over = sorted(story.open)[: round(len(story.open) * share)]
        if over:
            story.open -= set(over)
            self.say(project, released=tuple(over))

    @rule(project=projects)
    def end(self, project: str) -> None:
        story = self.stories[project]
        if story.end is None:
            story.end, story.open = len(self.sent), set()
            self.say(project, ended=True)

    def delivered(self, number: int) -> bool:
        return number not in self.waiting

    # The transport

    @rule(order=st.randoms(use_true_random=False), count=st.integers(1, 6), again=st.integers(0, 3))
    def deliver(self, order: Any, count: int, again: int) -> None:
        order.shuffle(self.waiting)
        numbers, self.waiting = self.waiting[:count], self.waiting[count:]
        repeated = [order.choice(range(len(self.sent))) for _ in range(again) if self.sent]
        numbers += [number for number in repeated if self.delivered(number)]
        order.shuffle(numbers)
        self.hear([self.sent[number] for number in numbers])

    def hear(self, heard: list[Heard]) -> None:
        self.let(self.pool.answer(heard, at(self.clock), assign, TERMS))

    # Agents and time

    @rule(
        agent=agents,
        slots=st.integers(1, 3),
        can=st.sampled_from((("work",), ("test",), CAPABILITIES)),
        own=st.sampled_from((None, Demand(cpu=2))),
        again=st.booleans(),
        draining=st.sampled_from((False, False, False, True)),
    )
    def greet(
        self, agent: str, slots: int, can: tuple[str, ...], own: Demand | None, again: bool, draining: bool
    ) -> None:
        known = self.pool.agents.get(agent)
        if known and not again:  # the same run says the same of itself
            slots, can, own = known.slots, known.capabilities, known.capacity
        self.instances += again
        instance = known.instance if known and not again else f"{agent}-{self.instances}"
        said = beat(agent, *can, slots=slots, instance=instance, capacity=own, draining=draining)
        self.let(self.pool.greet(said, at(self.clock)))
        self.look(review=False)

    @rule(agent=agents, how=st.sampled_from(("lost", "left", "drained")))
    def lose(self, agent: str, how: str) -> None:
        if agent in self.pool.agents:
            decide = {"lost": self._lost, "left": self._left, "drained": self._drained}[how]
            self.let(decide(agent))
            self.look(review=False)

    def _lost(self, agent: str) -> list[Event]:
        return self.pool.lose({agent: None}, at(self.clock))

    def _left(self, agent: str) -> list[Event]:
        return self.pool.part(agent, None, at(self.clock))

    def _drained(self, agent: str) -> list[Event]:
        return self.pool.drain(agent, at(self.clock))

    @rule(seconds=st.sampled_from((0.1, 5, 20, 400)), review=st.booleans())
    def pass_time(self, seconds: float, review: bool) -> None:
        self.clock += seconds
        self.let(self.pool.renew(self.pool.agents.keys(), at(self.clock), TERMS))
        self.let(advise(self.pool, at(self.clock)))
        self.look(review)

    def look(self, review: bool) -> None:
        self.let(self.pool.look_again(at(self.clock), assign, TERMS, review=review))

    @rule(cpu=st.sampled_from((None, 0, 4, 10)), count=st.sampled_from((1, 2, None)))
    def resize(self, cpu: float | None, count: int | None) -> None:
        self.let(self.pool.resize(Capacity.model_validate({"cpu": cpu, "projects": count}), at(self.clock)))
        self.look(review=False)

    @rule()
    def restart(self) -> None:
        again = POOLS.validate_python(POOLS.dump_python(self.pool, mode="json"))
        assert again == self.pool
        self.pool = again

    # What must hold

    def let(self, events: list[Event]) -> None:
        for event in events:
            before = self.measures()
            self.pool.record(event)
            check(self.pool)
            if isinstance(event, CapacityLeased):
                assert not self.seen & {lease.id for lease in event.leases}, "granted twice"
                self.seen |= {lease.id for lease in event.leases}
            for name, (held, limit) in self.measures().items():
                grew = held > before.get(name, (0, None))[0]
                assert limit is None or not grew or held <= limit, f"{name}: {held} of {limit}"
            if isinstance(event, LeaseExpired):
                self.stories[event.project].open -= set(event.leases)
        self.pool.collect_events()

    def measures(self) -> dict[str, tuple[int, int | None]]:
        pool = self.pool
        found: dict[str, tuple[int, int | None]] = {
            str(n): (held, limit)
            for n, (held, limit) in enumerate(zip(pool.ledger.held, pool_limits(pool.capacity), strict=True))
        }
        for agent, account in pool.ledger.accounts.items():
            own = pool.agents[agent]
            found[agent] = account.slots, own.slots
            for n, limit in enumerate(own_limits(own.capacity)):
                found[f"{agent} {n}"] = account.held[n], limit
        found["projects"] = sum(claim.holds for claim in pool.claims.values()), pool.capacity.projects
        return found

    @invariant()
    def what_is_given_back_and_known_is_gone(self) -> None:
        if not self.waiting:
            known = {one for story in self.stories.values() for one in story.open}
            assert self.pool.leases.keys() | self.pool.queue.keys() == known

    @precondition(lambda self: not self.waiting and bool(self.pool.queue))
    @rule()
    def nobody_waits_for_what_is_free(self) -> None:
        told = self.pool.look_again(at(self.clock), assign, TERMS)
        assert not any(isinstance(event, CapacityLeased) for event in told)

    def teardown(self) -> None:
        for project, story in self.stories.items():
            if story.end is None:
                self.say(project, ended=True)
        self.hear([self.sent[number] for number in self.waiting])
        self.hear(self.sent)
        assert not self.pool.leases
        assert not self.pool.queue
        assert self.pool.ledger.held == [0, 0, 0, 0]
        assert not self.pool.ledger.accounts
        assert not self.pool.claims


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=int(os.environ.get("EXAMPLES", "100")), stateful_step_count=40, deadline=None)
