"""Who holds how much: the books that follow the leases, and the room that they leave."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from contracts.resource_manager import Capacity, Lease
from services.resource_manager.domain.amounts import Amounts, Limits, amounts, lacking, own_limits, pool_limits
from services.resource_manager.domain.state import Agent


@dataclass(slots=True)
class Account:
    """What is held of one agent."""

    slots: int = 0
    held: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    projects: dict[str, int] = field(default_factory=dict)
    """Project to the number of its leases."""


class Ledger:
    """The sums over all live leases, kept as they come and go."""

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self.held = [0, 0, 0, 0]
        self.accounts: dict[str, Account] = {}
        for lease in leases:
            self.take(lease)

    def take(self, lease: Lease) -> None:
        """Enter a lease."""
        account = self.accounts.setdefault(lease.agent, Account())
        account.slots += lease.demand.slots
        account.projects[lease.project] = account.projects.get(lease.project, 0) + 1
        for n, amount in enumerate(amounts(lease.demand)):
            if amount:
                self.held[n] += amount
                account.held[n] += amount

    def give_back(self, lease: Lease) -> bool:
        """Strike a lease out; tell whether its agent now holds none."""
        account = self.accounts[lease.agent]
        account.slots -= lease.demand.slots
        account.projects[lease.project] -= 1
        if not account.projects[lease.project]:
            del account.projects[lease.project]
        for n, amount in enumerate(amounts(lease.demand)):
            if amount:
                self.held[n] -= amount
                account.held[n] -= amount
        if not account.projects:
            del self.accounts[lease.agent]
            return True
        return False


@dataclass(slots=True)
class Seats:
    """One agent as a plan sees it: what it has, and what would be held of it."""

    id: str
    capabilities: tuple[str, ...]
    slots: int
    limits: Limits
    used: int
    held: list[int]
    projects: dict[str, int]

    @property
    def free(self) -> int:
        """Slots that can still be had."""
        return self.slots - self.used

    def suits(self, capability: str, chosen: tuple[str, ...]) -> bool:
        """Tell whether it has the capability and is among the chosen, by its id or a capability; none means all."""
        if capability not in self.capabilities:
            return False
        return not chosen or self.id in chosen or any(own in chosen for own in self.capabilities)

    def could(self, slots: int, needs: Amounts) -> bool:
        """Tell whether it could do this if it had nothing else to do."""
        return slots <= self.slots and lacking(needs, [0, 0, 0, 0], self.limits) is None

    def fits(self, slots: int, needs: Amounts) -> bool:
        """Tell whether it can do this now."""
        return slots <= self.slots - self.used and lacking(needs, self.held, self.limits) is None

    def shift(self, project: str, slots: int, needs: Amounts, sign: int) -> None:
        """Count with one lease more or less."""
        self.used += sign * slots
        self.projects[project] = self.projects.get(project, 0) + sign
        for n in range(4):
            self.held[n] += sign * needs[n]


class Room:
    """What a pool still has to give, while a plan is being made: a copy that may be filled and emptied."""

    def __init__(
        self, capacity: Capacity, agents: Mapping[str, Agent], ledger: Ledger, projects: Iterable[str]
    ) -> None:
        self.limits = pool_limits(capacity)
        self.held = list(ledger.held)
        self.most_projects = capacity.projects
        self.projects: dict[str, int | None] = dict.fromkeys(projects)
        """Project to the number of leases that are planned for it; None: it counts anyway."""
        nobody = Account()
        self.seats = {
            agent.id: _seats(agent, ledger.accounts.get(agent.id, nobody))
            for agent in agents.values()
            if not agent.draining
        }
        self.kept: set[int | str] = set()
        """Dimensions and agents kept free for somebody who has waited too long."""

    def leave(self, lease: Lease, sign: int = -1) -> None:
        """Count with a lease no more; with `sign` 1, count with it again."""
        needs = amounts(lease.demand)
        self.shift(needs, sign)
        if seats := self.seats.get(lease.agent):
            seats.shift(lease.project, lease.demand.slots, needs, sign)

    def shift(self, needs: Amounts, sign: int) -> None:
        """Count with more or less of the pool's amounts."""
        for n in range(4):
            self.held[n] += sign * needs[n]

    def forget_project(self, project: str) -> None:
        """Count with a project no more."""
        self.projects.pop(project, None)

    def admits(self, project: str) -> bool:
        """Tell whether the project may hold capacity."""
        return self.most_projects is None or project in self.projects or len(self.projects) < self.most_projects

    def lacking(self, needs: Amounts) -> int | None:
        """Return the first dimension of the pool that does not suffice; None if all do."""
        for n in range(4):
            if needs[n] and n in self.kept:
                return n
        return lacking(needs, self.held, self.limits)

    def reserve(self, project: str, needs: Amounts) -> None:
        """Set amounts of the pool apart for a lease."""
        self.shift(needs, 1)
        planned = self.projects.setdefault(project, 0)
        if planned is not None:
            self.projects[project] = planned + 1

    def unreserve(self, project: str, needs: Amounts) -> None:
        """Take a reservation back."""
        self.shift(needs, -1)
        planned = self.projects[project]
        if planned == 1:
            del self.projects[project]
        elif planned is not None:
            self.projects[project] = planned - 1


def _seats(agent: Agent, account: Account) -> Seats:
    return Seats(
        agent.id,
        agent.capabilities,
        agent.slots,
        own_limits(agent.capacity),
        account.slots,
        list(account.held),
        dict(account.projects),
    )
