"""Keeps whatever happens to an aggregate in the trace in which it began; whoever asked from another one is linked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from contracts.envelope import decode
from shared import telemetry
from shared.mapper import Origin
from shared.records import Log

TRACE_ID = len("00-") + 32
"""Characters of a traceparent that say which trace it is (W3C)."""


class Lineage:
    """The traces of aggregates that are born in one service and live on in others under the same key."""

    def __init__(self, log: Log, birthplace: str) -> None:
        self._log, self._birthplace = log, birthplace

    async def trace(self, key: str) -> str | None:
        """Return the context in which the aggregate began."""
        first = await self._log.read(key, service=self._birthplace, limit=1)
        return decode(first[0].state).traceparent if first else None

    @asynccontextmanager
    async def join(self, key: str, origin: Origin, what: str) -> AsyncIterator[Origin]:
        """Yield an origin in the aggregate's own trace; carried on also while nothing is traced here."""
        own = await self.trace(key)
        if own is None or (origin.traceparent or "")[:TRACE_ID] == own[:TRACE_ID]:
            yield origin
            return
        with telemetry.span(what, kind="consumer", parent=own, links=[origin.traceparent]) as span:
            yield replace(origin, traceparent=span.traceparent)
