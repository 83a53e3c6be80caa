"""How fast all state is rebuilt from a long log."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import nats

from contracts.base import Event
from contracts.coordinator import (
    Dispatch,
    ExecutionCompleted,
    ExecutionStarted,
    Settlement,
    TasksDispatched,
    TasksSettled,
)
from contracts.work import Plan, Task
from nexus.server import EmbeddedServer
from shared.domain import Aggregate
from shared.eventlog import EventLog
from shared.mapper import EventMapper
from shared.publisher import Publisher
from shared.service import collect_rarely
from shared.streams import provision

CHAIN = 10


@dataclass
class Replayed:
    """What rebuilding took."""

    events: int
    aggregates: int
    seconds: float
    read_seconds: float

    @property
    def rate(self) -> float:
        """Events folded per second, reading and decoding included."""
        return self.events / self.seconds

    @property
    def read_rate(self) -> float:
        """Events read per second, without decoding."""
        return self.events / self.read_seconds


async def replay(data: Path, count: int = 200_000) -> Replayed:
    """Write a log of `count` events, then rebuild every execution in it from nothing."""
    server = EmbeddedServer(data, sync="1s")
    access = await server.start()
    nc = await nats.connect(access.url, user=access.user, password=access.password)
    try:
        await provision(nc)
        await _write(Publisher(nc), count)
        log = EventLog(nc, "coordinator")
        read = await _timed_read(log)
        began = time.perf_counter()
        executions = await rebuild(log)
        seconds = time.perf_counter() - began
        return Replayed(sum(e.version for e in executions.values()), len(executions), seconds, read)
    finally:
        await nc.close()
        await server.stop()


async def rebuild(log: EventLog) -> dict[str, Aggregate]:
    """Fold every execution of the log."""
    from services.coordinator.domain import Execution

    collect_rarely()  # as every service does
    mapper, executions = EventMapper(key_is_project=True), dict[str, Aggregate]()
    async for portion in log.replay(["nexus.events.coordinator.>"]):
        for logged in portion:
            key = logged.key
            execution = executions.get(key) or executions.setdefault(key, Execution(key))
            execution.apply(mapper.to_event(logged))
    return executions


async def _timed_read(log: EventLog) -> float:
    began = time.perf_counter()
    async for _ in log.replay(["nexus.events.coordinator.>"]):
        pass
    return time.perf_counter() - began


async def _write(publisher: Publisher, count: int) -> None:
    mapper, messages = EventMapper(key_is_project=True), []
    written = 0
    while written < count:
        project = f"p-{uuid4().hex[:10]}"
        for version, event in enumerate(_story(project), 1):
            record = mapper.to_record(event, project, version)
            headers = {"Nats-Msg-Id": record.id, "Nexus-Topic": record.topic, "Nexus-Version": str(version)}
            messages.append((f"nexus.events.coordinator.{project}.{event.NAME}", record.state, headers))
            written += 1
        if len(messages) >= 1000:
            await publisher.store_all(messages)
            messages = []
    await publisher.store_all(messages)


def _story(project: str) -> Iterator[Event]:
    """A chain, as the coordinator would tell of it."""
    now = datetime.now(UTC)
    tasks = tuple(Task(id=f"t{n}", capability="bench", depends_on=(f"t{n - 1}",) if n else ()) for n in range(CHAIN))
    yield ExecutionStarted(at=now, title="bench", plan=Plan(tasks=tasks))
    lease = f"{project}.t0.1"
    dispatches = [Dispatch(task=t.id, attempt=1, agent="bench-0", lease=lease, epoch=1) for t in tasks]
    yield TasksDispatched(at=now, dispatched=(dispatches[0],))
    for n, task in enumerate(tasks):
        settled = Settlement(task=task.id, attempt=1, status="done", agent="bench-0")
        follow = {"dispatched": (dispatches[n + 1],)} if n + 1 < CHAIN else {"released": (lease,)}
        yield TasksSettled(at=now, results=(settled,), **follow)
    yield ExecutionCompleted(at=now)
