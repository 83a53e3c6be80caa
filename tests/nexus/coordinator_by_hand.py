"""The coordinator, played by hand: gives assignments to an agent and reads what it says, through the real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from contracts.agents import Assignment, Beat, TaskResult, Withdrawal
from contracts.base import Message
from contracts.envelope import CloudEvent, decode, encode

M = TypeVar("M", bound=Message)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Coordinator:
    """Assigns and withdraws; hears results and beats."""

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.results: list[tuple[CloudEvent, TaskResult]] = []
        self.beats: list[tuple[str, Beat]] = []

    async def listen(self) -> "Coordinator":
        await self.nc.subscribe("nexus.results.*.*", cb=self._result)
        await self.nc.subscribe("nexus.agents.*.*", cb=self._beat)
        await self.nc.flush()
        return self

    async def assign(self, task: str, agent: str = "worker", **fields: Any) -> None:
        attempt = fields.setdefault("attempt", 1)
        given = {"lease": f"shop.{task}.{attempt}", "epoch": 7, "capability": "work", **fields}
        await self.tell(agent, Assignment(project="shop", task=task, **given))

    async def withdraw(self, task: str, agent: str = "worker", attempt: int = 1) -> None:
        await self.tell(agent, Withdrawal(project="shop", task=task, attempt=attempt))

    async def tell(self, agent: str, message: Assignment | Withdrawal) -> None:
        """Publish, and again until the stream has it."""
        event = CloudEvent(
            id=uuid4().hex,
            type=message.TYPE,
            source="nexus/coordinator",
            subject=message.task,
            data=message.model_dump(mode="json"),
            project=message.project,
            correlationid="the-command",
            traceparent=TRACE,
        )
        await patiently(lambda: self.nc.jetstream().publish(f"nexus.tasks.{agent}", encode(event), timeout=1))

    async def hear(self, count: int, patience: float = 5) -> list[TaskResult]:
        """Wait for so many results; return all that were heard."""
        await until(lambda: len(self.results) >= count, patience)
        return [result for _, result in self.results]

    async def hear_beat(self, wanted: Callable[[str, Beat], bool], patience: float = 5) -> Beat:
        """Wait for a beat of some kind."""
        await until(lambda: any(wanted(*beat) for beat in self.beats), patience)
        return next(beat for kind, beat in self.beats if wanted(kind, beat))

    async def stored(self) -> list[TaskResult]:
        """Return the results that lie in the stream."""
        js = self.nc.jetstream()
        state = (await js.stream_info("NEXUS_RESULTS")).state
        places = range(max(1, state.first_seq), state.last_seq + 1)
        messages = [await js.get_msg("NEXUS_RESULTS", place) for place in places]
        return [_typed(TaskResult, decode(msg.data or b"", msg.headers)) for msg in messages]

    async def _result(self, msg: Msg) -> None:
        ce = decode(msg.data, msg.headers, subject=msg.subject)
        self.results.append((ce, _typed(TaskResult, ce)))

    async def _beat(self, msg: Msg) -> None:
        ce = decode(msg.data, msg.headers, subject=msg.subject)
        self.beats.append((msg.subject.rpartition(".")[2], _typed(Beat, ce)))


async def until(condition: Callable[[], bool], patience: float = 5) -> None:
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.005)


async def patiently(action: Callable[[], Awaitable[Any]], patience: float = 10) -> Any:
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await action()
        except (NatsError, JetStreamError, TimeoutError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)


def _typed(kind: type[M], ce: CloudEvent) -> M:
    return kind.model_validate(ce.data)
