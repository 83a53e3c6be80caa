"""`nexus agents …`: who is there, and what they do."""

from typing import Annotated, Any

import typer

from nexus.cli.verbs import Json, group

app = group("See agents, and send them home.")


@app.command("list")
def list_(
    everybody: Annotated[bool, typer.Option("--all", help="Also those that left or were lost.")] = False,
    as_json: Json = False,
) -> None:
    """List agents: what they can do, and what they have in hand."""
    from nexus.cli import output, session

    async def read() -> list[Any]:
        async with session.reading() as client:
            return [one for one in await client.agents() if everybody or one.status not in ("left", "lost")]

    found = session.go(read())
    if as_json:
        for one in found:
            output.emit(one.as_dict())
        return
    if not found:
        print("no agent is there" if everybody else "no agent is there now; --all shows those that were")
        return
    output.table(
        ["agent", "status", "slots>", "capabilities", "last seen", "in hand"],
        (
            (
                one.name,
                output.badge(one.status),
                f"{len(one.running)}/{one.slots}",
                ", ".join(one.capabilities),
                output.day(one.last_seen),
                ", ".join(f"{running.project}.{running.task} {running.progress:.0%}" for running in one.running),
            )
            for one in found
        ),
    )


@app.command()
def drain(
    agent: Annotated[str, typer.Argument(help="Name of the agent.", show_default=False)], as_json: Json = False
) -> None:
    """Give an agent no further work; what it has in hand it may finish."""
    from nexus.cli import output, session

    async def act() -> Any:
        async with session.commanding() as client:
            return await client.drain_agent(agent)

    outcome = session.go(act())
    if as_json:
        output.emit(outcome.model_dump(mode="json"))
    else:
        print(f"{agent}: takes no further work")
