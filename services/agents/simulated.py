"""An agent that only pretends: it takes the estimated time and does nothing, for traces, benchmarks and tests."""

import asyncio
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from nexus.agent import Agent, Job, TaskFailed


class SimulatedAgent(Agent):
    """Sleeps for `estimate * time_scale` seconds and fails at a given rate, the same way in every run."""

    def __init__(
        self,
        name: str,
        capabilities: Iterable[str],
        *,
        slots: int = 1,
        time_scale: float = 1.0,
        failure_rate: float = 0.0,
        seed: int = 0,
    ) -> None:
        """With a `time_scale` of 0 every task is done at once."""
        super().__init__(name, capabilities, slots=slots)
        self._scale, self._rate, self._seed = time_scale, failure_rate, seed
        self.handle("run", "", self._work)
        self.handle("compensate", "", self._undo)

    def fails(self, attempt: str) -> bool:
        """Tell whether an attempt fails: decided by its id (`Job.id`) and the seed."""
        return crc32(f"{self._seed}:{attempt}".encode()) / 2**32 < self._rate

    async def _work(self, job: Job) -> dict[str, Any] | None:
        if seconds := job.estimate * self._scale:
            await asyncio.sleep(seconds)
        if self._rate and self.fails(job.id):
            raise TaskFailed("simulated failure", code="simulated")
        return None

    async def _undo(self, job: Job) -> None:
        await asyncio.sleep(job.estimate * self._scale)
