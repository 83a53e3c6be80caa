"""Listens to the agents' signs of life and tells the pool who came, who changed, and who is gone.

A plain subscription hears them: it outlives restarts of the server, and each replica of this service hears everybody.
What was said before it began is read from the stream, which keeps the last message of each kind.
"""

import logging
import time
from datetime import datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from contracts.agents import Beat
from contracts.envelope import Malformed, decode
from services.resource_manager.allocator import Allocator, now
from services.resource_manager.gauges import Gauges
from services.resource_manager.presence import MISSED, SLACK, Presence
from shared.delivery import OUTAGE
from shared.edge import inbox_prefix
from shared.streams import AGENTS

SUBJECTS = "nexus.agents.*.*"
LIMIT = 2.0
"""Seconds to wait for the server."""

log = logging.getLogger(__name__)


class Watch:
    """What the agents say, and who says nothing."""

    def __init__(self, nc: Client, allocator: Allocator, gauges: Gauges) -> None:
        self._nc, self._allocator, self._gauges = nc, allocator, gauges
        self._presence = Presence(time.monotonic())
        self._looks: dict[str, Beat] = {}
        """Agent to what it said of itself when it was last greeted; beats that say the same need no decision."""
        self._complained: set[str] = set()
        self._subscription: Subscription | None = None
        self._reconnects = 0

    async def start(self) -> None:
        """Begin to listen, and catch up on what was said before."""
        self._subscription = await self._nc.subscribe(SUBJECTS, cb=self._hear)
        self._reconnects = self._nc.stats["reconnects"]
        await self._catch_up()

    async def stop(self) -> None:
        """Listen no more."""
        if self._subscription and not self._nc.is_closed:
            await self._subscription.unsubscribe()

    async def _catch_up(self) -> None:
        """Hear the last message of each kind from each agent, in the order in which they were sent."""
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=AckPolicy.NONE,
            filter_subject=SUBJECTS,
            inactive_threshold=30.0,
            mem_storage=True,
        )
        try:
            js, prefix = self._nc.jetstream(timeout=LIMIT), inbox_prefix(self._nc)
            past = await js.pull_subscribe(SUBJECTS, stream=AGENTS, config=config, inbox_prefix=prefix)
            left = (await past.consumer_info()).num_pending or 0
            while left > 0:
                for msg in await past.fetch(min(left, 200), timeout=LIMIT):
                    await self._hear(msg, msg.metadata.timestamp)
                    left -= 1
            await past.unsubscribe()
        except (NatsError, TimeoutError) as reason:
            log.info("what agents said before is not known, they will say it again: %r", reason)

    async def _hear(self, msg: Msg, stored: datetime | None = None) -> None:
        _, _, agent, kind = msg.subject.split(".")
        try:
            said = _understood(msg, agent, kind)
        except ValueError as reason:
            self._gauges.unreadable()
            self._complain(agent, f"its {kind} cannot be understood: {reason}")
            return
        try:
            if isinstance(said, Beat):
                await self._greet(said, stored)
            else:
                await self._part(agent, said)
        except OUTAGE as reason:
            log.warning("agent %s is not noticed now, it will be with its next beat: %r", agent, reason)

    async def _greet(self, beat: Beat, stored: datetime | None) -> None:
        known = self._looks.get(beat.agent)
        look = beat.model_copy(update={"running": ()})
        if stored and known is None and (now() - stored).total_seconds() > (MISSED + SLACK) * beat.interval:
            return  # long gone; if not, it will say so
        self._presence.heard(beat.agent, time.monotonic(), now())
        if look == known:
            return
        await self._allocator.state(lambda pool: pool.greet(beat, now()))
        if await self._allocator.see(lambda pool: beat.agent in pool.agents):
            self._looks[beat.agent] = look
            self._complained.discard(beat.agent)
            await self._allocator.look_again()
        else:
            self._gauges.turned_away()
            self._complain(beat.agent, "it cannot join: the pool has as many agents as nexus.max_agents allows")

    async def _part(self, agent: str, instance: str | None) -> None:
        await self._allocator.state(lambda pool: pool.part(agent, instance, now()))
        if not await self._allocator.see(lambda pool: agent in pool.agents):
            self._looks.pop(agent, None)
            self._presence.forget(agent)
            await self._allocator.look_again()

    def _complain(self, agent: str, reason: str) -> None:
        if agent not in self._complained:
            self._complained.add(agent)
            log.warning("agent %s: %s", agent, reason)

    async def seek_silent(self) -> None:
        """Give up agents that missed three signs of life, provided that we would have heard them."""
        if self._nc.stats["reconnects"] != self._reconnects:
            self._reconnects = self._nc.stats["reconnects"]
            self._presence.begin_again(time.monotonic())
            await self._catch_up()
        if not await self._silent() or self._unheard():
            return
        try:  # what the server has for us arrives before its answer does
            await self._nc.flush(timeout=1)
        except (NatsError, TimeoutError):
            self.excuse()
            return
        if (silent := await self._silent()) and not self._unheard():
            for agent in silent:
                self._looks.pop(agent, None)
                self._presence.forget(agent)
                log.warning("agent %s is lost: three signs of life are missing", agent)
            await self._allocator.state(lambda pool: pool.lose(silent, now()))
            await self._allocator.look_again()

    def excuse(self) -> None:
        """Count nobody's silence until now: we could not have heard."""
        self._presence.begin_again(time.monotonic())

    def _unheard(self) -> bool:
        """Whether messages have arrived that nobody has looked at yet."""
        return self._subscription is not None and self._subscription.pending_msgs > 0

    async def _silent(self) -> dict[str, datetime | None]:
        intervals = await self.intervals()
        for agent in self._looks.keys() - intervals.keys():  # a replica gave it up: let it join again
            del self._looks[agent]
        return self._presence.silent(intervals, time.monotonic())

    async def intervals(self) -> dict[str, float]:
        """Return the agents of the pool and the seconds between their signs of life."""
        return await self._allocator.see(lambda pool: {agent.id: agent.beat for agent in pool.agents.values()})


def _understood(msg: Msg, agent: str, kind: str) -> Beat | str | None:
    """Return a sign of life, or of a goodbye the instance that says it, if it says which."""
    data = decode(msg.data, msg.headers, subject=msg.subject, position=0).data
    if not isinstance(data, dict):
        raise Malformed(f"{msg.subject}: expected an object, not {data!r}")
    if kind == "bye":
        instance = data.get("instance")
        return instance if isinstance(instance, str) else None
    return Beat.model_validate({**data, "agent": agent})
