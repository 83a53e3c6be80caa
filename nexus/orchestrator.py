"""The orchestrator as an object: plan projects, have agents do them, and see how it goes, from any program."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from contracts.work import ProtocolConfig
from nexus.backstage import Backstage
from nexus.embedded import templates
from nexus.office import Office
from nexus.registered import as_agent
from nexus.stage import Stage
from shared.settings import Settings

T = TypeVar("T")

Ask = Callable[[Office], Coroutine[Any, Any, T]]


class EnhancedOrchestratorAgent:
    """Plans projects, reserves capacity, has agents do the work, and remembers every step.

    `config`: settings as a mapping, a pydantic model or the path of a YAML file; None reads ./nexus.yaml and the
    environment. It connects with the first thing it is asked for: to the configured server, to the system that runs on
    the data folder, or to one that it starts inside this program. Closing it is good manners (`async with`, `close`);
    what is not closed ends with the program.
    """

    def __init__(self, config: Mapping[str, Any] | BaseModel | Path | str | None = None, **overrides: Any) -> None:
        """`overrides`: single settings, such as `data` or `nats_url`."""
        settings = Settings.load(config, **overrides)
        self.settings = settings.model_copy(update={"data": settings.data.absolute()})
        self._opening, self._opened = threading.Lock(), False
        self._reset()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let the agents leave, and end what was started for this object; asking again starts it again."""
        await self._backstage.close()
        self._reset()

    # What the seed of this project asks for

    async def process_task(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a task says: its `task_type`, and the fields that belong to that.

        `create_project` takes the fields of `contracts.planner.CreateProject`. It plans and, unless `execute` is true,
        waits to be carried out by `execute_with_coordination` or `execute_project`.
        """
        return await self._ask(lambda office: office.process(task))

    async def get_performance_metrics(self) -> dict[str, Any]:
        """Return numbers about projects, tasks, resources, agents and coordination."""
        return await self._ask(lambda office: office.get_performance_metrics())

    async def create_coordination_protocol(self, config: Mapping[str, Any] | ProtocolConfig) -> str:
        """Keep a way to coordinate projects; return its id."""
        said = config.model_dump(exclude_defaults=True) if isinstance(config, ProtocolConfig) else dict(config)
        found = await self._ask(lambda office: office.create_coordination_protocol(**said))
        return str(found["protocol_id"])

    async def execute_with_coordination(
        self,
        project_id: str,
        protocol_id: str,
        *,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109  the project goes on, only the waiting ends
    ) -> dict[str, Any]:
        """Carry out a planned project under a protocol; return it as it ended, or with `wait=False` as it began."""
        return await self._ask(
            lambda office: office.execute_project(
                project_id=project_id, protocol_id=protocol_id, wait=wait, timeout=timeout
            )
        )

    async def register_agent(self, name: str, agent: Any) -> None:
        """Let an object do the tasks that its name says: "database", "analyst", "frontend", …, or any capability.

        The object has an async method `process_task`, `run`, `execute` or `handle`, or can be called; it is given one
        dict (see `nexus.registered.as_agent`). Reference agents keep to what nobody is registered for.
        """
        made = as_agent(name, agent, asyncio.get_running_loop())
        await self._open()
        await self._backstage.do(self._stage.register(made))

    # Beside that

    async def execute_project(
        self, project_id: str, protocol_id: str | None = None, *, wait: bool = True
    ) -> dict[str, Any]:
        """Carry out a planned project under its own protocol, or another."""
        return await self._ask(
            lambda office: office.execute_project(project_id=project_id, protocol_id=protocol_id, wait=wait)
        )

    async def get_project(self, project_id: str) -> dict[str, Any]:
        """Return where a project stands."""
        return await self._ask(lambda office: office.get_project(project_id=project_id))

    async def pause_project(self, project_id: str) -> dict[str, Any]:
        """Start nothing new."""
        return await self._ask(lambda office: office.pause_project(project_id=project_id))

    async def resume_project(self, project_id: str) -> dict[str, Any]:
        """Go on with a paused project."""
        return await self._ask(lambda office: office.resume_project(project_id=project_id))

    async def cancel_project(self, project_id: str, reason: str = "", *, rollback: bool = False) -> dict[str, Any]:
        """End a project now."""
        return await self._ask(
            lambda office: office.cancel_project(project_id=project_id, reason=reason, rollback=rollback)
        )

    async def send_signal(self, project_id: str, name: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
        """Tell a project that something has happened."""
        return await self._ask(lambda office: office.send_signal(project_id=project_id, name=name, payload=payload))

    # Views: what there is now. They wait for an answer, so use them between tasks rather than within.

    @property
    def active_projects(self) -> dict[str, Any]:
        """Projects that have not ended, by id."""
        return self._see(lambda office: office.active_projects(), {})

    @property
    def project_templates(self) -> dict[str, Any]:
        """What projects can be planned from, by id."""
        return templates(self.settings)

    @property
    def task_queue(self) -> dict[str, Any]:
        """Requests of tasks that wait for capacity, and what they lack."""
        return self._see(lambda office: office.waiting(), {})

    @property
    def available_resources(self) -> dict[str, Any]:
        """What is left of each resource."""
        return self._see(lambda office: office.available(), {})

    @property
    def resource_allocations(self) -> dict[str, Any]:
        """Leases on capacity, by id."""
        return self._see(lambda office: office.allocations(), {})

    @property
    def coordination_protocols(self) -> dict[str, Any]:
        """Protocols that are defined, by id."""
        return self._see(lambda office: office.protocols(), {})

    @property
    def active_coordinations(self) -> dict[str, Any]:
        """Projects under way, with the type of their protocol."""
        return self._see(lambda office: office.coordinations(), {})

    @property
    def performance_metrics(self) -> dict[str, Any]:
        """As `get_performance_metrics` returns them."""
        return self._see(lambda office: office.get_performance_metrics(), {})

    async def _ask(self, ask: Ask[T]) -> T:
        await self._open()
        return await self._backstage.do(ask(self._office))

    def _see(self, ask: Ask[T], nothing: T) -> T:
        return self._backstage.wait(ask(self._office)) if self._opened else nothing

    async def _open(self) -> None:
        if not self._opened:
            await asyncio.to_thread(self._open_now)

    def _open_now(self) -> None:
        with self._opening:
            if not self._opened:
                self._backstage.start(closing=self._stage.close)
                try:
                    self._backstage.wait(self._stage.open(), OPENING)
                except BaseException:
                    self._backstage.end()
                    self._reset()
                    raise
                self._opened = True

    def _reset(self) -> None:
        self._backstage, self._stage = Backstage(), Stage(self.settings)
        self._office, self._opened = Office(self._stage), False


OPENING = 120.0
"""Seconds for everything to come up; a long log is read again."""
