"""The desk of an agent, without a server."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from contracts.agents import Assignment, TaskResult, Withdrawal
from contracts.envelope import CloudEvent, decode
from nexus.agent import Agent, Job
from nexus.agent.artifacts import Artifacts
from nexus.agent.desk import Desk
from nexus.agent.outbox import Outbox


class Told:
    """A message from the agent's subject."""

    subject, id, traceparent = "nexus.tasks.worker", "1", None

    def __init__(self, message: Assignment | Withdrawal) -> None:
        data = message.model_dump(mode="json")
        self.ce = CloudEvent(id="1", type=message.TYPE, source="coordinator", subject=message.task, data=data)

    def fail(self, error: Exception, /) -> None:
        raise error


class Sent:
    """An outbox that keeps what is sent."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.heard = asyncio.Event()

    async def send(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        result = TaskResult.model_validate(decode(payload, dict(headers)).data)
        assert result.status == "done"
        self.tasks.append(subject.rpartition(".")[2])
        self.heard.set()


def assigned(task: str) -> Told:
    return Told(Assignment(project="shop", task=task, attempt=1, lease=task, epoch=1, capability="work"))


def withdrawn(task: str) -> Told:
    return Told(Withdrawal(project="shop", task=task, attempt=1))


async def test_a_task_that_is_withdrawn_in_the_breath_in_which_it_was_assigned_takes_no_slot_for_ever() -> None:
    agent, began = Agent("worker"), list[str]()

    @agent.task("work")
    async def work(job: Job) -> dict[str, Any]:
        began.append(job.task)
        return {}

    sent = Sent()
    desk = Desk(agent, cast(Outbox, sent), cast(Artifacts, None))

    await desk.take([assigned("a"), withdrawn("a"), assigned("b")])
    async with asyncio.timeout(5):
        await sent.heard.wait()
        assert await desk.idle(5)

    assert (began, sent.tasks) == (["b"], ["b"])
    assert desk.running() == ()
