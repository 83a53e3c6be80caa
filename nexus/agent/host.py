"""Where agents live: one process, one connection, any number of agents."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from prometheus_client import CollectorRegistry

from nexus.agent.agent import Agent
from nexus.agent.artifacts import Artifacts
from nexus.agent.desk import Desk
from nexus.agent.outbox import Outbox
from nexus.agent.presence import Presence
from nexus.connection import CannotConnect, connect
from shared import telemetry
from shared.deadletters import DeadLetters
from shared.delivery import Settlement
from shared.inflow import Inflow, InflowSpec
from shared.metrics import Meter
from shared.publisher import Publisher
from shared.settings import Settings
from shared.streams import TASKS

GRACE = 30.0
"""Seconds that a stopping agent has to finish what is in hand."""
FLUSH = 5
PATIENCE = 600.0  # an agent may be started before everything else

log = logging.getLogger("nexus.agent")


class _Place:
    """One agent at work."""

    def __init__(self, nc: Client, agent: Agent, outbox: Outbox, settlement: Settlement, meter: Meter, beat: float):
        self._nc, self.agent = nc, agent
        self.desk = Desk(agent, outbox, Artifacts(nc))
        self.presence = Presence(nc, self.desk, interval=beat)
        spec = InflowSpec(TASKS, f"agent-{agent.name}", [f"nexus.tasks.{agent.name}"], self.desk.take)
        self.inflow = Inflow(nc, spec, settlement, meter)

    async def start(self, endpoint: str | None) -> None:
        telemetry.setup(f"agent-{self.agent.name}", endpoint)
        await self._forget()
        self.inflow.start()
        await self.presence.start()

    async def _forget(self) -> None:
        """Drop what was meant for an earlier run of this agent: its leases end when this one says hello."""
        try:
            await self._nc.jetstream().purge_stream(TASKS, subject=f"nexus.tasks.{self.agent.name}")
        except (NatsError, JetStreamError, TimeoutError) as error:
            log.info("agent %s: old assignments, if any, stay: %r", self.agent.name, error)

    async def finish(self, grace: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        await self.presence.drain()
        await self.desk.idle(grace)
        await self.inflow.stop()
        await self.desk.idle(max(0.0, deadline - loop.time()))
        await self.desk.close()


class AgentHost:
    """Runs agents until it is told to stop; then they finish what they have in hand, and leave."""

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        settings: Settings | None = None,
        nc: Client | None = None,
        beat: float | None = None,
        grace: float = GRACE,
        patience: float = PATIENCE,
        registry: CollectorRegistry | None = None,
    ) -> None:
        """`nc`: a connection to share, and left open; `beat`: seconds between signs of life."""
        self.agents = tuple(agents)
        for agent in self.agents:
            agent.check()
        if len({agent.name for agent in self.agents}) < len(self.agents):
            raise ValueError("two of these agents have the same name")
        self._settings, self._nc, self._own = settings, nc, nc is None
        self._beat, self._grace, self._patience = beat, grace, patience
        self._meter = Meter(registry)
        self._places: list[_Place] = []
        self._outbox: Outbox | None = None

    async def start(self, url: str | None = None) -> Self:
        """Connect and begin to work."""
        settings = self._settings or Settings.load()
        if self._nc is None:
            names = ", ".join(agent.name for agent in self.agents)
            self._nc = await connect(url, settings, name=f"nexus agents: {names}", patience=self._patience)
        try:
            await self._start(self._nc, settings)
        except BaseException:
            await self.stop(grace=0)
            raise
        return self

    async def _start(self, nc: Client, settings: Settings) -> None:
        self._outbox = Outbox(nc)
        await self._outbox.start()
        settlement = Settlement(nc, DeadLetters(Publisher(nc)), self._meter)
        beat = self._beat or settings.agent_beat
        for agent in self.agents:
            place = _Place(nc, agent, self._outbox, settlement, self._meter, beat)
            self._places.append(place)
            # In a task of its own: what it traces is told under the agent's own name.
            await asyncio.create_task(place.start(settings.otlp_endpoint))

    async def stop(self, grace: float | None = None) -> None:
        """Take no further work, finish what is in hand within `grace` seconds, say bye."""
        grace = self._grace if grace is None else grace
        await asyncio.gather(*(place.finish(grace) for place in self._places))
        if self._outbox:
            await self._outbox.flush(FLUSH)
            await self._outbox.stop()
        for place in self._places:
            await place.presence.stop()
            await asyncio.to_thread(telemetry.shutdown, f"agent-{place.agent.name}")
        self._places, self._outbox = [], None
        if self._nc and self._own:
            nc, self._nc = self._nc, None
            if nc.is_connected:
                with suppress(NatsError, TimeoutError):  # a server that says nothing any more keeps nobody
                    await nc.flush(FLUSH)
            await nc.close()

    def trouble(self) -> str:
        """Return why assignments do not reach an agent; empty if they do."""
        if not self._places:
            return "not started"
        found = ((place.agent.name, place.inflow.trouble()) for place in self._places)
        return "; ".join(f"{name}: {trouble}" for name, trouble in found if trouble)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def run(self, url: str | None = None) -> None:
        """Work until SIGTERM or SIGINT; then finish what is in hand and leave."""
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, asked.set)
                stack.callback(loop.remove_signal_handler, number)
            if not await self._started(url, asked):
                return
            stack.push_async_callback(self.stop)
            await asked.wait()

    async def _started(self, url: str | None, asked: asyncio.Event) -> bool:
        """Start, unless this is asked to stop first: there may be no server for a long time."""
        starting, stopping = asyncio.create_task(self.start(url)), asyncio.create_task(asked.wait())
        try:
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                return True
            return False
        finally:
            stopping.cancel()
            starting.cancel()
            await asyncio.wait((starting, stopping))


async def run_agents(agents: Iterable[Agent], url: str | None = None, **options: Any) -> None:
    """Run several agents on one connection until SIGTERM or SIGINT."""
    await AgentHost(agents, **options).run(url)


def run(*agents: Agent, url: str | None = None, **options: Any) -> None:
    """Be the main program of some agents."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(run_agents(agents, url, **options))
        except CannotConnect as error:
            sys.exit(str(error))


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
