"""All verbs of the command line, and where each one lives."""

from pathlib import Path
from typing import Annotated

import typer

from nexus.cli import agents, bench, checks, dead, events, importing, projects, protocols, requests, setup, systems
from nexus.cli.verbs import group

app = group("Nexus: describe a project, and agents do it. Every step is kept, and can be shown again.")


@app.callback()
def begin(
    data: Annotated[Path | None, typer.Option(help="Data folder: the log, and where a running system is.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file; otherwise ./nexus.yaml.")] = None,
    server: Annotated[str | None, typer.Option(metavar="URL", help="A nats-server to use instead of our own.")] = None,
) -> None:
    """Take what holds for every verb; these options may also stand behind it."""
    from nexus.cli import session

    session.options.data, session.options.config, session.options.server = data, config, server


systems.add_to(app)
requests.add_to(app)
app.add_typer(projects.app, name="project")
app.add_typer(agents.app, name="agents")
app.add_typer(events.app, name="events")
app.add_typer(dead.app, name="dead")
app.add_typer(protocols.app, name="protocol")
app.add_typer(importing.app, name="import")
bench.add_to(app)
checks.add_to(app)
setup.add_to(app)
