"""An outcome is found by the id of its command, whatever that id looks like."""

import pytest
from nats.aio.client import Client

from contracts.envelope import decode
from contracts.outcomes import Outcome, Problem
from shared.outcomes import Accepted, accepted, answer, known, outcome_subject, refused, token
from shared.publisher import Publisher
from shared.streams import OUTCOMES, provision


@pytest.mark.parametrize("identity", ["a", "create-shop_1", "A" * 64])
def test_an_id_that_is_a_token_stays_as_it_is(identity: str) -> None:
    assert token(identity) == identity


@pytest.mark.parametrize("identity", ["", "a.b", "a b", "*", ">", "A" * 65, "naïve", "urn:uuid:1", "a\n"])
def test_any_other_id_becomes_a_token(identity: str) -> None:
    made = token(identity)

    assert len(made) == 32
    assert made.isalnum()
    assert made == token(identity)
    assert made != token(identity + "x")


@pytest.mark.nats
async def test_an_outcome_is_told_and_found_again(nc: Client) -> None:
    await provision(nc)
    outcome = refused("urn:1", "invalid", "wrong", (Problem(pointer="/type", message="must be a string"),))

    await answer(Publisher(nc), "planner", outcome, traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")

    assert await known(nc, "urn:1") == outcome
    assert await known(nc, "urn:2") is None
    kept = await nc.jetstream().get_msg(OUTCOMES, subject=outcome_subject("urn:1"))
    event = decode(kept.data or b"", kept.headers)
    assert (event.type, event.source, event.causationid) == ("nexus.outcome", "nexus/planner", "urn:1")
    assert (event.traceparent or "").startswith("00-1111")


@pytest.mark.nats
async def test_the_last_outcome_of_a_command_counts(nc: Client) -> None:
    await provision(nc)
    publisher = Publisher(nc)

    await answer(publisher, "planner", refused("c", "failed", "the log was away"))
    await answer(publisher, "planner", accepted("c", Accepted(7, {"project": "shop"})))

    assert await known(nc, "c") == Outcome(command="c", status="accepted", sequence=7, result={"project": "shop"})
    assert (await nc.jetstream().stream_info(OUTCOMES)).state.messages == 1


def test_a_handler_may_have_nothing_to_say() -> None:
    assert accepted("c", None) == Outcome(command="c", status="accepted")
