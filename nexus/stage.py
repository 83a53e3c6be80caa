"""What stands behind an orchestrator object: a system, running or started for it, and the agents registered with it."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack

from nexus.agent import Agent, AgentHost
from nexus.client import Client
from nexus.embedded import CORE, System, embedded, reference_agents
from nexus.server_folder import running
from shared.settings import Settings

GRACE = 3.0
"""Seconds that agents have to finish what is in hand when the program ends."""


class Stage:
    """Lives in one event loop: opened once, closed once."""

    def __init__(self, settings: Settings) -> None:
        self._known = settings
        self._stack = AsyncExitStack()
        self._system: System | None = None
        self._registered: dict[str, AgentHost] = {}
        self._reference: dict[str, AgentHost] = {}
        self._hosting = asyncio.Lock()
        self.settings = settings

    async def open(self) -> None:
        """Connect to the configured server or to the system on the data folder; else start everything in here."""
        found = self._known
        if not found.nats_url and (access := running(found.data)):
            found = access.applied(found)
        if not found.nats_url:
            self._system = await self._stack.enter_async_context(embedded(found, services=CORE))
            found = self._system.settings
        self.settings = found
        self.client = await self._stack.enter_async_context(Client.connect(settings=found, actor="orchestrator"))

    async def close(self) -> None:
        """Let agents leave, and end what was started in here."""
        hosts = [*self._registered.values(), *self._reference.values()]
        await asyncio.gather(*(host.stop(GRACE) for host in hosts))
        await self._stack.aclose()

    async def register(self, agent: Agent) -> None:
        """Let an agent work; reference agents make room for it."""
        async with self._hosting:
            if earlier := self._registered.pop(agent.name, None):
                await earlier.stop(GRACE)
            await self._make_room(agent)
            self._registered[agent.name] = await self._host(agent)

    async def staff(self) -> None:
        """See to it that somebody can do what the templates ask for: reference agents do what nobody registered for."""
        if self._system is None:
            return  # a system that others run has agents of its own
        async with self._hosting:
            taken = {name for host in self._registered.values() for name in host.agents[0].capabilities}
            for agent in reference_agents(self.settings):
                if agent.name not in self._reference and not taken.issuperset(agent.capabilities):
                    self._reference[agent.name] = await self._host(agent)

    async def _host(self, agent: Agent) -> AgentHost:
        return await AgentHost([agent], settings=self.settings, nc=self.client.nc, grace=GRACE).start()

    async def _make_room(self, agent: Agent) -> None:
        wanted = set(agent.capabilities)
        for name in self._crowded_out(wanted, agent.name):
            await self._reference.pop(name).stop(GRACE)

    def _crowded_out(self, wanted: Iterable[str], name: str) -> list[str]:
        hosts = self._reference.items()
        return [one for one, host in hosts if one == name or set(wanted).issuperset(host.agents[0].capabilities)]
