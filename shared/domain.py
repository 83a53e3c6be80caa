"""The house base for aggregates. Pure: no I/O, no clock, no randomness.

DomainError         a decision was refused; asking again will not help
└── NotYet          … was refused for now; time may cure it
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from contracts.base import EVENTS, Event


class DomainError(Exception):
    """A decision was refused. Asking again will not help."""

    code: str = "refused"
    """A word for programs, such as `unknown_template`."""


class NotYet(DomainError):
    """A decision was refused for now: the message may have overtaken another one."""

    code = "not_yet"


@dataclass
class Aggregate:
    """Something that decides. Its fields are its whole state, and only facts (`apply_<event name>`) change them.

    Decisions are imperative methods: they refuse (`DomainError`), keep silent, or `record` one fact.
    """

    TOPIC: ClassVar[str] = ""
    """Prefix of its events' topics, `<service>.<aggregate>`."""
    FOLD: ClassVar[int] = 1
    """Version of the fold. Raise it when `apply_…` methods or fields change: older snapshots are then not used."""
    KEY_IS_PROJECT: ClassVar[bool] = False
    """Whether the aggregate's id is the id of the project that its events belong to."""

    id: str
    version: int = 0
    """How many events made it what it is."""
    causes: dict[str, int] = field(default_factory=dict)
    """What has had its effect already: idempotency key -> the version that it produced."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.TOPIC:
            _demand_folds(cls)

    def __post_init__(self) -> None:
        self._pending: list[Event] = []

    def record(self, event: Event) -> None:
        """State a fact: it takes effect at once and waits to be stored."""
        # Pending first: if applying fails half-way, the state is seen to be dirty.
        self._pending.append(event)
        self.apply(event)

    def apply(self, event: Event) -> None:
        """Let a fact take effect."""
        self.version += 1
        getattr(self, f"apply_{event.NAME}")(event)

    @property
    def pending(self) -> tuple[Event, ...]:
        """Facts that wait to be stored."""
        return tuple(self._pending)

    def collect_events(self) -> list[Event]:
        """Hand over the facts that wait to be stored."""
        events, self._pending = self._pending, []
        return events


def _demand_folds(cls: type[Aggregate]) -> None:
    names = [event.NAME for topic, event in EVENTS.items() if topic.startswith(f"{cls.TOPIC}.")]
    missing = [name for name in names if not callable(getattr(cls, f"apply_{name}", None))]
    if missing:
        raise TypeError(f"{cls.__name__} does not say what becomes of it after: {', '.join(sorted(missing))}")
