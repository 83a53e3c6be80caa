"""What is heard twice, late, or all at once comes to the same."""

from contracts.resource_manager import (
    LeaseReleased,
)
from services.resource_manager.domain import Heard
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
    names,
    pool,
    request,
    within_limits,
)

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
