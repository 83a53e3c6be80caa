"""`nexus doctor` and `nexus validate-config`: what is wrong here, and what to do about it."""

from pathlib import Path
from typing import Annotated

import typer

from nexus.cli.verbs import Json


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(doctor)
    app.command("validate-config")(validate_config)


def doctor(as_json: Json = False) -> None:
    """Check everything that Nexus needs here. Exit code 0: nothing is wrong."""
    from dataclasses import asdict

    from rich.markup import escape

    from nexus.cli import output, session
    from nexus.cli.diagnosis import diagnose

    findings = session.go(diagnose())
    for finding in findings:
        if as_json:
            output.emit(asdict(finding))
            continue
        sign = "[green]✔[/]" if finding.well else "[red]✘[/]"
        output.console().print(f"{sign} {finding.check:12} {escape(finding.found)}")
        if finding.remedy:
            output.console().print(f"  {'':12} → {finding.remedy}", markup=False)
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def validate_config(
    file: Annotated[Path | None, typer.Argument(help="Otherwise ./nexus.yaml and the environment.")] = None,
    as_json: Json = False,
) -> None:
    """Read the settings as every service would; list everything that is wrong with them."""
    from nexus.cli import output, session
    from shared.settings import Settings, SettingsError

    try:
        chosen = Settings.load(file or session.options.config)
    except SettingsError as error:
        if not as_json:
            raise
        output.emit({"valid": False, "problems": error.problems})
        raise typer.Exit(2) from error
    if as_json:
        output.emit({"valid": True, "settings": chosen.model_dump(mode="json")})  # which hides what is secret
    else:
        print(f"{file or 'the settings'}: nothing is wrong")
