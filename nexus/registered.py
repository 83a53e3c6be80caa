"""Any object as an agent: what has a method that does work, or can be called, gets a place in Nexus."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from pydantic import BaseModel

from contracts.base import is_token
from nexus.agent import Agent, Job

METHODS = ("process_task", "run", "execute", "handle")
"""Methods that do work, the first one that is there; otherwise the object itself is called."""
UNDO = ("compensate", "undo", "rollback")

CAPABILITIES = {
    "analyst": "analysis",
    "analyzer": "analysis",
    "db": "database",
    "frontend_developer": "frontend",
    "backend_developer": "backend",
    "tester": "testing",
    "qa": "testing",
}
"""Names that people give agents, and the capability they mean; any other name is the capability itself."""

Work = Callable[[dict[str, Any]], Any]


class NoAgent(TypeError):
    """The object has no method that does work, and cannot be called."""


def as_agent(name: str, worker: Any, home: asyncio.AbstractEventLoop | None) -> Agent:
    """Return the agent that an object makes.

    `home`: the loop that its coroutines belong to. Its method gets one dict: `task_type` (the capability), `task_id`,
    `project_id`, `attempt`, `title`, `description`, `input`, `upstream` (what earlier tasks gave), `project`, and what
    the plan says in `input` beside them. What it returns is the task's output; to fail, it raises.
    """
    if isinstance(worker, Agent):
        return worker
    if not is_token(name):
        raise ValueError(f"{name!r} is no name for an agent: use letters, digits, _ and -, at most 128 of them")
    slots = getattr(worker, "slots", 1)
    agent = Agent(name, capabilities(name, worker), slots=slots if isinstance(slots, int) else 1)
    agent.handle("run", "", _handler(name, _method(worker, METHODS, callable_too=True), home))
    if undo := _method(worker, UNDO, callable_too=False):
        agent.handle("compensate", "", _handler(name, undo, home))
    return agent


def capabilities(name: str, worker: Any) -> tuple[str, ...]:
    """Return what an object can do: what its name means, and what its attribute `capabilities` says."""
    said = getattr(worker, "capabilities", ())
    named = [said] if isinstance(said, str) else list(said) if isinstance(said, Sequence | Set) else []
    return tuple(dict.fromkeys((CAPABILITIES.get(name, name), *named)))


def _method(worker: Any, names: Iterable[str], *, callable_too: bool) -> Work | None:
    for name in names:
        if callable(found := getattr(worker, name, None)):
            return found  # type: ignore[no-any-return]  # any callable will do
    return worker if callable_too and callable(worker) else None


def _handler(name: str, work: Work | None, home: asyncio.AbstractEventLoop | None) -> Callable[[Job], Any]:
    if work is None:
        raise NoAgent(f"agent {name!r} can do no work: give it an async method {', '.join(METHODS)}, or __call__")
    if _is_async(work):

        async def waited(job: Job) -> Any:
            return output(await _at_home(work, described(job), home))

        return waited

    def called(job: Job) -> Any:  # in a thread, so that it may take its time
        found = work(described(job))
        if inspect.isawaitable(found):
            found = job.wait_for(_awaited(found))
        return output(found)

    return called


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


async def _at_home(work: Work, task: dict[str, Any], home: asyncio.AbstractEventLoop | None) -> Any:
    """Let a coroutine run where its author expects it: in the program's own loop, as long as that runs."""
    if home is None or home is asyncio.get_running_loop() or not home.is_running():
        return await work(task)
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(work(task)), home))


def _is_async(work: Work) -> bool:
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004  not whether, but what


def described(job: Job) -> dict[str, Any]:
    """Return a job as the dict that agents outside the kit are given."""
    return {
        **job.input,
        "task_type": job.capability,
        "task_id": job.task,
        "project_id": job.project,
        "attempt": job.attempt,
        "kind": job.kind,
        "title": job.title,
        "description": job.project_input.get("description", ""),
        "input": job.input,
        "upstream": job.upstream,
        "project": job.project_input,
        "output": job.output,
    }


def output(found: Any) -> dict[str, Any]:
    """Return what an agent gave as the output of a task."""
    if found is None:
        return {}
    if isinstance(found, BaseModel):
        return found.model_dump(mode="json")
    if isinstance(found, Mapping):
        return dict(found)
    return {"result": found}
