"""`nexus setup`: makes and checks the streams, with the credentials of an operator."""

import typer

from nexus.cli.verbs import Json


def add_to(app: typer.Typer) -> None:
    """Add this verb."""
    app.command()(setup)


def setup(as_json: Json = False) -> None:
    """Make the streams on the named nats-server, or check that they are as they must be; harmless to repeat."""
    from nexus.cli import output, session

    streams = session.go(_setup())
    if as_json:
        for name in streams:
            output.emit({"stream": name})
    else:
        output.table(["stream"], ((name,) for name in streams), title="Streams are ready")


async def _setup() -> list[str]:
    from nexus.cli import session
    from nexus.connection import connect
    from shared.streams import TABLE, check_server, provision

    nc = await connect(settings=session.settings(), name="nexus setup", patience=60.0)
    try:
        check_server(nc)
        await provision(nc)
        return [str(config.name) for config in TABLE]
    finally:
        await nc.close()
