"""A small domain for the tests of `shared`: orders of a bakery. Its topics belong to no service of ours."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from contracts.base import Event
from shared.domain import Aggregate, DomainError, NotYet
from shared.records import Record

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Crust(StrEnum):
    SOFT = "soft"
    HARD = "hard"


class OrderPlaced(Event):
    """Somebody wants bread."""

    TOPIC = "bakery.order.order_placed"

    customer: str
    crust: Crust = Crust.SOFT
    due: datetime | None = None


class LoafAdded(Event):
    """One more loaf is wanted."""

    TOPIC = "bakery.order.loaf_added"

    flour: str
    grams: int = 500


class OrderBaked(Event):
    """The bread is ready."""

    TOPIC = "bakery.order.order_baked"


class AlreadyBaked(DomainError):
    """Nothing can be added to bread that is baked."""

    code = "already_baked"


class NotPlaced(NotYet):
    """There is no such order yet."""


@dataclass
class Order(Aggregate):
    """An order of bread."""

    TOPIC = "bakery.order"

    customer: str = ""
    crust: Crust = Crust.SOFT
    due: datetime | None = None
    loaves: list[tuple[str, int]] = field(default_factory=list)
    baked: bool = False

    def place(self, customer: str, crust: Crust = Crust.SOFT, due: datetime | None = None) -> None:
        if not self.customer:
            self.record(OrderPlaced(at=NOON, customer=customer, crust=crust, due=due))

    def add(self, flour: str, grams: int = 500) -> int:
        if not self.customer:
            raise NotPlaced(self.id)
        if self.baked:
            raise AlreadyBaked(self.id)
        self.record(LoafAdded(at=NOON, flour=flour, grams=grams))
        return len(self.loaves)

    def bake(self) -> None:
        if not self.baked:
            self.record(OrderBaked(at=NOON))

    def apply_order_placed(self, event: OrderPlaced) -> None:
        self.customer, self.crust, self.due = event.customer, event.crust, event.due

    def apply_loaf_added(self, event: LoafAdded) -> None:
        self.loaves.append((event.flour, event.grams))

    def apply_order_baked(self, _: OrderBaked) -> None:
        self.baked = True


def record(
    key: str,
    version: int = 1,
    *,
    name: str = "loaf_added",
    identity: str = "",
    project: str | None = None,
    state: bytes = b"",
) -> Record:
    """One event on its way into the log, with an id that says what it is."""
    return Record(
        originator_id=key,
        originator_version=version,
        topic=f"bakery.order.{name}",
        state=state or b'{"data":{"at":"2026-03-01T12:00:00Z","flour":"rye"}}',
        id=identity or f"{key}-{version}",
        project=project,
    )
