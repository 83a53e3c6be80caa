import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import DomainError
from shared.memory import MemoryLog, MemorySnapshots, Shelf
from shared.records import Log, Logged
from shared.repository import AggregateNotFound, Origin, Repository
from tests.shared.bakery import AlreadyBaked, NotPlaced, Order
from tests.shared.conftest import Logs


class CountingLog(MemoryLog):
    """Counts what is asked of it, and loses appends when told to."""

    reads = 0
    losing = 0

    async def read(self, *args: Any, **kwargs: Any) -> list[Logged]:
        self.reads += 1
        return await super().read(*args, **kwargs)

    async def append(self, *args: Any, **kwargs: Any) -> int:
        if self.losing:
            self.losing -= 1
            raise OperationalError("nobody knows")
        return await super().append(*args, **kwargs)


@pytest.fixture
def orders(log: Log) -> Repository[Order]:
    return Repository(log, Order)


async def placed(orders: Repository[Order], key: str = "o-1") -> None:
    await orders.change(key, lambda order: order.place("Ada"), create=True)


async def test_a_decision_is_stored_and_read_back(orders: Repository[Order]) -> None:
    await placed(orders)

    change = await orders.change("o-1", lambda order: order.add("rye"))

    assert (change.result, change.sequence, [e.NAME for e in change.events]) == (1, 2, ["loaf_added"])
    assert not change.repeated
    assert (await orders.get("o-1")).loaves == [("rye", 500)]


async def test_what_does_not_exist_is_not_found(orders: Repository[Order]) -> None:
    with pytest.raises(AggregateNotFound, match="o-1"):
        await orders.get("o-1")
    with pytest.raises(AggregateNotFound, match="o-1"):
        await orders.change("o-1", lambda order: order.add("rye"))
    with pytest.raises(AggregateNotFound):
        await orders.at("o-1", 10)


async def test_a_silent_decision_stores_nothing(orders: Repository[Order]) -> None:
    await placed(orders)

    change = await orders.change("o-1", lambda order: order.place("Bob"))

    assert (change.sequence, change.events) == (1, [])
    assert (await orders.get("o-1")).version == 1


async def test_several_facts_of_one_decision_are_stored_together(orders: Repository[Order]) -> None:
    def place_and_add(order: Order) -> None:
        order.place("Ada")
        order.add("rye")
        order.add("wheat")

    change = await orders.change("o-1", place_and_add, create=True)

    assert change.sequence == 3
    assert (await orders.get("o-1")).version == 3
    assert (await orders.change("o-1", lambda order: order.add("oat"))).sequence == 4


async def test_the_past_is_still_there(orders: Repository[Order]) -> None:
    await placed(orders)
    await placed(orders, "o-2")
    await orders.change("o-1", lambda order: order.add("rye"))

    assert (await orders.at("o-1", 2)).loaves == []
    assert (await orders.at("o-1", 3)).loaves == [("rye", 500)]


async def test_a_refusal_is_raised_and_leaves_no_trace(orders: Repository[Order]) -> None:
    await placed(orders)

    def add_and_refuse(order: Order) -> None:
        order.add("rye")
        raise AlreadyBaked(order.id)

    with pytest.raises(AlreadyBaked):
        await orders.change("o-1", add_and_refuse)

    assert (await orders.change("o-1", lambda order: (order.loaves, order.version))).result == ([], 1)


async def test_a_decision_that_breaks_leaves_no_trace(orders: Repository[Order]) -> None:
    await placed(orders)

    def break_down(order: Order) -> None:
        order.add("rye")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await orders.change("o-1", break_down)

    assert (await orders.change("o-1", lambda order: order.add("rye"))).result == 1


async def test_who_was_overtaken_decides_again(logs: Logs) -> None:
    ours, theirs = (Repository(logs("bakery"), Order) for _ in range(2))
    await placed(ours)
    await theirs.change("o-1", lambda order: order.add("rye"))

    change = await ours.change("o-1", lambda order: order.add("wheat"))

    assert (change.result, change.sequence) == (2, 3)
    assert (await ours.get("o-1")).loaves == [("rye", 500), ("wheat", 500)]


async def test_a_refusal_of_an_old_state_is_thought_over(logs: Logs) -> None:
    ours, theirs = (Repository(logs("bakery"), Order) for _ in range(2))

    def add_second(order: Order) -> int:
        if not order.loaves:
            raise NotPlaced(order.id)
        return order.add("wheat")

    await placed(ours)
    await theirs.change("o-1", lambda order: order.add("rye"))

    assert (await ours.change("o-1", add_second)).result == 2


async def test_a_refusal_of_the_present_state_is_final(logs: Logs) -> None:
    ours, theirs = (Repository(logs("bakery"), Order) for _ in range(2))
    await placed(ours)
    await theirs.change("o-1", lambda order: order.bake())

    with pytest.raises(AlreadyBaked):
        await ours.change("o-1", lambda order: order.add("rye"))


async def test_two_create_the_same_and_one_exists(logs: Logs) -> None:
    repositories = [Repository(logs("bakery"), Order) for _ in range(2)]

    changes = await asyncio.gather(*(r.change("o-1", lambda o: o.place("Ada"), create=True) for r in repositories))

    assert sorted(len(change.events) for change in changes) == [0, 1]
    assert [change.sequence for change in changes] == [1, 1]


async def test_the_same_cause_has_one_effect(logs: Logs) -> None:
    origin = Origin(causationid="c-1", once="c-1")
    orders = Repository(logs("bakery"), Order)
    await placed(orders)
    first = await orders.change("o-1", lambda order: order.add("rye"), origin=origin)
    await orders.change("o-1", lambda order: order.add("oat"))

    warm = await orders.change("o-1", lambda order: order.add("rye"), origin=origin)
    cold = await Repository(logs("bakery"), Order).change("o-1", lambda order: order.add("rye"), origin=origin)

    assert (first.repeated, first.sequence, first.result) == (False, 2, 1)
    for again in (warm, cold):
        assert again.repeated
        assert (again.sequence, again.events) == (2, [])
    assert (await orders.get("o-1")).causes == {"c-1": 2}


async def test_the_same_cause_at_two_places_at_once_has_one_effect(logs: Logs) -> None:
    repositories = [Repository(logs("bakery"), Order) for _ in range(2)]
    await placed(repositories[0])

    changes = await asyncio.gather(
        *(r.change("o-1", lambda order: order.add("rye"), origin=Origin(once="c-1")) for r in repositories)
    )

    assert sorted(change.repeated for change in changes) == [False, True]
    assert len((await repositories[0].get("o-1")).loaves) == 1


async def test_each_fact_of_a_decision_may_have_a_cause_of_its_own(logs: Logs) -> None:
    orders = Repository(logs("bakery"), Order)
    await placed(orders)

    def add_two(order: Order) -> None:
        order.add("rye")
        order.add("oat")

    await orders.change("o-1", add_two, origins=lambda event: Origin(once=getattr(event, "flour", None)))
    warm = await orders.change("o-1", lambda order: order.causes)

    assert warm.result == (await orders.get("o-1")).causes == {"rye": 2, "oat": 3}


async def test_hundreds_of_decisions_on_one_aggregate_at_once_all_count(orders: Repository[Order]) -> None:
    await placed(orders)

    changes = await asyncio.gather(*(orders.change("o-1", lambda order: order.add("rye")) for _ in range(200)))

    assert [change.result for change in changes] == list(range(1, 201))
    assert [change.sequence for change in changes] == list(range(2, 202))


async def test_a_warm_aggregate_is_not_read_again() -> None:
    log = CountingLog("bakery")
    orders = Repository(log, Order)
    await placed(orders)
    log.reads = 0

    for _ in range(10):
        await orders.change("o-1", lambda order: order.add("rye"))

    assert log.reads == 0


async def test_only_the_lately_used_are_kept_warm() -> None:
    log = CountingLog("bakery")
    orders = Repository(log, Order, warm=2)
    for key in ("o-1", "o-2"):
        await placed(orders, key)
    await orders.change("o-1", lambda order: order.add("rye"))
    await placed(orders, "o-3")
    log.reads = 0

    await orders.change("o-1", lambda order: order.add("rye"))
    assert log.reads == 0
    await orders.change("o-2", lambda order: order.add("rye"))
    assert log.reads == 1


async def test_an_unknown_outcome_is_read_from_the_log() -> None:
    log = CountingLog("bakery")
    orders = Repository(log, Order)
    await placed(orders)
    log.losing = 1

    with pytest.raises(OperationalError):
        await orders.change("o-1", lambda order: order.add("rye"))

    assert (await orders.change("o-1", lambda order: order.add("wheat"))).result == 1
    assert (await orders.get("o-1")).loaves == [("wheat", 500)]


async def test_who_loses_every_race_says_so() -> None:
    shelf = Shelf()
    ours, theirs = (Repository(MemoryLog("bakery", shelf), Order) for _ in range(2))
    await placed(theirs)
    rounds = 0

    class Slow(MemoryLog):
        async def append(self, *args: Any, **kwargs: Any) -> int:
            nonlocal rounds
            rounds += 1
            await theirs.change("o-1", lambda order: order.add("rye"))
            return await super().append(*args, **kwargs)

    ours = Repository(Slow("bakery", shelf), Order)
    with pytest.raises(IntegrityError):
        await ours.change("o-1", lambda order: order.add("wheat"), attempts=3)

    assert rounds == 3


async def test_what_get_returns_is_the_callers_own(orders: Repository[Order]) -> None:
    await placed(orders)

    (await orders.get("o-1")).add("rye")

    assert (await orders.change("o-1", lambda order: order.loaves)).result == []


async def test_a_long_history_is_not_read_from_its_birth() -> None:
    log, snapshots = CountingLog("bakery"), MemorySnapshots()
    orders = Repository(log, Order, snapshots=snapshots, every=10)
    await placed(orders)
    for _ in range(24):
        await orders.change("o-1", lambda order: order.add("rye"), origin=Origin(once="x"))
        await orders.change("o-1", lambda order: order.add("rye"))
    await asyncio.sleep(0)

    order = await Repository(log, Order, snapshots=snapshots).get("o-1")

    assert list(snapshots.kept) == ["order-o-1"]
    assert order == await Repository(log, Order).get("o-1")
    assert order.causes == {"x": 2}
    assert (await Repository(log, Order, snapshots=snapshots).at("o-1", 5)).version == 5


Step = Callable[[Order], object]


def _refuse(order: Order) -> None:
    order.add("rye")
    order.add("rye")
    raise AlreadyBaked(order.id)


STEPS: dict[str, Step] = {
    "place": lambda order: order.place("Ada"),
    "add": lambda order: order.add("rye"),
    "two": lambda order: (order.add("oat"), order.add("spelt")),
    "bake": lambda order: order.bake(),
    "look": lambda order: order.version,
    "refuse": _refuse,
    "break": lambda order: [order.add("rye"), 1 / 0],
}


@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(sorted(STEPS)), st.sampled_from(["o-1", "o-2"]), st.integers(0, 4)
        ),
        max_size=40,
    )
)
def test_whatever_happens_every_copy_is_what_the_log_says(plan: list[tuple[int, str, str, int]]) -> None:
    """Three processes decide on the same aggregates, refuse, break, repeat: no copy ever differs from the log."""

    async def story() -> None:
        shelf, snapshots = Shelf(), MemorySnapshots()
        processes = [
            Repository(MemoryLog("bakery", shelf), Order, warm=1 + n, snapshots=snapshots, every=3) for n in range(3)
        ]

        async def act(process: int, step: str, key: str, cause: int) -> None:
            origin = Origin(once=f"cause-{cause}") if cause else None
            with suppress(DomainError, ZeroDivisionError):
                await processes[process].change(key, STEPS[step], create=True, origin=origin)

        for start in range(0, len(plan), 4):
            await asyncio.gather(*(act(*move) for move in plan[start : start + 4]))
        await asyncio.sleep(0)

        judge = Repository(MemoryLog("bakery", shelf), Order)
        for key in ("o-1", "o-2"):
            events = await MemoryLog("bakery", shelf).read(key)
            assert [event.originator_version for event in events] == list(range(1, len(events) + 1))
            if not events:
                continue
            truth = await judge.get(key)
            for repository in processes:
                assert await repository.get(key) == truth
                if key in repository._warm:
                    copy = repository._warm[key]
                    assert copy.aggregate == await judge.at(key, copy.seen)

    asyncio.run(story())
