"""The planner against a real server: commands in, outcomes and events out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from nats.aio.client import Client

from contracts.base import Event
from contracts.envelope import CloudEvent, encode
from contracts.outcomes import Outcome
from contracts.planner import PlanApproved, ProjectAnalysed, ProjectCreated, ProjectPlanned, ProjectRefused
from contracts.resource_manager import AgentJoined
from services.planner.app import create
from services.planner.domain import Project
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.outcomes import known
from shared.repository import Repository
from shared.service import running
from shared.settings import Settings
from tests.planner.wishes import NOON, SHOP, own, task

pytestmark = pytest.mark.nats

CREATE = "nexus.commands.planner.create_project"
APPROVE = "nexus.commands.planner.approve_plan"
OWN = {"title": "Chain", "tasks": [{"id": "a", "capability": "backend"}]}


class Office:
    """Whoever sends the planner commands."""

    def __init__(self, nc: Client) -> None:
        self.nc, self.log, self.mapper = nc, EventLog(nc, "planner"), EventMapper()

    async def send(self, subject: str, data: Any, identity: str = "") -> Outcome:
        """Send a command as a CloudEvent, and wait for its outcome."""
        identity = identity or uuid4().hex
        event = CloudEvent(id=identity, type=subject, source="test", subject="", data=data, traceparent=TRACE)
        await self.nc.jetstream().publish(subject, encode(event), headers={"Nats-Msg-Id": uuid4().hex})
        return await self.outcome(identity)

    async def outcome(self, identity: str, seconds: float = 10) -> Outcome:
        """Return what was told about a command."""
        async with asyncio.timeout(seconds):
            while not (found := await known(self.nc, identity)):
                await asyncio.sleep(0.01)
        return found

    async def told(self, project: str, until: type[Event]) -> list[Event]:
        """Return all facts about a project, once there is one of this kind."""
        async with asyncio.timeout(10):
            while True:
                events = [self.mapper.to_event(logged) for logged in await self.log.read(project)]
                if any(isinstance(event, until) for event in events):
                    return events
                await asyncio.sleep(0.01)


TRACE = f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def office(nc: Client, settings: Settings, stack: AsyncExitStack) -> Office:
    await stack.enter_async_context(running(create, settings))
    return Office(nc)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def test_the_seeds_request_is_accepted_and_planned(office: Office) -> None:
    outcome = await office.send(CREATE, SHOP, "c-1")

    assert (outcome.status, outcome.command) == ("accepted", "c-1")
    events = await office.told(outcome.result["project"], ProjectPlanned)
    assert kinds(events) == [ProjectCreated, ProjectAnalysed, ProjectPlanned]
    planned = events[-1]
    assert isinstance(planned, ProjectPlanned)
    assert planned.plan.template == "web_application"
    assert planned.plan.critical_path[-1] == "run-tests"


async def test_the_log_says_who_caused_what(office: Office) -> None:
    outcome = await office.send(CREATE, SHOP, "c-1")
    project = outcome.result["project"]
    await office.told(project, ProjectPlanned)

    created, analysed, planned = (json.loads(logged.state) for logged in await office.log.read(project))

    assert (created["causationid"], created["idempotencykey"], created["correlationid"]) == ("c-1", "c-1", project)
    assert analysed["causationid"] == planned["causationid"] == created["id"]
    assert {event["correlationid"] for event in (analysed, planned)} == {project}
    assert {event["traceparent"] for event in (created, analysed, planned)} == {TRACE}
    assert {event["project"] for event in (created, analysed, planned)} == {project}
    assert outcome.sequence == (await office.log.read(project))[0].id


async def test_plain_json_is_enough(office: Office, nc: Client) -> None:
    ack = await nc.jetstream().publish(CREATE, b'{"description": "A blog about bees"}')

    outcome = await office.outcome(f"seq-{ack.seq}")

    events = await office.told(outcome.result["project"], ProjectPlanned)
    assert isinstance(events[1], ProjectAnalysed)
    assert events[1].template == "web_application"


async def test_the_same_id_twice_is_one_project_and_one_outcome(office: Office, stack: AsyncExitStack) -> None:
    first, second = await asyncio.gather(*(office.send(CREATE, OWN, "c-1") for _ in range(2)))
    third = await office.send(CREATE, OWN, "c-1")

    assert first == second == third
    assert kinds(await office.told(first.result["project"], ProjectPlanned)) == [ProjectCreated, ProjectPlanned]


async def test_an_unknown_field_is_ignored_but_told(office: Office) -> None:
    outcome = await office.send(CREATE, OWN | {"technologys": {"frontend": "react"}})

    assert outcome.status == "accepted"
    assert [(one.pointer, one.message) for one in outcome.warnings] == [
        ("/technologys", "nobody reads this; did you mean technologies?")
    ]


async def test_malformed_json_is_refused(office: Office, nc: Client) -> None:
    ack = await nc.jetstream().publish(CREATE, b'{"type": ', headers={"Nats-Msg-Id": "broken"})

    outcome = await office.outcome("broken")

    assert (outcome.status, outcome.code) == ("refused", "malformed")
    assert "JSON" in outcome.message
    assert ack.seq


@pytest.mark.parametrize(
    ("data", "code", "pointer"),
    [
        ({"tasks": "all"}, "invalid", "/tasks"),
        ({"priority": 9, "description": "x"}, "invalid", "/priority"),
        ({"tasks": [{"id": "not a token", "capability": "backend"}]}, "invalid", "/tasks/0/id"),
        ({"tasks": [{"id": "a"}]}, "invalid", "/tasks/0/capability"),
        ({}, "no_template", ""),
        ({"type": "web_app"}, "unknown_template", "/type"),
        (
            {"type": "web_application", "technologies": {"frontend": "vue"}},
            "unsupported_technology",
            "/technologies/frontend",
        ),
        (
            {"type": "web_application", "requirements": {"expected_users": "many"}},
            "invalid_requirement",
            "/requirements/expected_users",
        ),
        ({"tasks": [{"id": "a", "capability": "backend", "depends_on": ["a"]}]}, "cycle", "/tasks/0/depends_on/0"),
        (
            {"tasks": [{"id": "a", "capability": "backend", "demands": {"memory": 101}}]},
            "never_schedulable",
            "/tasks/0/demands/memory",
        ),
        (OWN | {"protocol": {"type": "telepathy"}}, "unknown_protocol", "/protocol/type"),
    ],
)
async def test_bad_input_is_refused_with_its_place_and_nothing_is_kept(
    office: Office, data: Any, code: str, pointer: str
) -> None:
    outcome = await office.send(CREATE, data)

    assert (outcome.status, outcome.code) == ("refused", code)
    assert [problem.pointer for problem in outcome.problems] == [pointer]
    assert outcome.message
    assert await office.log.read("*") == []


async def test_what_only_the_analysis_can_tell_is_refused_in_the_log(office: Office) -> None:
    outcome = await office.send(CREATE, {"description": "Make me happy"})

    *_, refused = await office.told(outcome.result["project"], ProjectRefused)

    assert outcome.status == "accepted"
    assert isinstance(refused, ProjectRefused)
    assert refused.code == "no_template"


async def test_an_unknown_capability_is_refused_when_no_agent_comes(
    nc: Client, settings: Settings, stack: AsyncExitStack
) -> None:
    planning = settings.orchestrator.planning.model_copy(update={"capability_wait": 0.1})
    orchestrator = settings.orchestrator.model_copy(update={"planning": planning})
    await stack.enter_async_context(running(create, settings.model_copy(update={"orchestrator": orchestrator})))

    outcome = await Office(nc).send(CREATE, {"tasks": [{"id": "a", "capability": "fronted"}]})

    assert (outcome.status, outcome.code) == ("refused", "unknown_capability")
    assert [problem.pointer for problem in outcome.problems] == ["/tasks/0/capability"]
    assert outcome.message.endswith("did you mean frontend?")


async def test_an_agent_that_joins_a_moment_later_is_in_time(office: Office, nc: Client) -> None:
    sending = asyncio.create_task(office.send(CREATE, {"tasks": [{"id": "a", "capability": "magic"}]}))
    await asyncio.sleep(0.1)

    joined = AgentJoined(at=NOON, agent="merlin", instance="1", capabilities=("magic",))
    await EventLog(nc, "resource_manager").append([EventMapper().to_record(joined, "default", 1)], seen={"default": 0})

    assert (await sending).status == "accepted"


async def test_a_plan_that_waits_is_approved(office: Office) -> None:
    project = (await office.send(CREATE, OWN | {"start": "manual"})).result["project"]

    first, again = await office.send(APPROVE, {"project": project}), await office.send(APPROVE, {"project": project})

    assert (first.status, again.status) == ("accepted", "accepted")
    assert first.sequence == again.sequence
    events = await office.told(project, PlanApproved)
    assert kinds(events) == [ProjectCreated, ProjectPlanned, PlanApproved]


async def test_what_was_created_before_a_crash_is_planned_after_it(
    nc: Client, settings: Settings, stack: AsyncExitStack
) -> None:
    async with running(create, settings):
        pass  # the streams exist; the planner crashes behind the creation of a project
    request = own(task("a"))
    await Repository(EventLog(nc, "planner"), Project).change(
        "chain-1", lambda p: p.create(request, "Chain", NOON), create=True
    )

    await stack.enter_async_context(running(create, settings))

    assert kinds(await Office(nc).told("chain-1", ProjectPlanned)) == [ProjectCreated, ProjectPlanned]


async def test_what_is_sent_while_no_planner_runs_is_done_when_one_does(
    nc: Client, settings: Settings, stack: AsyncExitStack
) -> None:
    async with running(create, settings):
        pass
    office = Office(nc)
    sending = asyncio.create_task(office.send(CREATE, OWN, "c-1"))
    await asyncio.sleep(0.1)

    await stack.enter_async_context(running(create, settings))

    assert (await sending).status == "accepted"


async def test_a_burst_of_projects_is_planned(office: Office) -> None:
    chain = [{"id": f"t{n}", "capability": "backend", "depends_on": [f"t{n - 1}"] if n else []} for n in range(10)]

    outcomes = await asyncio.gather(*(office.send(CREATE, {"tasks": chain}, f"c-{n}") for n in range(50)))

    assert {outcome.status for outcome in outcomes} == {"accepted"}
    async with asyncio.timeout(10):
        while len([e for e in await office.log.read("*") if e.topic == ProjectPlanned.TOPIC]) < 50:
            await asyncio.sleep(0.05)


async def test_settings_that_contradict_the_templates_stop_the_planner_before_it_connects(settings: Settings) -> None:
    overrides: dict[str, Any] = {"orchestrator": {"templates": {"web_aplication": {}}}}

    with pytest.raises(ValueError, match="did you mean web_application"):
        create(Settings.load(overrides, environ={}))
