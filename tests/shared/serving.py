"""A service of the tests, and somebody outside who talks to it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nats
from faststream.asgi import AsgiFastStream
from nats.aio.client import Client
from nats.js import JetStreamContext
from pydantic import Field

from contracts.base import Command
from contracts.envelope import CloudEvent
from contracts.outcomes import Outcome
from shared.domain import DomainError
from shared.outcomes import Accepted, outcome_subject
from shared.repository import Origin
from shared.service import Parts, Runtime, Subscription, service
from shared.settings import Settings
from shared.streams import OUTCOMES


class Bake(Command):
    """Only for this test: registered for no service."""

    kind: str
    pieces: int = Field(1, ge=1)


# Named after it was made, so that it does not stand among the commands of the contracts.
Bake.SUBJECT, Bake.SERVICE, Bake.NAME = "nexus.commands.planner.bake", "planner", "bake"


class SoldOut(DomainError):
    """There is no more."""

    code = "sold_out"


@dataclass
class Bakery:
    """A service to talk to."""

    baked: list[tuple[str, str]] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    heard: list[tuple[tuple[str, ...], CloudEvent]] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)
    runtime: Runtime | None = None

    async def bake(self, command: Bake, origin: Origin) -> Accepted | None:
        self.attempts.append(command.kind)
        self.origins.append(origin)
        if waiting := self.errors.get(command.kind):
            raise waiting.pop(0)
        self.baked.append((command.kind, origin.once or ""))
        return Accepted(len(self.baked), {"kind": command.kind})

    async def hear(self, tokens: tuple[str, ...], event: CloudEvent) -> None:
        self.heard.append((tokens, event))

    async def compose(self, runtime: Runtime) -> Parts:
        self.runtime = runtime
        signals = Subscription("nexus.signals.*.*", "planner-signals", self.hear)
        return Parts(**({"commands": {Bake: self.bake}, "subscriptions": [signals]} | self.parts))

    def create(self, settings: Settings) -> AsgiFastStream:
        return service("planner", self.compose, settings)


@dataclass
class Outside:
    """Somebody outside."""

    nc: Client

    @property
    def js(self) -> JetStreamContext:
        return self.nc.jetstream()

    async def send(self, identity: str | None, payload: Any, name: str = "bake", **headers: str) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        known = {"Nats-Msg-Id": identity} if identity else {}
        await self.js.publish(f"nexus.commands.planner.{name}", body, headers=known | headers or None)

    async def outcome(self, identity: str, within: float = 5) -> Outcome:
        async with asyncio.timeout(within):
            while True:
                try:
                    kept = await self.js.get_msg(OUTCOMES, subject=outcome_subject(identity))
                    return Outcome.model_validate(json.loads(kept.data or b"")["data"])
                except nats.js.errors.NotFoundError:
                    await asyncio.sleep(0.005)

    async def ask(self, identity: str, payload: Any, name: str = "bake", **headers: str) -> Outcome:
        await self.send(identity, payload, name, **headers)
        return await self.outcome(identity)


async def until(holds: Callable[[], Any], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.005)


async def get(app: AsgiFastStream, path: str) -> tuple[int, str]:
    """Ask the application over ASGI."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    await app({"type": "http", "path": path, "method": "GET", "headers": []}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


async def ready(app: AsgiFastStream) -> dict[str, str]:
    """Return what is in the way of readiness."""
    status, body = await get(app, "/readyz")
    problems: dict[str, str] = json.loads(body)["problems"]
    assert (status == 200) == (not problems)
    return problems


def renamed(name: str, bakery: Bakery) -> Callable[[Settings], AsgiFastStream]:
    return lambda settings: service(name, bakery.compose, settings)
