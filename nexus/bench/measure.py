"""Hands a workload in, waits for its end, and reads off the log what it took."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import uuid4

from pydantic_core import from_json

from contracts.coordinator import ENDED
from contracts.envelope import CloudEvent
from contracts.planner import CreateProject
from nexus.bench.system import System
from nexus.bench.workloads import Workload
from shared.eventlog import EventLog
from shared.publisher import Publisher
from shared.records import Logged

ENDS = [f"nexus.events.coordinator.*.{event.NAME}" for event in ENDED]
LIMIT = 300.0


class Failed(RuntimeError):
    """A project did not complete; then there is nothing to measure."""


@dataclass
class Measured:
    """One run of one workload."""

    workload: str
    sync: str
    tasks: int
    seconds: float
    hop_p50: float
    hop_p99: float
    """Milliseconds between the ends of one task and the next of the same project, in a chain."""
    appends: float
    """Events in the log per task."""
    cpu: dict[str, float]
    """CPU seconds per 1,000 tasks by process."""
    memory: dict[str, float]
    """Peak memory by process, MiB."""

    @property
    def rate(self) -> float:
        """Tasks per second, from the first command to the last end."""
        return self.tasks / self.seconds


async def measure(system: System, workload: Workload, sync: str) -> Measured:
    """Run a workload once."""
    log = EventLog(system.nc, "coordinator")
    before, used = await _position(system), system.usage()
    began = time.perf_counter()
    await _hand_in(system, workload)
    await asyncio.wait_for(_ended(log, before, len(workload.projects)), LIMIT)
    seconds = time.perf_counter() - began
    after = system.usage()
    hops = await _hops(log, before)
    return Measured(
        workload=workload.name,
        sync=sync,
        tasks=workload.tasks,
        seconds=seconds,
        hop_p50=statistics.median(hops) * 1000 if hops else 0,
        hop_p99=statistics.quantiles(hops, n=100)[98] * 1000 if len(hops) > 1 else 0,
        appends=(await _position(system) - before) / workload.tasks,
        cpu={name: (u.cpu - used[name].cpu) / workload.tasks * 1000 for name, u in after.items() if name in used},
        memory={name: u.memory for name, u in after.items()},
    )


async def _position(system: System) -> int:
    info = await system.nc.jetstream().stream_info("NEXUS_EVENTS")
    return info.state.last_seq


async def event_size(system: System) -> int:
    """Return how many bytes an event of the log has, on average."""
    state = (await system.nc.jetstream().stream_info("NEXUS_EVENTS")).state
    return state.bytes // max(1, state.messages)


async def _hand_in(system: System, workload: Workload) -> None:
    kind = CreateProject.SUBJECT
    await Publisher(system.nc).publish_all(
        (
            kind,
            CloudEvent(
                uuid4().hex, "nexus.planner.create_project", "nexus/bench", "", {"title": "bench", "tasks": tasks}
            ),
        )
        for tasks in workload.projects
    )


async def _ended(log: EventLog, after: int, count: int) -> None:
    """Wait until that many projects have ended, all of them well."""
    async for portion in log.follow(filters=ENDS, after=after):
        bad = [event for event in portion if not event.topic.endswith("execution_completed")]
        if bad:
            raise Failed(bad[0].state.decode())
        count -= len(portion)
        if count <= 0:
            return


async def _hops(log: EventLog, after: int) -> list[float]:
    """Return the seconds from the end of one task to the end of the next, project by project."""
    ends: dict[str, list[datetime]] = {}
    async for portion in log.replay(["nexus.events.coordinator.*.tasks_settled"], after=after):
        for event in portion:
            ends.setdefault(event.key, []).append(_time(event))
    return [(later - earlier).total_seconds() for moments in ends.values() for earlier, later in pairwise(moments)]


def _time(event: Logged) -> datetime:
    return datetime.fromisoformat(from_json(event.state)["time"])


def middle(runs: Sequence[Measured]) -> Measured:
    """Return the run in the middle, by rate."""
    return sorted(runs, key=lambda run: run.rate)[len(runs) // 2]
