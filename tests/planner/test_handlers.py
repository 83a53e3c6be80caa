"""Commands of the planner, over a log that is a list."""

from typing import Any

import pytest

from contracts.planner import (
    PlanApproved,
    ProjectCreated,
)
from contracts.resource_manager import AgentJoined, Capacity, CapacityChanged
from contracts.work import Demand
from services.planner.domain import IdTaken, NotPlanned, Project
from services.planner.findings import Refused
from services.planner.handlers import ProjectNotFound, UnknownProject, Unstaffed
from services.planner.naming import LENGTHS, project_id
from shared.domain import NotYet
from shared.outcomes import Accepted
from shared.patience import Patience
from shared.repository import Repository
from tests.planner.desk import desk, kinds
from tests.planner.wishes import NOON, own, task, wish

# Creating


async def test_a_project_is_created_and_its_id_is_told() -> None:
    office = desk()

    accepted = await office.create(wish())

    assert accepted == Accepted(1, {"project": project_id(wish(), "c-1")})
    (created,) = office.told()
    assert isinstance(created, ProjectCreated)
    assert created.request == wish()
    assert created.title == "E-commerce platform with user management"


async def test_its_events_say_where_they_come_from() -> None:
    office = desk()
    project = (await office.create(wish())).result["project"]
    (created,) = (message.ce for message in await office.plan())
    planned = office.log.shelf.events[-1].state.decode()

    assert (created.causationid, created.correlationid, created.actor) == ("c-1", project, "ann")
    assert f'"causationid":"{created.id}"' in planned
    assert f'"correlationid":"{project}"' in planned
    assert '"traceparent":"00-t"' in planned
    assert '"actor":"ann"' in planned


async def test_the_same_command_twice_is_one_project_also_after_a_restart() -> None:
    office = desk()

    first = await office.create(wish())
    again = await office.create(wish())
    restarted = await desk(log=office.log).create(wish())

    assert first == again == restarted
    assert len(office.told()) == 1


async def test_what_a_command_did_stays_done_also_if_other_settings_would_refuse_it_today() -> None:
    request = own(task("a", capability="magic"))
    before = desk({"orchestrator": {"planning": {"capabilities": ["magic"]}}})
    first = await before.create(request)

    today = desk({"orchestrator": {"planning": {"capability_wait": 0}}}, before.log)

    assert await today.create(request) == first
    with pytest.raises(Refused):
        await today.create(request, "c-2")


async def test_another_project_of_the_same_id_is_not_touched() -> None:
    office, request = desk(), wish()
    others = Repository(office.log, Project)
    await others.change(
        project_id(request, "c-1"), lambda p: p.create(wish(title="Another"), "Another", NOON), create=True
    )

    first, again = await office.create(request), await office.create(request)

    assert first.result == again.result == {"project": project_id(request, "c-1", LENGTHS[1])}
    assert len(office.told()) == 2


async def test_a_project_whose_ids_are_all_taken_is_refused() -> None:
    office, request = desk(), wish()
    others = Repository(office.log, Project)
    for identity in (project_id(request, "c-1"), project_id(request, "c-1", LENGTHS[1])):
        await others.change(identity, lambda p: p.create(request, "Another", NOON), create=True)

    with pytest.raises(IdTaken):
        await office.create(request)


async def test_what_is_wrong_is_refused_before_anything_is_kept() -> None:
    office = desk()

    with pytest.raises(Refused) as caught:
        await office.create(own(task("a", "b"), task("b", "a"), task("c", capability="magic")))

    assert [problem.pointer for problem in caught.value.problems] == ["/tasks/0/depends_on/0", "/tasks/2/capability"]
    assert office.told() == []


# Capabilities


async def test_an_unknown_capability_is_refused_only_after_some_patience() -> None:
    office = desk()
    clock = [0.0]
    office.handlers._patience = Patience(5, lambda: clock[0])
    request = own(task("a", capability="testin"))

    for clock[0] in (0.0, 0.2, 4.9):
        with pytest.raises(Unstaffed):
            await office.create(request)
    clock[0] = 5.0
    with pytest.raises(Refused) as caught:
        await office.create(request)

    assert caught.value.code == "unknown_capability"
    assert caught.value.problems[0].pointer == "/tasks/0/capability"
    assert caught.value.problems[0].message.endswith("did you mean testing?")


async def test_an_agent_that_joins_a_moment_later_makes_it_known() -> None:
    office = desk()
    request = own(task("a", capability="magic"))
    with pytest.raises(NotYet):
        await office.create(request)

    office.known.view.apply(AgentJoined(at=NOON, agent="merlin", instance="1", capabilities=("magic",)))

    assert (await office.create(request)).sequence == 1


@pytest.mark.parametrize(
    ("settings", "requirements"),
    [
        ({"capabilities": ["magic"]}, {}),
        ({"strict_capabilities": False}, {}),
        ({}, {"capabilities": ["magic"]}),
    ],
)
async def test_settings_and_the_request_itself_may_vouch_for_a_capability(
    settings: dict[str, Any], requirements: dict[str, Any]
) -> None:
    office = desk({"orchestrator": {"planning": settings}})

    assert (await office.create(own(task("a", capability="magic"), requirements=requirements))).sequence == 1


@pytest.mark.parametrize("promised", [None, 3, "magic", [["magic"]], {"magic": 1}])
async def test_a_promise_that_is_none_is_no_capability(promised: object) -> None:
    office = desk({"orchestrator": {"planning": {"capability_wait": 0}}})

    with pytest.raises(Refused):
        await office.create(own(task("a", capability="magic"), requirements={"capabilities": promised}))


async def test_what_the_reference_agents_can_do_is_known_before_they_have_joined() -> None:
    tasks = [task(name, capability=name) for name in ("analysis", "database", "backend", "frontend", "testing")]

    assert (await desk().create(own(*tasks))).sequence == 1


async def test_a_task_larger_than_all_known_agents_is_refused_with_patience() -> None:
    office = desk({"orchestrator": {"planning": {"capability_wait": 0}}})
    office.known.view.apply(AgentJoined(at=NOON, agent="a", instance="1", capabilities=("backend",), slots=2))

    with pytest.raises(Refused) as caught:
        await office.create(own(task("a", demands=Demand(slots=3))))

    assert caught.value.code == "never_schedulable"


async def test_nothing_is_refused_before_the_agents_of_the_log_are_known() -> None:
    office = desk({"orchestrator": {"planning": {"capability_wait": 0}}})
    office.known._live.clear()

    with pytest.raises(NotYet):
        await office.create(own(task("a", capability="magic")))


async def test_limits_that_were_changed_count_instead_of_the_settings() -> None:
    office = desk()
    request = own(task("a", demands=Demand(cpu=150)))
    with pytest.raises(Refused):
        await office.create(request)

    office.known.view.apply(CapacityChanged(at=NOON, capacity=Capacity(cpu=200)))

    assert (await office.create(request, "c-2")).sequence == 1


# Approving


async def test_a_plan_that_waits_is_approved_once() -> None:
    office = desk()
    project = (await office.create(wish(start="manual"))).result["project"]
    with pytest.raises(NotPlanned):
        await office.approve(project)
    await office.plan()

    first = await office.approve(project)
    again = await office.approve(project)
    another = await office.approve(project, "a-2")

    assert first == again == another == Accepted(4, {"project": project})
    assert kinds(office.told())[-1] is PlanApproved
    assert len(office.told()) == 4


async def test_an_unknown_project_may_be_on_its_way_for_a_while() -> None:
    office = desk()
    clock = [0.0]
    office.handlers._patience = Patience(5, lambda: clock[0])

    with pytest.raises(ProjectNotFound, match="there is no project shop-1"):
        await office.approve("shop-1")
    clock[0] = 6
    with pytest.raises(UnknownProject) as caught:
        await office.approve("shop-1")

    assert caught.value.code == "unknown_project"


def test_patience_does_not_remember_for_ever() -> None:
    clock = [0.0]
    patience = Patience(5, lambda: clock[0])
    for n in range(100):
        clock[0] = float(n)
        patience.over(f"c-{n}")

    assert len(patience._since) <= 67
