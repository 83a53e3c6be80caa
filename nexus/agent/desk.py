"""The desk of an agent: what it has in hand, in what order it is done, and what is said when it is done."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from time import perf_counter
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from contracts.agents import Assignment, Running, Withdrawal
from contracts.coordinator import AttemptKind, ErrorInfo
from contracts.envelope import CONTENT_TYPE, CloudEvent
from nexus.agent.agent import Agent
from nexus.agent.artifacts import Artifacts
from nexus.agent.job import Job, TaskFailed
from nexus.agent.memory import NOTHING, Letter, Memory
from nexus.agent.outbox import Outbox
from nexus.agent.results import Ending, Told, letter_of
from shared import telemetry

Key = tuple[str, str, int, AttemptKind]
KINDS: tuple[AttemptKind, ...] = ("run", "compensate")
Stop = Literal["", "withdrawn", "timed_out", "abandoned"]

log = logging.getLogger("nexus.agent")


class Arrived(Protocol):
    """A message from the agent's subject."""

    @property
    def subject(self) -> str: ...

    @property
    def ce(self) -> CloudEvent: ...

    @property
    def id(self) -> str: ...

    @property
    def traceparent(self) -> str | None: ...

    def fail(self, error: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class _Held:
    """A job in hand: waiting for a slot, or being done."""

    key: Key
    job: Job
    message: Arrived
    work: asyncio.Task[None] | None = None
    stopped: Stop = ""

    def stop(self, why: Stop) -> None:
        """End the work on it; the handler is cancelled."""
        self.stopped = self.stopped or why
        self.job.cancelled.set()
        if self.work:
            self.work.cancel()


class Desk:
    """Takes assignments, does as many at one time as the agent has slots, and sends what comes of them."""

    def __init__(self, agent: Agent, outbox: Outbox, artifacts: Artifacts) -> None:
        self.agent, self._outbox, self._artifacts = agent, outbox, artifacts
        self._held: dict[Key, _Held] = {}
        self._waiting: deque[_Held] = deque()
        self._busy = 0
        self._over: Memory[Key] = Memory()
        self._threads: ThreadPoolExecutor | None = None
        self._clear = asyncio.Event()
        self.told = asyncio.Event()
        """Set when there is progress to tell of."""

    def __len__(self) -> int:
        return len(self._held)

    def running(self) -> tuple[Running, ...]:
        """Return what is in hand, as a beat tells of it."""
        return tuple(held.job.running() for held in self._held.values())

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Take in what arrived together; what is not understood becomes a dead letter."""
        for message in arrived:
            try:
                await self._take(message)
            except ValidationError as error:
                message.fail(error)

    async def _take(self, message: Arrived) -> None:
        ce = message.ce
        if ce.type == Withdrawal.TYPE:
            self._withdraw(Withdrawal.model_validate(ce.data))
        elif ce.type in (Assignment.TYPE, message.subject):  # plain JSON has its subject for a type
            await self._accept(Assignment.model_validate(ce.data), message)
        else:
            log.warning("agent %s: a message of type %s is not for agents", self.agent.name, ce.type)

    async def _accept(self, assignment: Assignment, message: Arrived) -> None:
        key = (assignment.project, assignment.task, assignment.attempt, assignment.kind)
        if key in self._held:
            return
        if (said := self._over.get(key)) is not None:
            await self._send(said)  # whoever asks again may have missed it
            return
        held = _Held(key, Job(assignment, self._artifacts, self._tell, message.traceparent), message)
        self._held[key] = held
        self._waiting.append(held)
        self._start_waiting()

    def _withdraw(self, withdrawal: Withdrawal) -> None:
        for kind in KINDS:
            key = (withdrawal.project, withdrawal.task, withdrawal.attempt, kind)
            if held := self._held.get(key):
                held.stop("withdrawn")
                if held.work is None:
                    self._waiting.remove(held)
                    del self._held[key]
            if self._over.get(key) is None:
                self._over.keep(key, NOTHING)  # should it be told again

    def _start_waiting(self) -> None:
        while self._waiting and self._busy < self.agent.slots:
            held = self._waiting.popleft()
            self._busy += 1
            held.work = asyncio.create_task(self._work(held), name=held.job.id)
            # Not a `finally` of the work: one that is withdrawn before its first step never comes to it.
            held.work.add_done_callback(partial(self._ended, held))

    def _ended(self, held: _Held, _: object) -> None:
        self._busy -= 1
        del self._held[held.key]
        self._start_waiting()
        if not self._held:
            self._clear.set()

    async def _work(self, held: _Held) -> None:
        began = perf_counter()
        with telemetry.processing([held.message], durable=f"agent-{self.agent.name}") as span:
            ending = await self._attempt(held)
            if held.stopped in ("withdrawn", "abandoned"):
                return
            if ending.error:
                span.set_error(ending.error.message)
            told = Told(self.agent.name, held.job, perf_counter() - began, held.message.ce, span.traceparent)
            letter = await letter_of(told, ending, self._artifacts)
            self._over.keep(held.key, letter)
            await self._send(letter)

    async def _attempt(self, held: _Held) -> Ending:
        limit = held.job.run_seconds
        clock = asyncio.get_running_loop().call_later(limit, held.stop, "timed_out") if limit else None
        try:
            ending = Ending.of(await self._call(held.job))
        except asyncio.CancelledError as error:
            if not held.stopped and _is_being_cancelled():
                raise
            ending = Ending.failed(error)  # by us, or the handler did it to itself
        except Exception as error:  # noqa: BLE001  whatever a handler raises is the task's failure, not the agent's
            _log(held.job, error)
            ending = Ending.failed(error)
        finally:
            if clock:
                clock.cancel()
        if held.stopped == "timed_out":
            return Ending(error=ErrorInfo(message=f"not done within {limit:g} s", code="timed_out"))
        return ending

    async def _call(self, job: Job) -> Any:
        found = self.agent.handler(job.kind, job.capability)
        if found is None:
            what = f"does no {job.capability}" if job.kind == "run" else f"cannot undo {job.capability}"
            raise TaskFailed(f"agent {self.agent.name} {what}", code="unknown_capability", retryable=False)
        handler, is_async = found
        if is_async:
            return await handler(job)
        self._threads = self._threads or ThreadPoolExecutor(self.agent.slots, self.agent.name)
        job.begin(loop := asyncio.get_running_loop())
        output = await loop.run_in_executor(self._threads, copy_context().run, handler, job)
        return await output if isawaitable(output) else output

    async def _send(self, letter: Letter) -> None:
        if not letter.subject:
            return
        headers = {"Nats-Msg-Id": letter.id, "Content-Type": CONTENT_TYPE}
        project = letter.subject.split(".")[2]
        with telemetry.sending(
            letter.subject, parent=letter.traceparent, message_id=letter.id, project=project
        ) as span:
            if span.traceparent:
                headers["traceparent"] = span.traceparent
            await self._outbox.send(letter.subject, letter.payload, headers)

    async def _tell(self) -> None:
        self.told.set()

    async def idle(self, grace: float) -> bool:
        """Wait until nothing is in hand, at most `grace` seconds; return whether that is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._held:
                    self._clear.clear()
                    await self._clear.wait()
        return not self._held

    async def close(self) -> None:
        """Abandon what is still in hand."""
        left, self._waiting = list(self._held.values()), deque()
        for held in left:
            log.warning("agent %s gives up %s: it was not done in time", self.agent.name, held.job.id)
            held.stop("abandoned")
        await asyncio.gather(*(held.work for held in left if held.work), return_exceptions=True)
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _log(job: Job, error: Exception) -> None:
    if isinstance(error, TaskFailed):
        log.info("%s failed: %s", job.id, error)
    else:
        log.warning("%s failed", job.id, exc_info=error)
