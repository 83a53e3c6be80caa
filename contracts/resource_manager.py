"""What the resource manager is told and what it states: pools of capacity, agents, leases."""

from datetime import datetime
from typing import ClassVar

from pydantic import Field

from contracts.base import Command, Event, Message, Token
from contracts.coordinator import CapacityRequest
from contracts.work import Demand


class Capacity(Message):
    """What a pool has. Units as in `Demand`; None is no limit."""

    cpu: float | None = Field(None, ge=0)
    memory: float | None = Field(None, ge=0)
    disk: float | None = Field(None, ge=0)
    network: float | None = Field(None, ge=0)
    agents: int | None = Field(None, ge=0)
    """Most agents that may join."""
    projects: int | None = Field(None, ge=1)
    """Most projects that may hold capacity at one time."""


class Lease(Message):
    """The right of one task to hold capacity and an agent's slots, for a time."""

    id: Token | str
    """`<project>.<task>.<attempt>` of the request that it answers."""
    project: Token
    task: Token
    agent: Token
    demand: Demand = Demand()
    capabilities: tuple[Token, ...] = ()
    """What the agent can do: tells the coordinator which next task the lease may be carried over to."""
    epoch: int
    """Grows with every lease of the pool; a result with an older one is fenced off."""
    until: datetime
    """End of the lease; renewed while its agent is alive."""
    carry_until: datetime | None = None
    """Until when the coordinator may hand it to the project's next task without asking again."""


class Queued(Message):
    """A request that has to wait."""

    request: CapacityRequest
    reason: str
    """Named reason, such as `no_agent:frontend`, `cpu`, `slots`, `projects`."""
    since: datetime


class SetCapacity(Command):
    """Change what a pool has; fields left out stay as they are."""

    SUBJECT: ClassVar[str] = "nexus.commands.resource_manager.set_capacity"

    pool: Token = "default"
    capacity: Capacity


class DrainAgent(Command):
    """Give an agent no further work; what it has it may finish."""

    SUBJECT: ClassVar[str] = "nexus.commands.resource_manager.drain_agent"

    agent: Token
    pool: Token = "default"


class AgentJoined(Event):
    """An agent offers its slots."""

    TOPIC: ClassVar[str] = "resource_manager.pool.agent_joined"

    agent: Token
    instance: str
    """Tells one run of the agent from the next."""
    capabilities: tuple[Token, ...]
    slots: int = 1
    capacity: Demand | None = None
    """The agent's own limits beside its slots; None has none."""
    beat: float = 2.0
    """Seconds between its signs of life."""
    replaces: tuple[str, ...] = ()
    """Leases of the agent's earlier instance, expired by this."""


class AgentDrained(Event):
    """An agent takes no further work."""

    TOPIC: ClassVar[str] = "resource_manager.pool.agent_drained"

    agent: Token


class AgentLost(Event):
    """An agent missed three signs of life; its leases expire with it."""

    TOPIC: ClassVar[str] = "resource_manager.pool.agent_lost"

    agent: Token
    last_seen: datetime | None = None


class AgentLeft(Event):
    """An agent said goodbye."""

    TOPIC: ClassVar[str] = "resource_manager.pool.agent_left"

    agent: Token


class CapacityChanged(Event):
    """The pool has other limits now."""

    TOPIC: ClassVar[str] = "resource_manager.pool.capacity_changed"

    capacity: Capacity
    by: str = "command"
    """`command`, or `settings`: then it holds until a command or other settings say otherwise."""


class CapacityLeased(Event):
    """Requests of one project that were granted together. Topic token: the project."""

    TOPIC: ClassVar[str] = "resource_manager.pool.capacity_leased"

    project: Token
    leases: tuple[Lease, ...]
    released: tuple[str, ...] = ()
    """Leases and requests of the same project that ended in the same decision."""


class CapacityQueued(Event):
    """Requests of one project that have to wait, or wait for another reason now. Topic token: the project."""

    TOPIC: ClassVar[str] = "resource_manager.pool.capacity_queued"

    project: Token
    queued: tuple[Queued, ...]
    released: tuple[str, ...] = ()


class LeaseRenewed(Event):
    """Leases of living agents go on."""

    TOPIC: ClassVar[str] = "resource_manager.pool.lease_renewed"

    leases: tuple[str, ...]
    until: datetime


class LeaseReleased(Event):
    """Leases and requests of one project that ended because the coordinator said so. Topic token: the project."""

    TOPIC: ClassVar[str] = "resource_manager.pool.lease_released"

    project: Token
    leases: tuple[str, ...]
    ended: bool = False
    """The project has ended: everything of it is released."""
    position: int = 0
    """Where in the log its end stands: what was requested before that is void, however late it is heard."""


class LeaseExpired(Event):
    """Leases of one project that ended because their agent is gone. Topic token: the project."""

    TOPIC: ClassVar[str] = "resource_manager.pool.lease_expired"

    project: Token
    leases: tuple[str, ...]
    agent: Token
    reason: str
    """`agent_lost`, `agent_restarted` or `agent_left`."""


class ScalingAdvised(Event):
    """The queue would shrink with another number of agents."""

    TOPIC: ClassVar[str] = "resource_manager.pool.scaling_advised"

    capability: Token
    agents: int
    """How many agents more (positive) or fewer (negative)."""
    reason: str


class Rebalanced(Event):
    """Queued requests were ordered anew so that load spreads over the agents."""

    TOPIC: ClassVar[str] = "resource_manager.pool.rebalanced"

    moves: dict[str, str] = Field(default_factory=dict)
    """Request id to the agent now preferred."""
    reason: str = ""
