"""Who is there: agents as the resource manager knows them, and as they say themselves. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_jsonable_python

from contracts import resource_manager
from contracts.agents import Beat, Running
from contracts.base import Event

PRESENT = ("ready", "busy", "draining")
GONE = ("lost", "left")
MISSED = 3  # beats after which an agent counts as lost


@dataclass
class AgentView:
    """One agent."""

    name: str
    status: str = "unknown"
    """ready, busy, draining, silent (no beat in time), lost, left."""
    instance: str = ""
    capabilities: tuple[str, ...] = ()
    slots: int = 1
    interval: float = 2.0
    joined_at: datetime | None = None
    last_seen: datetime | None = None
    running: tuple[Running, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        found: dict[str, Any] = to_jsonable_python(self)
        return found


@dataclass
class AgentsView:
    """All agents."""

    agents: dict[str, AgentView] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    """Agents that were sent home, whatever they say themselves."""

    def apply(self, event: Event) -> None:
        """Let a fact of the resource manager take effect."""
        match event:
            case resource_manager.AgentJoined():
                agent = self._agent(event.agent)
                self.drained.discard(event.agent)
                agent.status, agent.instance, agent.joined_at = "ready", event.instance, event.at
                agent.capabilities, agent.slots, agent.interval = event.capabilities, event.slots, event.beat
            case resource_manager.AgentDrained():
                self.drained.add(event.agent)
                self._agent(event.agent).status = "draining"
            case resource_manager.AgentLost():
                self._agent(event.agent).status = "lost"
            case resource_manager.AgentLeft():
                self._agent(event.agent).status = "left"

    def hear(self, kind: str, beat: Beat, when: datetime | None, now: datetime) -> None:
        """Take a sign of life; the last one of an agent counts. One that does not say when proves nobody alive."""
        agent, at = self._agent(beat.agent), when or now
        if when is None and agent.status in GONE:
            return
        if agent.last_seen and at < agent.last_seen:
            return
        agent.last_seen, agent.instance, agent.running = at, beat.instance, beat.running
        agent.capabilities, agent.slots, agent.interval = beat.capabilities, beat.slots, beat.interval
        if kind == "bye":
            agent.status, agent.running = "left", ()
        elif now - at > timedelta(seconds=MISSED * beat.interval):
            agent.status = "lost" if agent.status == "lost" else "silent"
        elif beat.draining or beat.agent in self.drained:
            agent.status = "draining"
        else:
            agent.status = "busy" if beat.running else "ready"

    def miss(self) -> None:
        """Count those of whom there is no sign of life at all as silent."""
        for agent in self.agents.values():
            if agent.last_seen is None and agent.status in PRESENT:
                agent.status = "silent"

    def _agent(self, name: str) -> AgentView:
        return self.agents.setdefault(name, AgentView(name))
