"""Streams are made once, checked always, and only ever widened."""

import asyncio
from typing import Any

import nats
import pytest
from nats.aio.client import Client, ServerVersion
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError

from contracts.base import INLINE_LIMIT
from shared.nats_version import ServerTooOld
from shared.streams import (
    EVENTS,
    INBOX,
    OUTCOMES,
    TABLE,
    TASKS,
    TIMERS,
    JetStreamMissing,
    SetupError,
    StreamMismatch,
    check_server,
    ensure,
    provision,
)

pytestmark = pytest.mark.nats


async def names(nc: Client) -> set[str]:
    return {info.config.name or "" for info in await nc.jetstream().streams_info()}


async def test_every_stream_of_the_table_is_made(nc: Client) -> None:
    await provision(nc)

    assert await names(nc) == {config.name for config in TABLE}


async def test_six_services_may_provision_at_the_same_time(nc: Client, nats_url: str) -> None:
    others = [await nats.connect(nats_url) for _ in range(5)]

    await asyncio.gather(*(provision(each) for each in (nc, *others)))

    assert await names(nc) == {config.name for config in TABLE}
    for each in others:
        await each.close()


async def test_the_log_can_be_neither_shortened_nor_emptied(nc: Client) -> None:
    await provision(nc)
    js = nc.jetstream()
    await js.publish("nexus.events.planner.p.project_created", b"{}")

    for attempt in (js.delete_msg(EVENTS, 1), js.purge_stream(EVENTS)):
        with pytest.raises(APIError):
            await attempt


async def test_too_large_a_message_is_refused_at_its_publisher(nc: Client) -> None:
    await provision(nc)

    with pytest.raises(APIError, match="maximum"):
        await nc.jetstream().publish("nexus.signals.p.large", b"x" * (INLINE_LIMIT + 17 * 1024))


async def test_an_object_store_for_artifacts_is_there(nc: Client) -> None:
    await provision(nc)
    store = await nc.jetstream().object_store("artifacts")

    await store.put("a/b", b"content")

    assert (await store.get("a/b")).data == b"content"


@pytest.mark.parametrize(
    ("stream", "field", "differently"),
    [
        (INBOX, "retention", {"retention": RetentionPolicy.LIMITS}),
        (EVENTS, "storage", {"storage": StorageType.MEMORY}),
        (EVENTS, "deny_delete", {"deny_delete": False}),
        (EVENTS, "max_age", {"max_age": 60}),
        (EVENTS, "max_bytes", {"max_bytes": 1024**2}),
        (OUTCOMES, "max_msgs_per_subject", {"max_msgs_per_subject": 5}),
        (TASKS, "storage", {"storage": StorageType.FILE}),
    ],
)
async def test_a_stream_that_means_something_else_is_refused_by_name(
    nc: Client, stream: str, field: str, differently: dict[str, Any]
) -> None:
    config = next(config for config in TABLE if config.name == stream)
    await nc.jetstream().add_stream(config.evolve(**differently))

    with pytest.raises(StreamMismatch) as refusal:
        await provision(nc)

    assert (refusal.value.stream, refusal.value.field) == (stream, field)
    assert f"stream {stream}: {field} is " in str(refusal.value)
    assert "nats stream edit" in str(refusal.value)


async def test_subjects_that_another_stream_claims_are_refused_with_the_reason(nc: Client) -> None:
    await nc.jetstream().add_stream(StreamConfig(name="THEIRS", subjects=["nexus.events.planner.>"]))

    with pytest.raises(SetupError, match="another stream claims one of its subjects"):
        await provision(nc)


async def test_missing_subjects_and_switches_are_added_and_messages_stay(nc: Client) -> None:
    js = nc.jetstream()
    inbox = next(config for config in TABLE if config.name == INBOX)
    timers = next(config for config in TABLE if config.name == TIMERS)
    await js.add_stream(inbox.evolve(subjects=["nexus.signals.*.*", "nexus.extra"]))
    await js.add_stream(timers.evolve(allow_msg_schedules=False, allow_direct=False))
    await js.publish("nexus.extra", b"kept")

    await provision(nc)

    found = await js.stream_info(INBOX)
    assert set(found.config.subjects or ()) == {*(inbox.subjects or ()), "nexus.extra"}
    assert found.state.messages == 1
    widened = (await js.stream_info(TIMERS)).config
    assert widened.allow_msg_schedules
    assert widened.allow_direct


async def test_an_operator_may_choose_replicas_and_windows(nc: Client) -> None:
    config = next(config for config in TABLE if config.name == INBOX)
    await nc.jetstream().add_stream(config.evolve(duplicate_window=300))

    await provision(nc)

    assert (await nc.jetstream().stream_info(INBOX)).config.duplicate_window == 300


async def test_a_stream_that_was_lost_is_made_again_alone(nc: Client) -> None:
    await provision(nc)
    await nc.jetstream().delete_stream(TASKS)

    await ensure(nc, TASKS)
    await ensure(nc, "SOMEBODY_ELSES")

    assert TASKS in await names(nc)
    assert "SOMEBODY_ELSES" not in await names(nc)


async def test_a_server_without_jetstream_is_named_as_the_reason(nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_jetstream() -> None:
        raise nats.js.errors.ServiceUnavailableError

    context = nc.jetstream()
    monkeypatch.setattr(context, "account_info", no_jetstream)
    monkeypatch.setattr(nc, "jetstream", lambda **_: context)

    with pytest.raises(JetStreamMissing, match=r"nats-server -js"):
        await provision(nc)


async def test_an_old_server_is_refused(nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    check_server(nc)

    monkeypatch.setattr(Client, "connected_server_version", ServerVersion("2.10.29"))
    with pytest.raises(ServerTooOld, match=r"2\.10\.29.*2\.12"):
        check_server(nc)
