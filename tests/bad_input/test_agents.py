"""What agents, or those who pretend to be some, may say wrong: it is kept with a reason, and changes nothing."""

import asyncio

import pytest
from pydantic_core import to_json

from contracts.agents import TaskResult
from tests.bad_input.conftest import Outsider

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


def result(lease: str, attempt: int = 1, epoch: int = 1) -> bytes:
    said = TaskResult(agent="worker", attempt=attempt, lease=lease, epoch=epoch, status="done", output={"forged": True})
    return to_json(said)


async def test_a_result_of_a_task_that_was_never_assigned(outsider: Outsider) -> None:
    project = await outsider.project({"id": "a", "waits_for": ["go"]}, protocol={"type": "event_driven"})
    subject = f"nexus.results.{project}.a"

    await outsider.publish(subject, result(f"{project}.a.1"))

    letter = await outsider.letter(subject)
    assert (letter.code, letter.reason) == ("never_assigned", "attempt 1 of task a was never assigned")
    assert (await outsider.client.project(project)).tasks["a"].status == "waiting"


async def test_a_result_for_a_project_that_does_not_exist(outsider: Outsider) -> None:
    await outsider.publish("nexus.results.nowhere-abc.a", result("nowhere-abc.a.1"))

    assert "nowhere-abc is not being carried out" in (await outsider.letter("nexus.results.nowhere-abc.a")).reason


@pytest.mark.parametrize(("said", "code"), [(b"nothing", "malformed"), (b'{"agent": "worker"}', "invalid")])
async def test_a_result_that_is_none(outsider: Outsider, said: bytes, code: str) -> None:
    project = await outsider.project({"id": "a", "waits_for": ["go"]}, protocol={"type": "event_driven"})

    await outsider.publish(f"nexus.results.{project}.a", said)

    letter = await outsider.letter(f"nexus.results.{project}.a")
    assert (letter.code, letter.payload) == (code, said)


async def test_a_late_result_is_recorded_and_not_applied(outsider: Outsider) -> None:
    slow = {"id": "a", "input": {"seconds": 30}, "clocks": {"run": 0.6}, "retry": {"attempts": 2, "initial": 30}}
    project = await outsider.project(slow)
    async with asyncio.timeout(10):
        while (view := await outsider.client.project(project)).tasks["a"].status != "retrying":
            await asyncio.sleep(0.05)

    await outsider.publish(f"nexus.results.{project}.a", result(f"{project}.a.1"))
    async with asyncio.timeout(10):
        while not view.late:
            view = await outsider.client.project(project)
            await asyncio.sleep(0.05)

    assert (view.tasks["a"].status, view.tasks["a"].output) == ("retrying", {})
    await outsider.client.cancel(project)


async def test_a_result_under_a_wrong_lease_is_fenced_off(outsider: Outsider) -> None:
    project = await outsider.project({"id": "a", "input": {"seconds": 0.8}})
    async with asyncio.timeout(10):
        while (await outsider.client.project(project)).tasks["a"].status != "running":
            await asyncio.sleep(0.02)

    await outsider.publish(f"nexus.results.{project}.a", result(f"{project}.a.1", epoch=0))
    view = await outsider.client.wait(project, 10)

    assert view.tasks["a"].output == {"done": True}


@pytest.mark.parametrize(("said", "code"), [(b"[", "malformed"), (b'{"project": "p"}', "invalid")])
async def test_an_assignment_that_is_none_is_kept_by_the_agent(outsider: Outsider, said: bytes, code: str) -> None:
    await outsider.publish("nexus.tasks.worker", said)

    assert (await outsider.letter("nexus.tasks.worker")).code == code


async def test_a_beat_that_says_nothing_makes_no_agent(outsider: Outsider) -> None:
    await outsider.publish("nexus.agents.ghost.beat", b'{"slots": "many"}')
    await outsider.letter("nexus.agents.ghost.beat")

    assert [agent.name for agent in await outsider.client.agents()] == ["worker"]
