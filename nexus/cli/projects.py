"""`nexus project …`: look at projects, and steer them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nexus.cli.verbs import Json, Project, group

app = group("Look at projects, and steer them.")

Task = Annotated[str, typer.Argument(help="Id of the task.", show_default=False)]
At = Annotated[int | None, typer.Option("--at", metavar="N", help="As it was at this place in the log.")]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None, as_json: Json = False
) -> None:
    """List all projects."""
    from nexus.cli import output, session
    from nexus.cli.telling import seconds

    async def read() -> list[Any]:
        async with session.reading() as client:
            return [one for one in await client.projects() if status in (None, one.status)]

    found = session.go(read())
    if as_json:
        for one in found:
            output.emit(one.as_dict())
        return
    output.table(
        ["project", "status", "type", "tasks>", "took>", "created", "title"],
        (
            (
                one.id,
                output.badge(one.status),
                one.type or "own tasks",
                one.tasks or "",
                seconds(one.seconds) if one.ended_at and one.seconds else "",
                output.day(one.created_at),
                one.title,
            )
            for one in found
        ),
    )


@app.command()
def show(project: Project, at: At = None, as_json: Json = False) -> None:
    """Show where a project stands, or stood at a place in the log."""
    from nexus.cli import output, session, showing

    async def read() -> Any:
        async with session.reading() as client:
            return await client.project(project, at)

    view = session.go(read())
    if as_json:
        output.emit(view.as_dict())
    else:
        showing.state(view)


@app.command()
def plan(project: Project, at: At = None, as_json: Json = False) -> None:
    """Show a project's plan: tasks, critical path, slack, risks, complexity."""
    from nexus.cli import output, session, showing
    from nexus.cli.errors import NotDone

    async def read() -> Any:
        async with session.reading() as client:
            return await client.project(project, at)

    view = session.go(read())
    if view.plan is None:
        raise NotDone(f"project {project} has no plan: it is {view.status}{f', {view.reason}' if view.reason else ''}")
    if as_json:
        output.emit(view.plan.model_dump(mode="json"))
    else:
        showing.plan(view)


@app.command()
def history(project: Project, until: At = None, as_json: Json = False) -> None:
    """Tell everything that happened in a project, in the order of the log."""
    from nexus.cli import output, session
    from nexus.cli.telling import line

    async def read() -> list[Any]:
        async with session.reading() as client:
            return await client.history(project, until)

    for entry in session.go(read()):
        if as_json:
            output.emit(entry.as_dict())
        else:
            print(line(entry, with_project=False))


@app.command()
def diff(project: Project, before: int, after: int, as_json: Json = False) -> None:
    """Show what changed in a project between two places in the log."""
    from nexus.cli import output, session

    async def read() -> list[Any]:
        async with session.reading() as client:
            return await client.diff(project, before, after)

    for one in session.go(read()):
        if as_json:
            output.emit({"path": one.path, "before": one.before, "after": one.after})
        else:
            print(f"{one.path}: {output.short(one.before)} → {output.short(one.after)}")


@app.command()
def trace(project: Project, as_json: Json = False) -> None:
    """Show when each task ran on which agent, and where the trace of the project is."""
    from nexus.cli import output, session, showing

    async def read() -> Any:
        async with session.reading() as client:
            return await client.history(project)

    entries = session.go(read())
    if as_json:
        for row in showing.attempts(project, entries):
            output.emit(row)
    else:
        showing.trace(project, entries, session.settings())


@app.command()
def export(
    project: Project, to: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None
) -> None:
    """Write a project's story as JSON Lines."""
    from nexus.cli import session

    async def read() -> str:
        async with session.reading() as client:
            return await client.export(project)

    story = session.go(read())
    if to:
        to.write_text(story, encoding="utf-8")
    else:
        typer.echo(story, nl=False)


Story = Annotated[Path, typer.Argument(help="What `nexus project export` wrote.", show_default=False)]


@app.command("import")
def import_(file: Story, as_json: Json = False) -> None:
    """Put the story of an ended project into this log."""
    from nexus.cli import output, session

    async def write() -> str:
        async with session.commanding() as client:
            return await client.import_story(_lines(file))

    project = session.go(write())
    if as_json:
        output.emit({"project": project})
    else:
        print(f"{project}: is in this log now")


@app.command()
def replay(file: Story, as_json: Json = False) -> None:
    """Fold a story with today's code. Exit code 0: it leads to the state that it led to when it was written."""
    from nexus.cli import output
    from nexus.history import Story

    story = Story.of(_lines(file))
    differences = story.differences()
    for one in differences:
        if as_json:
            output.emit({"path": one.path, "before": one.before, "after": one.after})
        else:
            print(f"{one.path}: {output.short(one.before)} → {output.short(one.after)}")
    if differences:
        raise typer.Exit(1)
    if not as_json:
        print(f"{story.project}: {len(story.entries)} events, the same state")


def _lines(file: Path) -> list[str]:
    from nexus.cli.errors import Mistake

    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


@app.command()
def wait(
    project: Project,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Give up after so long.")] = None,
    as_json: Json = False,
) -> None:
    """Wait until a project has ended. Exit code 0: it completed."""
    from nexus.cli import output, session
    from nexus.cli.errors import NotDone
    from nexus.cli.telling import seconds

    async def look() -> Any:
        async with session.working() as (client, _):
            await client.history(project)  # say at once if there is none
            try:
                return await client.wait(project, timeout)
            except TimeoutError:
                raise NotDone(f"project {project} has not ended within {seconds(timeout or 0)}") from None

    view = session.go(look())
    if as_json:
        output.emit(view.as_dict())
    else:
        print(f"{project}: {view.status}{f': {view.reason}' if view.reason else ''}")
    if view.status != "completed":
        raise typer.Exit(1)


def _steer(project: str, verb: str, as_json: bool, **arguments: Any) -> None:
    from nexus.cli import output, session

    lonely = session.temporary()

    async def act() -> Any:
        async with session.commanding() as client:
            return await getattr(client, verb)(project, **arguments)

    outcome = session.go(act())
    if as_json:
        output.emit(outcome.model_dump(mode="json"))
    else:
        print(f"{project}: accepted, #{outcome.sequence}" if outcome.sequence else f"{project}: accepted")
        if lonely:
            print("No system runs on this folder: what follows from it happens when you start one (`nexus up`).")


@app.command()
def pause(project: Project, as_json: Json = False) -> None:
    """Start nothing new; what runs may finish."""
    _steer(project, "pause", as_json)


@app.command()
def resume(project: Project, as_json: Json = False) -> None:
    """Go on with a paused project."""
    _steer(project, "resume", as_json)


@app.command()
def cancel(
    project: Project,
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "",
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo what was done.")] = False,
    as_json: Json = False,
) -> None:
    """End a project now."""
    _steer(project, "cancel", as_json, reason=reason, rollback=rollback)


@app.command()
def retry(project: Project, task: Task, as_json: Json = False) -> None:
    """Try a failed task again; only it and what depends on it runs."""
    _steer(project, "retry", as_json, task=task)


@app.command()
def skip(project: Project, task: Task, as_json: Json = False) -> None:
    """Count a task as done without doing it."""
    _steer(project, "skip", as_json, task=task)


@app.command()
def approve(project: Project, as_json: Json = False) -> None:
    """Let a project whose plan waits for approval begin."""
    _steer(project, "approve", as_json)


@app.command()
def execute(
    project: Project,
    protocol: Annotated[str | None, typer.Option(help="Id of a defined protocol.")] = None,
    as_json: Json = False,
) -> None:
    """Carry out a planned project now."""
    _steer(project, "execute", as_json, protocol=protocol)


@app.command()
def signal(
    project: Project,
    name: Annotated[str, typer.Argument(help="What has happened.", show_default=False)],
    payload: Annotated[str, typer.Option(help="A JSON object.")] = "{}",
    as_json: Json = False,
) -> None:
    """Tell a project that something has happened: a sync point of that name is reached."""
    import json

    from nexus.cli import output, session
    from nexus.cli.errors import Mistake

    try:
        said = json.loads(payload)
    except ValueError as error:
        raise Mistake(f"--payload is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise Mistake(f"--payload must be a JSON object, not {type(said).__name__}")

    async def tell() -> int:
        async with session.commanding() as client:
            await client.history(project)  # say at once if there is none
            return await client.signal(project, name, said)

    sequence = session.go(tell())
    if as_json:
        output.emit({"project": project, "signal": name, "stored": sequence})
    else:
        print(f"{project}: {name} is on its way")
