"""What the endpoints work with, and how much of it may go on at one time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Request
from nats.aio.client import Client as Connection

from nexus.agents_view import AgentView
from nexus.client import Client
from services.gateway.measuring import Traffic
from services.gateway.problems import Busy
from services.gateway.projections import Board
from shared.projection import Projection
from shared.settings import Settings
from shared.snapshots import Snapshots

T = TypeVar("T")
FRESH = 0.5
"""Seconds that an answer about agents is used again."""
CATCHING_UP = 10.0


class Gate:
    """Lets so many in at one time, each for so long; whoever comes too much is told to come again."""

    def __init__(self, what: str, limit: int, seconds: float | None) -> None:
        self._what, self._limit, self._seconds = what, limit, seconds
        self.inside = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        self.enter()
        try:
            async with asyncio.timeout(self._seconds):
                yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Count one in, or refuse."""
        if self.inside >= self._limit:
            raise Busy(f"{self._limit} {self._what} are going on; try again in a moment")
        self.inside += 1

    def leave(self) -> None:
        """Count one out."""
        self.inside -= 1


class Recent(Generic[T]):
    """An answer that is asked for once however many want it, and used again for a moment."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask, self._lock = ask, asyncio.Lock()
        self._found: tuple[float, T] | None = None

    async def get(self) -> T:
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > FRESH:
                self._found = time.monotonic(), await self._ask()
            return self._found[1]


class State:
    """One running gateway."""

    def __init__(self, nc: Connection, settings: Settings, board: Projection[Board], traffic: Traffic) -> None:
        self.nc, self.settings, self.traffic = nc, settings, traffic
        self.client = Client(nc=nc, actor="http")
        self.reports = Snapshots(nc, "metrics")
        self.agents: Recent[list[AgentView]] = Recent(self.client.agents)
        self.commands = Gate("commands", 500, 30)
        self.reads = Gate("readings of the log", 50, 20)
        self.streams = Gate("streams of events", 200, None)
        self.stopping = asyncio.Event()
        self._board = board

    async def board(self) -> Board:
        """Return the board, once it knows what the log held when the gateway started."""
        if not self._board.live:
            async with asyncio.timeout(CATCHING_UP):
                await self._board.caught_up()
        return self._board.view


def _state(request: Request) -> State:
    state: State = request.app.state.gateway
    return state


Gateway = Annotated[State, Depends(_state)]
