"""Health over HTTP: `/healthz` says that the process is alive, `/readyz` proves that messages flow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from faststream.asgi import AsgiResponse
from nats.aio.client import Client
from nats.errors import Error as NatsError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic_core import to_json

FRESH = 0.5
"""Seconds that an answer is used again, so that asking often costs nothing."""
LIMIT = 3.0

Probe = Callable[[], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class NotReady(Exception):
    """A condition of readiness is not met; the text says which and why."""


class Readiness:
    """What must hold before a service counts as ready, by name."""

    def __init__(self, service: str) -> None:
        self.service = service
        self._probes: dict[str, Probe] = {}
        self._found: tuple[float, dict[str, str]] = (0.0, {})
        self._lock = asyncio.Lock()
        self.started = asyncio.Event()

    def add(self, name: str, probe: Probe) -> None:
        """Demand that `probe` does not raise."""
        self._probes[name] = probe

    def watch(self, name: str, trouble: Callable[[], str]) -> None:
        """Demand that `trouble` has nothing to say."""

        async def probe() -> None:
            if reason := trouble():
                raise NotReady(reason)

        self.add(name, probe)

    async def check(self) -> dict[str, str]:
        """Return what is in the way, by name; empty when the service is ready."""
        if not self.started.is_set():
            return {"service": "starting or stopping"}
        async with self._lock:
            when, found = self._found
            if time.monotonic() - when > FRESH:
                reasons = await asyncio.gather(*map(self._ask, self._probes.values()))
                found = {name: reason for name, reason in zip(self._probes, reasons, strict=True) if reason}
                self._found = time.monotonic(), found
            return found

    async def _ask(self, probe: Probe) -> str:
        try:
            await asyncio.wait_for(probe(), LIMIT)
        except Exception as error:  # noqa: BLE001  a probe may raise anything: it is the reason
            return str(error) or type(error).__name__
        return ""

    async def readyz(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 200, or 503 with the reasons."""
        problems = await self.check()
        body = {"service": self.service, "ready": not problems, "checked": sorted(self._probes), "problems": problems}
        response = AsgiResponse(
            to_json(body), status_code=503 if problems else 200, headers={"content-type": "application/json"}
        )
        await response(scope, receive, send)

    async def healthz(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 200: whoever answers is alive."""
        await AsgiResponse(b"alive", status_code=200, headers={"content-type": "text/plain"})(scope, receive, send)


class Page:
    """An ASGI application at one address; starlette would take a plain method for a handler of requests."""

    def __init__(self, page: Asgi) -> None:
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._page(scope, receive, send)


def metrics_page(registry: CollectorRegistry) -> Asgi:
    """Return the page that Prometheus reads."""

    async def page(scope: Any, receive: Any, send: Any) -> None:
        response = AsgiResponse(
            generate_latest(registry), status_code=200, headers={"content-type": CONTENT_TYPE_LATEST}
        )
        await response(scope, receive, send)

    return page


def connected(nc: Client) -> Callable[[], str]:
    """Return a check that the server is there."""
    return lambda: "" if nc.is_connected else "no connection to the nats-server"


def streams_exist(nc: Client, streams: Sequence[str]) -> Probe:
    """Return a probe that each of these streams answers."""

    async def probe() -> None:
        js = nc.jetstream(timeout=2)
        for stream in streams:
            try:
                await js.stream_info(stream)
            except (NatsError, TimeoutError) as error:
                raise NotReady(f"{stream}: {str(error) or type(error).__name__}") from error

    return probe


def consumers_exist(nc: Client, durables: Mapping[str, str]) -> Probe:
    """Return a probe that each of these durables (durable -> its stream) answers."""

    async def probe() -> None:
        js = nc.jetstream(timeout=2)
        for durable, stream in durables.items():
            try:
                await js.consumer_info(stream, durable)
            except (NatsError, TimeoutError) as error:
                raise NotReady(f"{durable} of {stream}: {str(error) or type(error).__name__}") from error

    return probe
