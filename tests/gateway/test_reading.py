"""What can be read over HTTP, against the whole system."""

import asyncio

import pytest
from httpx import AsyncClient

from nexus.agent import Agent
from nexus.embedded import System, embedded
from nexus.server import EmbeddedServer
from nexus.view import ProjectView
from services.gateway import models
from shared.settings import Settings
from tests.gateway.asking import described, ended, problem, shown, task
from tests.gateway.conftest import Serving

pytestmark = [pytest.mark.nats, pytest.mark.system]


async def test_the_past_is_as_it_was(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a"), task("b", "a"))
    await ended(http, project)
    history = (await http.get(f"/v1/projects/{project}/history")).json()["events"]
    settled = next(event for event in history if event["event"] == "tasks_settled")

    before = await shown(http, project, at=settled["sequence"] - 1)
    after = await shown(http, project, at=settled["sequence"])
    changes = await http.get(
        f"/v1/projects/{project}/diff", params={"from": settled["sequence"] - 1, "to": settled["sequence"]}
    )

    assert (before["tasks"]["a"]["status"], after["tasks"]["a"]["status"]) == ("running", "done")
    found = {change["path"]: (change["before"], change["after"]) for change in changes.json()["changes"]}
    assert found["/tasks/a/status"] == ("running", "done")


async def test_history_comes_in_pages(http: AsyncClient, worker: Agent) -> None:
    project = await described(http, task("a"))
    await ended(http, project)
    whole = (await http.get(f"/v1/projects/{project}/history")).json()

    everything = [event["sequence"] for event in whole["events"]]
    assert whole["next"] is None
    for limit in (3, len(everything) - 1, len(everything)):
        pages, after = [], 0
        while after is not None:
            page = (await http.get(f"/v1/projects/{project}/history", params={"after": after, "limit": limit})).json()
            pages.append([event["sequence"] for event in page["events"]])
            after = page["next"]
        assert pages == [everything[start : start + limit] for start in range(0, len(everything), limit)]


async def test_lists_are_filtered_and_come_in_pages(http: AsyncClient, worker: Agent) -> None:
    done = [await described(http, task("a"), title=f"Done {number}") for number in range(3)]
    for project in done:
        await ended(http, project)
    waiting = await described(http, task("a"), title="Waiting", start="manual")
    async with asyncio.timeout(5):
        while (await http.get("/v1/projects", params={"status": ["completed", "planned"]})).json()["total"] < 4:
            await asyncio.sleep(0.05)

    first = (await http.get("/v1/projects", params={"limit": 3})).json()
    second = (await http.get("/v1/projects", params={"limit": 3, "cursor": first["next"]})).json()
    completed = (await http.get("/v1/projects", params={"status": "completed"})).json()

    assert [one["id"] for one in (*first["projects"], *second["projects"])] == [waiting, *reversed(done)]
    assert (first["total"], second["next"]) == (4, None)
    assert {one["status"] for one in completed["projects"]} == {"completed"}
    problem(await http.get("/v1/projects", params={"cursor": "nosuch"}), 422)
    found = problem(await http.get("/v1/projects", params={"status": "odd", "limit": 0}), 422, "invalid")
    assert {error["parameter"] for error in found["errors"]} == {"status", "limit"}


async def test_what_nobody_knows_is_not_found(http: AsyncClient) -> None:
    for path in ("", "/plan", "/history", "/diff?from=1&to=2", "/events"):
        problem(await http.get(f"/v1/projects/nosuch{path}"), 404, "unknown_project")
    for path in ("/v1/nosuch", "/nosuch", "/static/nosuch.js", "/static/../app.py"):
        problem(await http.get(path), 404)
    problem(await http.get("/v1/protocols/nosuch"), 404)
    problem(await http.put("/v1/projects"), 405)


async def test_the_numbers_are_those_of_the_metrics_service(http: AsyncClient, worker: Agent) -> None:
    await ended(http, await described(http, task("a"), task("b")))

    async with asyncio.timeout(10):
        while True:
            answer = await http.get("/v1/metrics/performance")
            if answer.status_code == 200 and answer.json()["tasks"]["done"] == 2:
                break
            await asyncio.sleep(0.1)

    found = answer.json()
    assert found["projects"]["success_rate"] == 1
    assert found["agents"]["worker"]["done"] == 2
    assert (await http.get("/v1/alerts")).json() == []


async def test_without_the_metrics_service_the_numbers_are_not_there(settings: Settings, serving: Serving) -> None:
    async with (
        embedded(settings, data=settings.data / "system", services=()) as system,
        serving(system.settings) as http,
    ):
        problem(await http.get("/v1/metrics/performance"), 503)


async def test_health_and_measurements_are_at_the_root(http: AsyncClient) -> None:
    await http.get("/v1/projects")
    await http.get("/v1/projects/nosuch")

    ready, page = (await http.get("/readyz")).json(), (await http.get("/metrics")).text

    assert (await http.get("/healthz")).text == "alive"
    assert (ready["ready"], ready["problems"]) == (True, {})
    assert 'nexus_http_requests_total{method="GET",route="/v1/projects/{project}",status="404"} 1.0' in page
    assert "nosuch" not in page


@pytest.mark.slow
async def test_a_command_that_nobody_hears_is_answered_with_how_to_ask_again(http: AsyncClient, system: System) -> None:
    await system.host.close()

    found = problem(await http.post("/v1/projects", json={"title": "Nobody hears it"}), 504, "outcome_unknown")

    assert "is stored" in found["detail"]
    assert found["command"] in found["detail"]


async def test_while_the_server_is_away_it_says_so(http: AsyncClient, server: EmbeddedServer) -> None:
    assert (await http.get("/readyz")).status_code == 200

    await server.kill()
    async with asyncio.timeout(10):
        while (ready := await http.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.1)
    assert "nats-server" in ready.json()["problems"]["connection"]
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/v1/projects")).status_code == 200  # what it knows it says

    await server.start()
    async with asyncio.timeout(20):
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


def test_the_api_tells_everything_that_the_view_tells() -> None:
    assert set(ProjectView("p").as_dict()) == set(models.Project.model_fields)


async def test_the_description_names_every_answer(http: AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()

    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            good = next(answer for status, answer in operation["responses"].items() if status < "3")
            assert good["content"], f"{verb} {path}"
            bad = [answer for status, answer in operation["responses"].items() if status >= "4"]
            assert {kind for answer in bad for kind in answer["content"]} == {"application/problem+json"}
    names = [operation["operationId"] for found in document["paths"].values() for operation in found.values()]
    assert len(names) == len(set(names))
    assert "security" not in document
