"""Who may come in: a token where one is configured, no foreign web pages, no bodies without end. Plain ASGI."""

import asyncio
from collections.abc import Callable, Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import problem
from shared.settings import Settings

GUARDED = "/v1/"
"""What the token protects; pages and health beside it tell nothing about projects."""
BODY_LIMIT = 256 * 1024
"""Bytes; what a command may carry inline."""
BODY_SECONDS = 15.0
"""Seconds that a body may take to arrive."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN = frozenset({"cross-site", "same-site"})
HEADERS: Mapping[bytes, bytes] = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-cache",
}

Check = Callable[[Scope, Headers], Any]
"""Returns the answer for a request that may not come in; None lets it pass."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach what listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checks(settings: Settings) -> list[Check]:
    """Return what each request must pass, in this order."""
    found: list[Check] = [_own_pages_only]
    if is_loopback(settings.host):
        found.insert(0, _known_host({"localhost", "127.0.0.1", "::1", settings.host}))
    if settings.gateway_token:
        found.append(_token(settings.gateway_token.get_secret_value()))
    return found


def _known_host(names: set[str]) -> Check:
    def check(_: Scope, headers: Headers) -> Any:
        host = headers.get("host", "")
        if _name(host) in names:
            return None
        # Else a web page could point its own name at this machine, and a browser would let it read the answers.
        text = f"this gateway serves this machine alone, under the name localhost, not {host[:100]!r}"
        return problem(421, f"{text}; NEXUS_HOST opens it to others", code="unknown_host")

    return check


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _own_pages_only(scope: Scope, headers: Headers) -> Any:
    if scope["method"] in SAFE:
        return None
    origin = headers.get("origin")
    foreign = origin is not None and _place(origin) != headers.get("host", "")
    if foreign or headers.get("sec-fetch-site") in FOREIGN:
        return problem(403, "web pages of other sites may not send commands", code="foreign_page")
    return None


def _token(expected: str) -> Check:
    wanted = expected.encode()

    def check(scope: Scope, headers: Headers) -> Any:
        if not f"{scope['path']}/".startswith(GUARDED):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and compare_digest(given.strip().encode(), wanted):
            return None
        challenge = 'Bearer realm="nexus"' + (', error="invalid_token"' if given else "")
        text = "the token is not the configured one" if given else "send Authorization: Bearer <token>"
        return problem(401, text, code="unauthorized", headers={"WWW-Authenticate": challenge})

    return check


class Door:
    """Lets requests in that pass all checks, with their whole body at hand; says on every answer what browsers may."""

    def __init__(self, app: ASGIApp, checks: list[Check]) -> None:
        self._app, self._checks = app, checks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _with_headers(send)
        headers = Headers(scope=scope)
        for check in self._checks:
            if refusal := check(scope, headers):
                await refusal(scope, receive, answer)
                return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(headers, receive)
        except TimeoutError:
            body = problem(408, f"the body did not arrive within {BODY_SECONDS:g} s", code="slow_body", headers=CLOSE)
        if isinstance(body, bytes):
            await self._app(scope, _again(body, receive), answer)
        elif body is not None:
            await body(scope, receive, answer)


CLOSE = {"Connection": "close"}


async def _body(headers: Headers, receive: Receive) -> Any:
    """Return the whole body, the answer if it is too large, or None if the client has gone."""
    announced = headers.get("content-length", "0")
    body, more = bytearray(), True
    while more:
        if len(body) > BODY_LIMIT or (announced.isdigit() and int(announced) > BODY_LIMIT):
            text = f"a request has at most {BODY_LIMIT:,} bytes; put what is larger into the object store"
            return problem(413, text, code="too_large", headers=CLOSE)
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False) or len(body) > BODY_LIMIT
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what tells the body once more, and then whatever comes: that the client has gone, say."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": given + [pair for pair in HEADERS.items() if pair[0] not in names]}
        await send(message)

    return answer
