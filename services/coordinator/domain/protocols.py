"""Coordination protocols: which tasks may start now, and what a failure means. Each is pure, and stateless.

Others come as plug-ins: an entry point of the group `nexus.protocols` that names a class with these methods.
"""

from collections.abc import Iterable
from typing import Protocol as Interface

from services.coordinator.domain.state import BUSY, OPEN, Outlook
from shared.domain import DomainError


class UnknownProtocol(DomainError):
    """No protocol of that name is installed."""

    code = "unknown_protocol"


class Protocol(Interface):
    """A strategy for carrying out a plan."""

    def startable(self, outlook: Outlook, candidates: Iterable[str]) -> list[str]:
        """Return those tasks that may start now. `candidates` are those that what just happened may have freed."""

    def reroute(self, outlook: Outlook, task: str, routes: int) -> str | None:
        """Return the capability to try next when a task's attempts are used up; `routes` were taken already."""

    def stops(self, outlook: Outlook, task: str) -> bool:
        """Tell whether the final failure of the task stops the project and rolls back what is done."""

    def points_of_failure(self, outlook: Outlook, task: str) -> list[str]:
        """Return sync points that the final failure of the task reaches, so that another path may begin."""


class Asynchronous:
    """Whatever is ready runs; a failure is contained to what depends on it, the rest goes on."""

    def startable(self, outlook: Outlook, candidates: Iterable[str]) -> list[str]:
        """Every task whose dependencies are done, longest chain first."""
        rank = outlook.index.rank
        return sorted(filter(outlook.startable, candidates), key=lambda task: -rank[task])

    def reroute(self, outlook: Outlook, task: str, routes: int) -> str | None:
        """None: a failure stays where it is."""
        return None

    def stops(self, outlook: Outlook, task: str) -> bool:
        """Never: the rest goes on, degraded."""
        return False

    def points_of_failure(self, outlook: Outlook, task: str) -> list[str]:
        """None."""
        return []


class Synchronous(Asynchronous):
    """One task at a time in one total order; phases are barriers; a failure stops the line and rolls back."""

    def startable(self, outlook: Outlook, candidates: Iterable[str]) -> list[str]:
        """The first open task of the order, once nothing else is under way."""
        for task in outlook.index.total_order:
            status = outlook.status(task)
            if status in BUSY:
                return []
            if status in OPEN:
                return [task] if outlook.startable(task) else []
        return []

    def stops(self, outlook: Outlook, task: str) -> bool:
        """Always, unless the task is optional."""
        return not outlook.index.tasks[task].optional


class EventDriven(Asynchronous):
    """A task starts when the events that it waits for have arrived; a failure is routed to another agent or path."""

    def reroute(self, outlook: Outlook, task: str, routes: int) -> str | None:
        """The next alternative capability, if one is left."""
        alternatives = outlook.index.tasks[task].alternatives
        return alternatives[routes] if routes < len(alternatives) else None

    def points_of_failure(self, outlook: Outlook, task: str) -> list[str]:
        """`<task>_failed`: tasks that wait for it are the other path."""
        return [f"{task}_failed"] if f"{task}_failed" in outlook.index.waiters else []


PROTOCOLS: dict[str, Protocol] = {
    "asynchronous": Asynchronous(),
    "synchronous": Synchronous(),
    "event_driven": EventDriven(),
}


def protocol(name: str) -> Protocol:
    """Return the protocol of that name."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        known = ", ".join(sorted(PROTOCOLS))
        raise UnknownProtocol(f"there is no protocol {name!r}; installed are: {known}") from None
