"""What is known: projects now and at any place in the log, agents, protocols, numbers, dead letters."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query

from contracts.base import TOKEN_PATTERN
from contracts.work import Plan
from nexus.history import Entry
from services.gateway import models
from services.gateway.state import Gateway
from shared.deadletters import DeadLetter, letters

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": models.ProblemDetails, "description": "Nobody knows it."}}
router = APIRouter(prefix="/v1", tags=["reading"])

SHOWN = 4096
"""Characters of a dead letter that are shown."""

Name = Annotated[str, Path(pattern=TOKEN_PATTERN, max_length=128)]
Place = Annotated[int, Query(ge=0, description="A place in the log.")]
Status = Literal[
    "described",
    "planned",
    "running",
    "paused",
    "compensating",
    "completed",
    "failed",
    "cancelled",
    "rolled_back",
    "refused",
]


@router.get("/projects")
async def list_projects(
    gateway: Gateway,
    status: Annotated[list[Status] | None, Query(description="Only these; may be given several times.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=128, description="`next` of the page before.")] = None,
) -> models.Projects:
    """List projects, newest first."""
    board = await gateway.board()
    if cursor is not None and cursor not in board.projects.projects:
        raise HTTPException(422, f"{cursor!r} is no cursor: use `next` of the page before")
    found, total, following = board.page(frozenset(status or ()), limit, cursor)
    return models.Projects(projects=[models.Summary.model_validate(one) for one in found], total=total, next=following)


@router.get("/projects/{project}", responses=NOT_FOUND)
async def show_project(
    project: Name,
    gateway: Gateway,
    at: Annotated[int | None, Query(ge=1, description="As it was at this place in the log.")] = None,
) -> models.Project:
    """Show where a project stands, with all its tasks and what each one waits for."""
    async with gateway.reads():
        view = await gateway.client.project(project, at)
    return models.Project.model_validate(view.as_dict())


@router.get("/projects/{project}/plan", responses=NOT_FOUND)
async def show_plan(project: Name, gateway: Gateway) -> Plan:
    """Show what is going to be done, by whom it could be done, and what that is expected to take."""
    async with gateway.reads():
        view = await gateway.client.project(project)
    if view.plan is None:
        raise HTTPException(404, f"project {project} has no plan: it is {view.status}")
    return view.plan


@router.get("/projects/{project}/history", responses=NOT_FOUND)
async def show_history(
    project: Name, gateway: Gateway, after: Place = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> models.History:
    """Return what happened in a project, event by event."""
    async with gateway.reads():
        entries = [entry for entry in await gateway.client.history(project) if entry.sequence > after]
    found = [_event(entry) for entry in entries[:limit]]
    return models.History(project=project, events=found, next=found[-1].sequence if len(entries) > limit else None)


@router.get("/projects/{project}/diff", responses=NOT_FOUND)
async def compare(
    project: Name,
    gateway: Gateway,
    since: Annotated[int, Query(alias="from", ge=0)],
    until: Annotated[int, Query(alias="to", ge=1)],
) -> models.Changes:
    """Say what changed in a project between two places in the log."""
    async with gateway.reads():
        found = await gateway.client.diff(project, since, until)
    changes = [models.Change.model_validate(one) for one in found]
    return models.Changes(project=project, since=since, until=until, changes=changes)


@router.get("/agents")
async def list_agents(gateway: Gateway) -> list[models.Agent]:
    """List agents and what they have in hand."""
    async with gateway.reads():
        return [models.Agent.model_validate(one) for one in await gateway.agents.get()]


@router.get("/protocols")
async def list_protocols(gateway: Gateway) -> list[models.Protocol]:
    """List the protocols that projects may use."""
    return [models.Protocol.model_validate(one) for one in (await gateway.board()).protocols.values()]


@router.get("/protocols/{protocol}", responses=NOT_FOUND)
async def show_protocol(protocol: Name, gateway: Gateway) -> models.Protocol:
    """Show one protocol."""
    found = (await gateway.board()).protocols.get(protocol)
    if found is None:
        raise HTTPException(404, f"there is no protocol {protocol}")
    return models.Protocol.model_validate(found)


@router.get("/alerts")
async def list_alerts(gateway: Gateway) -> list[models.Alert]:
    """List what needs a person's eyes now."""
    return [models.Alert.model_validate(one) for one in (await gateway.board()).alerts.values()]


@router.get("/metrics/performance", responses={503: {"model": models.ProblemDetails}})
async def show_performance(gateway: Gateway) -> models.Performance:
    """Say how the whole system does: projects, tasks, resources, queue, agents, coordination."""
    async with gateway.reads():
        kept = await gateway.reports.load("report")
    if kept is None:
        raise HTTPException(503, "the metrics service has not told anything yet", {"Retry-After": "2"})
    return models.Performance.model_validate(kept.state)


@router.get("/dead-letters")
async def list_dead_letters(
    gateway: Gateway,
    after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> models.Letters:
    """List messages that could not be handled, oldest first, with the reasons."""
    found: list[models.Letter] = []
    more = False
    async with gateway.reads():
        async for letter in letters(gateway.nc.jetstream(timeout=5), after=after):
            if more := len(found) == limit:
                break
            found.append(_letter(letter))
    return models.Letters(letters=found, next=found[-1].sequence if more else None)


def _event(entry: Entry) -> models.Event:
    return models.Event.model_validate(entry.as_dict())


def _letter(letter: DeadLetter) -> models.Letter:
    text = letter.payload[: 4 * SHOWN].decode(errors="replace")[:SHOWN]
    return models.Letter(
        sequence=letter.sequence,
        subject=letter.subject,
        code=letter.code,
        reason=letter.reason,
        attempts=letter.attempts,
        stream=letter.stream,
        position=letter.position,
        size=len(letter.payload),
        payload=text,
    )
