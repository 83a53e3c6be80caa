"""Each command gets exactly one outcome, whatever is wrong with it."""

import asyncio
import json
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError
from faststream.asgi import AsgiFastStream

from contracts.envelope import CloudEvent, encode
from contracts.outcomes import Outcome, Problem
from shared.deadletters import letters, redrive
from shared.domain import NotYet
from shared.outcomes import Accepted
from shared.repository import Origin
from shared.service import running
from shared.settings import Settings
from shared.streams import DEAD, INBOX
from tests.shared.serving import Bake, Bakery, Outside, SoldOut, until

pytestmark = pytest.mark.nats

# Commands and their outcomes


async def test_a_command_is_carried_out_and_answered(app: AsgiFastStream, bakery: Bakery, client: Outside) -> None:
    outcome = await client.ask("c-1", {"kind": "bread", "pieces": 2})

    assert outcome == Outcome(command="c-1", status="accepted", sequence=1, result={"kind": "bread"})
    assert bakery.baked == [("bread", "c-1")]


async def test_a_command_may_come_as_a_cloud_event_or_with_headers(
    app: AsgiFastStream, bakery: Bakery, client: Outside
) -> None:
    event = CloudEvent(id="c-1", type="nexus.planner.bake", source="cli", subject="", data={"kind": "a"}, actor="ada")
    await client.send(None, encode(event), **{"CONTENT-TYPE": "application/cloudevents+json"})
    await client.send(None, {"kind": "b"}, **{"CE-ID": "c-2", "Ce-Actor": "bob"})
    await client.send(None, {"kind": "c"}, **{"nats-msg-id": "c-3"})

    for identity in ("c-1", "c-2", "c-3"):
        assert (await client.outcome(identity)).status == "accepted"
    assert sorted(bakery.baked) == [("a", "c-1"), ("b", "c-2"), ("c", "c-3")]
    assert {origin.actor for origin in bakery.origins} == {"ada", "bob", None}


async def test_a_command_without_an_id_is_named_by_its_place(app: AsgiFastStream, client: Outside) -> None:
    await client.send(None, {"kind": "bread"})

    assert (await client.outcome("seq-1")).status == "accepted"


async def test_the_same_id_twice_is_one_effect_and_the_same_outcome(
    app: AsgiFastStream, bakery: Bakery, client: Outside
) -> None:
    first = await client.ask("c-1", {"kind": "bread"})

    await client.send(None, {"kind": "cake"}, **{"ce-id": "c-1"})  # past the stream's window, with other content
    await client.ask("c-2", {"kind": "roll"})

    assert await client.outcome("c-1") == first
    assert [kind for kind, _ in bakery.baked] == ["bread", "roll"]


async def test_two_writers_of_one_id_at_the_same_time_have_one_effect(
    app: AsgiFastStream, bakery: Bakery, client: Outside
) -> None:
    for kind in ("bread", "cake", "roll"):
        await client.nc.publish(
            "nexus.commands.planner.bake", json.dumps({"kind": kind}).encode(), headers={"ce-id": "c-1"}
        )

    await client.outcome("c-1")
    await client.ask("last", {"kind": "last"})

    assert len(bakery.baked) == 2


async def test_a_refusal_says_why_and_leaves_no_letter(app: AsgiFastStream, bakery: Bakery, client: Outside) -> None:
    error = SoldOut("no bread today")
    error.problems = (Problem(pointer="/kind", message="try cake"),)  # type: ignore[attr-defined]
    bakery.errors["bread"] = [error]

    outcome = await client.ask("c-1", {"kind": "bread"})

    assert (outcome.status, outcome.code, outcome.message) == ("refused", "sold_out", "no bread today")
    assert outcome.problems == (Problem(pointer="/kind", message="try cake"),)
    assert (await client.js.stream_info(DEAD)).state.messages == 0


async def test_invalid_input_is_refused_with_every_error_and_kept(app: AsgiFastStream, client: Outside) -> None:
    outcome = await client.ask("c-1", {"pieces": 0})

    assert (outcome.status, outcome.code) == ("refused", "invalid")
    assert {problem.pointer: problem.message for problem in outcome.problems} == {
        "/kind": "Field required",
        "/pieces": "Input should be greater than or equal to 1",
    }
    assert [letter.code async for letter in letters(client.js)] == ["invalid"]


@pytest.mark.parametrize("payload", [[], "text", 5, None])
async def test_what_is_no_object_is_invalid(app: AsgiFastStream, client: Outside, payload: Any) -> None:
    assert (await client.ask("c-1", payload)).code == "invalid"


async def test_malformed_json_is_refused_with_its_place_and_kept(app: AsgiFastStream, client: Outside) -> None:
    outcome = await client.ask("c-1", b'{"kind": bread}')

    assert (outcome.status, outcome.code) == ("refused", "malformed")
    assert "line 1 column" in outcome.message
    [letter] = [letter async for letter in letters(client.js)]
    assert (letter.payload, letter.code) == (b'{"kind": bread}', "malformed")


async def test_an_unknown_command_is_refused_with_what_was_meant(app: AsgiFastStream, client: Outside) -> None:
    outcome = await client.ask("c-1", {}, name="back")
    other = await client.ask("c-2", {}, name="launch.rocket")

    assert (outcome.code, outcome.message) == ("unknown_command", "planner knows no command back; did you mean bake?")
    assert other.message == "planner knows no command launch.rocket; it knows bake"
    assert [letter.code async for letter in letters(client.js)] == ["unknown_command"] * 2


async def test_what_comes_too_early_is_tried_again_and_answered_once(
    app: AsgiFastStream, bakery: Bakery, client: Outside
) -> None:
    bakery.errors["bread"] = [NotYet("the oven is cold")]

    outcome = await client.ask("c-1", {"kind": "bread"})

    assert outcome.status == "accepted"
    assert bakery.attempts == ["bread", "bread"]


async def test_what_never_works_is_given_up_answered_and_kept(
    app: AsgiFastStream, bakery: Bakery, client: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.delivery.DELAYS", (0.05, 0.05))
    bakery.errors["bread"] = [OperationalError("away"), KeyError("bug"), KeyError("bug")]

    outcome = await client.ask("c-1", {"kind": "bread"})

    assert (outcome.status, outcome.code, outcome.message) == ("refused", "failed", "KeyError: 'bug'")
    [letter] = [letter async for letter in letters(client.js)]
    assert (letter.code, letter.attempts) == ("failed", 3)


async def test_a_handler_that_takes_too_long_is_stopped_and_tried_again(
    bakery: Bakery, settings: Settings, client: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.commands.LIMIT", 0.1)
    attempts: list[int] = []

    async def slow_at_first(command: Bake, origin: Origin) -> Accepted | None:
        attempts.append(1)
        await asyncio.sleep(60 if len(attempts) == 1 else 0)
        return None

    bakery.parts = {"commands": {Bake: slow_at_first}}
    async with running(bakery.create, settings):
        assert (await client.ask("c-1", {"kind": "bread"})).status == "accepted"
    assert len(attempts) == 2


async def test_a_redriven_command_is_carried_out_although_it_was_refused(
    app: AsgiFastStream, bakery: Bakery, client: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.delivery.DELAYS", ())
    bakery.errors["bread"] = [KeyError("bug")]
    assert (await client.ask("c-1", {"kind": "bread"})).code == "failed"

    await redrive(client.nc, 1)

    await until(lambda: bakery.baked)
    await asyncio.sleep(0.05)
    assert (await client.outcome("c-1")).status == "accepted"
    assert bakery.baked == [("bread", "c-1")]


async def test_many_commands_are_all_answered(app: AsgiFastStream, bakery: Bakery, client: Outside) -> None:
    for n in range(200):
        await client.nc.publish(
            "nexus.commands.planner.bake", json.dumps({"kind": str(n)}).encode(), headers={"ce-id": f"c-{n}"}
        )

    for n in range(200):
        assert (await client.outcome(f"c-{n}")).status == "accepted"
    assert len(bakery.baked) == 200
    assert (await client.js.stream_info(INBOX)).state.messages == 0
