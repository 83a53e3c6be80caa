"""The metrics service against a real server."""

import asyncio
from datetime import UTC, datetime

import pytest
from nats.aio.client import Client
from prometheus_client import CollectorRegistry, generate_latest

from contracts.coordinator import ExecutionCompleted, ExecutionStarted, Settlement, TasksSettled
from contracts.work import Plan
from services.metrics.app import create
from services.metrics.gauges import Gauges
from services.metrics.performance import Performance
from services.metrics.reporting import report
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.service import running
from shared.settings import Settings
from shared.snapshots import Snapshots

pytestmark = pytest.mark.nats


async def say(nc: Client, project: str) -> None:
    """State the facts of a short project."""
    now = datetime.now(UTC)
    facts = [
        ExecutionStarted(at=now, plan=Plan(tasks=())),
        TasksSettled(at=now, results=(Settlement(task="t", attempt=1, status="done", agent="a", seconds=0.5),)),
        ExecutionCompleted(at=now, seconds=1),
    ]
    log, mapper, seen = EventLog(nc, "coordinator"), EventMapper(key_is_project=True), 0
    for version, fact in enumerate(facts, 1):
        seen = await log.append([mapper.to_record(fact, project, version)], seen={project: seen})


async def reported(nc: Client, completed: int) -> dict[str, dict[str, object]]:
    """Wait for a report that knows of so many completed projects."""
    async with asyncio.timeout(8):
        while True:
            kept = await Snapshots(nc, "metrics").load("report")
            if kept and kept.state["projects"]["completed"] == completed:
                found: dict[str, dict[str, object]] = kept.state
                return found
            await asyncio.sleep(0.05)


async def test_every_program_can_read_the_newest_report(nc: Client, settings: Settings) -> None:
    async with running(create, settings):
        await say(nc, "one")

        found = await reported(nc, 1)

    assert found["tasks"]["done"] == 1
    assert found["coordination"]["active_coordinations"] == 0


async def test_a_restart_counts_nothing_twice(nc: Client, settings: Settings) -> None:
    async with running(create, settings):
        await say(nc, "one")
        await reported(nc, 1)

    async with running(create, settings):
        await say(nc, "two")
        found = await reported(nc, 2)

    assert found["tasks"]["done"] == 2


async def test_a_dead_letter_raises_an_alert_and_each_further_one_is_counted(nc: Client, settings: Settings) -> None:
    async def counted(letters: int, position: int) -> None:
        while True:
            kept = await Snapshots(nc, "metrics").load("report")
            if kept and kept.sequence >= position and kept.state["dead_letters"] == letters:
                return
            await asyncio.sleep(0.05)

    async with running(create, settings):
        await nc.jetstream().publish("nexus.dead.nexus.commands.planner.nosuch", b"{}")

        async with asyncio.timeout(15):
            while not (alerts := await EventLog(nc, "metrics").read("dead_letters")):
                await asyncio.sleep(0.05)
            await counted(1, alerts[0].id)  # from here on, nothing more happens in the log
            await nc.jetstream().publish("nexus.dead.nexus.commands.planner.nosuch", b"{}")
            await counted(2, alerts[0].id)

    assert alerts[0].topic == "metrics.alert.alert_raised"


def test_prometheus_reads_it_without_ids_in_labels() -> None:
    registry = CollectorRegistry()
    found = report(Performance(), 7, datetime.now(UTC)) | {"dead_letters": 0}
    registry.register(Gauges(lambda: found))

    page = generate_latest(registry).decode()

    assert 'nexus_projects_total{status="completed"} 0.0' in page
    assert "project=" not in page
    assert "task=" not in page
