"""Agents, leases, limits, and what is written down of a pool."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter

from contracts.resource_manager import (
    AgentJoined,
    Capacity,
    CapacityChanged,
    CapacityLeased,
    CapacityQueued,
    LeaseExpired,
    LeaseRenewed,
)
from services.resource_manager.domain import Pool, Terms, UnknownAgent
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
    request,
)

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
