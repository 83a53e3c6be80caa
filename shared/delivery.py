"""What becomes of a message whose handler raised. One place decides; handlers never acknowledge.

Verdict
  Done   it is settled: handled, or refused for good
  Retry  again, after a delay
  Dead   given up: kept as a dead letter with the reason
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from eventsourcing.persistence import OperationalError
from faststream import BaseMiddleware
from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import ValidationError

from contracts.envelope import Malformed
from contracts.outcomes import Problem, pointer
from shared.deadletters import DeadLetters
from shared.domain import DomainError, NotYet
from shared.incoming import Incoming
from shared.metrics import Meter

DELAYS = (0.2, 1.0, 5.0, 30.0)
"""Seconds between attempts; an event goes on with the last one for ever."""

GIVEN_UP = frozenset({"agents", "commands", "results", "signals", "tasks"})
"""What comes from outside may be given up; history and timers may not."""

OUTAGE = (OperationalError, TimeoutError, OSError, NatsError)
"""Not the message's fault: the log, the server or the network is away."""

log = logging.getLogger(__name__)


class UnknownCommand(DomainError):
    """No such command; kept, because whoever sent it meant something."""

    code = "unknown_command"


@dataclass(frozen=True, slots=True)
class Done:
    """Settled. A code says why it was refused; none says that it was handled."""

    code: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """To be delivered again."""

    delay: float
    alert: bool = False
    """The table is used up and it still fails: somebody must look."""


@dataclass(frozen=True, slots=True)
class Dead:
    """To be kept as a dead letter."""

    code: str
    reason: str


Verdict = Done | Retry | Dead


def fate(error: Exception | None, subject: str, deliveries: int) -> Verdict:
    """Decide what becomes of a message, by what its handler raised and how often it was delivered."""
    if error is None:
        return Done()
    may_give_up = family(subject) in GIVEN_UP
    if isinstance(error, DomainError) and not isinstance(error, NotYet):
        keep = may_give_up and (family(subject) != "commands" or isinstance(error, UnknownCommand))
        return Dead(error.code, say(error)) if keep else Done(error.code)
    if isinstance(error, ValidationError | Malformed) and may_give_up:
        return Dead(code_of(error), say(error))
    if deliveries <= len(DELAYS):
        return Retry(DELAYS[deliveries - 1])
    return Dead(code_of(error), say(error)) if may_give_up else Retry(DELAYS[-1], alert=True)


def family(subject: str) -> str:
    """Return the family of a subject: commands, results, signals, events, due and so on."""
    return subject.split(".", 2)[1] if subject.startswith("nexus.") else ""


def code_of(error: Exception) -> str:
    """Return a word for programs."""
    match error:
        case DomainError():
            return error.code
        case Malformed():
            return "malformed"
        case ValidationError():
            return "invalid"
        case _:
            return "failed"


def say(error: Exception) -> str:
    """Return a sentence for people."""
    if isinstance(error, ValidationError):
        found = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems_of(error))
        return f"{error.error_count()} error(s) in {error.title}: {found}"
    if isinstance(error, DomainError | Malformed):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def problems_of(error: Exception) -> tuple[Problem, ...]:
    """Return one problem for each thing that is wrong with an input, with its JSON pointer."""
    if not isinstance(error, ValidationError):
        return tuple(getattr(error, "problems", ()))
    return tuple(
        Problem(pointer=pointer(found["loc"]), message=found["msg"])
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    )


Refusal = Callable[[Incoming, Exception], Awaitable[None]]
"""Called for a message that is settled without having been handled, before it leaves the stream."""


class Settlement:
    """Carries out verdicts: acknowledges, sends back, or keeps a dead letter first."""

    def __init__(self, nc: Client, dead: DeadLetters, meter: Meter, refusals: Mapping[str, Refusal] | None = None):
        self._nc, self._dead, self._meter = nc, dead, meter
        self.refusals: dict[str, Refusal] = dict(refusals or {})
        """By family of subjects."""

    async def done(self, message: Incoming) -> None:
        """Acknowledge."""
        await self._nc.publish(message.reply)

    async def in_progress(self, message: Incoming) -> None:
        """Tell the server that it is still being worked on."""
        await self._nc.publish(message.reply, b"+WPI")

    async def back(self, message: Incoming, delay: float = 0) -> None:
        """Have it delivered again."""
        body = b"-NAK " + json.dumps({"delay": int(delay * 1e9)}).encode() if delay else b"-NAK"
        await self._nc.publish(message.reply, body)

    async def settle(self, message: Incoming, error: Exception | None, *, quiet: bool = False) -> Verdict:
        """Do what `fate` says, and return that; `quiet` when the same error was told of already."""
        verdict = fate(error, message.subject, message.deliveries)
        kind = family(message.subject)
        match verdict:
            case Retry():
                self._meter.retried(kind)
                if verdict.alert:
                    self._meter.stuck(kind)
                if not quiet:
                    _tell(message, error, verdict)
                await self.back(message, verdict.delay)
                return verdict
            case Dead():
                self._meter.settled(kind, "dead")
                log.warning("%s: given up (%s): %s", message, verdict.code, verdict.reason)
                await self._dead.keep(message, verdict.code, verdict.reason)
            case Done():
                self._meter.settled(kind, "refused" if error else "done")
                if error:
                    # Who sent something from outside is told; what is refused of history, nobody else hears of.
                    level = logging.INFO if kind in GIVEN_UP else logging.WARNING
                    log.log(level, "%s: refused (%s): %s", message, verdict.code, error)
        if error and (refuse := self.refusals.get(kind)):
            await refuse(message, error)
        await self._nc.publish(message.reply, b"+TERM" if isinstance(verdict, Dead) else b"")
        return verdict


def _tell(message: Incoming, error: Exception | None, verdict: Retry) -> None:
    expected = isinstance(error, NotYet | LookupError)
    if verdict.alert:
        log.error("%s: still fails, again in %g s", message, verdict.delay, exc_info=error)
    elif expected:
        log.debug("%s: not yet (%s), again in %g s", message, error, verdict.delay)
    else:
        log.warning("%s: %s, again in %g s", message, say(error) if error else "", verdict.delay, exc_info=error)


class Delivery(BaseMiddleware):
    """FastStream middleware: settles what the edge takes in, by the same table as everything else."""

    settlement: Settlement
    ack_wait: float

    @classmethod
    def using(cls, settlement: Settlement, ack_wait: float) -> type["Delivery"]:
        """Return the middleware for one service."""
        return type("Delivery", (cls,), {"settlement": settlement, "ack_wait": ack_wait})

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Call the handler and settle the message; its `Incoming` is what the decoder made of it."""
        message = Incoming(msg.raw_message)
        holding = asyncio.create_task(self._hold(message))
        error: Exception | None = None
        try:
            await call_next(msg)
        except Exception as raised:  # noqa: BLE001  whatever it is, the table knows an answer
            error = raised
        finally:
            holding.cancel()
        await self.settlement.settle(message, error)

    async def _hold(self, message: Incoming) -> None:
        while True:
            await asyncio.sleep(self.ack_wait / 3)
            await self.settlement.in_progress(message)
