"""One table says what becomes of a message; what is given up is kept, and can be sent again."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import nats
import pytest
from eventsourcing.persistence import OperationalError
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from contracts.envelope import Malformed
from contracts.outcomes import Problem, pointer
from shared.deadletters import DeadLetters, NoSuchLetter, letters, redrive
from shared.delivery import (
    DELAYS,
    Dead,
    Done,
    Retry,
    Settlement,
    UnknownCommand,
    Verdict,
    family,
    fate,
    problems_of,
    say,
)
from shared.domain import DomainError, NotYet
from shared.incoming import Incoming
from shared.metrics import Meter
from shared.publisher import Publisher
from shared.repository import AggregateNotFound
from shared.streams import DEAD, INBOX, RESULTS, provision

COMMAND, RESULT, SIGNAL = "nexus.commands.planner.create_project", "nexus.results.p.t", "nexus.signals.p.ready"
EVENT, DUE, BEAT = "nexus.events.planner.p.project_planned", "nexus.due.coordinator.p", "nexus.agents.a.beat"
FROM_OUTSIDE, OURS = (COMMAND, RESULT, SIGNAL, BEAT), (EVENT, DUE)
FINAL = len(DELAYS) + 1


class Refused(DomainError):
    """No."""

    code = "refused_here"


class Shape(BaseModel):
    """What the tests misspell."""

    name: str
    sizes: list[int] = []


def invalid() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Shape.model_validate({"sizes": [1, "two"]})
    return caught.value


# The table


@pytest.mark.parametrize("subject", [*FROM_OUTSIDE, *OURS])
def test_what_was_handled_is_done(subject: str) -> None:
    assert fate(None, subject, 7) == Done()


def test_a_refused_command_is_done_because_its_outcome_says_why() -> None:
    assert fate(Refused("no"), COMMAND, 1) == Done("refused_here")


@pytest.mark.parametrize("subject", [RESULT, SIGNAL, BEAT])
def test_what_nobody_is_told_about_is_kept_when_it_is_refused(subject: str) -> None:
    assert fate(Refused("no"), subject, 1) == Dead("refused_here", "no")


def test_an_unknown_command_is_kept() -> None:
    assert fate(UnknownCommand("no such"), COMMAND, 1) == Dead("unknown_command", "no such")


@pytest.mark.parametrize("subject", OURS)
def test_a_refused_reaction_to_history_is_done(subject: str) -> None:
    assert fate(Refused("no"), subject, 1) == Done("refused_here")


@pytest.mark.parametrize("subject", FROM_OUTSIDE)
@pytest.mark.parametrize(("make", "code"), [(invalid, "invalid"), (lambda: Malformed("no JSON"), "malformed")])
def test_what_cannot_be_understood_is_kept_at_once(subject: str, make: Callable[[], Exception], code: str) -> None:
    error = make()

    assert fate(error, subject, 1) == Dead(code, say(error))


@pytest.mark.parametrize("subject", [*FROM_OUTSIDE, *OURS])
@pytest.mark.parametrize(
    "error",
    [NotYet("too early"), AggregateNotFound("p"), OperationalError("away"), TimeoutError(), KeyError("our bug")],
)
def test_what_time_may_cure_is_tried_again_after_growing_delays(subject: str, error: Exception) -> None:
    assert [fate(error, subject, n) for n in range(1, FINAL)] == [Retry(0.2), Retry(1.0), Retry(5.0), Retry(30.0)]


@pytest.mark.parametrize("subject", FROM_OUTSIDE)
@pytest.mark.parametrize(
    ("error", "code"), [(NotYet("early"), "not_yet"), (KeyError("bug"), "failed"), (TimeoutError(), "failed")]
)
def test_what_comes_from_outside_is_given_up_in_the_end(subject: str, error: Exception, code: str) -> None:
    assert fate(error, subject, FINAL) == Dead(code, say(error))


@pytest.mark.parametrize("subject", OURS)
@pytest.mark.parametrize("error", [NotYet("early"), KeyError("bug"), Malformed("our own?"), invalid()])
def test_history_and_timers_are_never_given_up(subject: str, error: Exception) -> None:
    verdicts: list[Verdict] = [fate(error, subject, n) for n in (FINAL, 1000)]

    assert verdicts == [Retry(30.0, alert=True)] * 2


def test_a_subject_names_its_family() -> None:
    assert [family(subject) for subject in (COMMAND, RESULT, EVENT, DUE, "foreign.commands.x")] == [
        "commands",
        "results",
        "events",
        "due",
        "",
    ]


# What people are told


def test_each_invalid_value_is_one_problem_with_its_pointer() -> None:
    found = problems_of(invalid())

    assert [problem.pointer for problem in found] == ["/name", "/sizes/1"]
    assert say(invalid()).startswith("2 error(s) in Shape: /name: Field required; /sizes/1: ")


def test_a_refusal_may_name_its_problems_itself() -> None:
    error = Refused("cyclic")
    error.problems = (Problem(pointer="/tasks/3", message="depends on itself"),)  # type: ignore[attr-defined]

    assert problems_of(error) == (Problem(pointer="/tasks/3", message="depends on itself"),)
    assert problems_of(KeyError("x")) == ()


def test_pointers_escape_what_they_must() -> None:
    assert pointer(("a/b", "c~d", 0)) == "/a~1b/c~0d/0"


# Against a server


async def taken(nc: Client, subject: str, stream: str = INBOX) -> Incoming:
    """Take the next message of a subject the way every consumer does."""
    subscription = await nc.jetstream().pull_subscribe(subject, durable="test", stream=stream)
    message: Msg = (await subscription.fetch(1, timeout=5))[0]
    await subscription.unsubscribe()
    return Incoming(message)


def settlement(nc: Client, meter: Meter | None = None, **refusals: Any) -> Settlement:
    return Settlement(nc, DeadLetters(Publisher(nc)), meter or Meter(), refusals)


@pytest.fixture
async def js(nc: Client) -> nats.js.JetStreamContext:
    await provision(nc)
    return nc.jetstream()


@pytest.mark.nats
async def test_a_dead_letter_keeps_everything_and_says_why(nc: Client, js: nats.js.JetStreamContext) -> None:
    sent = {"Nats-Msg-Id": "r-1", "ce-id": "r-1", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "X": "y"}
    await js.publish(SIGNAL, b"{not json", headers=dict(sent))
    message = await taken(nc, SIGNAL)

    await settlement(nc).settle(message, Malformed("line 1\nand “more”, 100 %"))

    kept = await js.get_msg(DEAD, subject=f"nexus.dead.{SIGNAL}")
    headers = kept.headers or {}
    assert kept.data == b"{not json"
    assert {name: headers[name] for name in ("ce-id", "traceparent", "X")} == {
        name: sent[name] for name in ("ce-id", "traceparent", "X")
    }
    assert headers["Nexus-Code"] == "malformed"
    assert unquote(headers["Nexus-Reason"]) == "line 1\nand “more”, 100 %"
    assert headers["Nexus-Reason"].isascii()
    assert "\n" not in headers["Nexus-Reason"]
    assert (headers["Nexus-Attempts"], headers["Nexus-Stream"], headers["Nexus-Sequence"]) == ("1", INBOX, "1")
    assert (await js.stream_info(INBOX)).state.messages == 0
    [letter] = [letter async for letter in letters(js)]
    assert (letter.subject, letter.code, letter.headers["Nats-Msg-Id"]) == (SIGNAL, "malformed", "r-1")


@pytest.mark.nats
async def test_a_letter_is_stored_before_its_message_is_let_go(
    nc: Client, js: nats.js.JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    await js.publish(SIGNAL, b"{}")
    message = await taken(nc, SIGNAL)
    monkeypatch.setattr("shared.publisher.PATIENCE", 0.0)
    await js.delete_stream(DEAD)

    with pytest.raises(OperationalError):
        await settlement(nc).settle(message, Refused("no"))

    await nc.flush()
    assert (await js.stream_info(INBOX)).state.messages == 1


@pytest.mark.nats
async def test_the_same_message_given_up_twice_is_one_letter(nc: Client, js: nats.js.JetStreamContext) -> None:
    await js.publish(SIGNAL, b"{}")
    message = await taken(nc, SIGNAL)

    for _ in range(2):
        await settlement(nc).settle(message, Refused("no"))

    assert (await js.stream_info(DEAD)).state.messages == 1


@pytest.mark.nats
async def test_a_stream_that_counts_from_one_again_loses_no_letter(nc: Client, js: nats.js.JetStreamContext) -> None:
    for _ in range(2):
        await js.publish("nexus.results.p.a", b"{}")
        await settlement(nc).settle(await taken(nc, "nexus.results.p.a", RESULTS), Refused("no"))
        await js.delete_stream(RESULTS)
        await provision(nc)

    assert (await js.stream_info(DEAD)).state.messages == 2


@pytest.mark.nats
async def test_a_redriven_letter_returns_to_its_subject_under_its_own_name(
    nc: Client, js: nats.js.JetStreamContext
) -> None:
    await js.publish(SIGNAL, b'{"plain": 1}', headers={"Nats-Msg-Id": "mine", "X": "y"})
    await settlement(nc).settle(await taken(nc, SIGNAL), Refused("no"))

    await redrive(nc, 1)

    again = await taken(nc, SIGNAL)
    assert (again.ce.id, again.ce.data, again.headers["X"]) == ("mine", {"plain": 1}, "y")
    assert (again.header("nexus-redrive"), again.deliveries) == ("1", 1)
    assert again.header("nexus-code") is None
    assert (await js.stream_info(DEAD)).state.messages == 0
    with pytest.raises(NoSuchLetter):
        await redrive(nc, 1)


@pytest.mark.nats
async def test_what_is_tried_again_stays_and_returns_after_its_delay(nc: Client, js: nats.js.JetStreamContext) -> None:
    meter = Meter()
    await js.publish(SIGNAL, b"{}")

    await settlement(nc, meter).settle(await taken(nc, SIGNAL), NotYet("early"))

    again = await taken(nc, SIGNAL)
    assert again.deliveries == 2
    assert meter.registry.get_sample_value("nexus_message_retries_total", {"family": "signals"}) == 1


@pytest.mark.nats
async def test_whoever_waits_is_told_when_a_message_is_settled_unhandled(
    nc: Client, js: nats.js.JetStreamContext
) -> None:
    told: list[tuple[str, str]] = []

    async def refuse(message: Incoming, error: Exception) -> None:
        assert (await js.stream_info(INBOX)).state.messages == 1  # before it leaves the stream
        told.append((message.subject, str(error)))

    for error in (None, Refused("no"), NotYet("early")):
        await js.publish(COMMAND, b"{}")
        await settlement(nc, commands=refuse).settle(await taken(nc, COMMAND), error)
        await nc.flush()

    assert told == [(COMMAND, "no")]


@pytest.mark.nats
async def test_a_broken_agent_fills_no_cellar_with_letters(nc: Client, js: nats.js.JetStreamContext) -> None:
    for _ in range(3):
        await js.publish(BEAT, b"{broken")
        subscription = await js.pull_subscribe(BEAT, durable="beats", stream="NEXUS_AGENTS")
        await settlement(nc).settle(Incoming((await subscription.fetch(1))[0]), Malformed("broken"))

    assert (await js.stream_info(DEAD)).state.messages == 1
