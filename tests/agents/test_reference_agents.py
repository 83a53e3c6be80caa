"""The reference agents against a real server: what they write, what they undo, and what they say when it fails."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from nats.aio.client import Client

from contracts.agents import TaskResult
from nexus.agent import AgentHost
from nexus.ports import free_port
from nexus.server import EmbeddedServer
from services.agents.app import create
from services.agents.simulated import SimulatedAgent
from services.agents.tester import failing
from shared.service import running
from shared.settings import Settings
from shared.streams import provision
from tests.nexus.coordinator_by_hand import Coordinator, until

pytestmark = pytest.mark.nats

SHOP = {
    "title": "Shop",
    "description": "E-commerce platform with user management",
    "type": "web_application",
    "technologies": {"frontend": "react", "backend": "fastapi", "database": "postgresql"},
    "requirements": {"expected_users": 10000, "performance_level": "high"},
}
WORK = (
    ("analyst", "analysis", "requirements"),
    ("analyst", "analysis", "architecture"),
    ("database", "database", "schema"),
    ("backend", "backend", "api_contract"),
    ("backend", "backend", "backend"),
    ("frontend", "frontend", "frontend"),
    ("backend", "backend", "readme"),
    ("tester", "testing", "tests"),
)


class Crew:
    """The coordinator by hand, and the agents' output folder."""

    def __init__(self, coordinator: Coordinator, output: Path) -> None:
        self.coordinator, self.folder = coordinator, output / "shop"

    async def do(self, agent: str, capability: str, artifact: str, **fields: Any) -> TaskResult:
        before = len(self.coordinator.results)
        given = {"capability": capability, "input": {"artifact": artifact}, "project_input": SHOP, **fields}
        await self.coordinator.assign(artifact, agent=agent, **given)
        return (await self.coordinator.hear(before + 1, patience=60))[-1]

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
async def crew(nc: Client, settings: Settings) -> AsyncIterator[Crew]:
    await provision(nc)
    coordinator = await Coordinator(nc).listen()
    async with running(create, settings.model_copy(update={"agent_beat": 0.2})):
        yield Crew(coordinator, settings.nexus.demo_output)


async def test_together_they_write_a_project_whose_tests_pass(crew: Crew) -> None:
    results = [await crew.do(*work) for work in WORK]

    assert [result.error for result in results] == [None] * len(WORK)
    told = {file["path"]: file["bytes"] for result in results for file in result.output["files"]}
    assert set(told) == crew.files()
    assert all((crew.folder / path).stat().st_size == size for path, size in told.items())
    assert "requirements.json" in told

    verified = await crew.do("tester", "testing", "verification", run_seconds=120)
    assert verified.error is None
    assert verified.output["passed"] > 0
    assert verified.output["log"]["dataref"] == "artifacts/shop/verification/1/test-output.txt"


async def test_tests_that_fail_fail_the_task_and_are_named(crew: Crew) -> None:
    for work in WORK:
        await crew.do(*work)
    (crew.folder / "tests" / "test_broken.py").write_text("def test_that_pigs_fly():\n    assert False\n")

    verified = await crew.do("tester", "testing", "verification", run_seconds=120)

    assert verified.error is not None
    assert (verified.status, verified.error.code, verified.error.retryable) == ("failed", "tests_failed", False)
    assert "tests/test_broken.py::test_that_pigs_fly" in verified.error.message


async def test_without_anything_to_test_the_task_says_so(crew: Crew) -> None:
    verified = await crew.do("tester", "testing", "verification")

    assert verified.error is not None
    assert (verified.error.code, verified.error.retryable) == ("cannot_test", False)


async def test_undoing_deletes_what_the_task_wrote_and_nothing_else(crew: Crew) -> None:
    schema = await crew.do("database", "database", "schema")
    kept = crew.files()
    made = await crew.do("backend", "backend", "backend")
    assert crew.files() > kept

    undo = {"kind": "compensate", "output": made.output}
    undone = await crew.do("backend", "backend", "backend", attempt=2, **undo)
    again = await crew.do("backend", "backend", "backend", attempt=3, **undo)

    assert schema.error is None
    assert len(undone.output["deleted"]) == len(made.output["files"])
    assert again.output == {"deleted": []}
    assert crew.files() == kept
    assert [path for path in crew.folder.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


async def test_undoing_never_leaves_the_project_folder(crew: Crew) -> None:
    crew.folder.mkdir(parents=True)
    precious = crew.folder.parent / "precious.txt"
    precious.write_text("mine")

    output = {"files": [{"path": "../precious.txt"}, {"path": str(precious)}]}
    await crew.do("backend", "backend", "backend", kind="compensate", output=output)

    assert precious.exists()


async def test_a_wish_they_cannot_fulfil_fails_for_good_with_what_they_can(crew: Crew) -> None:
    cobol = {**SHOP, "technologies": {"backend": "cobol"}}

    wished = await crew.do("backend", "backend", "backend", project_input=cobol)
    strange = await crew.do("frontend", "frontend", "hologram")

    assert wished.error is not None
    assert (wished.error.code, wished.error.retryable) == ("unsupported", False)
    assert "fastapi" in wished.error.message
    assert strange.error is not None
    assert strange.error.code == "unknown_artifact"
    assert "frontend, mobile" in strange.error.message


async def test_a_task_that_names_no_artifact_gets_what_the_agent_is_there_for(crew: Crew) -> None:
    result = await crew.do("database", "database", "whatever", input={})

    assert result.output["artifact"] == "schema"


async def test_a_file_in_the_way_of_the_output_is_told(crew: Crew) -> None:
    crew.folder.parent.mkdir(parents=True, exist_ok=True)
    crew.folder.write_text("in the way")

    result = await crew.do("database", "database", "schema")

    assert result.error is not None
    assert (result.status, result.error.retryable) == ("failed", True)


async def test_they_run_under_uvicorn_are_ready_and_say_bye(
    nc: Client, server: EmbeddedServer, settings: Settings, tmp_path: Path
) -> None:
    await provision(nc)
    coordinator, port = await Coordinator(nc).listen(), free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "services.agents.app:create", f"--port={port}"]
    environment = os.environ | server.access.environment() | {"NEXUS_DEMO_OUTPUT": str(tmp_path / "output")}
    process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=Path(__file__).parents[2])
    try:
        await until(lambda: len({beat.agent for kind, beat in coordinator.beats if kind == "hello"}) == 5, 20)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert await _ready(http)
            assert "nexus_messages_total" in (await http.get("/metrics")).text
            assert (await http.get("/healthz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) in (0, -signal.SIGTERM)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert {beat.agent for kind, beat in coordinator.beats if kind == "bye"} == {
        "analyst",
        "backend",
        "database",
        "frontend",
        "tester",
    }


async def _ready(http: httpx.AsyncClient) -> bool:
    for _ in range(100):
        try:
            if (await http.get("/readyz")).status_code == 200:
                return True
        except httpx.TransportError:
            pass  # not listening yet
        await asyncio.sleep(0.05)
    return False


async def test_a_simulated_agent_takes_its_time_and_fails_at_its_rate(nc: Client, settings: Settings) -> None:
    await provision(nc)
    coordinator = await Coordinator(nc).listen()
    quick = SimulatedAgent("quick", ["work"], slots=100, time_scale=0)
    slow = SimulatedAgent("slow", ["work"], time_scale=0.01)
    frail = SimulatedAgent("frail", ["work"], slots=100, time_scale=0, failure_rate=0.3, seed=7)
    async with AgentHost([quick, slow, frail], settings=settings, beat=0.2):
        await coordinator.assign("a", agent="quick", estimate=60)
        await coordinator.assign("a", agent="slow", estimate=20)
        results = await coordinator.hear(2)
        for number in range(100):
            await coordinator.assign(f"t{number}", agent="frail")
        everything = await coordinator.hear(102)

    seconds = {result.agent: result.seconds for result in results}
    assert seconds["quick"] < 0.1
    assert 0.2 <= seconds["slow"] < 1
    failed = sorted(result.lease for result in everything if result.status == "failed")
    assert 15 < len(failed) < 45
    again = SimulatedAgent("other", ["work"], failure_rate=0.3, seed=7)
    jobs = [f"shop.t{number}.1" for number in range(100)]
    assert sorted(job for job in jobs if again.fails(job)) == failed


def test_failing_tests_are_found_in_what_pytest_prints() -> None:
    output = "F.\nFAILED tests/test_a.py::test_x - assert False\nERROR tests/test_b.py\n1 failed, 1 error in 0.1s\n"

    assert failing(output) == ["tests/test_a.py::test_x", "tests/test_b.py"]
