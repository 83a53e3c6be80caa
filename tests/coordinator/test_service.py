"""The coordinator against a real server; the test plays planner, resource manager and agent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic_core import from_json, to_json

from contracts.agents import Assignment, Beat, TaskResult
from contracts.base import Event
from contracts.coordinator import Consequences
from contracts.envelope import CloudEvent, decode, encode
from contracts.planner import ProjectPlanned
from contracts.resource_manager import CapacityLeased, Lease, LeaseExpired
from contracts.work import Plan, ProtocolConfig, Task
from services.coordinator.app import create
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.service import running
from shared.settings import Settings

pytestmark = pytest.mark.nats


@dataclass
class Stage:
    """Plays everybody else."""

    nc: Client
    settings: Settings
    stack: AsyncExitStack
    versions: dict[str, int] = field(default_factory=dict)
    assignments: asyncio.Queue[Assignment] = field(default_factory=asyncio.Queue)
    epoch: int = 0

    async def start(self) -> None:
        """Start the coordinator, and listen as the agent `a`."""
        await self.stack.enter_async_context(running(create, self.settings))

    async def listen(self) -> None:
        """Take what the agent is sent."""

        async def take(msg: Msg) -> None:
            await self.assignments.put(Assignment.model_validate(decode(msg.data, msg.headers).data))

        await self.nc.subscribe("nexus.tasks.a", cb=take)

    async def say(self, service: str, key: str, event: Event) -> None:
        """State a fact as another service."""
        log = EventLog(self.nc, service)
        last = await log.last(key)
        version = last.originator_version + 1 if last else 1
        record = EventMapper(key_is_project=service == "planner").to_record(event, key, version)
        await log.append([record], seen={key: last.id if last else 0})

    async def plan(self, project: str, *tasks: Task, approved: bool = True, **config: object) -> None:
        """Plan a project."""
        plan = Plan(tasks=tasks, protocol=ProtocolConfig.model_validate(config))
        await self.say("planner", project, ProjectPlanned(at=now(), plan=plan, approved=approved))

    async def grant(self, project: str, *tasks: str, attempt: int = 1) -> None:
        """Grant capacity on agent `a`."""
        self.epoch += 1
        until = now() + timedelta(seconds=30)
        leases = tuple(
            Lease(id=f"{project}.{t}.{attempt}", project=project, task=t, agent="a", epoch=self.epoch, until=until)
            for t in tasks
        )
        await self.say("resource_manager", "default", CapacityLeased(at=now(), project=project, leases=leases))

    async def assigned(self) -> Assignment:
        """The next assignment."""
        return await asyncio.wait_for(self.assignments.get(), 5)

    async def result(self, work: Assignment, status: str = "done", **fields: object) -> None:
        """Answer an assignment."""
        body = {"agent": "a", "attempt": work.attempt, "lease": work.lease, "epoch": work.epoch, "status": status}
        data = TaskResult.model_validate({**body, **fields}).model_dump(mode="json")
        await self.nc.jetstream().publish(f"nexus.results.{work.project}.{work.task}", to_json(data))

    async def facts(self, project: str) -> list[str]:
        """What the coordinator has stated about a project."""
        return [e.topic.rpartition(".")[2] for e in await EventLog(self.nc, "coordinator").read(project)]

    async def until(self, project: str, fact: str, count: int = 1) -> list[str]:
        """Wait until the coordinator has stated a fact."""
        async with asyncio.timeout(8):
            while (found := await self.facts(project)).count(fact) < count:
                await asyncio.sleep(0.01)
        return found

    async def command(self, name: str, **data: object) -> dict[str, Any]:
        """Send a command and return its outcome."""
        identity = f"cmd-{name}-{now().timestamp()}".replace(".", "-")
        answer = await self.nc.subscribe(f"nexus.outcomes.{identity}")
        headers = {"Nats-Msg-Id": identity}
        await self.nc.jetstream().publish(f"nexus.commands.coordinator.{name}", to_json(data), headers=headers)
        outcome: dict[str, Any] = decode((await answer.next_msg(5)).data).data
        return outcome


def now() -> datetime:
    return datetime.now(UTC)


def task(name: str, *after: str, **fields: object) -> Task:
    return Task.model_validate({"id": name, "capability": "work", "depends_on": after, **fields})


@pytest.fixture
async def stage(nc: Client, settings: Settings) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        stage = Stage(nc, settings, stack)
        await stage.listen()
        await stage.start()
        yield stage


async def test_a_planned_project_is_carried_out_to_its_end(stage: Stage) -> None:
    await stage.plan("p", task("a"), task("b", "a"))
    await stage.until("p", "execution_started")
    await stage.grant("p", "a")
    await stage.result(await stage.assigned(), output={"answer": 42})
    await stage.until("p", "tasks_settled")
    await stage.grant("p", "b")
    second = await stage.assigned()
    await stage.result(second)

    facts = await stage.until("p", "execution_completed")

    assert second.upstream == {"a": {"answer": 42}}
    assert facts == ["execution_started", *["tasks_dispatched", "tasks_settled"] * 2, "execution_completed"]


async def test_a_plan_that_waits_for_approval_starts_by_command(stage: Stage) -> None:
    await stage.plan("p", task("a"), approved=False)
    defined = await stage.command("define_protocol", config={"type": "synchronous"})

    outcome = await stage.command("execute_project", project="p", protocol=defined["result"]["protocol"])

    assert outcome["status"] == "accepted"
    started = (await EventLog(stage.nc, "coordinator").read("p"))[0]
    assert from_json(started.state)["data"]["protocol"] == {"type": "synchronous"}


async def test_a_signal_from_a_plain_publisher_moves_a_project_on(stage: Stage) -> None:
    await stage.plan("p", task("a", waits_for=["approved"]), type="event_driven")
    await stage.until("p", "execution_started")

    await stage.nc.publish("nexus.signals.p.approved", b"{}")

    facts = await stage.until("p", "signal_received")
    await stage.grant("p", "a")
    assert facts == ["execution_started", "signal_received"]
    assert (await stage.assigned()).task == "a"


async def test_the_same_signal_twice_is_heard_once(stage: Stage) -> None:
    await stage.plan("p", task("a", waits_for=["approved"]), type="event_driven")
    await stage.until("p", "execution_started")
    signal = encode(CloudEvent("sig-1", "approved", "somebody", "", {}))

    for _ in range(2):
        await stage.nc.publish("nexus.signals.p.approved", signal)
    await stage.nc.publish("nexus.signals.p.done", b"{}")
    await stage.until("p", "signal_received", 2)

    assert await stage.facts("p") == ["execution_started", "signal_received", "signal_received"]


async def test_a_retry_wakes_up_by_a_durable_timer(stage: Stage) -> None:
    await stage.plan("p", task("a", retry={"attempts": 2, "initial": 0.3, "jitter": 0}))
    await stage.until("p", "execution_started")
    await stage.grant("p", "a")

    await stage.result(await stage.assigned(), "failed")
    facts = await stage.until("p", "task_retried")
    await stage.grant("p", "a", attempt=2)

    assert facts[-2:] == ["tasks_settled", "task_retried"]
    assert (await stage.assigned()).attempt == 2


async def test_a_restarted_coordinator_sends_again_what_is_not_settled(stage: Stage) -> None:
    await stage.plan("p", task("a"))
    await stage.until("p", "execution_started")
    await stage.grant("p", "a")
    first = await stage.assigned()
    await stage.stack.aclose()

    async with running(create, stage.settings):
        again = await stage.assigned()
        await stage.result(again)
        await stage.until("p", "execution_completed")

    assert again == first


async def test_an_expired_lease_leads_to_another_attempt(stage: Stage) -> None:
    await stage.plan("p", task("a"))
    await stage.until("p", "execution_started")
    await stage.grant("p", "a")
    await stage.assigned()

    gone = LeaseExpired(at=now(), project="p", leases=("p.a.1",), agent="a", reason="agent_lost")
    await stage.say("resource_manager", "default", gone)

    await stage.until("p", "task_retried")
    retried = (await EventLog(stage.nc, "coordinator").read("p"))[-1]
    assert from_json(retried.state)["data"]["requested"][0]["id"] == "p.a.2"


async def test_a_result_nobody_was_assigned_ends_as_a_dead_letter(stage: Stage) -> None:
    await stage.plan("p", task("a"))
    await stage.until("p", "execution_started")
    dead = await stage.nc.subscribe("nexus.dead.>")

    await stage.nc.publish("nexus.results.p.a", b'{"agent": "a", "attempt": 7}')

    letter = await dead.next_msg(5)
    assert letter.subject == "nexus.dead.nexus.results.p.a"
    assert (letter.headers or {})["Nexus-Code"] == "invalid"


async def test_an_assignment_that_the_agent_never_speaks_of_is_sent_again(stage: Stage) -> None:
    await stage.plan("p", task("a"))
    await stage.until("p", "execution_started")
    await stage.grant("p", "a")
    first = await stage.assigned()

    beat = Beat(agent="a", instance="1", capabilities=("work",)).model_dump_json().encode()
    for _ in range(3):
        await stage.nc.publish("nexus.agents.a.beat", beat)
        await asyncio.sleep(0.05)

    assert await stage.assigned() == first


async def test_commands_answer_with_an_outcome_each(stage: Stage) -> None:
    await stage.plan("p", task("a"))
    await stage.until("p", "execution_started")

    paused = await stage.command("pause_project", project="p")
    cancelled = await stage.command("cancel_project", project="p", reason="enough")
    too_late = await stage.command("resume_project", project="p")

    assert [paused["status"], cancelled["status"], too_late["status"]] == ["accepted", "accepted", "refused"]
    assert too_late["code"] == "already_ended"
    assert await stage.facts("p") == ["execution_started", "execution_paused", "execution_cancelled"]


def test_every_consequence_is_a_fact_of_the_execution() -> None:
    topics = {cls.TOPIC.rsplit(".", 1)[0] for cls in Consequences.__subclasses__() if cls.TOPIC}

    assert topics == {"coordinator.execution"}
