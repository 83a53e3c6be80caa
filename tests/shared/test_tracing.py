"""From a command through two services to a result: one trace, one tree, no gap; and nothing at all without tracing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from faststream.asgi import AsgiFastStream
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.envelope import CloudEvent
from shared import telemetry
from shared.inflow import Incoming, InflowSpec
from shared.outcomes import Accepted
from shared.records import Record
from shared.repository import Origin
from shared.service import Parts, Runtime, running, service
from shared.settings import Settings
from shared.streams import EVENTS, RESULTS
from tests.shared.serving import Bake, Outside, until

pytestmark = pytest.mark.nats

TRACE = "a" * 32
ROOT = f"00-{TRACE}-{'b' * 16}-01"


@dataclass
class Relay:
    """Two services: the planner states a fact, the coordinator hears it and hands out work, of which it hears."""

    runtimes: dict[str, Runtime] = field(default_factory=dict)
    settled: list[Incoming] = field(default_factory=list)

    def planner(self, settings: Settings) -> AsgiFastStream:
        async def bake(command: Bake, origin: Origin) -> Accepted | None:
            return Accepted(await self.state("planner", "project.project_planned", origin))

        async def compose(runtime: Runtime) -> Parts:
            self.runtimes["planner"] = runtime
            return Parts(commands={Bake: bake})

        return service("planner", compose, settings)

    def coordinator(self, settings: Settings) -> AsgiFastStream:
        async def compose(runtime: Runtime) -> Parts:
            self.runtimes["coordinator"] = runtime
            return Parts(
                inflows=[
                    InflowSpec(EVENTS, "coordinator-plans", ["nexus.events.planner.*.*"], self.hand_out),
                    InflowSpec(RESULTS, "coordinator-results", ["nexus.results.*.*"], self.settle),
                ]
            )

        return service("coordinator", compose, settings)

    async def state(self, name: str, topic: str, origin: Origin) -> int:
        record = Record("shop", 1, f"{name}.{topic}", b"{}", id=f"{name}-1", traceparent=origin.traceparent)
        return await self.runtimes[name].log.append([record], seen={"shop": 0})

    async def hand_out(self, batch: list[Incoming]) -> None:
        with telemetry.processing(batch, durable="coordinator-plans") as span:
            await self.state("coordinator", "execution.tasks_dispatched", Origin(traceparent=span.traceparent))
            messages = [
                (f"nexus.tasks.a{n}", CloudEvent(f"t{n}", "task", "c", "", {}, traceparent=span.traceparent))
                for n in range(2)
            ]
            await self.runtimes["coordinator"].publish_all(messages)

    async def settle(self, batch: list[Incoming]) -> None:
        with telemetry.processing(batch, durable="coordinator-results"):
            self.settled += batch


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    relay = Relay()
    async with AsyncExitStack() as stack:
        for factory in (relay.planner, relay.coordinator):
            await stack.enter_async_context(running(factory, settings))
        yield relay


@pytest.fixture
def exporters(monkeypatch: pytest.MonkeyPatch) -> dict[str, InMemorySpanExporter]:
    """Let each service that is set up from now on trace into memory."""
    found: dict[str, InMemorySpanExporter] = {}
    setup = telemetry.setup

    def into_memory(name: str, endpoint: str | None = None, **_: Any) -> None:
        setup(name, exporter=found.setdefault(name, InMemorySpanExporter()))

    monkeypatch.setattr(telemetry, "setup", into_memory)
    return found


async def agent(outside: Outside, relay: Relay, traceparents: list[str | None]) -> None:
    """Take the tasks and answer both at once."""
    subscription = await outside.js.pull_subscribe("nexus.tasks.*", durable="agents", stream="NEXUS_TASKS")
    for task in await subscription.fetch(2, timeout=5):
        await task.ack()
        traceparent = (task.headers or {}).get("traceparent")
        traceparents.append(traceparent)
        headers = {"traceparent": traceparent} if traceparent else {}
        await outside.nc.publish(f"nexus.results.shop.{task.subject[-2:]}", b"{}", headers=headers)
    await until(lambda: len(relay.settled) == 2)


def tree(spans: list[ReadableSpan]) -> list[str]:
    """Return each span below its parent, indented."""

    def below(parent: str, depth: int) -> list[str]:
        children = [span for span in spans if span.parent and f"{span.parent.span_id:016x}" == parent]
        return [
            line
            for child in sorted(children, key=lambda span: span.name)
            for line in ["  " * depth + child.name, *below(f"{child.context.span_id:016x}", depth + 1)]
        ]

    return below("b" * 16, 0)


async def test_a_project_is_one_tree_without_gaps(
    exporters: dict[str, InMemorySpanExporter], relay: Relay, client: Outside
) -> None:
    await client.send("c-1", {"kind": "bread"}, traceparent=ROOT)
    await client.outcome("c-1")
    await agent(client, relay, [])
    await until(lambda: sum(len(each.get_finished_spans()) for each in exporters.values()) >= 8)

    await asyncio.sleep(0.05)
    spans = [span for each in exporters.values() for span in each.get_finished_spans()]
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}
    together = [line for line in tree(spans) if "results" in line]
    assert len(together) in {1, 2}  # they may have been heard together: then linked to the second
    assert [line for line in tree(spans) if "results" not in line] == [
        "process nexus.commands.planner.*",
        "  send nexus.events.planner.*.project_planned",
        "    process nexus.events.planner.*.project_planned",
        "      send nexus.events.coordinator.*.tasks_dispatched",
        "      send nexus.tasks.*",
        "      send nexus.tasks.*",
        "  send nexus.outcomes.*",
    ]
    by_name = {span.name: span for span in spans}
    assert by_name["process nexus.commands.planner.*"].resource.attributes["service.name"] == "nexus-planner"


async def test_without_tracing_the_context_is_carried_through_all_the_same(relay: Relay, client: Outside) -> None:
    carried: list[str | None] = []

    await client.send("c-1", {"kind": "bread"}, traceparent=ROOT)
    await agent(client, relay, carried)

    assert not telemetry.enabled()
    assert carried == [ROOT, ROOT]


async def test_reading_history_again_makes_no_spans(
    exporters: dict[str, InMemorySpanExporter], relay: Relay, client: Outside
) -> None:
    await client.send("c-1", {"kind": "bread"}, traceparent=ROOT)
    await client.outcome("c-1")
    await agent(client, relay, [])
    before = [len(each.get_finished_spans()) for each in exporters.values()]

    assert await relay.runtimes["planner"].log.story("shop")

    assert [len(each.get_finished_spans()) for each in exporters.values()] == before
