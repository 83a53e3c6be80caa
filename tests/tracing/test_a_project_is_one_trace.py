"""A whole project in a real Jaeger: one trace, one tree, no gaps, across the restart of a process."""

import re
from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import decode
from nexus.client import Client
from nexus.embedded import embedded
from shared.eventlog import EventLog
from shared.settings import Settings
from tests.tracing.jaeger_server import Jaeger, wait_for_spans

pytestmark = [pytest.mark.tracing, pytest.mark.system]

TASKS = [
    {"id": "requirements", "capability": "analysis", "input": {"artifact": "requirements"}},
    {
        "id": "schema",
        "capability": "database",
        "depends_on": ["requirements"],
        "waits_for": ["approved"],
        "input": {"artifact": "schema"},
    },
]
SERVICES = {
    "nexus-planner",
    "nexus-coordinator",
    "nexus-resource_manager",
    "nexus-agent-analyst",
    "nexus-agent-database",
}


async def run_a_project(jaeger: Jaeger, folder: Path) -> tuple[str, list[str]]:
    """Run one whose coordinator is restarted while it waits for a signal; return its trace, and those of its events."""
    settings = Settings.load(
        {}, environ={}, data=folder / "data", demo_output=folder / "out", otlp_endpoint=jaeger.otlp
    )
    async with embedded(settings, in_process=False) as system, system.client() as client:
        outcome = await client.create_project(
            title="traced",
            description="A blog",
            type="api_service",
            tasks=TASKS,
            protocol={"type": "event_driven"},
            start="manual",
        )
        project = str(outcome.result["project"])
        await client.approve(project)
        await _until_done(client, project, "requirements")
        await system.restart("coordinator")
        await client.signal(project, "approved", {"by": "somebody"})
        view = await client.wait(project, timeout=60)
        assert view.status == "completed"
        contexts = [
            str(decode(event.state).traceparent) for event in await EventLog(client.nc, "coordinator").story(project)
        ]
    traces = {context.split("-")[1] for context in contexts}
    assert len(traces) == 1
    return traces.pop(), contexts


async def _until_done(client: Client, project: str, task: str) -> None:
    async for _ in client.follow(project):
        view = await client.project(project)
        if view.tasks and view.tasks[task].status == "done":
            return


async def test_a_project_is_one_tree_without_gaps(jaeger: Jaeger, tmp_path: Path) -> None:
    trace, contexts = await run_a_project(jaeger, tmp_path)
    ids = {context.split("-")[2] for context in contexts}

    spans = wait_for_spans(jaeger.query, trace, lambda found: ids <= {s["spanID"] for s in found} and _last(found))
    known = {span["spanID"] for span in spans}
    roots = [span for span in spans if not _parent(span)]

    assert [span["operationName"] for span in roots] == ["send nexus.commands.planner.create_project"]
    assert [s["operationName"] for s in spans if _parent(s) and _parent(s) not in known] == []
    assert not [
        s["operationName"] for s in spans if re.search(r"traced-[a-z0-9]+|requirements|schema", s["operationName"])
    ]


async def test_every_service_and_agent_takes_part(jaeger: Jaeger, tmp_path: Path) -> None:
    trace, _ = await run_a_project(jaeger, tmp_path)

    spans = wait_for_spans(jaeger.query, trace, _last)
    names = {span["operationName"] for span in spans}

    assert {_service(jaeger, trace, span) for span in spans} >= SERVICES
    assert {"process nexus.tasks.*", "process nexus.results.*.*", "send nexus.results.*.*"} <= names
    assert {"approve plan", "hear signal"} <= names


def _parent(span: dict[str, Any]) -> str:
    return next((str(r["spanID"]) for r in span["references"] if r["refType"] == "CHILD_OF"), "")


def _last(spans: list[dict[str, Any]]) -> bool:
    return any(span["operationName"].endswith("execution_completed") for span in spans)


def _service(jaeger: Jaeger, trace: str, span: dict[str, Any]) -> str:
    return services_of(jaeger, trace)[span["processID"]]


def services_of(jaeger: Jaeger, trace: str) -> dict[str, str]:
    """Process id to the name of its service, as Jaeger tells it."""
    import httpx

    found = httpx.get(f"{jaeger.query}/api/traces/{trace}", trust_env=False).raise_for_status().json()["data"][0]
    return {key: str(process["serviceName"]) for key, process in found["processes"].items()}
