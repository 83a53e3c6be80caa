from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter

from shared.domain import Aggregate, DomainError, NotYet
from tests.shared.bakery import NOON, Crust, LoafAdded, NotPlaced, Order, OrderPlaced


def test_a_recorded_fact_takes_effect_and_waits_to_be_stored() -> None:
    order = Order("o-1")

    order.place("Ada", Crust.HARD)
    order.add("rye")

    assert (order.customer, order.crust, order.loaves, order.version) == ("Ada", Crust.HARD, [("rye", 500)], 2)
    assert [event.NAME for event in order.collect_events()] == ["order_placed", "loaf_added"]
    assert order.collect_events() == []


def test_an_applied_fact_does_not_wait_to_be_stored() -> None:
    order = Order("o-1")

    order.apply(OrderPlaced(at=NOON, customer="Ada"))

    assert (order.customer, order.version) == ("Ada", 1)
    assert order.collect_events() == []


def test_an_aggregate_must_say_what_becomes_of_it_after_each_of_its_events() -> None:
    with pytest.raises(TypeError, match=r"Forgetful does not say what becomes of it after: loaf_added, order_baked"):

        @dataclass
        class Forgetful(Aggregate):
            TOPIC = "bakery.order"

            def apply_order_placed(self, event: OrderPlaced) -> None: ...


def test_events_of_a_longer_name_belong_to_another_aggregate() -> None:
    @dataclass
    class Other(Aggregate):
        TOPIC = "bakery.ord"

    assert Other("x").version == 0


def test_a_fact_that_fails_half_way_is_seen_to_be_pending() -> None:
    class Picky(Order):
        def apply_loaf_added(self, event: LoafAdded) -> None:
            self.loaves.append((event.flour, 0))
            raise RuntimeError

    order = Picky("o-1", customer="Ada")
    with pytest.raises(RuntimeError):
        order.add("rye")

    assert len(order.collect_events()) == 1


def test_what_time_may_cure_is_a_refusal_too() -> None:
    with pytest.raises(DomainError) as refusal:
        Order("o-1").add("rye")

    assert isinstance(refusal.value, NotYet)
    assert (NotPlaced.code, DomainError.code) == ("not_yet", "refused")


def test_the_whole_state_becomes_json_and_back() -> None:
    order = Order("o-1")
    order.place("Ada", Crust.HARD, NOON)
    order.add("rye")
    order.causes["key"] = 2
    order.collect_events()

    again = TypeAdapter(Order).validate_json(TypeAdapter(Order).dump_json(order))

    assert again == order
    assert again.add("wheat") == 2
