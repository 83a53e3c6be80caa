"""The orchestrator object: what it is asked for, who does it, and how it ends."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import nexus
from nexus import Agent, Client, EnhancedOrchestratorAgent, Job, Refused
from nexus.office import UnknownTask
from nexus.registered import NoAgent, as_agent
from nexus.server_folder import running
from nexus.system_folder import running_system

pytestmark = pytest.mark.nats

ONE_TASK = {"title": "One task", "tasks": [{"id": "only", "capability": "database"}]}


@pytest.fixture
async def orchestrator(tmp_path: Path) -> AsyncIterator[EnhancedOrchestratorAgent]:
    async with EnhancedOrchestratorAgent({"sync": "1m"}, data=tmp_path, demo_output=tmp_path / "output") as found:
        yield found


async def carried_out(orchestrator: EnhancedOrchestratorAgent, **fields: Any) -> dict[str, Any]:
    request = {"task_type": "create_project", "execute": True, "wait": True, **ONE_TASK, **fields}
    return await asyncio.wait_for(orchestrator.process_task(request), 30)


async def test_a_request_that_nobody_understands_says_what_was_meant(orchestrator: EnhancedOrchestratorAgent) -> None:
    with pytest.raises(UnknownTask, match="did you mean 'create_project'"):
        await orchestrator.process_task({"task_type": "create_projects"})
    with pytest.raises(UnknownTask, match="no 'descripton'; did you mean 'description'"):
        await orchestrator.process_task({"task_type": "create_project", "descripton": "A shop"})
    with pytest.raises(UnknownTask, match="project_id"):
        await orchestrator.process_task({"task_type": "get_project"})
    with pytest.raises(Refused, match="web_application") as refused:
        await orchestrator.process_task({"task_type": "create_project", "type": "web_applicaton"})
    assert refused.value.code == "unknown_template"


async def test_the_same_key_twice_is_one_project(orchestrator: EnhancedOrchestratorAgent) -> None:
    request = {"task_type": "create_project", "type": "api_service", "idempotency_key": "once"}

    first = await orchestrator.process_task(request)
    second = await orchestrator.process_task(request)

    assert first["project_id"] == second["project_id"]
    assert len(orchestrator.active_projects) == 1


async def test_everything_with_a_method_or_a_call_is_an_agent(orchestrator: EnhancedOrchestratorAgent) -> None:
    async def waits(task: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"loop": id(asyncio.get_running_loop())}

    def blocks(task: dict[str, Any]) -> str:
        return str(task["title"])

    class Runs:
        capabilities = ("painting",)

        async def run(self, task: dict[str, Any]) -> None:
            assert task["task_type"] == "painting"

    kit = Agent("carver")

    @kit.task("carving")
    async def carve(job: Job) -> dict[str, Any]:
        return {"task": job.task}

    for name, agent in {"database": waits, "typist": blocks, "painter": Runs(), "any": kit}.items():
        await orchestrator.register_agent(name, agent)
    needed = ("database", "typist", "painting", "carving")
    tasks = [{"id": one, "capability": one, "title": one.upper()} for one in needed]
    done = await carried_out(orchestrator, tasks=tasks)

    assert done["status"] == "completed", done["reason"]
    assert {name: task["agent"] for name, task in done["tasks"].items()} == {
        "database": "database",
        "typist": "typist",
        "painting": "painter",
        "carving": "carver",
    }
    assert done["tasks"]["database"]["output"] == {"loop": id(asyncio.get_running_loop())}, "it runs where it was made"
    assert done["tasks"]["typist"]["output"] == {"result": "TYPIST"}


async def test_an_agent_that_is_registered_later_takes_over(orchestrator: EnhancedOrchestratorAgent) -> None:
    await orchestrator.process_task({"task_type": "create_project", "type": "api_service"})
    assert (await orchestrator.get_performance_metrics())["agents"]["database"]["present"]

    await orchestrator.register_agent("keeper", lambda _: {"first": True})
    await orchestrator.register_agent("database", lambda _: {"mine": True})
    done = await carried_out(orchestrator)

    assert done["tasks"]["only"]["output"] == {"mine": True}


async def test_what_an_agent_raises_is_why_its_task_failed(orchestrator: EnhancedOrchestratorAgent) -> None:
    async def breaks(task: dict[str, Any]) -> None:
        raise ValueError("no table today")

    await orchestrator.register_agent("database", breaks)
    done = await carried_out(orchestrator, tasks=[{**ONE_TASK["tasks"][0], "retry": {"attempts": 1}}])  # type: ignore[dict-item]

    assert done["status"] == "failed"
    assert "no table today" in done["tasks"]["only"]["error"]


def test_what_can_do_no_work_is_no_agent() -> None:
    with pytest.raises(NoAgent, match="process_task, run, execute, handle"):
        as_agent("database", object(), None)
    with pytest.raises(ValueError, match="no name for an agent"):
        as_agent("data base", print, None)


async def test_projects_are_held_up_and_ended(orchestrator: EnhancedOrchestratorAgent) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(task: dict[str, Any]) -> None:
        begun.set()
        await go_on.wait()

    await orchestrator.register_agent("database", slow)
    tasks = [{"id": "a", "capability": "database"}, {"id": "b", "capability": "database", "depends_on": ["a"]}]
    created = await orchestrator.process_task({"task_type": "create_project", "execute": True, "tasks": tasks})
    project = created["project_id"]
    await asyncio.wait_for(begun.wait(), 10)

    assert (await orchestrator.pause_project(project))["status"] == "accepted"
    assert (await orchestrator.get_project(project))["status"] == "paused"
    await orchestrator.resume_project(project)
    assert (await orchestrator.get_project(project))["status"] == "running"
    await orchestrator.cancel_project(project, "enough")
    ended = await orchestrator.get_project(project)
    assert (ended["status"], ended["reason"]) == ("cancelled", "enough")


async def test_a_second_one_joins_the_system_of_the_first(
    orchestrator: EnhancedOrchestratorAgent, tmp_path: Path
) -> None:
    async with EnhancedOrchestratorAgent({}, data=tmp_path) as second:
        created = await second.process_task({"task_type": "create_project", "type": "api_service"})
        assert set(orchestrator.active_projects) == {created["project_id"]}

        access = running(tmp_path)
        assert access
        async with Client.connect(settings=access.applied(second.settings)) as client:
            assert [one.id for one in await client.projects()] == [created["project_id"]]


def test_a_program_that_forgets_to_close_leaves_nothing_behind(tmp_path: Path) -> None:
    program = """
        import asyncio
        from nexus import EnhancedOrchestratorAgent

        orchestrator = EnhancedOrchestratorAgent({"sync": "1m"})

        async def main():
            created = await orchestrator.process_task({"task_type": "create_project", "type": "api_service"})
            print(created["status"])

        asyncio.run(main())
        print(len(asyncio.run(orchestrator.get_project(*orchestrator.active_projects))["tasks"]) > 3)
    """
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.returncode) == ("planned\nTrue\n", 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert running(tmp_path / ".nexus") is None
    assert running_system(tmp_path / ".nexus") is None


def test_every_name_that_is_exported_is_there() -> None:
    assert sorted(nexus.EXPORTS) == nexus.__all__
    for name in nexus.__all__:
        assert getattr(nexus, name)
