"""What may be asked over HTTP, against the whole system."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient
from nats.aio.client import Client

from nexus.agent import Agent
from tests.gateway.asking import described, ended, problem, shown, task, until, until_task

pytestmark = [pytest.mark.nats, pytest.mark.system]

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_project_is_described_and_carried_out(http: AsyncClient, worker: Agent) -> None:
    wish = {"title": "Shop", "tasks": [task("a"), task("b", "a")]}

    answer = await http.post("/v1/projects", json=wish, headers={"Idempotency-Key": "wish-1"})

    assert answer.status_code == 202
    created = answer.json()
    assert created["command"] == "wish-1"
    assert answer.headers["location"] == created["location"] == f"/v1/projects/{created['id']}"
    view = await ended(http, created["id"])
    assert (view["status"], view["progress"], view["counts"]) == ("completed", 1.0, {"done": 2})
    assert view["tasks"]["b"]["output"] == {"attempt": 1}
    assert view["leases"] == {}


async def test_the_same_key_twice_is_one_project(http: AsyncClient, worker: Agent) -> None:
    first, second = [await described(http, task("a"), key="wish-1") for _ in range(2)]

    assert first == second
    assert (await http.get("/v1/projects")).json()["total"] == 1


async def test_everything_that_is_wrong_is_told_with_its_place(http: AsyncClient) -> None:
    wish = {"priority": 9, "tasks": [{"id": "a b"}], "technologies": {"a/b": 1}}

    found = problem(await http.post("/v1/projects", json=wish), 422, "invalid")

    assert {error["pointer"] for error in found["errors"]} == {
        *("/priority", "/tasks/0/id", "/tasks/0/capability", "/technologies/a~1b"),
    }


async def test_a_refusal_says_what_the_service_said(http: AsyncClient, worker: Agent) -> None:
    unknown = problem(await http.post("/v1/projects", json={"type": "nosuch"}), 422, "unknown_template")
    cycle = await http.post("/v1/projects", json={"tasks": [task("a", "b"), task("b", "a")]})

    assert "web_application" in unknown["detail"]
    assert unknown["errors"][0]["pointer"] == "/type"
    assert unknown["command"]
    assert cycle.status_code == 422
    assert cycle.json()["errors"][0]["pointer"].startswith("/tasks/")


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b'{"title": ', "application/json", 400, "malformed"),
        (b"\xff\xfe", "application/json", 400, "malformed"),
        (b"title=Shop", "application/x-www-form-urlencoded", 415, "not_json"),
        (b"[1]", "application/json", 422, "invalid"),
        (b"", "application/json", 422, "invalid"),
    ],
)
async def test_a_body_that_makes_no_sense_is_told(
    http: AsyncClient, body: bytes, kind: str, status: int, code: str
) -> None:
    problem(await http.post("/v1/projects", content=body, headers={"Content-Type": kind}), status, code)


async def test_a_key_that_nobody_reads_is_refused_before_anything_is_done(http: AsyncClient) -> None:
    answer = await http.post("/v1/projects", json={"typ": "api_service", "description": "A blog"})

    problem(answer, 422, "invalid")
    assert answer.json()["errors"] == [{"pointer": "/typ", "detail": "nobody reads this; did you mean type?"}]


async def test_a_project_that_nobody_knows_is_not_found_at_once(http: AsyncClient) -> None:
    async with asyncio.timeout(3):
        for verb in ("approve", "execute", "pause", "resume", "cancel", "tasks/a/retry", "tasks/a/skip", "signals/s"):
            problem(await http.post(f"/v1/projects/nosuch/{verb}"), 404, "unknown_project")


async def test_a_project_is_paused_resumed_and_cancelled(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a", input={"slow": 0.3}), task("b", "a"), task("c", waits_for=["never"]))
    await until(http, project, "running")

    assert (await http.post(f"/v1/projects/{project}/pause")).status_code == 202
    assert (await shown(http, project))["status"] == "paused"
    view = await until_task(http, project, "a", "done")
    assert view["tasks"]["b"]["status"] == "waiting"
    assert {wait["kind"] for wait in view["tasks"]["b"]["waits"]} == {"resume"}

    assert (await http.post(f"/v1/projects/{project}/resume")).status_code == 202
    await until_task(http, project, "b", "done")

    cancelled = await http.post(f"/v1/projects/{project}/cancel", json={"reason": "no longer wanted"})
    assert cancelled.status_code == 202
    assert (await ended(http, project))["reason"] == "no longer wanted"
    problem(await http.post(f"/v1/projects/{project}/pause"), 409, "already_ended")


async def test_a_misspelt_option_of_a_verb_is_refused(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a", waits_for=["never"]))

    found = problem(await http.post(f"/v1/projects/{project}/cancel", json={"rolback": True}), 422, "invalid")

    assert found["errors"][0]["pointer"] == "/rolback"


async def test_a_plan_can_be_looked_at_before_it_is_approved(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a"), task("b", "a"), start="manual")
    await until(http, project, "planned")

    plan = (await http.get(f"/v1/projects/{project}/plan")).json()
    approved = await http.post(f"/v1/projects/{project}/approve")

    assert plan["critical_path"] == ["a", "b"]
    assert approved.json()["sequence"] > 0
    assert (await ended(http, project))["status"] == "completed"


async def test_a_signal_lets_go_on_what_waits_for_it(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a", waits_for=["approved"]))
    await until(http, project, "running")

    answer = await http.post(f"/v1/projects/{project}/signals/approved", json={"by": "ada"})

    assert (answer.status_code, answer.json()) == (202, {"project": project, "name": "approved"})
    view = await ended(http, project)
    assert view["signals"] == {"approved": {"by": "ada"}}
    assert view["points"]["approved"]["status"] == "reached"


async def test_a_failed_task_is_tried_again_or_skipped(http: AsyncClient, worker: Agent) -> None:
    tasks = (task("a", input={"fails": 1}), task("b", input={"fails": 9}), task("c", "a", "b"))
    project = await described(http, *tasks)
    view = await ended(http, project)
    assert view["tasks"]["a"]["error"]["code"] == "fell"

    assert (await http.post(f"/v1/projects/{project}/tasks/a/retry")).status_code == 202
    await until_task(http, project, "a", "done")
    assert (await http.post(f"/v1/projects/{project}/tasks/b/skip")).status_code == 202

    view = await until(http, project, "completed")
    assert view["counts"] == {"done": 2, "skipped": 1}
    problem(await http.post(f"/v1/projects/{project}/tasks/nosuch/retry"), 404, "unknown_task")


async def test_an_agent_is_drained(http: AsyncClient, worker: Agent) -> None:
    async with asyncio.timeout(5):
        while not (found := (await http.get("/v1/agents")).json()) or found[0]["joined_at"] is None:
            await asyncio.sleep(0.1)
    assert (found[0]["name"], found[0]["capabilities"], found[0]["slots"]) == ("worker", ["work"], 4)

    assert (await http.post("/v1/agents/worker/drain")).status_code == 202

    async with asyncio.timeout(5):
        while (await http.get("/v1/agents")).json()[0]["status"] != "draining":
            await asyncio.sleep(0.1)
    problem(await http.post("/v1/agents/nosuch/drain"), 404, "unknown_agent")


async def test_a_protocol_is_defined_used_and_retired(http: AsyncClient, worker: Agent) -> None:
    config = {"type": "synchronous", "sync_points": ["half"], "timeout_minutes": 60}

    defined = await http.post("/v1/protocols", json={"name": "in step", "config": config})
    protocol = defined.json()["result"]["protocol"]
    location = defined.headers["location"]
    async with asyncio.timeout(5):
        while (found := await http.get(location)).status_code == 404:
            await asyncio.sleep(0.02)

    assert found.json()["config"]["sync_points"] == ["half"]
    assert [one["id"] for one in (await http.get("/v1/protocols")).json()] == [protocol]
    project = await described(http, task("a"), start="manual")
    await until(http, project, "planned")
    body = {"protocol": protocol}
    assert (await http.post(f"/v1/projects/{project}/execute", json=body)).status_code == 202
    assert (await ended(http, project))["protocol_id"] == protocol
    assert (await http.delete(location)).status_code == 202
    problem(await http.delete("/v1/protocols/nosuch"), 404, "unknown_protocol")
    another = await described(http, task("a"), start="manual")
    await until(http, another, "planned")
    problem(await http.post(f"/v1/projects/{another}/execute", json=body), 409, "retired_protocol")


async def test_a_dead_letter_is_shown_and_sent_again(http: AsyncClient, nc: Client) -> None:
    await nc.jetstream().publish("nexus.commands.planner.create_project", b"{nonsense")
    async with asyncio.timeout(5):
        while not (found := (await http.get("/v1/dead-letters")).json())["letters"]:
            await asyncio.sleep(0.05)
    letter: dict[str, Any] = found["letters"][0]
    assert (letter["subject"], letter["payload"]) == ("nexus.commands.planner.create_project", "{nonsense")
    assert (letter["code"], letter["size"]) == ("malformed", 9)

    answer = await http.post(f"/v1/dead-letters/{letter['sequence']}/redrive")

    assert answer.status_code == 202
    problem(await http.post(f"/v1/dead-letters/{letter['sequence']}/redrive"), 404, "unknown_letter")


async def test_the_trace_of_the_request_goes_on_in_the_project(http: AsyncClient, worker: Agent) -> None:
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    wish = {"tasks": [task("a", waits_for=["go"])]}
    project = (await http.post("/v1/projects", json=wish, headers=headers)).json()["id"]
    await until(http, project, "running")
    await http.post(f"/v1/projects/{project}/signals/go", headers=headers)
    await ended(http, project)

    events = (await http.get(f"/v1/projects/{project}/history")).json()["events"]

    assert {event["traceparent"].split("-")[1] for event in events} == {TRACE}
    assert events[0]["actor"] == "http"


async def test_a_trace_that_is_none_is_left_out(http: AsyncClient, worker: Agent) -> None:
    answer = await http.post("/v1/projects", json={"tasks": [task("a")]}, headers={"traceparent": "00-nonsense-01"})

    events = (await http.get(f"{answer.json()['location']}/history")).json()["events"]

    assert events[0]["traceparent"] is None
