"""What a pool decides: admission, the queue, leases, agents."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from contracts.resource_manager import (
    AgentJoined,
    Capacity,
    CapacityChanged,
    CapacityLeased,
    CapacityQueued,
    LeaseExpired,
    LeaseReleased,
    LeaseRenewed,
)
from contracts.work import Demand
from services.resource_manager.domain import Heard, Pool, Terms, UnknownAgent
from services.resource_manager.matching import assign
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
    within_limits,
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


# Said twice, or in another order


def test_a_request_heard_twice_is_one_request() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.a.1", "p.b.1"))

    assert hear(home, asks("p.a.1", "p.b.1")) == []
    assert hear(home, gives_back("p.a.1"), asks("p.a.1"))
    assert home.leases.keys() == {"p.b.1"}
    assert hear(home, asks("p.a.1"), gives_back("p.a.1")) == []


def test_a_release_heard_before_its_request_counts() -> None:
    home = pool(beat("ann"))

    events = hear(home, gives_back("p.a.1"))
    assert [event.NAME for event in events] == ["lease_released"]

    assert hear(home, asks("p.a.1"), gives_back("p.a.1")) == []
    assert leases(hear(home, asks("p.a.2")))


def test_request_and_release_heard_together_come_to_nothing() -> None:
    home = pool(beat("ann"))

    events = hear(home, asks("p.a.1", position=1), gives_back("p.a.1", position=2))

    assert not leases(events)
    assert not home.queue
    assert hear(home, asks("p.a.1", position=1)) == []


def test_an_older_attempt_heard_late_gets_nothing() -> None:
    home = pool(beat("ann", slots=3))
    hear(home, asks("p.a.2"))

    assert hear(home, asks("p.a.1")) == []


def test_an_ended_project_gives_everything_back_and_gets_nothing_more() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.a.1", "p.b.1", position=5), asks("q.a.1", position=6))

    (first, second) = hear(home, ends("p", position=9))
    assert isinstance(first, LeaseReleased)
    assert (set(first.leases), first.ended, first.position) == ({"p.a.1", "p.b.1"}, True, 9)
    assert leases([second]).keys() == {"q.a.1"}

    assert hear(home, ends("p", position=9), asks("p.c.1", position=7), gives_back("p.b.1", position=8)) == []


def test_an_end_heard_before_anything_else_of_the_project_counts() -> None:
    home = pool(beat("ann"))

    hear(home, ends("p", position=9))

    assert hear(home, asks("p.a.1", position=3)) == []
    assert not home.leases


def test_an_ended_project_that_goes_on_gets_capacity_again() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.a.1", position=3))
    hear(home, ends("p", position=9))

    assert leases(hear(home, asks("p.a.2", position=12))).keys() == {"p.a.2"}
    assert hear(home, asks("p.b.1", position=4), ends("p", position=9)) == []
    assert names(hear(home, ends("p", position=20))) == ["lease_released"]


def test_an_ended_project_that_goes_on_may_be_heard_of_in_any_order() -> None:
    home = pool(beat("ann"))
    hear(home, ends("p", position=9))

    hear(home, gives_back("p.a.2", position=15))

    assert hear(home, asks("p.a.2", position=12)) == []
    assert leases(hear(home, asks("p.a.3", position=18))).keys() == {"p.a.3"}


def test_end_and_beginning_heard_together_are_told_in_order() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.a.1", position=3))

    events = hear(home, asks("p.a.2", position=12), ends("p", position=9))

    assert names(events) == ["lease_released", "capacity_leased"]
    assert home.leases.keys() == {"p.a.2"}


def test_ended_projects_are_not_remembered_for_ever() -> None:
    home = pool()
    for n in range(2100):
        home.record(LeaseReleased(at=at(), project=f"p{n}", leases=(), ended=True, position=n))

    assert len(home.ended) == 2000
    assert "p2099" in home.ended


# Several projects in one cycle


def test_what_one_project_frees_another_may_get_and_no_version_holds_too_much() -> None:
    home = pool(beat("ann", slots=2), beat("bob", slots=2), cpu=4)
    hear(home, asks(request("p.a.1", cpu=2), request("p.b.1", cpu=1)), asks(request("q.a.1", cpu=1)))

    swap = [
        Heard("p", released=("p.a.1", "p.b.1"), requested=(request("p.c.1", cpu=1),)),
        Heard("q", released=("q.a.1",), requested=(request("q.b.1", cpu=3),)),
    ]
    events = home.answer(swap, at(1), assign, TERMS)
    for event in events:
        home.record(event)
        assert within_limits(home)

    assert home.leases.keys() == {"p.c.1", "q.b.1"}
    assert len(events) == 2


def test_where_two_projects_wait_for_each_others_agents_one_gives_back_first() -> None:
    home = pool(beat("ann", "work"), beat("bob", "test"))
    hear(home, asks("p.a.1"), asks(request("q.a.1", "test")))

    swap = [
        Heard("p", released=("p.a.1",), requested=(request("p.b.1", "test"),)),
        Heard("q", released=("q.a.1",), requested=(request("q.b.1"),)),
    ]
    events = home.answer(swap, at(1), assign, TERMS)
    for event in events:
        home.record(event)
        assert within_limits(home)

    assert sorted(names(events)) == ["capacity_leased", "capacity_leased", "lease_released"]
    assert home.leases.keys() == {"p.b.1", "q.b.1"}


# Leases and agents


def test_leases_of_living_agents_go_on_in_one_fact() -> None:
    home = pool(beat("ann", slots=3), beat("bob", "other"))
    hear(home, asks("p.a.1"), asks(request("q.b.1", "other")), now=0)

    assert home.renew({"ann", "bob"}, at(1), TERMS) == []
    (renewed,) = let(home, home.renew({"ann"}, at(6), TERMS))

    assert isinstance(renewed, LeaseRenewed)
    assert renewed.leases == ("p.a.1",)
    assert home.leases["p.a.1"].until == at(6) + TERMS.lease
    assert home.leases["q.b.1"].until == at(0) + TERMS.lease


def test_a_lost_agents_leases_expire_with_it() -> None:
    home = pool(beat("ann", slots=3), cpu=10)
    hear(home, asks(request("p.a.1", cpu=9)), asks("q.b.1"))

    events = let(home, home.lose({"ann": at(2), "nobody": None}, at(9)))

    assert names(events) == ["lease_expired", "lease_expired", "agent_lost"]
    assert {(e.project, e.leases, e.reason) for e in events if isinstance(e, LeaseExpired)} == {
        ("p", ("p.a.1",), "agent_lost"),
        ("q", ("q.b.1",), "agent_lost"),
    }
    assert home.ledger.held == [0, 0, 0, 0]
    assert hear(home, gives_back("p.a.1")) == [], "that it is over is known"
    assert names(home.greet(beat("ann"), at(10))) == ["agent_joined"]


def test_an_agent_that_started_again_has_lost_what_it_had() -> None:
    home = pool(beat("ann", slots=3, instance="one"))
    hear(home, asks("p.a.1"))

    events = let(home, home.greet(beat("ann", slots=3, instance="two"), at(1)))

    assert names(events) == ["lease_expired", "agent_joined"]
    assert isinstance(events[1], AgentJoined)
    assert events[1].replaces == ("p.a.1",)
    assert not home.leases
    assert home.greet(beat("ann", slots=3, instance="two"), at(2)) == []


def test_an_agent_that_changed_keeps_what_it_has() -> None:
    home = pool(beat("ann"))
    hear(home, asks("p.a.1"))
    let(home, home.drain("ann", at()))

    assert names(let(home, home.greet(beat("ann", slots=5), at(1)))) == ["agent_joined", "agent_drained"]
    assert home.leases


def test_a_goodbye_ends_its_leases_but_not_those_of_the_next_run() -> None:
    home = pool(beat("ann", instance="two"))
    hear(home, asks("p.a.1"))

    assert home.part("ann", "one", at(1)) == []
    assert names(let(home, home.part("ann", "two", at(1)))) == ["lease_expired", "agent_left"]
    assert home.part("ann", "two", at(2)) == []


def test_a_draining_agent_gets_nothing_new_until_it_starts_again() -> None:
    home = pool(beat("ann", slots=2))
    hear(home, asks("p.a.1"))

    assert names(let(home, home.greet(beat("ann", slots=2, draining=True), at(1)))) == ["agent_drained"]
    assert home.greet(beat("ann", slots=2, draining=True), at(1)) == []
    assert home.drain("ann", at(1)) == []
    assert reasons(hear(home, asks("p.b.1"))) == {"p.b.1": "no_agent:work"}
    assert home.leases.keys() == {"p.a.1"}

    let(home, home.greet(beat("ann", slots=2, instance="two"), at(2)))
    assert leases(look(home, 2)).keys() == {"p.b.1"}


def test_nobody_unknown_can_be_drained() -> None:
    with pytest.raises(UnknownAgent, match="ann"):
        pool().drain("ann", at())


def test_no_more_agents_join_than_may() -> None:
    home = pool(beat("ann"), agents=1)

    assert home.greet(beat("bob"), at()) == []
    assert names(home.greet(beat("ann", instance="two"), at())) == ["agent_joined"]
    let(home, home.part("ann", None, at()))
    assert names(home.greet(beat("bob"), at())) == ["agent_joined"]


def test_others_who_wait_shorten_how_long_a_lease_may_be_carried_over() -> None:
    home = pool(beat("ann", slots=1), beat("bob", "other", slots=1))

    alone = hear(home, asks("p.a.1", "p.b.1"))
    crowded = hear(home, asks("q.a.1"), gives_back("p.a.1"))
    elsewhere = hear(home, asks(request("r.a.1", "other")))

    assert leases(alone)["p.a.1"].carry_until == at() + TERMS.carry
    assert leases(crowded)["p.b.1"].carry_until == at() + TERMS.carry_contended
    assert leases(elsewhere)["r.a.1"].carry_until == at() + TERMS.carry


# Capacity


def test_settings_hold_until_a_command_says_otherwise() -> None:
    home = pool(cpu=100, agents=3)

    let(home, home.resize(Capacity(cpu=50), at(1)))
    assert home.capacity == Capacity(cpu=50, agents=3), "what is left out stays"
    assert home.resize(Capacity(cpu=50), at(1)) == []
    assert home.configure(Capacity(cpu=100, agents=3), at(2)) == [], "a restart with the same settings changes nothing"

    (changed,) = let(home, home.configure(Capacity(cpu=70, agents=3), at(2)))
    assert isinstance(changed, CapacityChanged)
    assert changed.by == "settings"


def test_a_limit_can_be_lifted_by_command() -> None:
    home = pool(cpu=100)

    let(home, home.resize(Capacity.model_validate({"cpu": None}), at(1)))

    assert home.capacity.cpu is None


def test_less_capacity_takes_nothing_away_and_gives_nothing_new() -> None:
    home = pool(beat("ann", slots=9), cpu=10)
    hear(home, asks(request("p.a.1", cpu=8)))
    let(home, home.resize(Capacity(cpu=5), at(1)))

    assert home.leases
    assert reasons(hear(home, asks(request("p.b.1", cpu=1)))) == {"p.b.1": "cpu"}
    assert leases(hear(home, asks("p.c.1"))), "what needs none of it may go on"


def test_the_fold_of_its_facts_is_the_pool() -> None:
    home = pool(beat("ann", slots=2), cpu=10)
    facts = [*hear(home, asks("p.a.1", "p.b.1", "p.c.1")), *hear(home, gives_back("p.a.1"), ends("q", 7))]
    again = pool(beat("ann", slots=2), cpu=10)

    for fact in facts:
        again.apply(fact)

    assert again == home
    assert isinstance(facts[0], CapacityLeased)
    assert isinstance(facts[1], CapacityQueued)


def test_terms_may_forbid_carrying_over() -> None:
    terms = Terms(carry=timedelta(0), carry_contended=timedelta(0))

    events = hear(pool(beat("ann")), asks("p.a.1"), terms=terms)

    assert leases(events)["p.a.1"].carry_until == at()


def test_a_pool_survives_being_written_down() -> None:
    home = pool(beat("ann", slots=2), cpu=10)
    hear(home, asks("p.a.1", "p.b.1", request("p.c.1", cpu=3)), ends("q", 7))
    adapter = TypeAdapter(Pool)

    again = adapter.validate_python(adapter.dump_python(home, mode="json"))

    assert again == home
    assert again.ledger.accounts == home.ledger.accounts
    assert leases(hear(again, gives_back("p.a.1"))) == leases(hear(home, gives_back("p.a.1")))
