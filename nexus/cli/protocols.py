"""`nexus protocol …`: how projects are coordinated."""

from typing import Annotated

import typer

from nexus.cli.verbs import Json, group

app = group("Define how projects are coordinated.")


@app.command()
def define(
    file: Annotated[str, typer.Argument(help="Configuration as YAML or JSON; - reads stdin.", show_default=False)],
    name: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: Json = False,
) -> None:
    """Keep a protocol configuration; `nexus project execute P --protocol ID` uses it."""
    from contracts.work import ProtocolConfig
    from nexus.cli import output, session
    from nexus.cli.reading import known, mapping

    config = mapping(file, "a protocol configuration")
    known(config, ProtocolConfig, file)

    async def act() -> str:
        async with session.commanding() as client:
            return await client.define_protocol(config, name)

    protocol = session.go(act())
    if as_json:
        output.emit({"protocol": protocol})
    else:
        print(protocol)


@app.command()
def retire(
    protocol: Annotated[str, typer.Argument(help="Id of the protocol.", show_default=False)], as_json: Json = False
) -> None:
    """Let no further project use a protocol."""
    from nexus.cli import output, session

    async def act() -> None:
        async with session.commanding() as client:
            await client.retire_protocol(protocol)

    session.go(act())
    if as_json:
        output.emit({"protocol": protocol, "retired": True})
    else:
        print(f"{protocol}: retired")
