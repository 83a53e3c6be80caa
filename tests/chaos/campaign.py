"""One run: projects are handed in while processes die, and at the end the log is asked whether anything went wrong."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from eventsourcing.persistence import OperationalError

from contracts.base import Command, wire_type
from contracts.coordinator import ENDED
from contracts.envelope import CloudEvent
from nexus.client import Client, OutcomeUnknown
from shared.eventlog import EventLog
from shared.publisher import Publisher
from tests.chaos.audit import audit
from tests.chaos.past import Past
from tests.chaos.stage import rest, stage
from tests.chaos.storm import storm
from tests.chaos.vigil import Vigil
from tests.chaos.workload import Step, Wish, wishes

ENDS = frozenset(event.NAME for event in ENDED)

LONG = 60
"""Seconds from which on a run is a long one."""


@dataclass
class Report:
    """What a run came to."""

    seed: int
    projects: int
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    tasks: int = 0
    looks: int = 0

    def __str__(self) -> str:
        killed = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        lines = [
            f"seed {self.seed}: {self.projects} projects, {self.tasks} attempts, {self.kills.total()} blows ({killed}),"
            f" {self.looks} looks at what is waited for, {self.seconds:.0f} s: "
            + (f"{len(self.problems)} PROBLEMS" if self.problems else "all is well"),
            *self.problems[:40],
        ]
        return "\n".join(lines)


class Campaign:
    """Hands projects in, does to them what their steps say, and knows how far they are."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._publisher = Publisher(client.nc)
        self._heard: dict[str, set[str]] = {}
        self._moved = asyncio.Condition()
        self.acknowledged: dict[str, tuple[str, Command]] = {}

    async def listen(self) -> None:
        """Follow the coordinator's facts, for ever."""
        log = EventLog(self._client.nc, "client")
        async for logged in log.tail(filters=["nexus.events.coordinator.>"]):
            self._heard.setdefault(logged.key, set()).add(logged.topic.rpartition(".")[2])
            async with self._moved:
                self._moved.notify_all()

    async def drive(self, wish: Wish) -> None:
        """See a project through, from its creation to its end."""
        await asyncio.sleep(wish.at)
        await self.order(wish.project, wish.request, wish.id)
        await self.until(wish.project, lambda facts: "execution_started" in facts)
        for number, step in enumerate(wish.steps):
            await asyncio.sleep(step.after)
            await self._take(wish, step, f"{wish.id}-{number}")
        await self.until(wish.project, lambda facts: bool(facts & ENDS))

    async def order(self, project: str, command: Command, identity: str) -> None:
        """Have a command stored, and go away: nobody waits for its outcome. Some are sent twice."""
        event = CloudEvent(identity, wire_type(type(command)), "chaos", "", command.model_dump(mode="json"))
        await self._insist(lambda: self._publisher.publish(command.SUBJECT, event))
        self.acknowledged[identity] = project, command
        if sum(identity.encode()) % 3 == 0:
            with suppress(OutcomeUnknown):  # that is what it is sent again for
                await self._client.command(command, identity, timeout=2)

    async def _take(self, wish: Wish, step: Step, identity: str) -> None:
        if step.what == "signal":
            event = CloudEvent(identity, f"nexus.signal.{step.name}", "chaos", step.name, {"by": uuid4().hex})
            await self._insist(lambda: self._publisher.publish(f"nexus.signals.{wish.project}.{step.name}", event))
        elif step.what == "cancel":
            await self.order(wish.project, step.command(wish.project), identity)
        else:
            await self._demand(wish.project, step.command(wish.project), identity)

    async def _demand(self, project: str, command: Command, identity: str) -> None:
        """Send a command until its outcome is heard: what follows must not overtake it."""
        while True:
            with suppress(OutcomeUnknown):
                await self._client.command(command, identity, timeout=5)
                break
        self.acknowledged[identity] = project, command

    async def _insist(self, publish: Callable[[], Awaitable[int]]) -> None:
        while True:
            with suppress(OperationalError):
                await publish()
                return

    async def until(self, project: str, condition: Callable[[set[str]], bool]) -> None:
        """Wait until what the coordinator has stated about a project is so."""
        async with self._moved:
            await self._moved.wait_for(lambda: condition(self._heard.get(project, set())))

    def open(self, projects: Sequence[Wish]) -> list[str]:
        """Return which of them have not ended."""
        return [f"{one.project} has not ended" for one in projects if not self._heard.get(one.project, set()) & ENDS]


async def run(
    seed: int, data: Path, *, projects: int = 50, seconds: float = 20, pause: float = 1.5, patience: float = 90
) -> Report:
    """Let the storm rage for so many seconds, wait until all projects have ended, and look what is wrong.

    In a long run there are `projects` more of them every 30 seconds, and the nats-server sometimes stays away for long.
    """
    began, report = time.monotonic(), Report(seed, 0)
    async with stage(data) as here:
        campaign, vigil = Campaign(here.client), Vigil(here.client)
        waves = [wishes(seed, projects, min(seconds, 30) * 0.8, wave=n) for n in range(max(1, round(seconds / 30)))]
        everything = [wish for wave in waves for wish in wave]
        helpers = [asyncio.create_task(step) for step in (campaign.listen(), vigil.keep())]
        striking = asyncio.create_task(storm(here, seed, pause, report.kills, outages=seconds >= LONG))
        driving = [
            asyncio.create_task(_later(30 * n, campaign.drive(wish))) for n, wave in enumerate(waves) for wish in wave
        ]
        await asyncio.sleep(seconds)
        striking.cancel()
        await asyncio.gather(striking, return_exceptions=True)
        await here.ready()
        _, late = await asyncio.wait(driving, timeout=patience)
        report.problems = [*campaign.open(everything), *vigil.problems]
        failed = [task for task in (*driving, *helpers) if task.done() and task.exception()]
        report.problems += [repr(task.exception()) for task in failed]
        for task in [*late, *helpers]:
            task.cancel()
        await asyncio.gather(*late, *helpers, return_exceptions=True)
        await rest(here.client)
        report.problems += await audit(here, everything, campaign.acknowledged)
        report.projects, report.looks = len(everything), vigil.looks
        report.tasks = len((await Past.read(EventLog(here.client.nc, "client"))).dispatched())
    report.seconds = time.monotonic() - began
    return report


async def _later(seconds: float, step: Coroutine[Any, Any, None]) -> None:
    await asyncio.sleep(seconds)
    await step
