"""`nexus dead …`: what could not be handled, and sending it again."""

from typing import Annotated, Any

import typer

from nexus.cli.verbs import Json, group

app = group("See what could not be handled, and send it again.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List dead letters with the reasons."""
    from nexus.cli import output, session

    async def read() -> list[Any]:
        async with session.reading() as client:
            return await client.dead_letters()

    found = session.go(read())
    if as_json:
        for one in found:
            output.emit(
                {
                    "sequence": one.sequence,
                    "subject": one.subject,
                    "code": one.code,
                    "reason": one.reason,
                    "attempts": one.attempts,
                    "stream": one.stream,
                    "position": one.position,
                    "headers": one.headers,
                    "payload": one.payload.decode(errors="replace"),
                }
            )
        return
    output.table(
        ["letter>", "subject", "code", "attempts>", "reason"],
        ((one.sequence, one.subject, one.code, one.attempts, one.reason) for one in found),
    )


@app.command()
def redrive(
    letter: Annotated[int | None, typer.Argument(help="Number of the letter.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are kept now.")] = False,
    as_json: Json = False,
) -> None:
    """Send a dead letter to where it came from."""
    from nexus.cli import output, session
    from nexus.cli.errors import Mistake

    if (letter is None) != every:
        raise Mistake("name one letter (see `nexus dead list`), or --all")

    async def act() -> list[tuple[int, int]]:
        async with session.commanding() as client:
            wanted = [one.sequence for one in await client.dead_letters()] if letter is None else [letter]
            return [(one, await client.redrive(one)) for one in wanted]

    for one, sequence in session.go(act()):
        if as_json:
            output.emit({"letter": one, "sequence": sequence})
        else:
            print(f"letter {one} is on its way again")
