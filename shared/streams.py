"""Every stream of Nexus in one table; made where it is missing, checked where it exists.

SetupError
  JetStreamMissing  the server runs without JetStream
  StreamMismatch    a stream of that name exists and means something else
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError, ServiceUnavailableError

from contracts.base import INLINE_LIMIT
from shared.nats_version import check_version

INBOX, EVENTS, RESULTS = "NEXUS_INBOX", "NEXUS_EVENTS", "NEXUS_RESULTS"
TASKS, AGENTS = "NEXUS_TASKS", "NEXUS_AGENTS"
OUTCOMES, TIMERS, DEAD, SNAPSHOTS = "NEXUS_OUTCOMES", "NEXUS_TIMERS", "NEXUS_DEAD", "NEXUS_SNAPSHOTS"
ARTIFACTS = "artifacts"

HOUR, DAY = 3600.0, 86400.0
FILE, MEMORY = StorageType.FILE, StorageType.MEMORY

TABLE: Sequence[StreamConfig] = (
    # What the world tells us. A message leaves it when it was handled.
    StreamConfig(
        name=INBOX,
        subjects=[
            *(f"nexus.commands.{service}.>" for service in ("planner", "resource_manager", "coordinator", "metrics")),
            "nexus.signals.*.*",
        ],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=FILE,
        max_msg_size=INLINE_LIMIT + 16 * 1024,  # too large is refused at the publisher
        duplicate_window=60,
    ),
    # The log: what happened, for ever. An unconfirmed append is found by reading, so its window may be short.
    StreamConfig(
        name=EVENTS,
        subjects=["nexus.events.>"],
        retention=RetentionPolicy.LIMITS,
        storage=FILE,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
        allow_atomic=True,
        duplicate_window=10,
    ),
    # What agents answer. A result that is lost with the server is told again by its agent: memory is enough.
    StreamConfig(
        name=RESULTS,
        subjects=["nexus.results.*.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=MEMORY,
        max_age=HOUR,
        max_msg_size=INLINE_LIMIT + 16 * 1024,
        duplicate_window=60,
    ),
    # Assignments can be told again from the log: memory is enough.
    StreamConfig(
        name=TASKS,
        subjects=["nexus.tasks.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=MEMORY,
        max_age=HOUR,
        duplicate_window=10,
    ),
    # The last sign of life of each agent.
    StreamConfig(
        name=AGENTS,
        subjects=["nexus.agents.*.*"],
        retention=RetentionPolicy.LIMITS,
        storage=MEMORY,
        max_msgs_per_subject=1,
        max_age=600.0,
        allow_direct=True,
        duplicate_window=1,
    ),
    # Lost outcomes are told again when the command is sent again.
    StreamConfig(
        name=OUTCOMES,
        subjects=["nexus.outcomes.*"],
        retention=RetentionPolicy.LIMITS,
        storage=MEMORY,
        max_msgs_per_subject=1,
        max_age=HOUR,
        allow_direct=True,
        duplicate_window=1,
    ),
    # Schedules, and what becomes due. No age limit: it would silently kill a late timer.
    StreamConfig(
        name=TIMERS,
        subjects=["nexus.timers.*.*", "nexus.due.*.*"],
        retention=RetentionPolicy.LIMITS,
        storage=FILE,
        max_msgs_per_subject=1,
        allow_direct=True,
        allow_msg_schedules=True,
        allow_msg_ttl=True,
        duplicate_window=1,
    ),
    # What could not be handled, with the reason.
    StreamConfig(
        name=DEAD, subjects=["nexus.dead.>"], retention=RetentionPolicy.LIMITS, storage=FILE, allow_direct=True
    ),
    # Short cuts through the log; the last one of each counts.
    StreamConfig(
        name=SNAPSHOTS,
        subjects=["nexus.snapshots.>"],
        retention=RetentionPolicy.LIMITS,
        storage=FILE,
        max_msgs_per_subject=1,
        allow_direct=True,
        duplicate_window=1,
    ),
    # An object store is a stream, too: what agents produce and what is too large to travel inline.
    StreamConfig(
        name=f"OBJ_{ARTIFACTS}",
        subjects=[f"$O.{ARTIFACTS}.C.>", f"$O.{ARTIFACTS}.M.>"],
        retention=RetentionPolicy.LIMITS,
        storage=FILE,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        allow_direct=True,
    ),
)
BY_NAME = {config.name: config for config in TABLE}

# A difference in one of these changes what may be relied on, or can't be changed later: a person must decide.
EXACT = (
    "storage",
    "retention",
    "deny_delete",
    "deny_purge",
    "max_age",
    "max_msgs",
    "max_bytes",
    "max_msgs_per_subject",
)
# The server lets these be turned on afterwards, and nobody who worked without them is hurt.
SWITCHES = ("allow_direct", "allow_atomic", "allow_msg_schedules", "allow_msg_ttl", "allow_rollup_hdrs")
UNLIMITED = {"max_age": 0, "max_msgs": -1, "max_bytes": -1, "max_msgs_per_subject": -1}

NAME_IN_USE, SUBJECTS_OVERLAP = 10058, 10065


class SetupError(Exception):
    """The messaging system can't be used as it is; the text says what to do."""


class JetStreamMissing(SetupError):
    """The server runs without JetStream."""


class StreamMismatch(SetupError):
    """A stream exists and means something else."""

    def __init__(self, stream: str, field: str, found: object, expected: object) -> None:
        self.stream, self.field, self.found, self.expected = stream, field, found, expected
        super().__init__(
            f"stream {stream}: {field} is {_text(found)}, expected {_text(expected)}. Correct it with "
            f"`nats stream edit {stream}` where the server allows it; else move its messages away and delete it, "
            "or give Nexus a server or an account of its own."
        )


def check_server(nc: Client) -> None:
    """Raise `ServerTooOld` unless the connected server can do what Nexus needs."""
    version = nc.connected_server_version
    check_version(f"{version.major}.{version.minor}.{version.patch}")


async def provision(nc: Client, *, replicas: int = 1) -> None:
    """Make every stream that is missing and check those that exist; any number of processes may do so at once."""
    js = nc.jetstream(timeout=10)
    await _find_jetstream(js)
    await asyncio.gather(*(_ensure(js, config, replicas) for config in TABLE))


async def ensure(nc: Client, stream: str, *, replicas: int = 1) -> None:
    """Make one stream of the table if it is missing, as a memory stream is after a restart of the server."""
    if stream in BY_NAME:
        await _ensure(nc.jetstream(timeout=10), BY_NAME[stream], replicas)


async def _find_jetstream(js: JetStreamContext) -> None:
    try:
        await js.account_info()
    except (NoRespondersError, ServiceUnavailableError) as error:
        raise JetStreamMissing(
            "the server runs without JetStream: start it with `nats-server -js` or a `jetstream {}` block"
        ) from error


async def _ensure(js: JetStreamContext, expected: StreamConfig, replicas: int) -> None:
    name = expected.name or ""
    try:
        found = (await js.stream_info(name)).config
    except NotFoundError:
        if await _created(js, expected, replicas):
            return
        found = (await js.stream_info(name)).config
    _compare(found, expected)
    await _widen(js, found, expected)


async def _created(js: JetStreamContext, expected: StreamConfig, replicas: int) -> bool:
    try:
        await js.add_stream(expected, num_replicas=replicas)
    except BadRequestError as error:
        if error.err_code == SUBJECTS_OVERLAP:
            raise SetupError(
                f"stream {expected.name} cannot be made: another stream claims one of its subjects "
                f"({', '.join(expected.subjects or ())}). Take them away from that one (`nats stream ls`, "
                "`nats stream edit`), or give Nexus a server or an account of its own."
            ) from error
        if error.err_code != NAME_IN_USE:
            raise
        return False  # another process was faster; it may know another version of the table
    return True


def _compare(found: StreamConfig, expected: StreamConfig) -> None:
    for field in EXACT:
        unlimited = UNLIMITED.get(field)
        is_now, should_be = getattr(found, field), getattr(expected, field)
        if (is_now or unlimited) != (should_be or unlimited) and bool(is_now or should_be):
            raise StreamMismatch(expected.name or "", field, is_now, should_be if should_be else unlimited)


async def _widen(js: JetStreamContext, found: StreamConfig, expected: StreamConfig) -> None:
    changes: dict[str, Any] = {
        field: True for field in SWITCHES if getattr(expected, field) and not getattr(found, field)
    }
    if missing := _missing(found.subjects or (), expected.subjects or ()):
        changes["subjects"] = [*(found.subjects or ()), *missing]
    if changes:
        await js.update_stream(found, **changes)


def _missing(found: Iterable[str], expected: Iterable[str]) -> list[str]:
    known = set(found)
    return [subject for subject in expected if subject not in known]


def _text(value: object) -> str:
    return str(getattr(value, "value", value))
