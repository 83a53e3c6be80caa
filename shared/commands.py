"""From a command on the wire to its handler, and to the one outcome that it gets."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from time import perf_counter
from typing import Any, Protocol
from weakref import WeakValueDictionary

from nats.aio.client import Client

from contracts.base import Command
from contracts.outcomes import Outcome
from contracts.unread import unread
from shared import telemetry
from shared.deadletters import REDRIVE
from shared.delivery import UnknownCommand, code_of, problems_of, say
from shared.incoming import Incoming
from shared.metrics import Meter
from shared.outcomes import Accepted, accepted, answer, known, refused
from shared.publisher import Publisher
from shared.repository import Origin

LIMIT = 30.0
"""Seconds that a handler may take; what takes longer is work for a background loop or a reaction."""


class Handler(Protocol):
    """Carries out one command; raises a `DomainError` to refuse it."""

    async def __call__(self, command: Any, origin: Origin, /) -> Accepted | None: ...


class Commands:
    """The commands of one service. Their order does not matter: handlers are idempotent and may say `NotYet`."""

    def __init__(
        self, nc: Client, publisher: Publisher, service: str, handlers: Mapping[type[Command], Handler], meter: Meter
    ) -> None:
        self._nc, self._publisher, self._service, self._meter = nc, publisher, service, meter
        self._handlers = {kind.SUBJECT: (kind, handler) for kind, handler in handlers.items()}
        self._durable = f"{service}-commands"
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, message: Incoming) -> None:
        """Carry out a command and tell its outcome, unless that was told before; raise what `fate` decides on."""
        with telemetry.processing([message], durable=self._durable) as spanned:
            event = message.ce
            kind, handler = self._find(message.subject)
            command = kind.model_validate(event.data)
            origin = replace(Origin.of(event, once=True), traceparent=spanned.traceparent)
            async with self._locks.setdefault(event.id, asyncio.Lock()):
                if message.header(REDRIVE) is None and await known(self._nc, event.id):
                    return
                result = await self._handle(kind, handler, command, origin)
                await self._tell(accepted(event.id, result, unread(event.data, command)), spanned.traceparent)

    async def refuse(self, message: Incoming, error: Exception) -> None:
        """Tell that a command was not carried out, and why."""
        outcome = refused(message.id, code_of(error), say(error), problems_of(error))
        await self._tell(outcome, message.traceparent)

    async def _handle(self, kind: type[Command], handler: Handler, command: Command, origin: Origin) -> Accepted | None:
        started = perf_counter()
        try:
            async with asyncio.timeout(LIMIT):
                return await handler(command, origin)
        finally:
            self._meter.handled(kind.NAME, perf_counter() - started)

    async def _tell(self, outcome: Outcome, traceparent: str | None) -> None:
        await answer(self._publisher, self._service, outcome, traceparent=traceparent)

    def _find(self, subject: str) -> tuple[type[Command], Handler]:
        found = self._handlers.get(subject)
        if found is None:
            raise UnknownCommand(self._explain(subject))
        return found

    def _explain(self, subject: str) -> str:
        asked = subject.split(".", 3)[3]
        names = sorted(kind.NAME for kind, _ in self._handlers.values())
        close = get_close_matches(asked, names, n=1)
        if close:
            return f"{self._service} knows no command {asked}; did you mean {close[0]}?"
        return f"{self._service} knows no command {asked}; it knows {', '.join(names) or 'none'}"
