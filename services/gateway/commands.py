"""What is asked of the system: each request becomes one command, and is answered by that command's outcome."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict

from contracts.base import TOKEN_PATTERN, Command, Token
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
from contracts.outcomes import Outcome
from contracts.planner import ApprovePlan, CreateProject
from contracts.resource_manager import DrainAgent
from contracts.unread import unread
from services.gateway.models import Created, Done, ProblemDetails, Redriven, Signalled
from services.gateway.problems import Unread
from services.gateway.state import Gateway, State
from shared import telemetry

ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDetails, "description": what}
    for status, what in {
        404: "Nobody knows what the path names.",
        409: "Its state does not allow it.",
        422: "It was refused; the problems say why, each with its JSON pointer.",
        504: "Its outcome is unknown. Ask again with the same Idempotency-Key.",
    }.items()
}
router = APIRouter(prefix="/v1", tags=["commands"], responses=ANSWERS)

Name = Annotated[str, Path(pattern=TOKEN_PATTERN, max_length=128)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Becomes the command's id: the same key twice takes effect once, and is answered the same.",
    ),
]


class Cancelling(BaseModel):
    """How a project is ended."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    reason: str = ""
    rollback: bool = False
    """Undo what was done, in reverse order."""


class Executing(BaseModel):
    """How a project is carried out."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    protocol: Token | None = None
    """Id of a defined protocol; null: the plan's own."""


@router.post("/projects", status_code=202)
async def create_project(
    cmd: CreateProject, request: Request, response: Response, gateway: Gateway, key: Key = None
) -> Created:
    """Describe a project: by its type, by a description, or by tasks of its own. It is planned and carried out."""
    if misread := unread(await request.json(), cmd):
        raise Unread(misread)
    outcome = await _send(request, gateway, cmd, key)
    project = str(outcome.result["project"])
    location = str(request.app.url_path_for("show_project", project=project))
    response.headers["Location"] = location
    return Created(id=project, location=location, command=outcome.command, sequence=outcome.sequence)


@router.post("/projects/{project}/approve", status_code=202)
async def approve_plan(project: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Let a project whose plan waits for approval begin."""
    return await _ask(request, gateway, ApprovePlan(project=project), key)


@router.post("/projects/{project}/execute", status_code=202)
async def execute_project(
    project: Name,
    request: Request,
    gateway: Gateway,
    how: Annotated[Executing | None, Body()] = None,
    key: Key = None,
) -> Done:
    """Carry out a planned project now, with its own protocol or a defined one."""
    protocol = how.protocol if how else None
    return await _ask(request, gateway, ExecuteProject(project=project, protocol=protocol), key)


@router.post("/projects/{project}/pause", status_code=202)
async def pause_project(project: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Start nothing new; what runs may finish."""
    return await _ask(request, gateway, PauseProject(project=project), key)


@router.post("/projects/{project}/resume", status_code=202)
async def resume_project(project: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Go on with a paused project."""
    return await _ask(request, gateway, ResumeProject(project=project), key)


@router.post("/projects/{project}/cancel", status_code=202)
async def cancel_project(
    project: Name,
    request: Request,
    gateway: Gateway,
    how: Annotated[Cancelling | None, Body()] = None,
    key: Key = None,
) -> Done:
    """End a project now."""
    chosen = how or Cancelling()
    cmd = CancelProject(project=project, reason=chosen.reason, rollback=chosen.rollback)
    return await _ask(request, gateway, cmd, key)


@router.post("/projects/{project}/tasks/{task}/retry", status_code=202)
async def retry_task(project: Name, task: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Try a failed task again, and what it had blocked."""
    return await _ask(request, gateway, RetryTask(project=project, task=task), key)


@router.post("/projects/{project}/tasks/{task}/skip", status_code=202)
async def skip_task(project: Name, task: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Count a task as done without doing it."""
    return await _ask(request, gateway, SkipTask(project=project, task=task), key)


@router.post("/projects/{project}/signals/{name}", status_code=202)
async def send_signal(
    project: Name,
    name: Name,
    request: Request,
    gateway: Gateway,
    payload: Annotated[dict[str, Any] | None, Body()] = None,
) -> Signalled:
    """Tell a project that something has happened; any JSON object may say more about it."""
    async with gateway.commands():
        await _must_exist(gateway, project)
        with _traced(request, gateway) as spanned:
            await gateway.client.signal(project, name, payload, spanned.traceparent)
    return Signalled(project=project, name=name)


@router.post("/agents/{agent}/drain", status_code=202)
async def drain_agent(agent: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Give an agent no further work; what it has it may finish."""
    return _done(await _send(request, gateway, DrainAgent(agent=agent), key))


@router.post("/protocols", status_code=202)
async def define_protocol(
    cmd: DefineProtocol, request: Request, response: Response, gateway: Gateway, key: Key = None
) -> Done:
    """Keep a protocol; its id is in `result`."""
    outcome = await _send(request, gateway, cmd, key)
    protocol = str(outcome.result["protocol"])
    response.headers["Location"] = str(request.app.url_path_for("show_protocol", protocol=protocol))
    return _done(outcome)


@router.delete("/protocols/{protocol}", status_code=202)
async def retire_protocol(protocol: Name, request: Request, gateway: Gateway, key: Key = None) -> Done:
    """Let no further project use a protocol."""
    return _done(await _send(request, gateway, RetireProtocol(protocol=protocol), key))


@router.post("/dead-letters/{letter}/redrive", status_code=202)
async def redrive(letter: Annotated[int, Path(ge=1)], gateway: Gateway) -> Redriven:
    """Send a message that could not be handled to where it came from, once more."""
    async with gateway.commands():
        return Redriven(letter=letter, sequence=await gateway.client.redrive(letter))


async def _ask(request: Request, gateway: State, cmd: Command, key: str | None) -> Done:
    """Send a command about a project; one that nobody knows is told at once, its service would wait for it."""
    await _must_exist(gateway, cmd.project)  # type: ignore[attr-defined]  # all that come here have one
    return _done(await _send(request, gateway, cmd, key))


async def _send(request: Request, gateway: State, cmd: Command, key: str | None) -> Outcome:
    async with gateway.commands():
        with _traced(request, gateway) as spanned:
            return await gateway.client.command(cmd, key, traceparent=spanned.traceparent)


def _traced(request: Request, gateway: State) -> Any:
    # Requests are handled by tasks of their own, which do not know what the gateway's start has set up.
    telemetry.setup("gateway", gateway.settings.otlp_endpoint)
    route = request.scope["route"].path
    found = {"http.request.method": request.method, "http.route": route}
    parent = request.headers.get("traceparent")
    valid = parent if telemetry.context_of(parent) else None
    return telemetry.span(f"{request.method} {route}", kind="server", parent=valid, attributes=found)


async def _must_exist(gateway: State, project: str) -> None:
    board = await gateway.board()
    if project not in board.projects.projects:
        await gateway.client.history(project)  # the board may be a moment behind


def _done(outcome: Outcome) -> Done:
    return Done(command=outcome.command, sequence=outcome.sequence, result=outcome.result)
