"""What tests ask the gateway, in few words."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from httpx import AsyncClient, Response

ENDED = {"completed", "failed", "cancelled", "rolled_back", "refused"}


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "capability": "work", "depends_on": after, **fields}


async def described(http: AsyncClient, *tasks: dict[str, Any], key: str | None = None, **fields: Any) -> str:
    """Describe a project; return its id."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = await http.post("/v1/projects", json={"title": "Shop", "tasks": tasks, **fields}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def shown(http: AsyncClient, project: str, **parameters: Any) -> dict[str, Any]:
    answer = await http.get(f"/v1/projects/{project}", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(http: AsyncClient, project: str, *statuses: str) -> dict[str, Any]:
    """Wait until a project has one of these statuses; without any, until it has ended."""
    async with asyncio.timeout(15):
        while True:
            view = await shown(http, project)
            if view["status"] in (statuses or ENDED):
                return view
            await asyncio.sleep(0.05)


async def ended(http: AsyncClient, project: str) -> dict[str, Any]:
    return await until(http, project)


async def until_task(http: AsyncClient, project: str, name: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (view := await shown(http, project))["tasks"].get(name, {}).get("status") != status:
            await asyncio.sleep(0.05)
    return view


def problem(answer: Response, status: int, code: str = "") -> dict[str, Any]:
    """Return the problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body.get("code", "")) == (status, code)
    return body


async def messages(answer: Response) -> AsyncIterator[dict[str, Any]]:
    """Yield what a stream says: `comment`, or `event`, `id` and `data`."""
    said: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not name:
            yield {"comment": value}
        elif line:
            said[name] = json.loads(value) if name == "data" else value
        elif "data" in said:
            yield {"event": "message", **said}
            said = {}
