"""The resource manager against a real server; the test plays coordinator and agents."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nats.aio.client import Client
from pydantic_core import to_json

from contracts.agents import Beat
from contracts.base import Event
from contracts.coordinator import CapacityRequest, ExecutionCompleted, TaskRetried, TasksSettled
from contracts.envelope import decode
from services.resource_manager.allocator import now
from services.resource_manager.app import create
from services.resource_manager.domain import Pool
from services.resource_manager.domain.state import parts
from shared.eventlog import EventLog
from shared.mapper import EventMapper, Origin
from shared.repository import Repository
from shared.service import running
from shared.settings import Settings
from tests.resource_manager.builders import beat, request

E = TypeVar("E", bound=Event)
BEAT = 0.2


@dataclass
class Stage:
    """Plays everybody else."""

    nc: Client
    settings: Settings
    service: AsyncExitStack = field(default_factory=AsyncExitStack)
    agents: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    commands: int = 0

    async def start(self) -> None:
        """Start the resource manager."""
        await self.service.enter_async_context(running(create, self.settings))

    async def stop(self) -> None:
        """Stop it."""
        await self.service.aclose()

    async def end(self) -> None:
        """Stop everything."""
        for agent in list(self.agents):
            self.kill(agent)
        await self.stop()

    # The coordinator

    async def say(self, project: str, event: Event, origin: Origin | None = None) -> int:
        """State a fact as the coordinator."""
        log = EventLog(self.nc, "coordinator")
        last = await log.last(project)
        version = last.originator_version + 1 if last else 1
        record = EventMapper(key_is_project=True).to_record(event, project, version, origin)
        return await log.append([record], seen={project: last.id if last else 0})

    async def ask(
        self, *requests: CapacityRequest | str, released: Iterable[str] = (), origin: Origin | None = None
    ) -> int:
        """Ask for capacity."""
        asked = tuple(request(one) if isinstance(one, str) else one for one in requests)
        event = TaskRetried(at=now(), tasks=(), requested=asked, released=tuple(released))
        return await self.say(parts(asked[0].id)[0], event, origin)

    async def give_back(self, *leases: str) -> int:
        """Say that leases are not needed any more."""
        return await self.say(parts(leases[0])[0], TasksSettled(at=now(), results=(), released=leases))

    async def complete(self, project: str) -> int:
        """End a project."""
        return await self.say(project, ExecutionCompleted(at=now()))

    # Agents

    async def presence(self, agent: str, kind: str, data: Any) -> None:
        """Publish a sign of life as plain JSON, as any program might."""
        await self.nc.publish(f"nexus.agents.{agent}.{kind}", to_json(data))

    def live(self, said: Beat) -> None:
        """Let an agent live."""
        self.kill(said.agent)
        self.agents[said.agent] = asyncio.create_task(self._live(said))

    async def _live(self, said: Beat) -> None:
        body = said.model_dump(mode="json", exclude_defaults=True)
        await self.presence(said.agent, "hello", body)
        while True:
            await self.presence(said.agent, "beat", body)
            await asyncio.sleep(said.interval)

    def kill(self, agent: str) -> None:
        """Let an agent die without a word."""
        if task := self.agents.pop(agent, None):
            task.cancel()

    async def join(self, name: str, *capabilities: str, instance: str = "1", **fields: Any) -> None:
        """Let an agent live and wait until it is known."""
        self.live(beat(name, *capabilities, instance=instance, **{"interval": BEAT, **fields}))
        await self.until(lambda pool: name in pool.agents and pool.agents[name].instance == instance)

    # What came of it

    async def pool(self) -> Pool:
        """The pool, folded from the log."""
        return await Repository(EventLog(self.nc, "resource_manager"), Pool).get("default")

    async def until(self, holds: Callable[[Pool], object], seconds: float = 8) -> Pool:
        """Wait until something holds for the pool."""
        async with asyncio.timeout(seconds):
            while True:
                pool = await self.pool()
                if holds(pool):
                    return pool
                await asyncio.sleep(0.01)

    async def facts(self, kind: type[E]) -> list[E]:
        """All facts of one kind that the resource manager has stated."""
        logged = await EventLog(self.nc, "resource_manager").read("default")
        events = [EventMapper().to_event(one) for one in logged if one.topic == kind.TOPIC]
        return [event for event in events if isinstance(event, kind)]

    async def command(self, name: str, identity: str = "", **data: Any) -> dict[str, Any]:
        """Send a command and return its outcome."""
        self.commands += 1
        identity = identity or f"cmd-{self.commands}"
        answer = await self.nc.subscribe(f"nexus.outcomes.{identity}")
        headers = {"Nats-Msg-Id": f"{identity}-{self.commands}", "ce-id": identity}
        await self.nc.jetstream().publish(f"nexus.commands.resource_manager.{name}", to_json(data), headers=headers)
        outcome: dict[str, Any] = decode((await answer.next_msg(5)).data).data
        await answer.unsubscribe()
        return outcome


def holds(*leases: str) -> Callable[[Pool], bool]:
    """Exactly these leases are live."""
    return lambda pool: pool.leases.keys() == set(leases)


__all__ = ["BEAT", "Stage", "holds", "now"]
