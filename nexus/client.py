"""The client: everything that a program outside does with a running Nexus, over its messages and its log alone.

```python
async with Client.connect() as client:
    outcome = await client.create_project(type="api_service", description="…")
    view = await client.wait(outcome.result["project"], 60)
```
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from eventsourcing.persistence import OperationalError
from nats.aio.client import Client as Connection
from pydantic import ValidationError

from contracts.agents import Beat
from contracts.base import Command, is_token
from contracts.coordinator import (
    CancelProject,
    DefineProtocol,
    ExecuteProject,
    PauseProject,
    ResumeProject,
    RetireProtocol,
    RetryTask,
    SkipTask,
)
from contracts.envelope import CloudEvent, Malformed, decode
from contracts.outcomes import Outcome
from contracts.planner import ApprovePlan, CreateProject
from contracts.resource_manager import Capacity, DrainAgent, SetCapacity
from contracts.work import ProtocolConfig
from nexus.agent.artifacts import Artifacts
from nexus.agents_view import AgentsView, AgentView
from nexus.connection import connect
from nexus.history import Difference, Entry, Story, differences, to_lines, view_of
from nexus.project_list import FILTERS, ProjectList, ProjectSummary
from nexus.sending import CommandError, OutcomeUnknown, PayloadTooLarge, Refused, Sender, check_size
from nexus.view import ProjectView
from shared import telemetry
from shared.deadletters import DeadLetter, letters, redrive
from shared.eventlog import STORY, EventLog
from shared.publisher import Publisher
from shared.settings import Settings
from shared.streams import AGENTS

__all__ = ["Client", "CommandError", "OutcomeUnknown", "PayloadTooLarge", "Refused", "UnknownProject"]

SECONDS = 10.0
"""How long a command waits for its outcome unless told otherwise."""
AGENT_EVENTS = [f"nexus.events.resource_manager.*.agent_{what}" for what in ("joined", "drained", "lost", "left")]

RENEWALS = ["nexus.events.resource_manager.*.lease_renewed"]


class UnknownProject(LookupError):
    """The log says nothing about a project of that id."""


class AlreadyThere(ValueError):
    """A story cannot be imported where its project exists."""


class Client:
    """A connection to a running Nexus."""

    def __init__(
        self,
        url: str | None = None,
        settings: Settings | None = None,
        *,
        nc: Connection | None = None,
        actor: str | None = None,
        patience: float = 5.0,
    ) -> None:
        """Without `url` the settings name the server, or `nexus up` runs it here.

        `nc`: a connection to share, and left open; `actor`: who asks, kept with every event that follows;
        `patience`: seconds to try to connect.
        """
        self._url, self._settings, self._patience = url, settings, patience
        self._shared, self._actor = nc is not None, actor
        if nc is not None:
            self._use(nc)

    @classmethod
    def connect(cls, url: str | None = None, settings: Settings | None = None, **options: Any) -> Self:
        """Return a client that connects when its `async with` is entered."""
        return cls(url, settings, **options)

    async def open(self) -> Self:
        """Connect, unless that is done."""
        if not self._shared:
            settings = self._settings or Settings.load()
            telemetry.setup("client", settings.otlp_endpoint)
            self._use(await connect(self._url, settings, name="nexus client", patience=self._patience))
        return self

    async def close(self) -> None:
        """Disconnect."""
        if not self._shared:
            await self._log.close()
            await self.nc.close()
            await asyncio.to_thread(telemetry.shutdown, "client")

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _use(self, nc: Connection) -> None:
        self.nc = nc
        self._publisher = Publisher(nc)
        self._log = EventLog(nc, "client")
        self._sender = Sender(nc, self._publisher, self._actor)
        self.artifacts = Artifacts(nc)

    # Commands

    async def command(
        self,
        command: Command,
        id: str | None = None,  # noqa: A002  the word of CloudEvents
        actor: str | None = None,
        timeout: float = SECONDS,  # noqa: ASYNC109  a time-out has a meaning here: the outcome is unknown
        traceparent: str | None = None,
    ) -> Outcome:
        """Send a command and wait for its outcome; the same `id` twice takes effect once.

        `traceparent`: the trace of whoever asked, where none is open in this program.
        `Refused`: it was not carried out. `OutcomeUnknown`: nothing was heard in time. `PayloadTooLarge`: not sent.
        """
        return await self._sender.send(command, id, actor, timeout, traceparent)

    async def create_project(self, id: str | None = None, **fields: Any) -> Outcome:  # noqa: A002  see command
        """Describe a project, with the fields of `CreateProject`; its id is `outcome.result["project"]`."""
        return await self.command(CreateProject.model_validate(fields), id)

    async def approve(self, project: str) -> Outcome:
        """Let a project whose plan waits for approval begin."""
        return await self.command(ApprovePlan(project=project))

    async def execute(self, project: str, protocol: str | None = None) -> Outcome:
        """Carry out a planned project now, with its own protocol or a defined one."""
        return await self.command(ExecuteProject(project=project, protocol=protocol))

    async def pause(self, project: str) -> Outcome:
        """Start nothing new."""
        return await self.command(PauseProject(project=project))

    async def resume(self, project: str) -> Outcome:
        """Go on with a paused project."""
        return await self.command(ResumeProject(project=project))

    async def cancel(self, project: str, reason: str = "", *, rollback: bool = False) -> Outcome:
        """End a project now."""
        return await self.command(CancelProject(project=project, reason=reason, rollback=rollback))

    async def retry(self, project: str, task: str) -> Outcome:
        """Try a failed task again."""
        return await self.command(RetryTask(project=project, task=task))

    async def skip(self, project: str, task: str) -> Outcome:
        """Count a task as done without doing it."""
        return await self.command(SkipTask(project=project, task=task))

    async def define_protocol(self, config: ProtocolConfig | dict[str, Any], name: str = "") -> str:
        """Keep a protocol; return its id."""
        command = DefineProtocol(config=ProtocolConfig.model_validate(config), name=name)
        return str((await self.command(command)).result["protocol"])

    async def retire_protocol(self, protocol: str) -> Outcome:
        """Let no further project use a protocol."""
        return await self.command(RetireProtocol(protocol=protocol))

    async def set_capacity(self, **capacity: Any) -> Outcome:
        """Change what the pool has, with the fields of `Capacity`."""
        return await self.command(SetCapacity(capacity=Capacity.model_validate(capacity)))

    async def drain_agent(self, agent: str) -> Outcome:
        """Give an agent no further work."""
        return await self.command(DrainAgent(agent=agent))

    async def signal(
        self, project: str, name: str, payload: dict[str, Any] | None = None, traceparent: str | None = None
    ) -> int:
        """Tell a project that something has happened; return once that is stored."""
        for token in (project, name):
            if not is_token(token):
                raise ValueError(f"{token!r} is not a name: use letters, digits, _ and -, at most 128 of them")
        event = CloudEvent(
            id=uuid4().hex,
            type=f"nexus.signal.{name}",
            source=self._actor or "nexus/client",
            subject=name,
            time=datetime.now(UTC),
            data=payload or {},
            project=project,
            traceparent=telemetry.current_traceparent() or traceparent,
            actor=self._actor,
        )
        check_size(event)
        return await self._publisher.publish(f"nexus.signals.{project}.{name}", event)

    # The log

    async def history(self, project: str, until: int | None = None) -> list[Entry]:
        """Return everything that happened in a project, up to a place in the log."""
        found = [Entry(logged) for logged in await self._log.story(project, until=until)]
        if not found and not (until and await self._log.story(project)):
            raise UnknownProject(f"there is no project {project}")
        return found

    async def project(self, project: str, at: int | None = None) -> ProjectView:
        """Return where a project stands, or stood at a place in the log."""
        entries = await self.history(project, at)
        if not entries:
            first = (await self.history(project))[0].sequence
            raise UnknownProject(f"project {project} begins at event {first}; at {at} there was nothing to show")
        view = view_of(project, entries)
        if view.leases:
            await self._renew(view, entries, at)
        return view

    async def _renew(self, view: ProjectView, entries: Sequence[Entry], at: int | None) -> None:
        """Leases are renewed for many projects at once, so this is not told in the story of one."""
        since = next(entry.sequence for entry in entries if entry.name == "capacity_leased")
        async for portion in self._log.replay(RENEWALS, after=since, until=at):
            for entry in map(Entry, portion):
                if entry.event is not None:
                    view.renew(entry.event)

    async def diff(self, project: str, before: int, after: int) -> list[Difference]:
        """Return what changed in a project between two places in the log."""
        entries = await self.history(project, after)
        earlier = [entry for entry in entries if entry.sequence <= before]
        return list(differences(view_of(project, earlier).as_dict(), view_of(project, entries).as_dict()))

    async def projects(self) -> list[ProjectSummary]:
        """Return all projects, in the order in which they were described."""
        found = ProjectList()
        for entry in await self._replay(FILTERS):
            if entry.event is not None and entry.project:
                found.apply(entry.project, entry.event)
        return list(found.projects.values())

    async def agents(self) -> list[AgentView]:
        """Return all agents: what the resource manager says of them, and what they last said themselves."""
        found, now = AgentsView(), datetime.now(UTC)
        for entry in await self._replay(AGENT_EVENTS):
            if entry.event is not None:
                found.apply(entry.event)
        said = EventLog(self.nc, "client", stream=AGENTS)
        async for portion in said.replay(["nexus.agents.>"]):
            for logged in portion:
                try:
                    said_so = decode(logged.state, subject=logged.subject, position=logged.sequence)
                    beat = Beat.model_validate(said_so.data)
                except (ValidationError, Malformed):
                    continue  # somebody's beat that says nothing
                found.hear(logged.subject.rpartition(".")[2], beat, said_so.time, now)
        found.miss()
        return sorted(found.agents.values(), key=lambda agent: agent.name)

    async def events(
        self,
        *,
        project: str | None = None,
        service: str | None = None,
        name: str | None = None,
        after: int | None = None,
    ) -> AsyncIterator[Entry]:
        """Yield events as they happen, for ever; with `after`, those behind that place in the log first (0: all)."""
        start = after if after is not None else await self.end()
        wanted = _filters(project, service, name)
        async for logged in self._log.tail(filters=wanted, after=start):
            entry = Entry(logged)
            if name in (None, entry.name) and service in (None, entry.service):
                yield entry

    async def past(
        self,
        *,
        project: str | None = None,
        service: str | None = None,
        name: str | None = None,
        after: int = 0,
        until: int | None = None,
    ) -> AsyncIterator[Entry]:
        """Yield the events that there are now, and end."""
        until = until if until is not None else await self.end()
        async for portion in self._log.replay(_filters(project, service, name), after=after, until=until):
            for entry in map(Entry, portion):
                if name in (None, entry.name) and service in (None, entry.service):
                    yield entry

    def follow(self, project: str, after: int = 0) -> AsyncIterator[Entry]:
        """Yield everything that happened in a project, and then whatever happens."""
        return self.events(project=project, after=after)

    async def wait(self, project: str, timeout: float | None = None) -> ProjectView:  # noqa: ASYNC109  see command
        """Wait until a project has ended; raise TimeoutError if that takes longer than `timeout` seconds."""
        async with asyncio.timeout(timeout):
            view = view_of(project, [Entry(logged) for logged in await self._log.story(project)])
            if view.ended:
                return view
            async for entry in self.follow(project, after=view.sequence):
                if entry.event is not None:
                    view.apply(entry.event, entry.sequence)
                if view.ended:
                    return view
        raise OperationalError("the connection is closed")

    async def end(self) -> int:
        """Return the place of the newest event in the log."""
        info = await self.nc.jetstream().stream_info(self._log.stream)
        return info.state.last_seq

    async def _replay(self, filters: Sequence[str]) -> list[Entry]:
        found: list[Entry] = []
        async for portion in self._log.replay(filters):
            found += map(Entry, portion)
        return found

    # What could not be handled

    async def dead_letters(self) -> list[DeadLetter]:
        """Return what could not be handled, with the reasons."""
        return [letter async for letter in letters(self.nc.jetstream())]

    async def redrive(self, sequence: int) -> int:
        """Send a dead letter to where it came from; return its new place there."""
        return await redrive(self.nc, sequence)

    # Stories

    async def export(self, project: str) -> str:
        """Return a project's story as JSON Lines, with the state that it led to."""
        return "\n".join(to_lines(project, await self.history(project))) + "\n"

    async def import_story(self, lines: Iterable[str]) -> str:
        """Put the story of an ended project into this log; return the project's id.

        Planner and coordinator say again what they said. What the resource manager said belongs to another pool and
        stays out: here nothing was held for it.
        """
        story = Story.of(lines)
        if not story.replayed().ended:
            raise AlreadyThere(f"project {story.project} has not ended: what it holds and awaits cannot be imported")
        if await self._log.story(story.project):
            raise AlreadyThere(f"project {story.project} is in this log already")
        for service in ("coordinator", "planner"):  # a plan without its execution would be carried out again
            log, seen = EventLog(self.nc, service), 0
            records = story.records(service)
            for start in range(0, len(records), 1000):
                seen = await log.append(records[start : start + 1000], seen={story.project: seen})
        return story.project


def _filters(project: str | None, service: str | None, name: str | None) -> list[str]:
    if project is not None:
        return [subject.format(project) for subject in STORY]
    subject = f"nexus.events.{service or '*'}.*.{name or '*'}"
    return [subject, f"{subject}.*"]
