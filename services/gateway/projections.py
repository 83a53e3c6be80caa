"""What the gateway keeps at hand so that lists are answered at once: projects, protocols, alerts."""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import dropwhile, islice

from contracts.base import Event
from contracts.coordinator import ProtocolDefined, ProtocolRetired
from contracts.metrics import AlertRaised, AlertResolved
from contracts.work import ProtocolConfig
from nexus.history import Entry
from nexus.project_list import FILTERS, ProjectList, ProjectSummary
from shared.eventlog import EventLog
from shared.projection import Projection
from shared.records import Logged

OTHERS: tuple[type[Event], ...] = (ProtocolDefined, ProtocolRetired, AlertRaised, AlertResolved)
HEARD = (*FILTERS, *(f"nexus.events.{kind.SERVICE}.*.{kind.NAME}" for kind in OTHERS))


@dataclass(frozen=True, slots=True)
class DefinedProtocol:
    """A protocol that projects may use."""

    id: str
    name: str
    config: ProtocolConfig
    at: datetime


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert that holds."""

    rule: str
    summary: str
    value: float
    threshold: float
    since: datetime


@dataclass
class Board:
    """Lists of what there is."""

    projects: ProjectList = field(default_factory=ProjectList)
    protocols: dict[str, DefinedProtocol] = field(default_factory=dict)
    alerts: dict[str, RaisedAlert] = field(default_factory=dict)

    def apply(self, key: str, project: str | None, event: Event) -> None:
        """Let an event take effect; `key` is the aggregate that stated it."""
        match event:
            case ProtocolDefined():
                self.protocols[key] = DefinedProtocol(key, event.name, event.config, event.at)
            case ProtocolRetired():
                self.protocols.pop(key, None)
            case AlertRaised():
                self.alerts[event.rule] = RaisedAlert(event.rule, event.summary, event.value, event.threshold, event.at)
            case AlertResolved():
                self.alerts.pop(event.rule, None)
            case _ if project:
                self.projects.apply(project, event)

    def page(
        self, statuses: frozenset[str], limit: int, cursor: str | None
    ) -> tuple[list[ProjectSummary], int, str | None]:
        """Return projects of these statuses (all, if none is named), newest first; their number; the next cursor.

        The cursor is the last project of the page before: it marks its place even if its status has changed since.
        """
        newest = list(reversed(self.projects.projects.values()))
        rest = iter(newest) if cursor is None else islice(dropwhile(lambda one: one.id != cursor, newest), 1, None)
        found = [one for one in rest if not statuses or one.status in statuses]
        total = sum(not statuses or one.status in statuses for one in newest)
        return found[:limit], total, found[limit - 1].id if len(found) > limit else None


def follow(log: EventLog) -> Projection[Board]:
    """Return the board as a projection; what today's code does not know is passed over."""
    return Projection(log, "board", Board, _fold, filters=HEARD)


def _fold(board: Board, logged: Logged) -> Board:
    entry = Entry(logged)
    if entry.event is not None:
        board.apply(logged.key, entry.project, entry.event)
    return board
