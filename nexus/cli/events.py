"""`nexus events …`: the log, as it grows."""

from typing import Annotated

import typer

from nexus.cli.verbs import Json, group

app = group("Read the log.")


@app.command()
def tail(
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    service: Annotated[str | None, typer.Option(help="Only those that this service stated.")] = None,
    name: Annotated[str | None, typer.Option(help="Only those of this name.")] = None,
    after: Annotated[int | None, typer.Option(metavar="N", help="Begin behind this place in the log; 0: all.")] = None,
    until_end: Annotated[bool, typer.Option("--no-follow", help="Stop at the end of the log.")] = False,
    as_json: Json = False,
) -> None:
    """Tell events as they happen, until Ctrl-C."""
    from nexus.cli import output, session
    from nexus.cli.telling import line

    async def follow() -> None:
        async with session.reading() as client:
            if until_end:
                found = client.past(project=project, service=service, name=name, after=after or 0)
            else:
                found = client.events(project=project, service=service, name=name, after=after)
            async for entry in found:
                if as_json:
                    output.emit(entry.as_dict())
                else:
                    print(line(entry), flush=True)

    session.go(follow())
