"""Events as they happen, as server-sent events. `id` is the place in the log: Last-Event-ID goes on behind it."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from contracts.base import TOKEN_PATTERN
from nexus.client import Client
from nexus.history import Entry, view_of
from nexus.view import ProjectView
from services.gateway.models import ProblemDetails
from services.gateway.problems import Busy, problem
from services.gateway.state import Gateway, State

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that nobody on the way takes the stream for dead."""
LOOK = 0.5
"""Seconds between looks at whether the gateway is being stopped."""
STALLED = 60.0
"""Seconds that a reader may take to read on."""
WAITING = 256
"""Events that wait for a slow reader; the rest stays in the log."""
RETRY = b"retry: 2000\n\n"

log = logging.getLogger(__name__)
router = APIRouter(prefix="/v1", tags=["events"])

Name = Annotated[str, Path(pattern=TOKEN_PATTERN, max_length=128)]
Word = Annotated[str | None, Query(pattern=TOKEN_PATTERN, max_length=128)]
After = Annotated[int | None, Query(ge=0, description="Begin behind this place in the log; 0: from its beginning.")]
Last = Annotated[int | None, Header(alias="Last-Event-ID", ge=0, description="Go on behind this event.")]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Each message's data is an `Event`."}
}
GONE: dict[int | str, dict[str, Any]] = {
    204: {"description": "The project has ended and everything was told: do not connect again."},
    404: {"model": ProblemDetails, "description": "Nobody knows the project."},
}


class EventStream(StreamingResponse):
    """A stream that is open; neither too many of them nor a reader that has stopped to read hold the gateway up."""

    media_type = "text/event-stream"

    def __init__(self, gateway: State, source: AsyncGenerator[bytes]) -> None:
        self._gateway, self._content = gateway, _stream(gateway, source)
        super().__init__(self._content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._gateway.streams.enter()
        except Busy as error:
            await problem(503, str(error), code="busy", headers={"Retry-After": "5"})(scope, receive, send)
            return
        self._gateway.traffic.streams.inc()
        try:
            async with aclosing(self._content):
                await super().__call__(scope, receive, _patiently(send))
        finally:
            self._gateway.streams.leave()
            self._gateway.traffic.streams.dec()


def _patiently(send: Send) -> Send:
    async def patient(message: Message) -> None:
        try:
            async with asyncio.timeout(STALLED):
                await send(message)
        except TimeoutError:
            log.info("a reader of events has stalled for %g s", STALLED)
            raise OSError("the reader has stalled") from None

    return patient


@router.get("/events", status_code=200, response_class=EventStream, responses=STREAM)
async def all_events(
    gateway: Gateway, service: Word = None, name: Word = None, after: After = None, last: Last = None
) -> Response:
    """Follow everything that happens; `service` and `name` choose among the events."""
    start = last if last is not None else after
    source = gateway.client.events(service=service, name=name, after=start)
    return EventStream(gateway, _told(source))


@router.get("/projects/{project}/events", status_code=200, response_class=EventStream, responses=STREAM | GONE)
async def project_events(project: Name, gateway: Gateway, after: After = None, last: Last = None) -> Response:
    """Follow a project from its first event on, until it has ended; the last message is of type `ended`."""
    start = last if last is not None else after or 0
    async with gateway.reads():
        entries = await gateway.client.history(project)
    view = view_of(project, entries)
    missed = [entry for entry in entries if entry.sequence > start]
    if view.ended and not missed and last is not None:
        return Response(status_code=204)
    return EventStream(gateway, _story(gateway.client, view, missed))


async def _told(source: AsyncIterator[Entry]) -> AsyncGenerator[bytes]:
    async for entry in source:
        yield _message(entry)


async def _story(client: Client, view: ProjectView, missed: list[Entry]) -> AsyncGenerator[bytes]:
    for entry in missed:
        yield _message(entry)
    if not view.ended:
        async for entry in client.follow(view.id, after=view.sequence):
            if entry.event is not None:
                view.apply(entry.event, entry.sequence)
            yield _message(entry)
            if view.ended:
                break
    end = {"project": view.id, "status": view.status, "reason": view.reason, "seconds": view.seconds}
    yield b"event: ended\ndata: %b\n\n" % to_json(end)


def _message(entry: Entry) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (entry.sequence, to_json(entry.as_dict()))


async def _stream(gateway: State, source: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield what a source says, several messages at once where they wait; and signs of life where it is silent."""
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
    pump = asyncio.create_task(_pump(source, waiting), name="events")
    silent = 0.0
    try:
        yield RETRY
        while not gateway.stopping.is_set():
            found = await _next(waiting)
            silent = 0 if found else silent + LOOK
            if silent >= HEARTBEAT:
                found, silent = [b": still here\n\n"], 0
            if told := b"".join(part for part in found if part is not None):
                yield told
            if None in found:
                break
    finally:
        pump.cancel()
        await asyncio.wait([pump])


async def _pump(source: AsyncGenerator[bytes], waiting: asyncio.Queue[bytes | None]) -> None:
    """Let events wait for their reader, but never many; None marks the end."""
    try:
        async with aclosing(source):
            async for message in source:
                await waiting.put(message)
    except Exception:  # whatever it was, the reader must be told that nothing more comes
        log.exception("a stream of events breaks off; its reader may connect again and go on")
    await waiting.put(None)


async def _next(waiting: asyncio.Queue[bytes | None]) -> list[bytes | None]:
    """Return everything that waits; nothing if nothing came for a moment."""
    try:
        async with asyncio.timeout(LOOK):
            found = [await waiting.get()]
    except TimeoutError:
        return []
    while not waiting.empty():
        found.append(waiting.get_nowait())
    return found
