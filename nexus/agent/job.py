"""A job: one attempt at a task, as its handler sees it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import from_json

from contracts.agents import Assignment, Running
from contracts.coordinator import AttemptKind, ErrorInfo
from contracts.work import Fields
from nexus.agent.artifacts import Artifacts, Reference, is_left_out, is_whole_output

LONGEST_MESSAGE = 8_000  # characters of an error that travel; the rest stays in the agent's own log

T = TypeVar("T")


class TaskFailed(Exception):
    """A handler's way to say that the task failed, and whether trying again makes sense."""

    def __init__(
        self, message: str, *, code: str = "", retryable: bool = True, retry_after: float | None = None
    ) -> None:
        """`retry_after`: seconds after which a retry makes sense, such as a model's rate limit says."""
        super().__init__(message)
        self.code, self.retryable, self.retry_after = code, retryable, retry_after

    def info(self) -> ErrorInfo:
        """Return the form in which it travels."""
        return ErrorInfo(
            message=str(self)[:LONGEST_MESSAGE],
            code=self.code,
            retryable=self.retryable,
            retry_after=self.retry_after,
        )


class Job:
    """One attempt at a task."""

    def __init__(
        self,
        assignment: Assignment,
        artifacts: Artifacts,
        told: Callable[[], Awaitable[None]],
        traceparent: str | None = None,
    ) -> None:
        self.project: str = assignment.project
        self.task: str = assignment.task
        self.attempt: int = assignment.attempt
        self.kind: AttemptKind = assignment.kind
        """`run`, or `compensate`: undo what `output` says was done."""
        self.capability: str = assignment.capability
        self.title: str = assignment.title
        self.input: Fields = assignment.input
        """What the plan says about this task."""
        self.project_input: Fields = assignment.project_input
        """The project's title, description, type, technologies and requirements."""
        self.upstream: dict[str, Fields] = assignment.upstream
        """Output of each task that this one depends on; a large one is a reference, see `output_of`."""
        self.output: Fields = assignment.output
        """Kind compensate: what the task gave when it was done."""
        self.estimate: float = assignment.estimate
        """Expected seconds."""
        self.run_seconds: float | None = assignment.run_seconds
        """The attempt is ended after this time."""
        self.lease, self.epoch = assignment.lease, assignment.epoch
        self.traceparent = traceparent
        """W3C context of the trace that this job belongs to."""
        self.cancelled = asyncio.Event()
        """Set when the result is no longer wanted; a coroutine is cancelled as well, a thread must look here."""
        self._artifacts, self._told = artifacts, told
        self._progress, self._note = 0.0, ""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def id(self) -> str:
        """`<project>.<task>.<attempt>`."""
        return f"{self.project}.{self.task}.{self.attempt}"

    async def progress(self, done: float, note: str = "") -> None:
        """Tell how far the work is, from 0 to 1. It travels with the next sign of life, within a second or so."""
        self._progress, self._note = min(1.0, max(0.0, done)), note[:500]
        await self._told()

    async def put_artifact(self, name: str, content: bytes | str | Path) -> dict[str, Any]:
        """Keep something large for others; put the reference that comes back into the output."""
        return await self._artifacts.put(f"{self.project}/{self.task}/{self.attempt}/{name}", content)

    async def get_artifact(self, reference: Reference | str) -> bytes:
        """Return what a reference in somebody's output stands for."""
        return await self._artifacts.get(reference)

    async def output_of(self, task: str) -> Fields:
        """Return the output of a task that this one depends on, fetched if it was too large to travel."""
        output = self.upstream[task]
        if is_left_out(output):
            output = await self._artifacts.output_in_log(self.project, task)
        return await self._whole(output)

    async def own_output(self) -> Fields:
        """Kind compensate: return what this task gave when it was done, fetched if it was too large to travel."""
        return await self._whole(self.output)

    def wait_for(self, step: Coroutine[Any, Any, T]) -> T:
        """Wait for one of the coroutines above, in a handler that is a plain function and runs in a thread."""
        if self._loop is None:
            raise RuntimeError("the job has not begun")
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let `wait_for` know where coroutines run."""
        self._loop = loop

    def running(self) -> Running:
        """Return the form in which a beat tells of it."""
        return Running(
            project=self.project, task=self.task, attempt=self.attempt, progress=self._progress, note=self._note
        )

    async def _whole(self, output: Mapping[str, Any]) -> Fields:
        if not is_whole_output(output):
            return dict(output)
        content: Fields = await asyncio.to_thread(from_json, await self._artifacts.get(output))
        return content
