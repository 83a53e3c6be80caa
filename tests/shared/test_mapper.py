from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import Event
from contracts.envelope import CloudEvent, decode, encode
from shared.mapper import EventMapper, Origin, UnreadableEvent, typed
from shared.records import Logged, Record
from tests.shared.bakery import NOON, Crust, LoafAdded, OrderBaked, OrderPlaced

mapper = EventMapper()
ORIGIN = Origin(causationid="c-1", correlationid="p-1", traceparent="00-a-b-01", actor="ada", once="key-1")


class TablePrepared(Event):
    """Was `seats: int` once, then `chairs`, and is `places` today."""

    TOPIC = "bakery.table.table_prepared"
    VERSION = 3

    places: int
    cloth: str = "white"

    @classmethod
    def upcast_v1_v2(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {"at": data["at"], "chairs": data["seats"]}

    @classmethod
    def upcast_v2_v3(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {"at": data["at"], "places": data["chairs"]}


class TableCleared(Event):
    """Nobody wrote how to read its first version."""

    TOPIC = "bakery.table.table_cleared"
    VERSION = 2


class BreadSent(Event):
    """Belongs to a project, whatever aggregate states it."""

    TOPIC = "bakery.cart.bread_sent"

    project: str


def logged(record: Record, sequence: int = 7) -> Logged:
    return Logged(
        record.originator_id,
        record.originator_version,
        record.topic,
        record.state,
        sequence,
        record.id,
        f"nexus.events.bakery.{record.originator_id}.{record.topic.rpartition('.')[2]}",
    )


def stored(topic: str, envelope: str) -> Logged:
    return Logged("o-1", 1, topic, envelope.encode(), 7, "id", "nexus.events.bakery.o-1.x")


def test_an_event_is_a_cloud_event_in_the_log() -> None:
    record = mapper.to_record(OrderPlaced(at=NOON, customer="Ada"), "o-1", 3, ORIGIN)

    ce = decode(record.state)

    assert ce == CloudEvent(
        id=record.id,
        type="nexus.bakery.order_placed",
        source="nexus/bakery",
        subject="o-1",
        time=NOON,
        data={"at": "2026-03-01T12:00:00Z", "customer": "Ada"},
        causationid="c-1",
        correlationid="p-1",
        traceparent="00-a-b-01",
        sequence="0000000003",
        actor="ada",
        idempotencykey="key-1",
    )
    assert len(record.id) == 32
    assert (record.originator_id, record.originator_version, record.topic) == ("o-1", 3, "bakery.order.order_placed")
    assert record.traceparent == "00-a-b-01"


def test_it_is_written_as_everybody_writes_it() -> None:
    """The fast way to write an envelope and the general one agree byte for byte."""
    record = mapper.to_record(OrderPlaced(at=NOON, customer="Ada", crust=Crust.HARD), "o-1", 3, ORIGIN)

    assert decode(encode(decode(record.state))) == decode(record.state)


def test_defaults_take_no_room() -> None:
    assert b"crust" not in mapper.to_record(OrderPlaced(at=NOON, customer="Ada"), "o-1", 1).state


def test_the_project_is_named_where_the_aggregate_is_not_the_project() -> None:
    sent = BreadSent(at=NOON, project="shop-1")

    record = mapper.to_record(sent, "cart-1", 1)

    assert record.project == "shop-1"
    assert decode(record.state).project == "shop-1"


def test_the_project_is_not_named_twice_where_it_is_the_aggregate() -> None:
    record = EventMapper(key_is_project=True).to_record(OrderBaked(at=NOON), "shop-1", 1)

    assert record.project is None
    assert decode(record.state).project == "shop-1"
    assert EventMapper(key_is_project=True).to_record(BreadSent(at=NOON, project="x"), "x", 1).project is None


def test_an_origin_is_taken_from_the_message_that_caused_it() -> None:
    ce = CloudEvent(
        id="c-9", type="t", source="s", subject="", data={}, project="shop-1", traceparent="00", actor="ada"
    )

    assert Origin.of(ce) == Origin("c-9", "shop-1", "00", "ada", None)
    assert Origin.of(ce, once=True).once == "c-9"
    ce.idempotencykey, ce.correlationid = "key", "corr"
    assert Origin.of(ce, once=True) == Origin("c-9", "corr", "00", "ada", "key")


@given(
    customer=st.text(),
    crust=st.sampled_from(Crust),
    due=st.none() | st.datetimes(timezones=st.just(UTC)),
    version=st.integers(1, 10**9),
    once=st.none() | st.text(min_size=1),
)
def test_what_is_written_is_what_is_read(
    customer: str, crust: Crust, due: datetime | None, version: int, once: str | None
) -> None:
    event = OrderPlaced(at=NOON, customer=customer, crust=crust, due=due)

    record = mapper.to_record(event, "o-1", version, Origin(once=once))

    assert mapper.unpack(logged(record)) == (event, once)
    assert typed(record.topic, decode(record.state).data) == event


def test_unknown_fields_are_ignored() -> None:
    event = stored(
        "bakery.order.loaf_added", f'{{"new":1,"data":{{"at":"{NOON.isoformat()}","flour":"rye","salt":2}}}}'
    )

    assert mapper.to_event(event) == LoafAdded(at=NOON, flour="rye")


def test_an_unknown_topic_is_named_with_its_place() -> None:
    with pytest.raises(UnreadableEvent, match=r"unknown topic 'bakery.order.eaten' at sequence 7"):
        mapper.to_event(stored("bakery.order.eaten", "{}"))


@pytest.mark.parametrize(
    "envelope", ["", "[]", "{}", '{"data":{}}', '{"data":{"at":"noon","flour":"rye"}}', '{"data":null,"dataversion":2}']
)
def test_a_broken_event_is_named_with_its_place(envelope: str) -> None:
    with pytest.raises(UnreadableEvent, match=r"bakery.order.loaf_added at sequence 7"):
        mapper.to_event(stored("bakery.order.loaf_added", envelope))


def test_todays_version_travels_in_the_envelope() -> None:
    record = mapper.to_record(TablePrepared(at=NOON, places=4), "t-1", 1)

    assert decode(record.state).extensions == {"dataversion": 3}
    assert mapper.to_event(logged(record)) == TablePrepared(at=NOON, places=4)
    assert decode(mapper.to_record(OrderBaked(at=NOON), "o-1", 1).state).extensions == {}


@pytest.mark.parametrize(
    "envelope",
    [
        '{"data":{"at":"2026-03-01T12:00:00Z","seats":4}}',
        '{"dataversion":2,"data":{"at":"2026-03-01T12:00:00Z","chairs":4}}',
        '{"dataversion":3,"data":{"at":"2026-03-01T12:00:00Z","places":4}}',
    ],
)
def test_older_versions_are_read_as_todays(envelope: str) -> None:
    assert mapper.to_event(stored("bakery.table.table_prepared", envelope)) == TablePrepared(at=NOON, places=4)


def test_a_version_from_the_future_is_not_guessed_at() -> None:
    with pytest.raises(UnreadableEvent, match=r"has version 4; this program knows versions up to 3"):
        mapper.to_event(stored("bakery.table.table_prepared", '{"dataversion":4,"data":{}}'))
    with pytest.raises(UnreadableEvent, match=r"has version 2; this program knows versions up to 1"):
        mapper.to_event(stored("bakery.order.order_baked", f'{{"dataversion":2,"data":{{"at":"{NOON.isoformat()}"}}}}'))


def test_a_missing_upcast_is_named() -> None:
    with pytest.raises(UnreadableEvent, match=r"TableCleared lacks upcast_v1_v2"):
        mapper.to_event(stored("bakery.table.table_cleared", f'{{"data":{{"at":"{NOON.isoformat()}"}}}}'))
