"""`nexus run` and `nexus demo`: describe a project, watch it, and find what it produced."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus.cli.verbs import Json, NoTty

if TYPE_CHECKING:
    from nexus.cli.scene import Scene
    from nexus.client import Client
    from shared.settings import Settings

DEMO: dict[str, Any] = {
    "type": "web_application",
    "title": "E-commerce platform",
    "description": "E-commerce platform with user management",
    "technologies": {"frontend": "react", "backend": "fastapi", "database": "postgresql"},
    "requirements": {"expected_users": 10000, "performance_level": "high"},
}

Pairs = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="May be given several times.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(run)
    app.command()(demo)


def demo(no_tty: NoTty = False, as_json: Json = False) -> None:
    """Carry out a whole project, live: an e-commerce platform, from requirements to tests that ran."""
    _carry_out(DEMO, no_tty=no_tty, as_json=as_json)


def run(
    file: Annotated[str | None, typer.Argument(help="Request as YAML or JSON; - reads stdin.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="web_application, api_service, mobile_app, …")] = None,
    title: Annotated[str | None, typer.Option()] = None,
    description: Annotated[str | None, typer.Option(help="What the project is for.")] = None,
    tech: Pairs = None,
    require: Pairs = None,
    protocol: Annotated[str | None, typer.Option(help="synchronous, asynchronous, event_driven, …")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 is the most urgent.")] = None,
    manual: Annotated[bool, typer.Option("--manual", help="Plan only; it waits for approval.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait for the end (needs a running system).")
    ] = False,
    no_tty: NoTty = False,
    as_json: Json = False,
) -> None:
    """Carry out a project: from a file, or from what the options say. Exit code 0: it completed."""
    from nexus.cli.reading import pairs, request

    said = {
        "type": kind,
        "title": title,
        "description": description,
        "technologies": pairs(tech, "--tech"),
        "requirements": pairs(require, "--require"),
        "protocol": {"type": protocol} if protocol else None,
        "priority": priority,
        "start": "manual" if manual else None,
    }
    _carry_out(request(file, said), no_tty=no_tty, as_json=as_json, wait=not (no_wait or manual))


def _carry_out(request: dict[str, Any], *, no_tty: bool, as_json: bool, wait: bool = True) -> None:
    from nexus.cli import session

    completed = session.go(carry_out(request, no_tty=no_tty, as_json=as_json, wait=wait))
    if not completed:
        raise typer.Exit(1)


async def carry_out(request: dict[str, Any], *, no_tty: bool, as_json: bool, wait: bool = True) -> bool:
    """Have a project done, and show it; return whether it completed."""
    from nexus.cli import session
    from nexus.cli.entry import say
    from nexus.cli.errors import NothingRuns
    from nexus.cli.watching import style, watch

    how = style(no_tty=no_tty, as_json=as_json)
    chosen = session.settings()
    if not wait and request.get("start") != "manual" and session.temporary():
        raise NothingRuns(
            f"--no-wait needs a running system, and none runs on {chosen.data}: start one with `nexus up`"
        )
    if how == "live" and session.temporary():
        print(f"Starting Nexus on {_near(chosen.data)} …", flush=True)
    async with session.working() as (client, _):
        outcome = await client.create_project(**request)
        project = str(outcome.result["project"])
        if not wait:
            await _planned(client, project, as_json=as_json)
            return True
        try:
            scene = await watch(client, project, chosen, how)
        except asyncio.CancelledError:
            say(f"interrupted; project {project} stays in the log, and goes on where Nexus runs (`nexus up`)")
            raise
    _report(scene, chosen, as_json=as_json)
    return scene.view.status == "completed"


async def _planned(client: "Client", project: str, *, as_json: bool) -> None:
    from nexus.cli import output
    from nexus.cli.errors import NotDone

    view = None
    async for entry in client.follow(project):
        if entry.name in ("project_planned", "project_refused"):
            view = await client.project(project)
            break
    if view is None or view.status == "refused":
        raise NotDone(f"project {project} is refused: {view.reason if view else 'the connection is closed'}")
    if as_json:
        output.emit({"project": project, "status": view.status})
    else:
        print(f"{project}: {view.status}, {len(view.tasks)} tasks; next: nexus project plan {project}")


def _report(scene: "Scene", chosen: "Settings", *, as_json: bool) -> None:
    from rich.markup import escape

    from nexus.cli import output
    from nexus.cli.telling import seconds

    view = scene.view
    produced = _produced(scene, chosen)
    files = sum(path.is_file() for path in produced.rglob("*")) if produced.is_dir() else 0
    bound = view.plan.lower_bound if view.plan else 0.0
    if as_json:
        summary = {"project": view.id, "status": view.status, "reason": view.reason, "seconds": view.seconds}
        output.emit(
            {"summary": summary | {"lower_bound": bound, "output": str(produced) if files else None, "files": files}}
        )
        return
    screen = output.console()
    sign = "[green]✔[/]" if view.status == "completed" else "[red]✘[/]"
    screen.print(f"\n{sign} [bold]{escape(view.title or view.id)}[/] {output.coloured(view.status)}", end="")
    screen.print(f": {view.reason}" if view.reason else "", markup=False)
    if view.seconds and bound:
        factor = view.seconds / bound
        early = "" if factor >= 1 else "; its estimates were too high"
        screen.print(
            f"  took   {seconds(view.seconds)}; the plan's lower bound is {seconds(bound)} (× {factor:.2f}){early}"
        )
    if files:
        screen.print(f"  files  {_near(produced)} ({files} files)")
    commands = _next(scene)
    width = max(len(command) for command, _ in commands)
    for place, (command, about) in enumerate(commands):
        screen.print(f"  {'' if place else 'next':6} {command:{width}}  [dim]{about}[/]")


def _produced(scene: "Scene", chosen: "Settings") -> Path:
    """Return where the files are, as the agents say: they may have been started elsewhere."""
    told = (task.output.get("folder") for task in scene.view.tasks.values())
    return Path(next((str(folder) for folder in told if folder), chosen.nexus.demo_output / scene.view.id)).absolute()


def _next(scene: "Scene") -> list[tuple[str, str]]:
    project, middle = scene.view.id, scene.middle or scene.view.sequence
    nexus = _typed()
    return [
        (f"{nexus} project history {project}", "everything that happened"),
        (f"{nexus} project show {project} --at {middle}", "replayed to the middle"),
        (f"{nexus} project trace {project}", "what ran when, on which agent"),
    ]


def _typed() -> str:
    """Return what to type for this program here: after `make demo` it is on nobody's PATH."""
    if shutil.which("nexus"):
        return "nexus"
    program = Path(sys.argv[0]).absolute()
    return _near(program).removeprefix("./") if program.name == "nexus" else "nexus"


def _near(path: Path) -> str:
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path.is_relative_to(here) else str(path)
