"""An agent: a name, what it can do, and the functions that do it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from contracts.base import is_token
from contracts.coordinator import AttemptKind
from contracts.work import Demand
from nexus.agent.job import Job

Handler = Callable[[Job], Awaitable[Any] | Any]
"""Does the work: takes the job, returns the output (a mapping, a pydantic model, or None); raises to fail."""


class Agent:
    """Offers capabilities and does the tasks that need them.

    ```python
    agent = Agent("database", slots=4)

    @agent.task("database")
    async def design(job: Job) -> dict[str, object]: ...

    asyncio.run(agent.run())
    ```
    A handler that is a plain function runs in a thread. A handler must bear being called again with the same job:
    an attempt that was lost on the way is repeated.
    """

    def __init__(
        self, name: str, capabilities: Iterable[str] = (), *, slots: int = 1, capacity: Demand | None = None
    ) -> None:
        """`slots`: how many tasks it does at one time. Without `capabilities`, its handlers say what it can do."""
        for token in (name, *(capabilities := tuple(capabilities))):
            _check(token)
        if slots < 1:
            raise ValueError(f"agent {name}: an agent needs at least one slot, not {slots}")
        self.name, self.slots, self.capacity = name, slots, capacity
        self._capabilities = capabilities
        self._handlers: dict[tuple[AttemptKind, str], tuple[Handler, bool]] = {}

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do."""
        named = (capability for kind, capability in self._handlers if kind == "run" and capability)
        return tuple(dict.fromkeys((*self._capabilities, *named)))

    def task(self, capability: str = "") -> Callable[[Handler], Handler]:
        """Let a function do the tasks that need `capability`; without one, every task no other function is for."""
        return lambda handler: self.handle("run", capability, handler)

    def compensate(self, capability: str = "") -> Callable[[Handler], Handler]:
        """Let a function undo what a task did, when a project is rolled back."""
        return lambda handler: self.handle("compensate", capability, handler)

    def handle(self, kind: AttemptKind, capability: str, handler: Handler) -> Handler:
        """Let `handler` do one kind of work; what the decorators do."""
        if capability:
            _check(capability)
        if (kind, capability) in self._handlers:
            raise ValueError(f"agent {self.name} has a handler to {kind} {capability or 'everything else'} already")
        self._handlers[kind, capability] = handler, _is_async(handler)
        return handler

    def handler(self, kind: AttemptKind, capability: str) -> tuple[Handler, bool] | None:
        """Return who does this, if anybody does, and whether it is a coroutine function."""
        return self._handlers.get((kind, capability)) or self._handlers.get((kind, ""))

    def check(self) -> None:
        """Raise ValueError if it offers what it has no handler for, or offers nothing."""
        if not self.capabilities:
            raise ValueError(f'agent {self.name} offers nothing: name capabilities, or use @agent.task("<capability>")')
        idle = [capability for capability in self.capabilities if not self.handler("run", capability)]
        if idle:
            raise ValueError(f"agent {self.name} has no handler for {', '.join(idle)}: use @agent.task")

    async def run(self, url: str | None = None, **options: Any) -> None:
        """Connect and work until SIGTERM or SIGINT; then finish what is in hand and leave."""
        from nexus.agent.host import AgentHost  # the host knows agents, so this can't stand at the top

        await AgentHost([self], **options).run(url)


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004  not whether, but what


def _check(token: str) -> None:
    if not is_token(token):
        raise ValueError(f"{token!r} is not a name: use letters, digits, _ and -, at most 128 of them")
