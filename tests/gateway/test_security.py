"""Who is let in, and what browsers are told. What is refused is refused before the system is asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from nexus.embedded import System
from services.gateway import security
from services.gateway.app import create
from shared.settings import Settings
from tests.gateway.asking import problem
from tests.gateway.conftest import Serving

TOKEN = "open-sesame"


def outside(base: str = "http://127.0.0.1:8000", **fields: Any) -> AsyncClient:
    """Return a client of a gateway that is not connected to anything."""
    app = create(Settings.load({}, environ={}, **fields))
    return AsyncClient(transport=ASGITransport(app, raise_app_exceptions=False), base_url=base)


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/events", "/v1/projects/p/events", "/v1/nosuch", "/v1/"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic b3Blbi1zZXNhbWU=", TOKEN, "Bearer öffne"])
async def test_without_the_token_nobody_gets_in(path: str, header: str | None) -> None:
    async with outside(gateway_token=TOKEN) as http:
        headers = {b"Authorization": header.encode()} if header else {}
        answer = await http.get(path, headers=headers)

    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith('Bearer realm="nexus"')
    assert TOKEN not in answer.text


@pytest.mark.nats
async def test_the_token_opens(system: System, serving: Serving) -> None:
    settings = Settings.load({}, environ={}, gateway_token=TOKEN).gateway_token
    async with serving(system.settings.model_copy(update={"gateway_token": settings})) as http:
        assert (await http.get("/v1/projects")).status_code == 401
        assert (await http.get("/v1/projects", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200
        assert (await http.get("/readyz")).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/", "/static/app.js", "/openapi.json"])
async def test_health_and_what_tells_nothing_stay_open(path: str) -> None:
    async with outside(gateway_token=TOKEN) as http:
        answer = await http.get(path)

    assert answer.status_code in {200, 503}  # it is not connected, so it is not ready


async def test_the_description_says_that_a_token_is_asked() -> None:
    async with outside(gateway_token=TOKEN) as http:
        document = (await http.get("/openapi.json")).json()

    assert document["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", "[", ""])
async def test_on_loopback_no_other_name_is_answered(host: str) -> None:
    async with outside() as http:
        for path in ("/v1/projects", "/", "/healthz"):
            problem(await http.get(path, headers={"Host": host}), 421, "unknown_host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"])
async def test_loopback_has_several_names(host: str) -> None:
    async with outside() as http:
        assert (await http.get("/healthz", headers={"Host": host})).status_code == 200


async def test_what_is_open_to_others_has_any_name() -> None:
    async with outside("http://nexus.example", host="0.0.0.0") as http:
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://[evil"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_others_cannot_send_commands(headers: dict[str, str]) -> None:
    async with outside() as http:
        for path in ("/v1/projects", "/v1/projects/p/cancel", "/v1/agents/a/drain"):
            problem(await http.post(path, headers=headers), 403, "foreign_page")


async def test_our_own_page_can() -> None:
    async with outside() as http:
        ours = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        answer = await http.post("/v1/projects", headers=ours, content=b"{")

    problem(answer, 400, "malformed")


async def test_no_page_of_others_may_read() -> None:
    async with outside() as http:
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answers = [await http.options("/v1/projects", headers=asked), await http.get("/", headers=asked)]

    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


async def test_no_body_is_larger_than_the_limit() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1024

    async with outside() as http:
        announced = await http.post("/v1/projects", content=b" " * (security.BODY_LIMIT + 1))
        found = problem(announced, 413, "too_large")
        problem(await http.post("/v1/projects", content=chunks()), 413, "too_large")
        problem(await http.request("GET", "/healthz", content=chunks()), 413, "too_large")
        kind = {"Content-Type": "application/json"}
        just = await http.post("/v1/projects", content=b" " * security.BODY_LIMIT, headers=kind)

    assert "262,144 bytes" in found["detail"]
    problem(just, 400, "malformed")


async def test_a_body_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "BODY_SECONDS", 0.1)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)

    async with outside() as http:
        problem(await http.post("/v1/projects", content=slowly()), 408, "slow_body")


async def test_every_answer_tells_browsers_what_they_may() -> None:
    async with outside(gateway_token=TOKEN) as http:
        answers = [await http.get(path) for path in ("/", "/static/app.js", "/v1/projects", "/nosuch", "/metrics")]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_failure_of_its_own_tells_nothing_of_the_inside() -> None:
    async with outside() as http:
        answer = await http.get("/v1/projects")  # nothing was started

    found = problem(answer, 500, "failed")
    assert found["detail"] == "the gateway failed; its log says how"


def test_who_opens_it_to_everybody_is_warned() -> None:
    assert security.is_loopback("127.0.0.53")
    assert security.is_loopback("::1")
    assert security.is_loopback("localhost")
    assert not security.is_loopback("0.0.0.0")
    assert not security.is_loopback("nexus.example")
