"""Events as they happen: complete, in order, from wherever the reader left off."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from nexus.agent import Agent
from nexus.embedded import System
from nexus.ports import free_port
from nexus.server import EmbeddedServer
from services.gateway import streaming
from tests.gateway.asking import described, ended, messages, problem, task, until

pytestmark = [pytest.mark.nats, pytest.mark.system]


async def heard(http: AsyncClient, path: str, **headers: str) -> list[dict[str, Any]]:
    """Listen until the stream ends."""
    async with asyncio.timeout(15), http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [message async for message in messages(answer)]


async def test_a_project_is_told_from_its_first_event_until_it_has_ended(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a", waits_for=["go"]))
    await until(http, project, "running")

    listening = asyncio.create_task(heard(http, f"/v1/projects/{project}/events"))
    await asyncio.sleep(0.3)
    await http.post(f"/v1/projects/{project}/signals/go")
    found = await listening

    history = (await http.get(f"/v1/projects/{project}/history")).json()["events"]
    *events, end = found
    assert [event["data"] for event in events] == history[: len(events)]
    assert [int(event["id"]) for event in events] == [event["sequence"] for event in history[: len(events)]]
    assert events[-1]["data"]["event"] == "execution_completed"
    assert (end["event"], end["data"]["status"]) == ("ended", "completed")


async def test_a_reader_goes_on_where_it_left_off(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a"))
    await ended(http, project)
    path = f"/v1/projects/{project}/events"
    whole = await heard(http, path)

    rest = await heard(http, path, **{"Last-Event-ID": whole[2]["id"]})
    asked = await heard(http, f"{path}?after={whole[2]['id']}")

    assert rest[:-1] == asked[:-1]
    assert [event.get("id") for event in rest[:3]] == [event.get("id") for event in whole[3:6]]
    assert rest[-1]["event"] == "ended"


async def test_who_has_heard_everything_is_told_not_to_come_again(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a"))
    await ended(http, project)
    await asyncio.sleep(0.3)  # the resource manager's last word
    path = f"/v1/projects/{project}/events"
    last = [message["id"] for message in await heard(http, path) if "id" in message][-1]

    again = await http.get(path, headers={"Last-Event-ID": last})

    assert (again.status_code, again.content) == (204, b"")


async def test_everything_that_happens_is_told(http: AsyncClient, worker: Agent) -> None:
    async with asyncio.timeout(15), http.stream("GET", "/v1/events?after=0") as answer:
        project = await described(http, task("a"))
        found = []
        async for message in messages(answer):
            found.append(message["data"])
            if message["data"]["event"] == "execution_completed":
                break

    assert {event["service"] for event in found} == {"planner", "resource_manager", "coordinator"}
    assert "agent_joined" in {event["event"] for event in found}
    assert {event["project"] for event in found} == {None, project}


async def test_events_can_be_chosen(http: AsyncClient, worker: Agent) -> None:
    await ended(http, await described(http, task("a")))

    async with asyncio.timeout(5), http.stream("GET", "/v1/events?after=0&service=planner") as answer:
        found = [message["data"]["event"] async for message in first(messages(answer), 2)]

    assert found == ["project_created", "project_planned"]


async def first(source: Any, count: int) -> Any:
    async for one in source:
        yield one
        count -= 1
        if not count:
            return


async def test_silence_is_filled_with_signs_of_life(http: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT", 0.2)
    monkeypatch.setattr(streaming, "LOOK", 0.1)

    async with asyncio.timeout(5), http.stream("GET", "/v1/events?service=coordinator") as answer:
        found = [message async for message in first(messages(answer), 2)]

    assert found == [{"comment": "still here"}] * 2


async def test_a_bad_place_is_refused(http: AsyncClient) -> None:
    found = problem(await http.get("/v1/events", headers={"Last-Event-ID": "yesterday"}), 422, "invalid")

    assert found["errors"][0]["parameter"].lower() == "last-event-id"


async def test_a_stream_goes_on_when_the_server_was_away(
    http: AsyncClient, worker: Agent, system: System, server: EmbeddedServer
) -> None:
    project = await described(http, task("a", waits_for=["go"]))
    await until(http, project, "running")
    async with asyncio.timeout(30), http.stream("GET", f"/v1/projects/{project}/events") as answer:
        source = messages(answer)
        seen = [await anext(source)]
        await server.kill()
        await asyncio.sleep(0.3)
        await server.start()
        while (await http.post(f"/v1/projects/{project}/signals/go")).status_code != 202:
            await asyncio.sleep(0.2)
        seen += [message async for message in source]

    ids = [int(message["id"]) for message in seen if "id" in message]
    assert ids == sorted(set(ids))
    assert seen[-1]["event"] == "ended"


async def test_there_are_not_more_streams_than_allowed(http: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.gateway import state

    real = state.Gate.enter

    def enter(gate: state.Gate) -> None:
        gate._limit = 1
        real(gate)

    monkeypatch.setattr(state.Gate, "enter", enter)
    async with http.stream("GET", "/v1/events") as answer:
        assert answer.status_code == 200
        too_many = problem(await http.get("/v1/events"), 503, "busy")
        assert "try again" in too_many["detail"]
    async with asyncio.timeout(5):
        while True:
            async with http.stream("GET", "/v1/events") as answer:
                if answer.status_code == 200:
                    break
            await asyncio.sleep(0.1)


async def test_no_stream_keeps_the_process_from_ending(system: System, tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NEXUS_")},
        "NEXUS_NATS_URL": system.url,
        "NEXUS_NATS_USER": str(system.settings.nats_user),
        "NEXUS_NATS_PASSWORD": system.settings.nats_password.get_secret_value()
        if system.settings.nats_password
        else "",
    }
    arguments = ["-m", "uvicorn", "--factory", "services.gateway.app:create", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment, stdout=log, stderr=log, cwd=Path(__file__).parents[2]
        )
    try:
        async with asyncio.timeout(30), AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await answering(http)
            async with http.stream("GET", "/v1/events") as answer:
                process.send_signal(signal.SIGTERM)
                assert [message async for message in messages(answer)] == []
            async with asyncio.timeout(4):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Application shutdown complete" in (tmp_path / "log").read_text()


async def answering(http: AsyncClient) -> None:
    from httpx import HTTPError

    while True:
        try:
            if (await http.get("/readyz")).status_code == 200:
                return
        except HTTPError:
            pass
        await asyncio.sleep(0.1)
