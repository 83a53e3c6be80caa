"""A service says truthfully whether messages flow, and ends in good order."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import uvicorn
from faststream.asgi import AsgiFastStream, AsgiResponse

from nexus.server import EmbeddedServer
from shared.inflow import Incoming, InflowSpec
from shared.outcomes import Accepted
from shared.repository import Origin
from shared.service import running, wildcards
from shared.settings import Settings, SettingsError
from shared.streams import EVENTS, INBOX, StreamMismatch
from tests.shared.serving import Bake, Bakery, Outside, get, ready, renamed, until

pytestmark = pytest.mark.nats

# Signals


async def test_a_signal_reaches_its_handler_with_the_tokens_of_its_subject(
    app: AsgiFastStream, bakery: Bakery, client: Outside
) -> None:
    await client.js.publish("nexus.signals.shop.schema_ready", b'{"by": "hand"}')

    await until(lambda: bakery.heard)
    tokens, event = bakery.heard[0]
    assert tokens == ("shop", "schema_ready")
    assert (event.id, event.data, event.source) == ("seq-1", {"by": "hand"}, "anonymous")


@pytest.mark.parametrize(
    ("pattern", "subject", "tokens"),
    [
        ("nexus.signals.*.*", "nexus.signals.p.go", ("p", "go")),
        ("nexus.signals.p.>", "nexus.signals.p.a.b", ("a", "b")),
        ("nexus.signals.p.go", "nexus.signals.p.go", ()),
    ],
)
def test_wildcards_stand_for_tokens(pattern: str, subject: str, tokens: tuple[str, ...]) -> None:
    assert wildcards(pattern, subject) == tokens


# Health


async def test_a_service_is_alive_and_ready_and_measured(app: AsgiFastStream, client: Outside) -> None:
    await client.ask("c-1", {"kind": "bread"})

    assert (await get(app, "/healthz"))[0] == 200
    assert await ready(app) == {}
    status, page = await get(app, "/metrics")
    assert status == 200
    assert 'nexus_messages_total{family="commands",outcome="done"} 1.0' in page
    assert 'nexus_handler_seconds_count{handler="bake"} 1.0' in page
    assert "c-1" not in page


async def test_a_deleted_durable_is_not_ready_and_then_made_again(
    app: AsgiFastStream, client: Outside, bakery: Bakery
) -> None:
    await client.js.delete_consumer(INBOX, "planner-commands")

    assert "planner-commands" in (await ready(app))["durables"]
    assert (await client.ask("c-1", {"kind": "bread"})).status == "accepted"
    async with asyncio.timeout(5):
        while await ready(app):
            await asyncio.sleep(0.05)
    assert bakery.runtime
    assert bakery.runtime.registry.get_sample_value("nexus_restarts_total", {"part": "planner-commands"}) == 1


async def test_a_subscriber_that_went_deaf_is_started_again(app: AsgiFastStream, client: Outside) -> None:
    broker = app.broker
    assert broker
    for subscriber in broker.subscribers:
        for task in subscriber.tasks:  # type: ignore[attr-defined]
            task.cancel()  # nobody fetches any more, though the durable is there and the connection stands

    await client.send("c-1", {"kind": "bread"})
    assert (await client.outcome("c-1", within=10)).status == "accepted"


async def test_a_killed_server_makes_it_not_ready_until_it_is_back(
    app: AsgiFastStream, client: Outside, server: EmbeddedServer
) -> None:
    assert (await client.ask("before", {"kind": "bread"})).status == "accepted"

    await server.kill()
    async with asyncio.timeout(5):
        while not await ready(app):
            await asyncio.sleep(0.05)
    assert "connection" in await ready(app)
    assert (await get(app, "/healthz"))[0] == 200
    await server.start()
    async with asyncio.timeout(10):
        while await ready(app):
            await asyncio.sleep(0.05)

    await until(lambda: client.nc.is_connected)
    assert (await client.ask("after", {"kind": "bread"})).status == "accepted"


async def test_a_stream_that_vanished_is_named(app: AsgiFastStream, client: Outside) -> None:
    await client.js.delete_stream(EVENTS)

    assert "NEXUS_EVENTS" in (await ready(app))["streams"]


async def test_a_probe_and_an_inflow_speak_for_readiness(bakery: Bakery, settings: Settings, client: Outside) -> None:
    async def unhappy() -> None:
        raise RuntimeError("no template was found")

    taken: list[Incoming] = []

    async def take(batch: list[Incoming]) -> None:
        taken.extend(batch)

    spec = InflowSpec(stream=EVENTS, durable="planner-events", filters=["nexus.events.>"], handle=take)
    bakery.parts = {"probes": {"templates": unhappy}, "inflows": [spec]}

    async with running(bakery.create, settings) as app:
        await client.js.publish("nexus.events.planner.p.project_created", b"{}")
        await until(lambda: taken)
        assert await ready(app) == {"templates": "no template was found"}
        assert "inflow planner-events" in (await get(app, "/readyz"))[1]


async def test_a_loop_that_crashes_is_started_again_and_says_so(
    bakery: Bakery, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.loops.PAUSES", (0.3,))
    starts: list[int] = []

    async def fragile() -> None:
        starts.append(1)
        if len(starts) == 1:
            raise KeyError("first time")
        await asyncio.sleep(3600)

    bakery.parts = {"background": {"sweep": fragile}}
    with caplog.at_level(logging.ERROR):
        async with running(bakery.create, settings) as app:
            assert (await ready(app))["loops"] == "sweep: KeyError: 'first time'"
            await until(lambda: len(starts) == 2)
            await asyncio.sleep(0.6)
            assert await ready(app) == {}
    assert "loop sweep crashed" in caplog.text


async def test_further_routes_are_served(bakery: Bakery, settings: Settings) -> None:
    bakery.parts = {"routes": [("/extra", AsgiResponse(b"more"))]}

    async with running(bakery.create, settings) as app:
        assert await get(app, "/extra") == (200, "more")


async def test_a_service_that_knows_no_command_refuses_those_it_gets(settings: Settings, client: Outside) -> None:
    async with running(renamed("metrics", Bakery(parts={"commands": {}, "subscriptions": []})), settings):
        await client.js.publish("nexus.commands.metrics.show", b"{}", headers={"Nats-Msg-Id": "c-1"})

        assert (await client.outcome("c-1")).message == "metrics knows no command show; it knows none"


# Start and stop


async def test_a_service_that_ends_finishes_what_is_in_hand(
    bakery: Bakery, settings: Settings, client: Outside
) -> None:
    begun, ends = asyncio.Event(), list[str]()

    async def slow(command: Bake, origin: Origin) -> Accepted | None:
        begun.set()
        await asyncio.sleep(0.3)
        ends.append("handled")
        return Accepted(1)

    async def close() -> None:
        assert bakery.runtime
        assert bakery.runtime.nc.is_connected
        ends.append("closed")

    bakery.parts = {"commands": {Bake: slow}, "closing": [close]}
    async with running(bakery.create, settings):
        await client.send("c-1", {"kind": "bread"})
        await begun.wait()

    assert (await client.outcome("c-1", within=0.1)).status == "accepted"
    assert (await client.js.stream_info(INBOX)).state.messages == 0
    assert ends == ["handled", "closed"]
    assert bakery.runtime
    assert bakery.runtime.nc.is_closed


async def test_a_service_ends_also_while_its_server_is_away(
    bakery: Bakery, settings: Settings, server: EmbeddedServer
) -> None:
    async with asyncio.timeout(10):
        async with running(bakery.create, settings):
            await server.kill()
            await asyncio.sleep(0.2)


async def test_several_services_live_in_one_program(settings: Settings, client: Outside) -> None:
    bakeries = {name: Bakery(parts={"commands": {}, "subscriptions": []}) for name in ("planner", "metrics")}
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(running(renamed(name, bakery), settings))
            for name, bakery in bakeries.items()
        ]

        assert [await ready(app) for app in apps] == [{}, {}]
        runtimes = [bakery.runtime for bakery in bakeries.values()]
        assert len({id(runtime.nc) for runtime in runtimes if runtime}) == 2


async def test_a_stream_that_means_something_else_keeps_a_service_from_starting(
    bakery: Bakery, settings: Settings, client: Outside
) -> None:
    await client.js.add_stream(name=EVENTS, subjects=["nexus.events.>"])

    with pytest.raises(StreamMismatch, match="deny_delete"):
        async with running(bakery.create, settings):
            pytest.fail("it started")


async def test_what_composing_raises_is_told(bakery: Bakery, settings: Settings) -> None:
    bakery.parts = {"nonsense": 1}

    with pytest.raises(TypeError, match="nonsense"):
        async with running(bakery.create, settings):
            pytest.fail("it started")


def test_a_service_without_a_server_says_how_to_name_one() -> None:
    with pytest.raises(SettingsError, match="NEXUS_NATS_URL"):
        Bakery().create(Settings.load({}, environ={}))


@asynccontextmanager
async def under_uvicorn(app: AsgiFastStream) -> AsyncIterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none"))
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started or task.done())
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


async def test_it_runs_under_uvicorn(bakery: Bakery, settings: Settings, client: Outside) -> None:
    async with under_uvicorn(bakery.create(settings)) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/healthz")).status_code == 200
        async with asyncio.timeout(5):
            while (await http.get(f"{url}/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
        assert (await client.ask("c-1", {"kind": "bread"})).status == "accepted"
        assert (await http.get(f"{url}/nothing")).status_code == 404
