"""Each command of the resource manager, and what it does about it."""

from contracts.base import Command
from contracts.resource_manager import DrainAgent, SetCapacity
from services.resource_manager.allocator import POOL, Allocator, now
from shared.domain import DomainError
from shared.outcomes import Accepted
from shared.repository import Origin
from shared.service import Handler


class UnknownPool(DomainError):
    """There is no such pool."""

    code = "unknown_pool"


class Handlers:
    """The resource manager's commands."""

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator

    def table(self) -> dict[type[Command], Handler]:
        """Return what handles which command."""
        return {SetCapacity: self.set_capacity, DrainAgent: self.drain_agent}

    async def set_capacity(self, cmd: SetCapacity, origin: Origin) -> Accepted:
        """Change what the pool has; what is leased stays leased."""
        _demand_known(cmd.pool)
        sequence = await self._allocator.state(lambda pool: pool.resize(cmd.capacity, now()), origin=origin)
        await self._allocator.look_again()
        return Accepted(sequence)

    async def drain_agent(self, cmd: DrainAgent, origin: Origin) -> Accepted:
        """Give an agent no further work."""
        _demand_known(cmd.pool)
        return Accepted(await self._allocator.state(lambda pool: pool.drain(cmd.agent, now()), origin=origin))


def _demand_known(pool: str) -> None:
    if pool != POOL:
        raise UnknownPool(f"there is no pool {pool!r}, only {POOL!r}")
