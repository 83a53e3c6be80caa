"""`nexus import …`: projects from other systems."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus.cli.verbs import Json, NoTty, group

if TYPE_CHECKING:
    from contracts.planner import CreateProject

app = group("Bring in projects from elsewhere.")


@app.command()
def wfcommons(
    file: Annotated[Path, typer.Argument(help="A workflow in WfFormat 1.5.", show_default=False)],
    run: Annotated[bool, typer.Option("--run", help="Carry it out with simulated agents.")] = False,
    time_scale: Annotated[float, typer.Option(min=0, help="Seconds here for a traced second.")] = 0.01,
    agents: Annotated[int, typer.Option(min=1, help="Simulated agents.")] = 2,
    slots: Annotated[int, typer.Option(min=1, help="Tasks that each of them does at one time.")] = 4,
    by_category: Annotated[bool, typer.Option("--by-category", help="Capability: the traced program.")] = False,
    no_tty: NoTty = False,
    as_json: Json = False,
) -> None:
    """Turn a traced workflow into a project; print the request, or carry it out and compare with what is possible."""
    from nexus.cli import output, session
    from nexus.wfcommons import read_workflow

    limits = session.settings().nexus.resource_limits
    request = read_workflow(file, time_scale=time_scale, limits=limits, by_category=by_category)
    if not run:
        output.emit(request.model_dump(mode="json", exclude_defaults=True))
        return
    report = session.go(_simulate(request, agents, slots, no_tty=no_tty, as_json=as_json))
    if as_json:
        output.emit({"summary": report})
    else:
        _show(report)
    if report["status"] != "completed":
        raise typer.Exit(1)


async def _simulate(
    request: "CreateProject", agents: int, slots: int, *, no_tty: bool, as_json: bool
) -> dict[str, Any]:
    from nexus.agent import AgentHost
    from nexus.cli import session
    from nexus.cli.watching import style, watch
    from nexus.embedded import CORE
    from nexus.wfcommons import bounds
    from services.agents.simulated import SimulatedAgent

    chosen = session.settings()
    tasks = request.tasks or ()
    capabilities = sorted({task.capability for task in tasks})
    pool = [SimulatedAgent(f"simulated-{number + 1}", capabilities, slots=slots) for number in range(agents)]
    async with session.working(services=CORE) as (client, _), AgentHost(pool, nc=client.nc, settings=chosen):
        outcome = await client.command(request)
        project = str(outcome.result["project"])
        scene = await watch(client, project, chosen, style(no_tty=no_tty, as_json=as_json))
    best = bounds(tasks, agents * slots)
    return {
        "project": project,
        "status": scene.view.status,
        "reason": scene.view.reason,
        "tasks": len(tasks),
        "slots": agents * slots,
        "makespan": scene.view.seconds,
        "critical_path": best.critical_path,
        "work": best.work,
        "bound": best.best,
        "ratio": scene.view.seconds / best.best if best.best else None,
    }


def _show(report: dict[str, Any]) -> None:
    from nexus.cli import output
    from nexus.cli.telling import seconds

    screen = output.console()
    screen.print(f"\n[bold]{report['project']}[/] {output.coloured(report['status'])} ", end="")
    screen.print(report["reason"], markup=False)
    screen.print(
        f"  makespan       {seconds(report['makespan'])} for {report['tasks']} tasks on {report['slots']} slots"
    )
    screen.print(f"  critical path  {seconds(report['critical_path'])}")
    screen.print(f"  work ÷ slots   {seconds(report['work'] / report['slots'])}")
    if report["ratio"]:
        screen.print(f"  at best        {seconds(report['bound'])}, so this is × {report['ratio']:.2f}")
