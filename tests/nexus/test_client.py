"""The client against a real server; services are played by a small one that takes commands, and by facts in the log."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client as Connection
from pydantic_core import from_json

from contracts.agents import Assignment, Beat
from contracts.base import INLINE_LIMIT, Event
from contracts.outcomes import Problem
from contracts.planner import CreateProject, ProjectCreated, ProjectPlanned
from contracts.resource_manager import AgentJoined, AgentLeft, CapacityLeased, Lease, LeaseRenewed
from nexus.agent import Agent, AgentHost, Job
from nexus.client import AlreadyThere, Client, OutcomeUnknown, PayloadTooLarge, Refused, UnknownProject
from nexus.connection import CannotConnect
from nexus.history import BrokenStory, Difference, Story
from nexus.server import EmbeddedServer
from shared.domain import DomainError
from shared.eventlog import EventLog
from shared.mapper import EventMapper, Origin
from shared.outcomes import Accepted
from shared.parts import Parts, Runtime
from shared.service import running, service
from shared.settings import Settings
from shared.streams import provision
from tests.coordinator.world import START, World, planned, task
from tests.nexus.coordinator_by_hand import until

pytestmark = pytest.mark.nats


class Cycle(DomainError):
    code = "cycle"
    problems = (Problem(pointer="/tasks/0/depends_on", message="a needs itself"),)


@dataclass
class Planner:
    """Takes create_project; what a title says happens."""

    seen: list[tuple[CreateProject, Origin]] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def create_project(self, command: CreateProject, origin: Origin) -> Accepted:
        self.seen.append((command, origin))
        if command.title == "bad":
            raise Cycle("the tasks go round in a circle")
        if command.title == "slow":
            await self.go_on.wait()
        return Accepted(len(self.seen), {"project": "shop"})

    async def compose(self, _: Runtime) -> Parts:
        return Parts(commands={CreateProject: self.create_project})


@pytest.fixture
async def planner(settings: Settings) -> AsyncIterator[Planner]:
    played = Planner()
    async with running(lambda chosen: service("planner", played.compose, chosen), settings):
        yield played


@pytest.fixture
async def client(nc: Connection, settings: Settings) -> AsyncIterator[Client]:
    await provision(nc)
    async with Client.connect(settings=settings, actor="ada") as connected:
        yield connected


class Scribe:
    """States facts in the log, as services do."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc
        self._seen: dict[tuple[str, str], tuple[int, int]] = {}

    async def say(self, key: str, *events: Event) -> int:
        sequence = 0
        for event in events:
            version, sequence = self._seen.get((event.SERVICE, key), (0, 0))
            mapper = EventMapper(key_is_project=event.SERVICE != "resource_manager")
            record = mapper.to_record(event, key, version + 1, Origin(actor="ada"))
            sequence = await EventLog(self._nc, event.SERVICE).append([record], seen={key: sequence})
            self._seen[event.SERVICE, key] = version + 1, sequence
        return sequence


@pytest.fixture
async def scribe(nc: Connection) -> Scribe:
    await provision(nc)
    return Scribe(nc)


def plan(title: str = "Shop") -> ProjectPlanned:
    return planned(task("a"), task("b", "a")).model_copy(update={"title": title, "type": "api_service"})


def created(title: str = "Shop") -> ProjectCreated:
    return ProjectCreated(at=START, request=CreateProject(title=title), title=title)


async def carried_out(scribe: Scribe, project: str = "p", *, to_the_end: bool = True) -> World:
    """Tell the whole story of a project."""
    await scribe.say(project, created(), plan())
    world = World().begin(plan())
    if to_the_end:
        world.run()
    await scribe.say(project, *world.events)
    return world


# Commands


async def test_an_accepted_command_returns_what_it_led_to(client: Client, planner: Planner) -> None:
    outcome = await client.create_project(title="good", type="api_service", requirements={"expected_users": 10})

    assert (outcome.status, outcome.sequence, outcome.result) == ("accepted", 1, {"project": "shop"})
    command, origin = planner.seen[0]
    assert command == CreateProject(title="good", type="api_service", requirements={"expected_users": 10})
    assert origin.actor == "ada"


async def test_a_refused_command_says_why(client: Client, planner: Planner) -> None:
    with pytest.raises(Refused, match="go round in a circle\n  /tasks/0/depends_on: a needs itself") as refused:
        await client.create_project(title="bad")

    assert refused.value.code == "cycle"
    assert refused.value.problems == Cycle.problems


async def test_the_same_id_takes_effect_once_and_hears_the_same_outcome(client: Client, planner: Planner) -> None:
    outcomes = [await client.create_project("wish-1", title="good") for _ in range(3)]

    assert outcomes == [outcomes[0]] * 3
    assert len(planner.seen) == 1


async def test_an_outcome_that_was_forgotten_is_told_again(client: Client, planner: Planner) -> None:
    await client.create_project("wish-1", title="good")
    await client.nc.jetstream().purge_stream("NEXUS_OUTCOMES")  # as when the server restarted

    outcome = await client.create_project("wish-1", title="good")

    assert outcome.result == {"project": "shop"}
    assert {origin.once for _, origin in planner.seen} == {"wish-1"}


async def test_many_commands_at_once_hear_each_their_own_outcome(client: Client, planner: Planner) -> None:
    outcomes = await asyncio.gather(*(client.create_project(f"wish-{number}", title="good") for number in range(50)))

    assert [outcome.command for outcome in outcomes] == [f"wish-{number}" for number in range(50)]
    assert {outcome.sequence for outcome in outcomes} == set(range(1, 51))


async def test_silence_is_an_unknown_outcome_and_sending_again_is_safe(client: Client, planner: Planner) -> None:
    command = CreateProject(title="slow")
    with pytest.raises(OutcomeUnknown, match=r"is stored.*same id \(wish-1\) is safe"):
        await client.command(command, "wish-1", timeout=0.3)

    planner.go_on.set()
    outcome = await client.command(command, "wish-1")

    assert outcome.status == "accepted"
    assert len(planner.seen) == 1


async def test_a_server_without_nexus_is_named_as_such(nc: Connection, settings: Settings) -> None:
    async with Client.connect(settings=settings) as client:
        with pytest.raises(OutcomeUnknown, match="is Nexus running on this server"):
            await client.command(CreateProject(), timeout=0.3)


async def test_what_is_too_large_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(PayloadTooLarge, match=r"at most 262,144 travel.*object store"):
        await client.create_project(description="x" * INLINE_LIMIT)
    with pytest.raises(PayloadTooLarge):
        await client.signal("shop", "go", {"text": "x" * INLINE_LIMIT})

    assert (await client.nc.jetstream().stream_info("NEXUS_INBOX")).state.messages == 0


async def test_a_signal_lies_in_the_inbox_when_it_is_sent(client: Client) -> None:
    sequence = await client.signal("shop", "schema_ready", {"tables": 3})

    message = await client.nc.jetstream().get_msg("NEXUS_INBOX", sequence)
    assert message.subject == "nexus.signals.shop.schema_ready"
    assert from_json(message.data or b"")["data"] == {"tables": 3}
    with pytest.raises(ValueError, match="'a b' is not a name"):
        await client.signal("shop", "a b")


async def test_without_a_server_the_error_says_what_to_do(settings: Settings, tmp_path: Any) -> None:
    nowhere = settings.model_copy(update={"nats_url": "nats://127.0.0.1:9"})
    with pytest.raises(CannotConnect, match=r"at nats://127.0.0.1:9: nothing answers"):
        await Client.connect(settings=nowhere, patience=0.1).open()
    unnamed = settings.model_copy(update={"nats_url": None, "data": tmp_path / "none"})
    with pytest.raises(CannotConnect, match="start one with `nexus up`"):
        await Client.connect(settings=unnamed, patience=0.1).open()


async def test_wrong_credentials_are_told_at_once(server: EmbeddedServer, settings: Settings) -> None:
    stranger = settings.model_copy(update={"nats_user": "mallory", "nats_password": None})
    began = asyncio.get_running_loop().time()

    with pytest.raises(CannotConnect, match="does not accept our credentials"):
        await Client.connect(settings=stranger, patience=30).open()
    assert asyncio.get_running_loop().time() - began < 10


async def test_the_server_that_runs_on_the_data_folder_is_found(server: EmbeddedServer, settings: Settings) -> None:
    unnamed = settings.model_copy(update={"nats_url": None, "nats_user": None, "nats_password": None})

    async with Client.connect(settings=unnamed) as client:
        assert client.nc.is_connected


# The log


async def test_the_history_of_a_project_is_everything_that_happened_in_order(client: Client, scribe: Scribe) -> None:
    world = await carried_out(scribe)
    await scribe.say("other", created("Other"))
    lease = Lease(id="p.a.1", project="p", task="a", agent="x", epoch=1, until=START)
    last = await scribe.say("default", CapacityLeased(at=START, project="p", leases=(lease,)))

    entries = await client.history("p")

    expected = ["project_created", "project_planned", *world.names(), "capacity_leased"]
    assert [entry.name for entry in entries] == expected
    assert entries[-1].sequence == last
    assert {entry.project for entry in entries} == {"p"}
    assert (entries[0].service, entries[0].actor, entries[0].at) == ("planner", "ada", START)
    assert entries[0].as_dict()["data"]["title"] == "Shop"


async def test_a_project_can_be_seen_as_it_stood_at_any_place(client: Client, scribe: Scribe) -> None:
    await scribe.say("other", created("Other"))
    await carried_out(scribe)
    entries = await client.history("p")
    dispatched = next(entry for entry in entries if entry.name == "tasks_dispatched")

    now = await client.project("p")
    then = await client.project("p", at=dispatched.sequence)

    assert (now.status, now.counts) == ("completed", {"done": 2})
    assert (then.status, then.counts) == ("running", {"running": 1, "waiting": 1})
    changes = await client.diff("p", dispatched.sequence, entries[-1].sequence)
    assert Difference("/status", "running", "completed") in changes
    assert Difference("/tasks/a/status", "running", "done") in changes
    with pytest.raises(UnknownProject, match=r"begins at event \d+; at 1 there was nothing"):
        await client.project("p", at=1)


async def test_leases_show_their_newest_end(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe, to_the_end=False)
    lease = Lease(id="p.a.1", project="p", task="a", agent="x", epoch=1, until=START)
    later = START + timedelta(minutes=1)
    await scribe.say("default", CapacityLeased(at=START, project="p", leases=(lease,)))
    await scribe.say("default", LeaseRenewed(at=START, leases=("p.a.1",), until=later))

    assert (await client.project("p")).leases["p.a.1"].until == later


async def test_an_unknown_project_is_said_to_be_unknown(client: Client) -> None:
    for question in (client.history("nothing"), client.project("nothing"), client.diff("nothing", 1, 2)):
        with pytest.raises(UnknownProject, match="no project nothing"):
            await question


async def test_projects_are_listed_with_where_they_stand(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe, "one")
    await scribe.say("two", created("Two"))
    await carried_out(scribe, "three", to_the_end=False)

    found = await client.projects()

    assert [(one.id, one.status, one.tasks) for one in found] == [
        ("one", "completed", 2),
        ("two", "described", 0),
        ("three", "running", 2),
    ]
    assert found[0].as_dict()["title"] == "Shop"


async def test_waiting_for_a_project_ends_when_it_does(client: Client, scribe: Scribe) -> None:
    world = await carried_out(scribe, to_the_end=False)
    told = len(world.events)
    waiting = asyncio.create_task(client.wait("p", timeout=10))
    await asyncio.sleep(0.1)
    assert not waiting.done()

    world.run()
    await scribe.say("p", *world.events[told:])

    assert (await waiting).status == "completed"
    assert (await client.wait("p", timeout=10)).status == "completed"


async def test_waiting_gives_up_in_time(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe, to_the_end=False)

    with pytest.raises(TimeoutError):
        await client.wait("p", timeout=0.1)


async def test_events_come_as_they_happen_and_from_any_place(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe)
    live: list[str] = []

    async def listen() -> None:
        async for entry in client.events(name="project_created"):
            live.append(str(entry.project))  # noqa: PERF401  seen while it grows

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.2)
    await scribe.say("new", created("New"), plan())
    await until(lambda: live == ["new"])
    listening.cancel()

    story = []
    async for entry in client.follow("p"):
        story.append(entry.name)
        if entry.name == "execution_completed":
            break
    assert story == [entry.name for entry in await client.history("p")]


async def test_agents_are_shown_as_the_pool_knows_them_and_as_they_say(
    client: Client, scribe: Scribe, settings: Settings
) -> None:
    joined = AgentJoined(at=START, agent="gone", instance="i", capabilities=("paint",), slots=2)
    await scribe.say("default", joined, AgentLeft(at=START, agent="gone"))
    agent, go_on = Agent("worker", slots=2), asyncio.Event()

    @agent.task("work")
    async def work(_: Job) -> None:
        await go_on.wait()

    host = await AgentHost([agent], settings=settings, beat=0.1).start()
    assignment = Assignment(project="p", task="a", attempt=1, lease="p.a.1", epoch=1, capability="work")
    await client.nc.publish("nexus.tasks.worker", assignment.model_dump_json().encode())
    async with asyncio.timeout(5):
        while [one.status for one in await client.agents()] != ["left", "busy"]:
            await asyncio.sleep(0.05)
    gone, busy = await client.agents()
    go_on.set()
    await host.stop()

    assert (gone.name, gone.capabilities) == ("gone", ("paint",))
    assert (busy.name, busy.capabilities, busy.slots) == ("worker", ("work",), 2)
    assert busy.running[0].task == "a"
    assert busy.last_seen is not None
    assert busy.last_seen > datetime.now(UTC) - timedelta(seconds=5)
    assert [one.status for one in await client.agents()] == ["left", "left"]


async def test_agents_that_tell_the_time_in_their_own_way_hide_nobody(client: Client) -> None:
    now = datetime.now(UTC)
    beat = {"agent": "ann", "instance": "1", "capabilities": ["work"]}
    envelope = {"specversion": "1.0", "id": "1", "type": Beat.TYPE, "source": "ann", "data": beat}
    js = client.nc.jetstream()
    for subject, message in (
        ("nexus.agents.ann.hello", envelope | {"time": now.isoformat()}),
        ("nexus.agents.ann.beat", envelope | {"id": "2", "time": now.replace(tzinfo=None).isoformat()}),
        ("nexus.agents.bob.beat", envelope | {"id": "3", "time": None}),
        ("nexus.agents.cat.beat", beat | {"agent": "cat"}),
    ):
        await js.publish(subject, json.dumps(message).encode())

    assert [one.name for one in await client.agents()] == ["ann", "cat"]


# What could not be handled


async def test_dead_letters_are_listed_and_sent_again(client: Client, planner: Planner) -> None:
    js = client.nc.jetstream()
    await js.publish("nexus.commands.planner.create_projekt", b"{}")
    async with asyncio.timeout(5):
        while not (letters := await client.dead_letters()):
            await asyncio.sleep(0.05)

    (letter,) = letters
    assert (letter.subject, letter.code) == ("nexus.commands.planner.create_projekt", "unknown_command")
    assert "did you mean create_project?" in letter.reason

    await client.redrive(letter.sequence)
    async with asyncio.timeout(5):
        while [one.sequence for one in await client.dead_letters()] == [letter.sequence]:
            await asyncio.sleep(0.05)


# Stories


async def test_a_story_travels_to_another_log_and_says_the_same_there(
    client: Client, scribe: Scribe, settings: Settings, tmp_path: Any
) -> None:
    await carried_out(scribe)
    text = await client.export("p")
    here = await client.project("p")

    elsewhere = EmbeddedServer(tmp_path / "elsewhere", sync="1m")
    async with elsewhere, Client.connect(settings=elsewhere.access.applied(settings)) as other:
        await provision(other.nc)
        assert await other.import_story(text.splitlines()) == "p"
        there = await other.project("p")
        with pytest.raises(AlreadyThere, match="in this log already"):
            await other.import_story(text.splitlines())

    assert there.tasks == here.tasks
    assert (there.status, there.ended_at) == (here.status, here.ended_at)


async def test_a_story_is_replayed_by_todays_code_and_differences_are_told(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe)
    text = await client.export("p")

    assert Story.of(text.splitlines()).differences() == []
    changed = text.replace('"status":"completed"', '"status":"failed"')
    assert Story.of(changed.splitlines()).differences() == [Difference("/status", "failed", "completed")]


async def test_only_whole_stories_of_ended_projects_are_imported(client: Client, scribe: Scribe) -> None:
    await carried_out(scribe, to_the_end=False)
    text = await client.export("p")

    with pytest.raises(AlreadyThere, match="has not ended"):
        await client.import_story(text.splitlines())
    with pytest.raises(BrokenStory, match="line 1 is no event"):
        await client.import_story(["{}"])
    with pytest.raises(BrokenStory, match="not the whole story"):
        await client.import_story(text.splitlines()[:-1])
