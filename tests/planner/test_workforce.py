"""What the planner knows of agents and limits, and what it refuses by it."""

from contracts.resource_manager import AgentDrained, AgentJoined, AgentLeft, AgentLost, Capacity, CapacityChanged
from contracts.work import Demand
from services.planner.admission import Limits, excessive, oversized, unheard_of
from services.planner.projections import Workforce
from tests.planner.wishes import NOON, task, workforce


def test_slots_are_those_of_present_agents_that_can_do_any_of_it() -> None:
    everybody = workforce(ann=(("backend", "database"), 2), bob=(("frontend",), 1), cid=(("backend",), 4))

    assert everybody.slots({"backend"}) == 6
    assert everybody.slots({"backend", "database"}) == 6
    assert everybody.slots({"frontend", "backend"}) == 7
    assert everybody.slots({"testing"}) == 0


def test_agents_that_are_gone_or_drained_have_no_slots_but_their_capabilities_stay_known() -> None:
    everybody = workforce(ann=(("a",), 1), bob=(("b",), 1), cid=(("c",), 1), dan=(("d",), 1))
    for event in (
        AgentLost(at=NOON, agent="ann"),
        AgentLeft(at=NOON, agent="bob"),
        AgentDrained(at=NOON, agent="cid"),
        AgentLeft(at=NOON, agent="nobody"),
    ):
        everybody.apply(event)

    assert everybody.slots({"a", "b", "c", "d"}) == 1
    assert everybody.capabilities == {"a", "b", "c", "d"}


def test_an_agent_that_joins_again_offers_what_it_says_now() -> None:
    everybody = workforce(ann=(("a",), 4))
    everybody.apply(AgentLost(at=NOON, agent="ann"))
    everybody.apply(AgentJoined(at=NOON, agent="ann", instance="2", capabilities=("b",), slots=2))

    assert (everybody.slots({"a"}), everybody.slots({"b"})) == (0, 2)
    assert everybody.capabilities == {"a", "b"}


def test_the_pools_limits_are_the_last_ones_stated() -> None:
    everybody = Workforce()
    everybody.apply(CapacityChanged(at=NOON, capacity=Capacity(cpu=8)))

    assert everybody.limits == Capacity(cpu=8)


def test_a_demand_above_the_limit_is_refused_with_both_numbers() -> None:
    tasks = [task("a", demands=Demand(cpu=100, disk=5)), task("b", demands=Demand(cpu=100.5, memory=7, network=1e9))]

    found = [(f.code, f.pointer, f.message) for f in excessive(tasks, Limits(cpu=100, memory=6, disk=None))]

    assert found == [
        (
            "never_schedulable",
            "/tasks/1/demands/cpu",
            "b needs 100.5 cpu, and the pool has 100 in all: it could never run",
        ),
        (
            "never_schedulable",
            "/tasks/1/demands/memory",
            "b needs 7 memory, and the pool has 6 in all: it could never run",
        ),
    ]


def test_a_task_larger_than_every_agent_that_can_do_it_is_refused() -> None:
    everybody = workforce(small=(("backend",), 1), large=(("frontend",), 8))
    tasks = [
        task("fits", demands=Demand(slots=1)),
        task("large", demands=Demand(slots=2)),
        task("elsewhere", alternatives=("frontend",), demands=Demand(slots=2)),
        task("unknown", capability="design", demands=Demand(slots=9)),
    ]

    assert [(f.pointer, f.message) for f in oversized(tasks, everybody)] == [
        ("/tasks/1/demands", "large is larger than every agent that can do backend: it could never run")
    ]


def test_an_agents_own_limits_count_too() -> None:
    everybody = Workforce()
    capacity = Demand(cpu=10, memory=100)
    everybody.apply(AgentJoined(at=NOON, agent="a", instance="1", capabilities=("backend",), capacity=capacity))

    assert not list(oversized([task("a", demands=Demand(cpu=10))], everybody))
    assert list(oversized([task("a", demands=Demand(cpu=11))], everybody))
    assert list(oversized([task("a", demands=Demand(disk=1))], everybody))


def test_an_unknown_capability_is_told_with_the_known_ones_and_a_guess() -> None:
    tasks = [task("a"), task("b", capability="fronted"), task("c", alternatives=("backend", "magic"))]

    assert [(f.code, f.pointer, f.message) for f in unheard_of(tasks, {"backend", "frontend"})] == [
        (
            "unknown_capability",
            "/tasks/1/capability",
            "no agent has ever offered fronted, only backend, frontend; did you mean frontend?",
        ),
        ("unknown_capability", "/tasks/2/alternatives/1", "no agent has ever offered magic, only backend, frontend"),
    ]
