"""Watching a project until it has ended: live on a terminal, as lines, or as JSON."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from nats.errors import Error as NatsError

from contracts.resource_manager import Capacity
from nexus.cli import output, telling
from nexus.cli.scene import Scene
from nexus.client import Client
from nexus.view import ProjectView
from shared.settings import Settings

Style = Literal["live", "plain", "json"]

FRAME = 0.1
"""Seconds between two pictures."""
LOOK = 0.7
"""Seconds between two looks at the agents."""


def style(*, no_tty: bool, as_json: bool) -> Style:
    """Return how to show a project here."""
    if as_json:
        return "json"
    return "plain" if no_tty or not output.console().is_terminal else "live"


async def watch(client: Client, project: str, chosen: Settings, how: Style) -> Scene:
    """Show what happens in a project until it has ended; return what is known of it then."""
    scene = Scene(ProjectView(project), limits=_limits(chosen))
    if how == "live":
        await _live(client, scene)
        return scene
    async for entry in client.follow(project):
        scene.hear(entry)
        if how == "json":
            output.emit(entry.as_dict())
        else:
            print(telling.line(entry, with_project=False), flush=True)
        if scene.view.ended:
            break
    return scene


async def _live(client: Client, scene: Scene) -> None:
    from rich.live import Live

    from nexus.cli.live import screen

    screen_of = output.console()
    with Live(console=screen_of, auto_refresh=False, transient=False, vertical_overflow="ellipsis") as live:

        def draw() -> None:
            live.update(screen(scene, screen_of.width, screen_of.height), refresh=True)

        looking = asyncio.create_task(_look(client, scene), name="look at the agents")
        drawing = asyncio.create_task(_draw(draw), name="draw")
        try:
            async for entry in client.follow(scene.view.id):
                scene.hear(entry)
                if scene.view.ended:
                    break
        finally:
            for task in (looking, drawing):
                task.cancel()
            await asyncio.gather(looking, drawing, return_exceptions=True)
            draw()


async def _draw(draw: Callable[[], None]) -> None:
    while True:
        draw()
        await asyncio.sleep(FRAME)


async def _look(client: Client, scene: Scene) -> None:
    while True:
        with suppress(NatsError, TimeoutError):
            scene.agents = await client.agents()
        await asyncio.sleep(LOOK)


def _limits(chosen: Settings) -> Capacity:
    limits = chosen.nexus.resource_limits
    return Capacity(cpu=limits.cpu, memory=limits.memory, disk=limits.disk, network=limits.network)
