"""Who gets capacity and who waits, for what and in which order."""

from typing import Any

import pytest

from contracts.work import Demand
from tests.resource_manager.builders import (
    TERMS,
    asks,
    at,
    beat,
    ends,
    gives_back,
    hear,
    leases,
    let,
    look,
    names,
    pool,
    reasons,
    released,
    request,
)


def test_a_request_that_fits_is_granted_at_once() -> None:
    home = pool(beat("ann", "work", "test", slots=2))

    events = hear(home, asks(request("p.a.1", cpu=30)))

    (lease,) = leases(events).values()
    assert (lease.id, lease.agent, lease.epoch, lease.capabilities) == ("p.a.1", "ann", 1, ("work", "test"))
    assert lease.until == at() + TERMS.lease
    assert lease.carry_until == at() + TERMS.carry


def test_all_of_one_project_is_told_in_one_fact() -> None:
    home = pool(beat("ann", slots=4))
    hear(home, asks("p.a.1"))

    events = hear(home, asks("p.b.1", "p.c.1"), gives_back("p.a.1"))

    assert names(events) == ["capacity_leased"]
    assert leases(events).keys() == {"p.b.1", "p.c.1"}
    assert released(events) == {"p.a.1"}


def test_what_is_granted_and_what_waits_are_two_facts() -> None:
    home = pool(beat("ann", slots=1))

    events = hear(home, asks("p.a.1", "p.b.1", "p.c.1"))

    assert names(events) == ["capacity_leased", "capacity_queued"]
    assert reasons(events) == {"p.b.1": "agents_busy:work", "p.c.1": "agents_busy:work"}


@pytest.mark.parametrize("resource", ["cpu", "memory", "disk", "network"])
def test_every_resource_must_fit(resource: str) -> None:
    def demand(amount: float) -> dict[str, Any]:
        return {resource: amount}

    home = pool(beat("ann", slots=5), **demand(10))
    hear(home, asks(request("p.a.1", **demand(6))))

    events = hear(home, asks(request("p.b.1", **demand(5))))
    assert reasons(events) == {"p.b.1": resource}

    assert leases(hear(home, gives_back("p.a.1"))).keys() == {"p.b.1"}


def test_tenths_add_up_to_one() -> None:
    home = pool(beat("ann", slots=20), cpu=1)

    events = hear(home, asks(*(request(f"p.t{n}.1", cpu=0.1) for n in range(11))))

    assert len(leases(events)) == 10


def test_a_demand_beyond_the_pool_is_never_granted_and_says_so() -> None:
    home = pool(beat("ann"), cpu=100)

    assert reasons(hear(home, asks(request("p.a.1", cpu=101)))) == {"p.a.1": "never:cpu"}
    assert reasons(hear(home, asks(request("p.b.1", cpu=float("inf"))))) == {"p.b.1": "never:cpu"}


def test_without_an_able_agent_the_reason_names_the_capability() -> None:
    home = pool(beat("ann", "frontend"), beat("bob", "big", slots=2))

    assert reasons(hear(home, asks(request("p.a.1", "database")))) == {"p.a.1": "no_agent:database"}
    assert reasons(hear(home, asks(request("p.b.1", "big", slots=3)))) == {"p.b.1": "no_agent:big"}


def test_an_agents_own_capacity_counts_and_what_it_leaves_open_is_no_limit() -> None:
    home = pool(beat("ann", slots=5, capacity=Demand(cpu=10)))

    events = hear(home, asks(request("p.a.1", cpu=7, memory=99), request("p.b.1", cpu=7), request("p.c.1", cpu=3)))

    assert leases(events).keys() == {"p.a.1", "p.c.1"}
    assert reasons(events) == {"p.b.1": "agents_busy:work"}
    assert reasons(hear(home, asks(request("p.d.1", cpu=11)))) == {"p.d.1": "no_agent:work"}


def test_no_more_projects_hold_capacity_than_may() -> None:
    home = pool(beat("ann", slots=9), projects=1)
    hear(home, asks("p.a.1"))
    assert leases(hear(home, asks("p.b.1"))), "a project that counts already may hold more"
    hear(home, gives_back("p.a.1", "p.b.1"))

    events = hear(home, asks("q.a.1"))
    assert reasons(events) == {"q.a.1": "projects"}, "p counts until it ends, also while it holds nothing"

    assert leases(hear(home, ends("p"))).keys() == {"q.a.1"}


def test_who_gets_no_agent_after_all_takes_no_projects_place() -> None:
    home = pool(beat("ann", "work", "test"), beat("bob", "other"), projects=2)

    events = hear(home, asks("p.a.1"), asks(request("q.a.1", "test")), asks(request("r.a.1", "other")))

    assert leases(events).keys() == {"p.a.1", "r.a.1"}
    assert reasons(events) == {"q.a.1": "projects"}


def test_a_choice_of_agents_may_name_agents_or_capabilities() -> None:
    home = pool(beat("ann", "work"), beat("bob", "work", "night"), beat("cid", "work"))

    events = hear(home, asks(request("p.a.1", agents=("cid",)), request("p.b.1", agents=("night",))))

    assert {lease.id: lease.agent for lease in leases(events).values()} == {"p.a.1": "cid", "p.b.1": "bob"}


def test_where_none_of_the_chosen_can_do_it_any_that_can_will_do() -> None:
    home = pool(beat("ann", "work"), beat("bob", "night"))

    events = hear(home, asks(request("p.a.1", "night", agents=("ann",)), request("p.b.1", "work", agents=("ann",))))

    assert {lease.id: lease.agent for lease in leases(events).values()} == {"p.a.1": "bob", "p.b.1": "ann"}


def test_a_choice_in_which_nobody_can_do_it_leaves_it_to_all_who_can() -> None:
    home = pool(beat("ann", "work"), beat("bob", "test"))

    assert leases(hear(home, asks(request("p.a.1", agents=("bob",)))))["p.a.1"].agent == "ann"


def test_an_agent_on_which_it_failed_is_taken_only_if_there_is_no_other() -> None:
    home = pool(beat("ann"), beat("bob"))

    first = hear(home, asks(request("p.a.2", avoid=("ann",))))
    second = hear(home, asks(request("p.b.2", avoid=("ann",))))

    assert leases(first)["p.a.2"].agent == "bob"
    assert leases(second)["p.b.2"].agent == "ann"


def test_load_is_spread() -> None:
    home = pool(beat("ann", slots=4), beat("bob", slots=4))

    events = hear(home, asks(*(f"p.t{n}.1" for n in range(4))))

    assert sorted(lease.agent for lease in leases(events).values()) == ["ann", "ann", "bob", "bob"]


def test_a_task_without_slots_needs_an_able_agent_but_no_place() -> None:
    home = pool(beat("ann", slots=1))
    hear(home, asks("p.a.1"))

    assert leases(hear(home, asks(request("p.b.1", slots=0))))["p.b.1"].agent == "ann"


# The queue


def test_the_more_urgent_comes_first_and_then_the_older() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.now.1"))
    hear(home, asks(request("p.late.1", priority=3)), now=1)
    hear(home, asks(request("p.later.1", priority=3)), now=2)
    hear(home, asks(request("p.urgent.1", priority=1)), now=3)

    order: list[str] = []
    for held in ("p.now.1", "p.urgent.1", "p.late.1"):
        order += leases(hear(home, gives_back(held), now=4))

    assert order == ["p.urgent.1", "p.late.1", "p.later.1"]


def test_waiting_a_minute_counts_as_much_as_one_level_of_priority() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.now.1"))
    hear(home, asks(request("p.old.1", priority=5)), now=0)
    hear(home, asks(request("p.young.1", priority=4)), now=61)

    assert leases(hear(home, gives_back("p.now.1"), now=62)).keys() == {"p.old.1"}


def test_smaller_requests_go_ahead_of_one_that_does_not_fit_only_for_a_while() -> None:
    home = pool(beat("ann", slots=9), cpu=10)
    hear(home, asks(request("p.a.1", cpu=5), request("p.b.1", cpu=5)))
    hear(home, asks(request("q.big.1", cpu=8)))
    hear(home, gives_back("p.a.1"), now=1)

    assert leases(hear(home, asks(request("p.c.1", cpu=2)), now=2))
    assert reasons(hear(home, asks(request("p.d.1", cpu=1)), now=20)) == {"p.d.1": "cpu"}
    assert leases(hear(home, asks("p.e.1"), now=20)), "what needs no cpu is not held up"
    granted = leases(hear(home, gives_back("p.b.1", "p.c.1"), now=21))
    assert granted.keys() == {"q.big.1", "p.d.1"}


def test_an_agent_is_kept_for_who_needs_several_of_its_slots() -> None:
    home = pool(beat("ann", slots=2))
    hear(home, asks("p.a.1", "p.b.1"))
    hear(home, asks(request("q.wide.1", slots=2)))
    assert leases(hear(home, asks("p.c.1"), gives_back("p.a.1"), now=1)).keys() == {"p.c.1"}
    assert not leases(hear(home, asks("p.d.1"), gives_back("p.b.1"), now=20))
    assert leases(hear(home, gives_back("p.c.1"), now=21)).keys() == {"q.wide.1"}


def test_an_order_that_the_pool_can_never_fill_keeps_nothing_free() -> None:
    home = pool(beat("ann", slots=9), cpu=10)
    hear(home, asks(request("p.huge.1", cpu=11)))

    assert leases(hear(home, asks(request("p.a.1", cpu=10)), now=99))


def test_a_thousand_requests_are_granted_without_passing_over_anybody() -> None:
    home = pool(beat("ann", slots=500), beat("bob", slots=300))

    events = hear(home, asks(*(f"p.t{n}.1" for n in range(1000))))

    assert len(leases(events)) == 800
    assert list(reasons(events)) == [f"p.t{n}.1" for n in range(800, 1000)]
    assert all(len(event.model_dump_json()) < 1_000_000 for event in events)


def test_a_review_tells_who_waits_for_something_else_now() -> None:
    home = pool(cpu=10)
    hear(home, asks("p.a.1", "p.b.1"))
    assert look(home, 1, review=True) == []
    let(home, home.greet(beat("ann"), at(2)))

    events = look(home, 2)
    assert leases(events).keys() == {"p.a.1"}
    assert not reasons(events)

    assert reasons(look(home, 5, review=True)) == {"p.b.1": "agents_busy:work"}
    assert home.queue["p.b.1"].since == at(0), "it has waited all the time"
