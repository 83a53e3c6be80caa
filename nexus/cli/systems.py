"""`nexus up`, `down` and `status`: the whole system on this machine."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nexus.cli.verbs import Json

if TYPE_CHECKING:
    from nexus.system_folder import Announcement
    from shared.settings import Settings

PATIENCE = 60.0
"""Seconds for everything to come up, or down."""


def add_to(app: typer.Typer) -> None:
    """Add these verbs."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running in the background.")] = False,
    as_json: Json = False,
) -> None:
    """Start nats-server and all services, and keep them running until Ctrl-C (or `nexus down`)."""
    from nexus.cli import session
    from nexus.system_folder import SystemFolder, SystemRunning, running_system

    chosen = session.settings()
    if running := running_system(chosen.data):
        raise SystemRunning(SystemFolder(chosen.data).who(running))
    if detach:
        _background(chosen, as_json=as_json)
    else:
        session.go(_foreground(chosen, as_json=as_json))


async def _foreground(chosen: "Settings", *, as_json: bool) -> None:
    import asyncio
    import signal

    from nexus.embedded import embedded

    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    starting = asyncio.ensure_future(asked.wait())
    async with embedded(chosen, in_process=False) as system:
        _tell(system.announcement(), as_json=as_json)
        if not as_json:
            print("Ctrl-C stops everything.", flush=True)
        await starting
        if not as_json:
            print("\nStopping …", flush=True)


def _tell(found: "Announcement", *, as_json: bool) -> None:
    from dataclasses import asdict

    from nexus.cli import output

    if as_json:
        output.emit(asdict(found))
        return
    output.table(
        ["service", "process>", "address"],
        (
            (name, pid or "down", found.services.get(name, found.nats_url if name == "nats" else ""))
            for name, pid in found.pids.items()
        ),
        title=f"Nexus runs (process {found.pid})",
    )
    if "gateway" in found.services:
        print(f"Dashboard: {found.services['gateway']}/   API: {found.services['gateway']}/openapi.json", flush=True)


def _background(chosen: "Settings", *, as_json: bool) -> None:
    import subprocess
    import sys
    import time

    from nexus.cli import session
    from nexus.cli.errors import NotDone
    from nexus.system_folder import SystemFolder, running_system

    folder = SystemFolder(chosen.data)
    folder.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder.logs / "up.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "nexus", *session.options.arguments(), "up", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = running_system(chosen.data)
        if found and found.pid == child.pid:
            _tell(found, as_json=as_json)
            return
        if child.poll() is not None:
            break
        time.sleep(0.05)
    child.terminate()
    raise NotDone(f"it did not come up: {_last_line(log.read_text(encoding='utf-8', errors='replace')) or log}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return next(
        (line.removeprefix("nexus: ") for line in lines if line.startswith("nexus: ")), lines[-1] if lines else ""
    )


def down(as_json: Json = False) -> None:
    """Stop the system that runs on the data folder."""
    import os
    import signal
    import time

    from nexus.cli import output, session
    from nexus.cli.errors import NotDone
    from nexus.system_folder import SystemFolder, running_system

    chosen = session.settings()
    folder = SystemFolder(chosen.data)
    found = running_system(chosen.data)
    if found is None:
        if as_json:
            output.emit({"stopped": False})
        else:
            print(f"Nothing runs on {chosen.data}.")
        return
    if found.mode == "in_process":
        raise NotDone(f"the system on {chosen.data} is part of process {found.pid}: end that program")
    os.kill(found.pid, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    while folder.busy():
        if time.monotonic() > until:
            raise NotDone(f"process {found.pid} has not stopped within {PATIENCE:.0f} s; the logs are in {folder.logs}")
        time.sleep(0.05)
    if as_json:
        output.emit({"stopped": True, "pid": found.pid})
    else:
        print("Stopped.")


def status(as_json: Json = False) -> None:
    """Say what runs, and whether each service is ready. Exit code 0: all well."""
    from nexus.cli import output, session

    report = session.go(_status(session.settings()))
    if as_json:
        output.emit(report)
    else:
        _show(report)
    if not report["ready"]:
        raise typer.Exit(1)


async def _status(chosen: "Settings") -> dict[str, Any]:
    from collections import Counter

    from nexus.cli import session
    from nexus.cli.errors import NothingRuns
    from nexus.client import Client
    from nexus.connection import shown
    from nexus.system_folder import running_system

    located, found = session.located(chosen), running_system(chosen.data)
    if located is None:
        raise NothingRuns(f"nothing runs on {chosen.data}: start it with `nexus up`, or name a server with --server")
    services = await _services(found)
    async with Client.connect(settings=located, patience=0) as client:
        projects = Counter(one.status for one in await client.projects())
        agents = Counter(one.status for one in await client.agents())
        letters, end = len(await client.dead_letters()), await client.end()
    return {
        "nats_url": shown(located.nats_url or ""),
        "pid": found.pid if found else None,
        "ready": all(service["ready"] for service in services.values()),
        "services": services,
        "projects": dict(projects),
        "agents": dict(agents),
        "dead_letters": letters,
        "log_end": end,
    }


async def _services(found: "Announcement | None") -> dict[str, dict[str, Any]]:
    import asyncio
    from urllib.parse import urlsplit

    from nexus.supervisor import ask

    if found is None:
        return {}
    names = list(found.services)
    parts = [urlsplit(found.services[name]) for name in names]
    answers = await asyncio.gather(*(ask(part.hostname or "", part.port or 0, "/readyz") for part in parts))
    return {
        name: {"url": found.services[name], "ready": status == 200, "problem": "" if status == 200 else reason}
        for name, (status, reason) in zip(names, answers, strict=True)
    }


def _show(report: dict[str, Any]) -> None:
    from rich.markup import escape

    from nexus.cli import output

    pid = f", process {report['pid']}" if report["pid"] else ""
    print(f"Nexus at {report['nats_url']}{pid}; the log ends at #{report['log_end']}")
    for name, one in report["services"].items():
        output.console().print(
            f"  [green]✔[/] {name:17} {one['url']}"
            if one["ready"]
            else f"  [red]✘[/] {name:17} {escape(one['problem'])}"
        )
    for what in ("projects", "agents"):
        counts = ", ".join(f"{number} {status}" for status, number in sorted(report[what].items()))
        print(f"  {what:10} {counts or 'none'}")
    if report["dead_letters"]:
        print(f"  {report['dead_letters']} dead letters: see `nexus dead list`")
