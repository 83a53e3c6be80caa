"""What the planner makes of its own facts, and what it reads from the log of others."""

import asyncio

import pytest

from contracts.planner import (
    CreateProject,
    ProjectAnalysed,
    ProjectCreated,
    ProjectPlanned,
    ProjectRefused,
)
from contracts.resource_manager import AgentJoined
from contracts.work import Demand
from services.planner.analysis import Analysis
from services.planner.domain import Project
from services.planner.projections import Workforce, follow
from shared.mapper import EventMapper
from shared.memory import MemoryLog, MemorySnapshots
from shared.projection import Projection
from shared.repository import Repository
from tests.planner.desk import desk, kinds
from tests.planner.wishes import NOON, own, task, wish


class Oracle:
    """An analyst that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def analyse(self, _request: CreateProject) -> Analysis:
        self.asked += 1
        return Analysis("oracle", "api_service", ("because",), {"n": self.asked})


# Planning


async def test_what_was_created_is_analysed_and_planned() -> None:
    office = desk()
    await office.create(wish(type=None))

    await office.plan()

    created, analysed, planned = office.told()
    assert isinstance(created, ProjectCreated)
    assert isinstance(analysed, ProjectAnalysed)
    assert isinstance(planned, ProjectPlanned)
    assert (analysed.analyst, analysed.template) == ("rules", "web_application")
    assert analysed.findings["factors"] == {"users": 1.25, "performance": 1.3}
    assert planned.plan.template == "web_application"


async def test_own_tasks_are_planned_without_an_analysis() -> None:
    office = desk()
    await office.create(own(task("a")))

    await office.plan()

    assert kinds(office.told()) == [ProjectCreated, ProjectPlanned]


async def test_what_is_delivered_again_is_planned_once() -> None:
    office, oracle = desk(), Oracle()
    await office.create(wish(type=None))

    await office.plan(oracle)
    await office.plan(oracle)

    assert kinds(office.told()) == [ProjectCreated, ProjectAnalysed, ProjectPlanned]
    assert oracle.asked == 1


async def test_after_a_crash_behind_the_analysis_nobody_is_asked_again() -> None:
    office, oracle = desk(), Oracle()
    project = (await office.create(wish(type=None, technologies={}))).result["project"]
    await Repository(office.log, Project).change(
        project,
        lambda p: p.note_analysis(analyst="model", template="mobile_app", reasons=(), findings={}, at=NOON),
    )

    await office.plan(oracle)

    *_, planned = office.told()
    assert isinstance(planned, ProjectPlanned)
    assert planned.plan.template == "mobile_app"
    assert oracle.asked == 0


async def test_what_the_analysis_finds_impossible_is_refused_in_the_log() -> None:
    office = desk()
    await office.create(CreateProject(description="Make me happy"))
    await office.create(wish(type=None, technologies={"frontend": "vue"}), "c-2")

    batch = await office.plan()

    assert [message.error for message in batch] == [None, None]
    nothing, unsupported = (event for event in office.told() if isinstance(event, ProjectRefused))
    assert (nothing.code, nothing.problems[0].pointer) == ("no_template", "/type")
    assert (unsupported.code, unsupported.problems[0].pointer) == ("unsupported_technology", "/technologies/frontend")


async def test_one_project_whose_analysis_breaks_does_not_hold_up_the_others() -> None:
    class Broken(Oracle):
        async def analyse(self, _request: CreateProject) -> Analysis:
            raise ConnectionError("no model")

    office = desk()
    await office.create(wish(type=None))
    await office.create(own(task("a")), "c-2")

    broken, good = await office.plan(Broken())

    assert isinstance(broken.error, ConnectionError)
    assert good.error is None
    assert kinds(office.told()) == [ProjectCreated, ProjectCreated, ProjectPlanned]


async def test_many_projects_that_arrive_together_are_all_planned() -> None:
    office = desk()
    for n in range(50):
        await office.create(own(*(task(f"t{i}", *([f"t{i - 1}"] if i else [])) for i in range(10))), f"c-{n}")

    batch = await office.plan()

    assert not any(message.error for message in batch)
    assert kinds(office.told()).count(ProjectPlanned) == 50


# The workforce


async def test_the_workforce_is_read_from_the_log_and_goes_on_from_a_checkpoint() -> None:
    log, snapshots = MemoryLog("resource_manager"), MemorySnapshots()
    mapper = EventMapper()
    for n in range(1, 251):
        joined = AgentJoined(at=NOON, agent=f"a{n}", instance="1", capabilities=("x",), slots=2, capacity=Demand(cpu=1))
        await log.append([mapper.to_record(joined, "default", n)], seen={"default": n - 1})

    first = await caught_up(follow(log, snapshots))
    second = await caught_up(follow(MemoryLog("planner"), snapshots))

    assert first.slots({"x"}) == 500
    assert second == first


async def test_a_planner_that_still_reads_the_log_is_not_ready() -> None:
    office = desk()
    await office.circumstances.probe()
    office.known._live.clear()

    with pytest.raises(RuntimeError, match="not known which agents"):
        await office.circumstances.probe()


async def caught_up(projection: Projection[Workforce]) -> Workforce:
    running = asyncio.create_task(projection.run())
    await asyncio.wait_for(projection.caught_up(), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return projection.view
