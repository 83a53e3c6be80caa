"""Each example that was printed runs as it was printed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nexus import EnhancedOrchestratorAgent
from shared.settings import Settings
from tests.seed.printed import BLOCK, TEXT, example, run

pytestmark = [pytest.mark.nats, pytest.mark.system]

Names = dict[str, Any]


class Recording:
    """An agent as people write them: an object with one method."""

    def __init__(self, name: str, done: list[tuple[str, str]]) -> None:
        self.name, self.done = name, done

    async def process_task(self, task: dict[str, Any]) -> dict[str, Any]:
        self.done.append((self.name, task["task_id"]))
        return {"by": self.name, "after": sorted(task["upstream"])}


@pytest.fixture
async def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Names]:
    monkeypatch.chdir(tmp_path)
    found: Names = {"EnhancedOrchestratorAgent": EnhancedOrchestratorAgent, "config": {"sync": "1m"}}
    yield found
    if "orchestrator" in found:
        await found["orchestrator"].close()


def produced(project: str) -> list[Path]:
    return list(Path("nexus-output", project).rglob("*.py"))


def test_nothing_that_was_printed_is_left_out() -> None:
    assert [found["heading"] for found in BLOCK.finditer(TEXT)] == [
        "Creating an Enhanced Project",
        "Monitoring Performance",
        "Custom Coordination Protocol",
        "Agent Registration",
        "Basic Configuration",
        "Advanced Configuration",
    ]


async def test_the_usage_examples_run_one_after_the_other(names: Names, capsys: pytest.CaptureFixture[str]) -> None:
    await run("Creating an Enhanced Project", names)
    result = names["result"]
    assert result["status"] == "planned"
    assert result["plan"]["sync_points"] == ["requirements_complete", "schema_ready", "api_complete"]

    await run("Monitoring Performance", names)
    assert capsys.readouterr().out == "Projects completed: 0\nCPU utilization: 0.0%\nActive protocols: 0\n"

    names["project_id"] = result["project_id"]
    await run("Custom Coordination Protocol", names)
    project = await names["orchestrator"].get_project(result["project_id"])
    assert (project["status"], project["reason"]) == ("completed", "")
    assert (project["protocol"], project["protocol_id"]) == ("event_driven", names["protocol_id"])
    assert set(project["sync_points"].values()) == {"reached"}
    assert produced(result["project_id"])

    await run("Monitoring Performance", names)
    assert capsys.readouterr().out.startswith("Projects completed: 1\n")
    assert names["metrics"]["coordination"]["active_protocols"] == 1


async def test_registered_agents_do_the_work(names: Names) -> None:
    done: list[tuple[str, str]] = []
    names["orchestrator"] = orchestrator = EnhancedOrchestratorAgent(names["config"])
    for name in ("database", "analyst", "frontend", "backend"):
        names[f"{name}_agent"] = Recording(name, done)

    await run("Agent Registration", names)
    chain = [("ask", "analysis"), ("store", "database"), ("serve", "backend"), ("show", "frontend")]
    created = await orchestrator.process_task(
        {
            "task_type": "create_project",
            "title": "Own tasks",
            "tasks": [
                {"id": task, "capability": capability, "depends_on": [chain[place - 1][0]] if place else []}
                for place, (task, capability) in enumerate(chain)
            ],
        }
    )
    names["project_id"] = created["project_id"]
    await run("Custom Coordination Protocol", names)

    assert done == [("analyst", "ask"), ("database", "store"), ("backend", "serve"), ("frontend", "show")]
    project = await orchestrator.get_project(created["project_id"])
    assert project["status"] == "completed"
    assert project["tasks"]["show"]["output"] == {"by": "frontend", "after": ["serve"]}


def test_the_basic_configuration_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "basic.yaml"
    file.write_text(example("Basic Configuration"), encoding="utf-8")

    settings = Settings.load(file, environ={})

    assert settings.agents.orchestrator.model == "qwen2.5-coder:7b"
    assert settings.agents.orchestrator.max_concurrent_projects == 5
    assert settings.agents.orchestrator.coordination_timeout == 3600
    assert settings.nexus.demo_output == Path("/home/ubuntu/nexus/demo")
    assert settings.nexus.max_agents == 10
    assert settings.nexus.resource_limits.model_dump() == {"cpu": 100, "memory": 100, "disk": 1000, "network": None}


def test_the_advanced_configuration_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "advanced.yaml"
    file.write_text(example("Advanced Configuration"), encoding="utf-8")

    found = Settings.load(file, environ={}).orchestrator

    web = found.templates["web_application"]
    assert web.phases == ("analysis", "design", "frontend", "backend", "integration", "testing")
    assert (web.default_resources.cpu, web.default_resources.memory) == (60, 70)
    assert found.coordination.default_protocol == "asynchronous"
    assert (found.coordination.sync_timeout, found.coordination.retry_attempts) == (300, 3)
    assert found.optimization.enable_auto_scaling
    assert found.optimization.resource_rebalancing
    assert found.optimization.performance_tuning


async def test_a_configuration_may_be_given_as_a_file_a_model_or_a_mapping(names: Names, tmp_path: Path) -> None:
    file = tmp_path / "nexus.yaml"
    file.write_text(example("Advanced Configuration"), encoding="utf-8")
    settings = Settings.load(file, environ={})
    for config in (file, str(file), settings, settings.model_dump(exclude_unset=True), None):
        assert EnhancedOrchestratorAgent(config).settings.orchestrator == settings.orchestrator

    names["orchestrator"] = orchestrator = EnhancedOrchestratorAgent(file, sync="1m")
    planned = await orchestrator.process_task({"task_type": "create_project", "type": "web_application"})

    assert planned["plan"]["resources"]["memory"] == pytest.approx(70, abs=0.1)  # shares are rounded


async def test_what_the_sketch_of_the_class_has_can_be_looked_at(names: Names) -> None:
    orchestrator = names["orchestrator"] = EnhancedOrchestratorAgent(names["config"])
    assert orchestrator.active_projects == {}, "looking starts nothing"
    assert set(orchestrator.project_templates) == {"web_application", "api_service", "mobile_app"}

    created = await orchestrator.process_task({"task_type": "create_project", "type": "api_service"})
    await orchestrator.create_coordination_protocol({"type": "synchronous"})

    assert set(orchestrator.active_projects) == {created["project_id"]}
    assert orchestrator.available_resources["cpu"] == 100
    assert orchestrator.resource_allocations == {}
    assert orchestrator.task_queue == {}
    assert list(orchestrator.coordination_protocols.values()) == ["synchronous"]
    assert orchestrator.active_coordinations == {}
    assert orchestrator.performance_metrics["projects"]["planned"] == 1
