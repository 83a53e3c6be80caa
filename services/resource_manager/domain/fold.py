"""What is remembered of a pool, and what each fact does to it. Facts never refuse."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from contracts.resource_manager import (
    AgentDrained,
    AgentJoined,
    AgentLeft,
    AgentLost,
    Capacity,
    CapacityChanged,
    CapacityLeased,
    CapacityQueued,
    Lease,
    LeaseExpired,
    LeaseReleased,
    LeaseRenewed,
    Queued,
    Rebalanced,
    ScalingAdvised,
)
from services.resource_manager.domain.ledger import Ledger
from services.resource_manager.domain.line import Line
from services.resource_manager.domain.state import Advice, Agent, Claim, parts
from shared.domain import Aggregate

REMEMBERED = 2000
"""Ended projects that are remembered, so that what is heard of them late counts no more."""


@dataclass
class PoolFold(Aggregate):
    """The state of a pool. What is held is the sum over its live leases: nothing else is ever booked."""

    TOPIC: ClassVar[str] = "resource_manager.pool"
    FOLD: ClassVar[int] = 1

    capacity: Capacity = field(default_factory=Capacity)
    configured: Capacity | None = None
    """What the settings said last; a command may have said otherwise since."""
    agents: dict[str, Agent] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    queue: dict[str, Queued] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    """Projects that have not ended."""
    ended: dict[str, int] = field(default_factory=dict)
    """Projects that have, and where in the log."""
    epoch: int = 0
    advised: dict[str, Advice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger = Ledger(self.leases.values())
        self.line = Line(self.queue.values())

    def apply_capacity_changed(self, event: CapacityChanged) -> None:
        self.capacity = event.capacity
        if event.by == "settings":
            self.configured = event.capacity

    def apply_agent_joined(self, event: AgentJoined) -> None:
        self.agents[event.agent] = Agent(
            event.agent,
            event.instance,
            event.capabilities,
            event.slots,
            event.capacity,
            event.beat,
            joined=event.at,
            idle_since=None if event.agent in self.ledger.accounts else event.at,
        )

    def apply_agent_drained(self, event: AgentDrained) -> None:
        if agent := self.agents.get(event.agent):
            agent.draining = True

    # The leases of an agent that is gone, or that started again, have expired by facts of their own.

    def apply_agent_lost(self, event: AgentLost) -> None:
        self.agents.pop(event.agent, None)

    def apply_agent_left(self, event: AgentLeft) -> None:
        self.agents.pop(event.agent, None)

    def apply_capacity_leased(self, event: CapacityLeased) -> None:
        claim = self._give_back(event.project, event.released, event.at)
        claim.holds = True
        for lease in event.leases:
            if self.queue.pop(lease.id, None):
                self.line.remove(lease.id)
            self._hear_of(claim, lease.id)
            self.leases[lease.id] = lease
            self.ledger.take(lease)
            self.epoch = max(self.epoch, lease.epoch)
            if agent := self.agents.get(lease.agent):
                agent.idle_since = None

    def apply_capacity_queued(self, event: CapacityQueued) -> None:
        claim = self._give_back(event.project, event.released, event.at)
        for queued in event.queued:
            if queued.request.id not in self.queue:  # else it waits for another reason now
                self._hear_of(claim, queued.request.id)
                self.line.add(queued)
            self.queue[queued.request.id] = queued

    def apply_lease_renewed(self, event: LeaseRenewed) -> None:
        until = {"until": event.until}
        for lease in event.leases:
            if held := self.leases.get(lease):
                self.leases[lease] = held.model_copy(update=until)

    def apply_lease_released(self, event: LeaseReleased) -> None:
        if not event.ended:
            self._give_back(event.project, event.leases, event.at)
            return
        self._end(event.leases, event.at)
        self.claims.pop(event.project, None)
        self.ended.pop(event.project, None)
        self.ended[event.project] = event.position
        if len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]

    def apply_lease_expired(self, event: LeaseExpired) -> None:
        self._end(event.leases, event.at)

    def apply_scaling_advised(self, event: ScalingAdvised) -> None:
        self.advised[event.capability] = Advice(event.at, event.agents)

    def apply_rebalanced(self, event: Rebalanced) -> None:
        """Say only what was preferred: the queue itself is put in order by each decision anew."""

    def _give_back(self, project: str, leases: Iterable[str], at: datetime) -> Claim:
        """End leases and requests, those included that have not been heard of: their requests then come too late."""
        self._end(leases, at)
        claim = self._claim(project)
        for lease in leases:
            self._hear_of(claim, lease)
        return claim

    def _end(self, leases: Iterable[str], at: datetime) -> None:
        for one in leases:
            if lease := self.leases.pop(one, None):
                if self.ledger.give_back(lease) and (agent := self.agents.get(lease.agent)):
                    agent.idle_since = at
            elif self.queue.pop(one, None):
                self.line.remove(one)

    def _claim(self, project: str) -> Claim:
        claim = self.claims.get(project)
        if claim is None:  # a project that had ended goes on: what it asked for before is still void
            claim = self.claims[project] = Claim(after=self.ended.pop(project, -1))
        return claim

    @staticmethod
    def _hear_of(claim: Claim, lease: str) -> None:
        _, task, attempt = parts(lease)
        if attempt > claim.attempts.get(task, 0):
            claim.attempts[task] = attempt
