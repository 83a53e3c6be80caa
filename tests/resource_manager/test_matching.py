"""Matching: the most urgent are served, as many as possible, at the least cost."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.resource_manager import matching
from services.resource_manager.domain import Heard, Wish
from services.resource_manager.domain.amounts import UNLIMITED
from services.resource_manager.domain.ledger import Seats
from services.resource_manager.matching import assign, cost
from tests.resource_manager.builders import TERMS, asks, at, beat, hear, leases, pool, request

Answer = Sequence[str | None]


def seats(name: str, slots: int = 1, used: int = 0, can: int = 1, projects: tuple[str, ...] = ()) -> Seats:
    capabilities = tuple(f"c{n}" for n in range(can))
    return Seats(name, capabilities, slots, UNLIMITED, used, [0, 0, 0, 0], dict.fromkeys(projects, 1))


def wish(*agents: str, project: str = "p", avoid: tuple[str, ...] = (), slots: int = 1) -> Wish:
    return Wish(project, tuple(sorted(agents)), avoid, slots)


def table(*agents: Seats) -> dict[str, Seats]:
    return {agent.id: agent for agent in agents}


def total(wishes: Sequence[Wish], answer: Answer, agents: Mapping[str, Seats]) -> float:
    given: dict[str, int] = {}
    sum_of_costs = 0.0
    for one, agent in zip(wishes, answer, strict=True):
        if agent is not None:
            sum_of_costs += cost(agents[agent], given.get(agent, 0), matching._against(one, agents[agent]))
            given[agent] = given.get(agent, 0) + 1
    return sum_of_costs


def possible(wishes: Sequence[Wish], agents: Mapping[str, Seats]) -> Iterator[Answer]:
    for answer in product(*((None, *one.agents) for one in wishes)):
        if all(answer.count(name) <= agent.free for name, agent in agents.items()):
            yield answer


def best(wishes: Sequence[Wish], agents: Mapping[str, Seats]) -> tuple[list[bool], float]:
    """By trying everything: which wishes are served, the most urgent first, and what that costs at least."""

    def quality(answer: Answer) -> tuple[list[bool], float]:
        return [agent is None for agent in answer], total(wishes, answer, agents)

    found = min(possible(wishes, agents), key=quality)
    return [agent is not None for agent in found], total(wishes, found, agents)


names = st.sampled_from(("ann", "bob", "cid"))
some_agents = st.builds(
    lambda rows: table(
        *(seats(name, slots, min(used, slots), can, held) for name, (slots, used, can, held) in rows.items())
    ),
    st.dictionaries(
        names,
        st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 3), st.sampled_from(((), ("p",), ("q",)))),
        min_size=3,
    ),
)
some_wishes = st.lists(
    st.builds(
        lambda agents, project, avoid: wish(*agents, project=project, avoid=tuple(avoid)),
        st.sets(names, min_size=1),
        st.sampled_from("pq"),
        st.sets(names, max_size=1),
    ),
    max_size=5,
)


@settings(max_examples=300, deadline=None)
@given(some_wishes, some_agents)
def test_no_other_assignment_is_better(wishes: list[Wish], agents: dict[str, Seats]) -> None:
    answer = assign(wishes, agents)

    served, least = best(wishes, agents)
    assert [agent is not None for agent in answer] == served
    assert total(wishes, answer, agents) == pytest.approx(least)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8), some_agents)
def test_the_short_way_for_equal_wishes_leads_to_the_same(count: int, agents: dict[str, Seats]) -> None:
    wishes = [wish("ann", "bob", "cid")] * count
    against = tuple(matching._against(wishes[0], agents[name]) for name in sorted(agents)) if count else ()
    long_way: list[str | None] = [None] * count
    if count:
        group = ((("ann", "bob", "cid"), against), list(range(count)))
        matching._assign([group], sorted(agents), agents, long_way)

    short_way = assign(wishes, agents)

    assert [agent is not None for agent in short_way] == [agent is not None for agent in long_way]
    assert total(wishes, short_way, agents) == pytest.approx(total(wishes, long_way, agents))


def test_where_slots_are_short_the_most_urgent_get_them() -> None:
    agents = table(seats("ann"), seats("bob"))

    assert assign([wish("ann", "bob"), wish("ann"), wish("bob")], agents) == ["bob", "ann", None]


def test_a_specialist_goes_before_a_generalist() -> None:
    agents = table(seats("jack", slots=9, can=9), seats("ann", slots=9))

    assert assign([wish("ann", "jack")], agents) == ["ann"]


def test_a_project_stays_where_it_is_if_the_load_allows_it() -> None:
    agents = table(seats("ann", slots=50), seats("bob", slots=50, used=1, projects=("p",)))

    assert assign([wish("ann", "bob", project="p")], agents) == ["bob"]
    assert assign([wish("ann", "bob", project="q")], agents) == ["ann"]


def test_who_failed_before_is_asked_last_but_asked() -> None:
    agents = table(seats("ann", slots=2), seats("bob", slots=9, used=8))

    answer = assign([wish("ann", "bob", avoid=("ann",)), wish("ann", "bob", avoid=("ann",))], agents)

    assert answer == ["bob", "ann"]


def test_what_takes_no_slot_is_in_nobodys_way() -> None:
    agents = table(seats("ann", slots=1, used=1))

    assert assign([wish("ann", slots=0), wish("ann")], agents) == ["ann", None]


def test_nothing_to_do_is_nothing_done() -> None:
    assert assign([], {}) == []


@pytest.mark.parametrize("alike", [True, False])
def test_a_fan_of_a_thousand_takes_little_time(alike: bool) -> None:
    home = pool(*(beat(f"agent-{n}", "work", *([] if alike else ["test"] * (n % 2)), slots=200) for n in range(8)))
    fan = [request(f"p.t{n}.1", "work" if alike or n % 2 else "test") for n in range(1000)]
    hear(home, asks(request("q.warm.1"), request("q.up.1", "test")))  # the solver is loaded by now
    started = process_time()
    events = home.answer([Heard("p", requested=tuple(fan))], at(), assign, TERMS)
    seconds = process_time() - started

    assert len(leases(events)) == 1000
    assert seconds < 0.2, "about a hundredth of a second on an idle machine"
