"""What must be true when everything has come to rest. Each check yields what is wrong, in words."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.js import JetStreamContext
from pydantic import TypeAdapter

from contracts.base import Command
from nexus.client import Client as Connected
from nexus.client import CommandError
from nexus.supervisor import ask
from services.coordinator.domain import Execution
from services.planner.domain import Project
from services.resource_manager.domain import Pool
from shared.deadletters import letters
from shared.domain import Aggregate
from shared.eventlog import EventLog
from shared.repository import Repository
from shared.snapshots import Snapshots
from shared.streams import SNAPSHOTS
from tests.chaos.agents import EFFECTS, PREFIX
from tests.chaos.foretold import foretold
from tests.chaos.past import Past
from tests.chaos.stage import Stage, unhandled
from tests.chaos.workload import Wish

A = TypeVar("A", bound=Aggregate)
Acknowledged = Mapping[str, tuple[str, Command]]
"""Command id to project and command, for every command that the server has taken."""


async def audit(stage: Stage, wishes: Iterable[Wish], acknowledged: Acknowledged) -> list[str]:
    """Return everything that is wrong."""
    nc = stage.client.nc
    past = await Past.read(EventLog(nc, "client"))
    effects = await effects_of(nc.jetstream())
    return [
        *(line for wish in wishes for line in ends(wish, past)),
        *commands(past, acknowledged),
        *attempts(past, effects),
        *pool(past.pool),
        *views(past),
        *await snapshots(nc, past),
        *await services(stage, past),
        *await left_over(nc.jetstream()),
        *await answered(stage.client, past, acknowledged),
    ]


def ends(wish: Wish, past: Past) -> Iterator[str]:
    """Every project ended as it would have."""
    found, planned = past.executions.get(wish.project), past.planned.get(wish.project)
    if found is None or planned is None:
        yield f"{wish.project}: never began"
        return
    if found.status != wish.ends:
        yield f"{wish.project}: {found.status}, must be {wish.ends}"
        return
    if wish.ends == "cancelled":
        return  # how far it was by then is a matter of time
    should = foretold(wish, planned)
    for name, task in found.tasks.items():
        is_now, must_be = (task.status, task.output), (should.tasks[name].status, should.tasks[name].output)
        if is_now != must_be:
            yield f"{wish.project}.{name}: {is_now}, must be {must_be}"


def commands(past: Past, acknowledged: Acknowledged) -> Iterator[str]:
    """Every command that the server took has had one effect."""
    causes = past.causes()
    for identity, (project, command) in acknowledged.items():
        if len(causes[identity]) != 1:
            yield f"{command.NAME} of {project} ({identity}) had its effect at {causes[identity]}"


def attempts(past: Past, effects: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Whatever agents did, each task counts once, and nothing counts that nobody did."""
    given = Counter(attempt for attempt, _ in past.dispatched())
    yield from (f"{attempt} was dispatched {count} times" for attempt, count in given.items() if count > 1)
    told = Counter(attempt for attempt, one in past.settled() if one.status != "late")
    yield from (f"{attempt} was settled {count} times" for attempt, count in told.items() if count > 1)
    yield from (f"{attempt} was settled and never dispatched" for attempt in told.keys() - given.keys() if attempt[2])
    done = [attempt for attempt, one in past.settled() if one.status == "done"]
    once = Counter((project, task, kind) for project, task, _, kind in done)
    yield from (f"{task} was done {count} times" for task, count in once.items() if count > 1)
    for project, task, number, kind in done:
        if not effects.get(f"{project}.{task}.{number}.{kind}"):
            yield f"{project}.{task}.{number} ({kind}) counts as done and nobody did it"
    for attempt, by in effects.items():
        yield from (f"process {pid} did {attempt} {count} times" for pid, count in by.items() if count > 1)


def pool(found: Pool) -> Iterator[str]:
    """Nothing is held, and nobody waits."""
    yield from (f"lease {lease} is left" for lease in found.leases)
    yield from (f"request {request} still waits" for request in found.queue)
    yield from (f"project {project} still has a claim" for project in found.claims)
    if any(found.ledger.held):
        yield f"{found.ledger.held} are held by nobody"


def views(past: Past) -> Iterator[str]:
    """What a client folds is what the coordinator folds."""
    for project, execution in past.executions.items():
        view = past.view(project)
        tasks = {name: str(task.status) for name, task in execution.tasks.items()}
        seen = {name: task.status for name, task in view.tasks.items()}
        if (view.status, seen) != (execution.status, tasks):
            yield f"{project}: a client sees {view.status} {seen}, the coordinator {execution.status} {tasks}"


async def snapshots(nc: Client, past: Past) -> list[str]:
    """From a snapshot and what followed, every aggregate becomes what it becomes from its first event."""
    taken = (await nc.jetstream().stream_info(SNAPSHOTS)).state.messages
    found = [] if taken > 2 else [f"only {taken} snapshots were taken"]
    found += await _same(nc, "resource_manager", Pool, {"default": past.pool})
    found += await _same(nc, "coordinator", Execution, past.executions)
    return found + await _same(nc, "planner", Project, past.projects)


async def _same(nc: Client, service: str, kind: type[A], aggregates: Mapping[str, A]) -> list[str]:
    repository = Repository(EventLog(nc, service), kind, snapshots=Snapshots(nc, service))
    adapter: TypeAdapter[A] = TypeAdapter(kind)
    found = []
    for key, aggregate in aggregates.items():
        if adapter.dump_json(await repository.get(key)) != adapter.dump_json(aggregate):
            found.append(f"{kind.__name__} {key} is not the same from its snapshot")
    return found


async def services(stage: Stage, past: Past) -> list[str]:
    """The running services know what the log says."""
    told = await _gauges(stage, "resource_manager")
    found = [f"the resource manager tells of {name} = {told.get(name)}" for name in GAUGES if told.get(name) != 0]
    told = await _gauges(stage, "metrics")
    for status, count in past.performance.ended.items():
        name = f'nexus_projects_total{{status="{status}"}}'
        if told.get(name) != count:
            found.append(f"metrics tells of {name} = {told.get(name)}, the log of {count}")
    return found


GAUGES = ("nexus_pool_leases", 'nexus_pool_held{resource="cpu"}', 'nexus_pool_held{resource="slots"}')


async def _gauges(stage: Stage, service: str) -> dict[str, float]:
    process = stage.supervisor.processes[service]
    status, page = await ask(process.host, process.port, "/metrics")
    assert status == 200, page
    lines = (line.rpartition(" ") for line in page.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def left_over(js: JetStreamContext) -> list[str]:
    """Nothing was given up, and nothing waits."""
    found = [f"{letter.subject} is dead: {letter.reason}" async for letter in letters(js)]
    if left := await unhandled(js):
        found.append(f"not handled: {left}")
    return found


async def answered(client: Connected, past: Past, acknowledged: Acknowledged) -> list[str]:
    """Sent again, every command is answered with the place of the one effect that it had, and has no other."""
    effects = past.causes()

    async def again(identity: str, project: str, command: Command) -> str:
        try:
            outcome = await client.command(command, identity, timeout=30)
        except CommandError as error:
            return f"{command.NAME} of {project} ({identity}): {error}"
        if [outcome.sequence] != effects[identity] or outcome.result.get("project") != project:
            return f"{command.NAME} of {project} ({identity}): {outcome}, effect at {effects[identity]}"
        return ""

    found = await asyncio.gather(*(again(identity, *one) for identity, one in acknowledged.items()))
    more = (await Past.read(EventLog(client.nc, "client"))).causes()
    found += [
        f"{identity} had another effect when it was sent again"
        for identity in acknowledged
        if more[identity] != effects[identity]
    ]
    return [line for line in found if line]


async def effects_of(js: JetStreamContext) -> dict[str, Counter[str]]:
    """Return what agents did: `<project>.<task>.<attempt>.<kind>` to process to how often."""
    info: Any = await js.stream_info(EFFECTS, subjects_filter=f"{PREFIX}.>")
    found: dict[str, Counter[str]] = {}
    for subject, count in (info.state.subjects or {}).items():
        attempt, _, pid = subject.removeprefix(f"{PREFIX}.").rpartition(".")
        found.setdefault(attempt, Counter())[pid] += count
    return found
