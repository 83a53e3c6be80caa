"""When something must happen next: back-off, the four clocks of a task, deadlines of an execution. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zlib import crc32

from contracts.coordinator import ErrorInfo
from contracts.work import Retry, Task
from services.coordinator.domain.state import SATISFIED, Status, TaskState

if TYPE_CHECKING:
    from services.coordinator.domain.fold import ExecutionState


def retry_delay(retry: Retry, failures: int, error: ErrorInfo | None, key: str) -> float:
    """Return the seconds to wait after the n-th failure: exponential, capped, spread by `key` so that replays agree."""
    exponent = min(failures - 1, math.log(1e9, retry.factor) if retry.factor > 1 else failures)
    delay = min(retry.initial * retry.factor**exponent, retry.cap)
    spread = (crc32(key.encode()) / 0xFFFFFFFF * 2 - 1) * retry.jitter
    asked = (error.retry_after or 0.0) if error else 0.0
    return max(delay * (1 + spread), asked)


def attempt_deadlines(task: Task, state: TaskState, heard: datetime | None) -> Iterator[tuple[datetime, str]]:
    """Yield when each clock of the task's present attempt runs out, with the clock's name.

    `heard` is the agent's last sign of life about this attempt.
    """
    clocks = task.clocks
    if state.since is None:
        return
    if state.status is Status.REQUESTED and clocks.queue is not None:
        yield state.since + timedelta(seconds=clocks.queue), "queue"
    if state.status is Status.RUNNING:
        yield max(state.since, heard or state.since) + timedelta(seconds=clocks.response), "response"
        if clocks.run is not None:
            yield state.since + timedelta(seconds=clocks.run), "run"
    if state.first is not None and clocks.total is not None:
        yield state.first + timedelta(seconds=clocks.total), "total"


def expired_clock(task: Task, state: TaskState, now: datetime, heard: datetime | None) -> str | None:
    """Return the name of a clock that has run out for the present attempt, if one has."""
    return next((name for end, name in attempt_deadlines(task, state, heard) if end <= now), None)


def point_deadlines(execution: "ExecutionState") -> Iterator[tuple[datetime, str]]:
    """Yield until when each expected sync point must have been reached, unless its absence was noted already."""
    config = execution.protocol
    if execution.started_at is None:
        return
    for point, seconds in config.expects.items():
        if point not in execution.points and point not in execution.missed:
            yield execution.started_at + timedelta(seconds=seconds), point
    if config.sync_timeout is not None:
        yield from _waiting_points(execution, config.sync_timeout)


def _waiting_points(execution: "ExecutionState", timeout: float) -> Iterator[tuple[datetime, str]]:
    """Yield when tasks that wait for nothing but a sync point have waited long enough for it."""
    tasks = execution.tasks
    for point, waiters in execution.index.waiters.items():
        if point in execution.points or point in execution.missed or point.endswith(("_failed", "_missed")):
            continue
        for task in waiters:
            depends_on = execution.index.tasks[task].depends_on
            since = [tasks[earlier].since for earlier in depends_on if tasks[earlier].status in SATISFIED]
            if tasks[task].status is Status.WAITING and len(since) == len(depends_on):
                began = max((moment for moment in since if moment), default=execution.started_at)
                if began is not None:
                    yield began + timedelta(seconds=timeout), point


def task_wakeups(
    execution: "ExecutionState", tasks: Iterable[str], heard: Mapping[str, datetime]
) -> Iterator[tuple[datetime, str]]:
    """Yield every moment at which one of these tasks needs another look, with the reason."""
    for name in tasks:
        state = execution.tasks[name]
        if state.status is Status.RETRYING and state.retry_at is not None and not execution.held_back:
            yield state.retry_at, f"retry of {name}"
        for end, clock in attempt_deadlines(execution.index.tasks[name], state, heard.get(name)):
            yield end, f"{clock} clock of {name}"


def wakeups(execution: "ExecutionState", heard: Mapping[str, datetime]) -> Iterator[tuple[datetime, str]]:
    """Yield every moment at which the execution must look again, with the reason.

    Only moments at which something will be done: one that has passed and leads to nothing would come again and again.
    """
    yield from task_wakeups(execution, execution.active, heard)
    if execution.status != "running":
        return
    if execution.deadline is not None:
        yield execution.deadline, "deadline of the project"
    if not execution.paused:
        for end, point in point_deadlines(execution):
            yield end, f"sync point {point}"
