"""What the coordinator does about others' facts, results, signals and the passing of time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from contracts.agents import Beat, TaskResult
from contracts.envelope import CloudEvent
from contracts.planner import PlanApproved, PlanRevised, ProjectPlanned
from contracts.resource_manager import CapacityLeased, LeaseExpired
from contracts.work import ProtocolConfig
from services.coordinator.conductor import Conductor, now
from services.coordinator.domain import Execution
from shared import telemetry
from shared.domain import NotYet
from shared.incoming import Incoming
from shared.mapper import EventMapper, Origin
from shared.records import Log
from shared.repository import AggregateNotFound
from shared.timers import Due

ByProject = dict[str, list[Incoming]]


class NotPlanned(NotYet):
    """The planner has not planned that project, or not yet."""

    code = "not_planned"


class NeverAssigned(NotYet):
    """A result for an attempt that nobody was given."""

    code = "never_assigned"


class Policies:
    """Reactions; each may be delivered again, and in any order."""

    def __init__(self, conductor: Conductor, log: Log) -> None:
        self._conductor, self._log, self._mapper = conductor, log, EventMapper()

    async def start_projects(self, batch: list[Incoming]) -> None:
        """Carry out what was planned and approved."""
        await self._by_project(batch, _aggregate, self._start)

    async def use_capacity(self, batch: list[Incoming]) -> None:
        """Dispatch what capacity was granted for; try again what lost its agent."""
        await self._by_project(batch, _trailing_project, self._use_capacity)

    async def settle_results(self, batch: list[Incoming]) -> None:
        """Take results, all of one project in one decision."""
        await self._by_project(batch, _third, self._settle)

    async def wake(self, due: list[Due]) -> None:
        """Look again at projects whose time has come."""
        await self._by_project([one.message for one in due], _aggregate, self._advance)

    async def hear_beats(self, batch: list[Incoming]) -> None:
        """Note signs of life; send again what an agent does not know of, and take back what it should not do."""
        for message in batch:
            beat, vitals = Beat.model_validate(message.ce.data), self._conductor.vitals
            if missing := vitals.beat(beat, now()):
                await self._conductor.remind(missing)
            if strange := vitals.strangers(beat):
                await self._conductor.recall(beat.agent, strange)

    async def receive_signal(self, tokens: tuple[str, ...], ce: CloudEvent) -> None:
        """Take a signal from outside; the same one twice is heard once."""
        project, name = tokens
        payload = ce.data if isinstance(ce.data, dict) else {"value": ce.data}
        try:
            async with self._conductor.lineage.join(project, Origin.of(ce, once=True), "hear signal") as origin:
                await self._conductor.act(project, lambda e: e.hear(name, payload, ce.source, now()), origin=origin)
        except AggregateNotFound as error:
            raise NotPlanned(f"project {project} is not being carried out") from error

    async def planned(self, project: str) -> ProjectPlanned:
        """Return the plan of a project, as the log has it now."""
        plan: ProjectPlanned | None = None
        for logged in await self._log.read(project, service="planner"):
            match self._mapper.to_event(logged):
                case ProjectPlanned() as event:
                    plan = event
                case PlanRevised() as event if plan is not None:
                    plan = plan.model_copy(update={"plan": event.plan})
                case PlanApproved() if plan is not None:
                    plan = plan.model_copy(update={"approved": True})
        if plan is None:
            raise NotPlanned(f"project {project} has no plan")
        return plan

    async def is_described(self, project: str) -> bool:
        """Tell whether the planner has ever heard of a project."""
        return bool(await self._log.read(project, service="planner", limit=1))

    async def begin(
        self, project: str, planned: ProjectPlanned, config: ProtocolConfig | None, protocol_id: str, origin: Origin
    ) -> int:
        """Start an execution; return where in the log it stands."""
        change = await self._conductor.act(
            project, lambda e: e.begin(planned, config, protocol_id, now()), origin=origin, create=True
        )
        return change.sequence

    async def _start(self, project: str, batch: list[Incoming], origin: Origin) -> None:
        event = self._mapper.to_event(batch[-1].logged)
        planned = event if isinstance(event, ProjectPlanned) else await self.planned(project)
        if planned.approved:
            async with self._conductor.lineage.join(project, origin, "start project") as own:
                await self.begin(project, planned, None, "", own)

    async def _use_capacity(self, project: str, batch: list[Incoming], origin: Origin) -> None:
        for message in batch:
            match self._mapper.to_event(message.logged):
                case CapacityLeased() as granted:
                    await self._conductor.act(project, partial(_take, granted), origin=origin)
                case LeaseExpired() as expired:
                    await self._conductor.act(project, partial(_lose, expired), origin=origin)

    async def _settle(self, project: str, batch: list[Incoming], origin: Origin) -> None:
        reports, sources = [], []
        for message in batch:
            try:
                result = TaskResult.model_validate(message.ce.data)
            except ValueError as error:  # malformed, or not a result
                message.fail(error)
            else:
                reports.append((message.subject.rsplit(".", 1)[1], result))
                sources.append(message)
        if not reports:
            return
        try:
            change = await self._conductor.act(project, lambda e: e.settle(reports, now()), origin=origin)
        except AggregateNotFound as error:
            raise NeverAssigned(f"project {project} is not being carried out") from error
        for place in change.result.result:
            task, result = reports[place]
            sources[place].fail(NeverAssigned(f"attempt {result.attempt} of task {task} was never assigned"))

    async def _advance(self, project: str, _batch: list[Incoming], origin: Origin) -> None:
        await self._conductor.advance(project, origin=origin)

    @staticmethod
    async def _by_project(
        batch: list[Incoming],
        project_of: Callable[[str], str],
        handle: Callable[[str, list[Incoming], Origin], Awaitable[None]],
    ) -> None:
        """Handle what concerns one project together, and different projects beside each other."""
        groups: ByProject = defaultdict(list)
        for message in batch:
            groups[project_of(message.subject)].append(message)
        await asyncio.gather(*(_handled(project, group, handle) for project, group in groups.items()))


async def _handled(
    project: str, group: list[Incoming], handle: Callable[[str, list[Incoming], Origin], Awaitable[None]]
) -> None:
    """A project that cannot be handled fails alone."""
    try:
        with telemetry.processing(group, durable="coordinator") as span:
            await handle(project, group, _origin(project, group, span.traceparent))
    except Exception as error:  # noqa: BLE001  the message's fate is decided by what was raised
        _fail_all(group, error)


def _take(granted: CapacityLeased, execution: Execution) -> None:
    execution.take(granted.leases, now())


def _lose(expired: LeaseExpired, execution: Execution) -> None:
    execution.lose(expired.leases, expired.reason, now())


def _origin(project: str, group: list[Incoming], traceparent: str | None) -> Origin:
    return Origin(causationid=group[0].id, correlationid=project, traceparent=traceparent)


def _fail_all(group: Iterable[Incoming], error: Exception) -> None:
    for message in group:
        message.fail(error)


def _aggregate(subject: str) -> str:
    return subject.split(".", 4)[3]


def _trailing_project(subject: str) -> str:
    return subject.rsplit(".", 1)[1]


def _third(subject: str) -> str:
    return subject.split(".", 3)[2]
