"""The live view: a project while it is carried out, drawn anew several times a second."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from nexus.agents_view import AgentView
from nexus.cli.output import STATUS
from nexus.cli.scene import Branch, Scene, tree
from nexus.cli.telling import clock, seconds, what
from nexus.view_parts import TaskView

SIGNS = {
    "waiting": "○",
    "requested": "◌",
    "running": "▶",
    "retrying": "↻",
    "done": "✔",
    "skipped": "↷",
    "failed": "✘",
    "blocked": "⊘",
    "cancelled": "⊗",
    "undone": "↶",
    "not_undone": "✘",
}
MOST_TASKS = 28
"""More tasks than this are not drawn as a tree."""
BAR = 18
WIDE, TALL = 96, 36
"""From how many columns and lines on everything is drawn."""


def screen(scene: Scene, width: int, height: int) -> RenderableType:
    """Return the whole picture, with as much as the terminal has room for."""
    now = datetime.now(UTC)
    body = Table.grid(padding=(0, 2), expand=True)
    if width >= WIDE:
        roomy = height >= TALL
        sides = [_phases(scene), _agents(scene)]
        sides += [_resources(scene), _points(scene)] if roomy else [_line_of_resources(scene), _line_of_points(scene)]
        body.add_column(ratio=3)
        body.add_column(ratio=2)
        body.add_row(_plan(scene, now), Group(*(part for part in sides if part is not None)))
    else:
        lines = [_line_of_phases(scene), _line_of_agents(scene), _line_of_resources(scene), _line_of_points(scene)]
        body.add_row(Group(_plan(scene, now), Text(""), *(line for line in lines if line is not None)))
    rows = max(3, min(8, height - 28))
    return Panel(Group(body, _events(scene, rows, width - 4)), title=_title(scene), subtitle=_clock(scene, now))


def _title(scene: Scene) -> Text:
    view = scene.view
    title = Text(f" {view.title or view.id} ", "bold")
    title.append(f"· {view.type or 'own tasks'} · {view.protocol.type} ", "dim")
    title.append(f"· {view.status} ", STATUS.get(view.status, ""))
    return title


def _clock(scene: Scene, now: datetime) -> str:
    bound = scene.view.plan.lower_bound if scene.view.plan else 0.0
    return f" {seconds(scene.elapsed(now))} · at best {seconds(bound)} · project {scene.view.id} "


def _plan(scene: Scene, now: datetime) -> RenderableType:
    view = scene.view
    if view.plan is None:
        return Text(f"{view.status} …", "dim")
    if len(view.tasks) > MOST_TASKS:
        return _many(scene, now)
    top = Tree(Text.assemble(("plan", "bold"), ("   ★ critical path", "dim")), guide_style="dim")
    _grow(top, tree(view), scene, now)
    return top


def _grow(node: Tree, branches: Iterable[Branch], scene: Scene, now: datetime) -> None:
    for branch in branches:
        _grow(node.add(_task(branch, scene, now)), branch.children, scene, now)


def _task(branch: Branch, scene: Scene, now: datetime) -> Text:
    text = _line(branch.task, scene, now, branch.critical)
    if branch.others:
        text.append(f"  ← also {', '.join(branch.others)}", "dim")
    return text


def _line(task: TaskView, scene: Scene, now: datetime, critical: bool) -> Text:
    style = STATUS.get(task.status, "")
    text = Text(f"{SIGNS.get(task.status, '?')} ", style, no_wrap=True, overflow="ellipsis")
    text.append(task.id, "bold" if critical else "")
    text.append(" ★" if critical else "", "yellow")
    text.append("".join(f"  {said}" for said in _aside(task, scene, now)), "dim" if task.status == "waiting" else style)
    return text


def _aside(task: TaskView, scene: Scene, now: datetime) -> Iterator[str]:
    match task.status:
        case "waiting":
            yield f"~{seconds(task.plan.estimate)}"
        case "running":
            took = (now - task.since).total_seconds() if task.since else 0.0
            share = scene.progress(task.id)
            yield f"{task.agent} {seconds(took)}{f' {share:.0%}' if share else ''}"
        case "requested":
            yield f"waits for {task.queued_for or 'capacity'}"
        case "done":
            yield seconds(task.seconds)
        case "failed" | "retrying":
            yield task.error.message.partition("\n")[0][:60] if task.error else ""
    if task.attempt > 1:
        yield f"attempt {task.attempt}"


def _many(scene: Scene, now: datetime) -> RenderableType:
    counts = scene.view.counts
    lines = [Text(" · ".join(f"{number} {status}" for status, number in sorted(counts.items())), "bold")]
    critical = set(scene.view.plan.critical_path) if scene.view.plan else set[str]()
    moving = [task for task in scene.view.tasks.values() if task.status in ("running", "retrying", "failed")]
    lines += [_line(task, scene, now, task.id in critical) for task in moving[:MOST_TASKS]]
    if len(moving) > MOST_TASKS:
        lines.append(Text(f"… and {len(moving) - MOST_TASKS} more", "dim"))
    return Group(*lines)


def _grid(title: str, rows: Iterable[tuple[RenderableType, ...]]) -> RenderableType | None:
    grid = Table.grid(padding=(0, 1))
    found = list(rows)
    for row in found:
        grid.add_row(*row)
    return Group(Text(title, "bold"), grid, Text("")) if found else None


def _bar(share: float, style: str = "cyan") -> ProgressBar:
    full = "green" if style == "cyan" else style
    return ProgressBar(total=1.0, completed=min(share, 1.0), width=BAR, complete_style=style, finished_style=full)


def _phases(scene: Scene) -> RenderableType | None:
    rows = scene.phases()[:12]
    return _grid(
        "phases",
        (
            (Text(phase, STATUS.get(status, "")), _bar(share), Text(f"{share:4.0%}", "dim"))
            for phase, share, status in rows
        ),
    )


def _agents(scene: Scene) -> RenderableType | None:
    present = [agent for agent in scene.agents if agent.status not in ("left", "lost")][:12]
    return _grid("agents", (_agent(scene, agent) for agent in present))


def _agent(scene: Scene, agent: AgentView) -> tuple[RenderableType, ...]:
    mine = [task.id for task in scene.view.tasks.values() if task.status == "running" and task.agent == agent.name]
    used = max(len(agent.running), len(mine))  # its beats tell of other projects too, but later
    status = "busy" if used and agent.status == "ready" else agent.status
    doing = Text(f"{used}/{agent.slots} {', '.join(mine[:2])}", "dim", no_wrap=True)
    return Text(agent.name, STATUS.get(status, "")), _bar(used / agent.slots, "magenta"), doing


def _resources(scene: Scene) -> RenderableType | None:
    def row(name: str, held: float, limit: float | None) -> tuple[RenderableType, ...]:
        share = held / limit if limit else 0.0
        return Text(name), _bar(share, "blue"), Text(f"{held:g} of {limit:g}" if limit else f"{held:g}", "dim")

    return _grid("held", (row(*one) for one in scene.held()))


def _points(scene: Scene) -> RenderableType | None:
    signs = {"reached": "✔", "missed": "✘"}
    points = list(scene.view.points.values())[:8]
    return _grid(
        "sync points",
        (
            (
                Text(f"{signs.get(point.status, '○')} {point.name}", STATUS.get(point.status, "dim")),
                Text(point.by, "dim"),
            )
            for point in points
        ),
    )


def _line_of(title: str, parts: Iterable[tuple[str, str]]) -> Text | None:
    found = list(parts)
    if not found:
        return None
    line = Text(f"{title:8}", "bold")
    for place, (said, style) in enumerate(found):
        line.append(" · " if place else "", "dim")
        line.append(said, style)
    return line


def _line_of_phases(scene: Scene) -> Text | None:
    return _line_of(
        "phases", ((f"{phase} {share:.0%}", STATUS.get(status, "")) for phase, share, status in scene.phases())
    )


def _line_of_agents(scene: Scene) -> Text | None:
    running = Counter(task.agent for task in scene.view.tasks.values() if task.status == "running")
    present = [agent for agent in scene.agents if agent.status not in ("left", "lost")]
    return _line_of(
        "agents",
        ((f"{one.name} {running[one.name]}/{one.slots}", "cyan" if running[one.name] else "") for one in present),
    )


def _line_of_resources(scene: Scene) -> Text | None:
    return _line_of(
        "held", ((f"{name} {held:g}{f'/{limit:g}' if limit else ''}", "") for name, held, limit in scene.held())
    )


def _line_of_points(scene: Scene) -> Text | None:
    signs = {"reached": "✔", "missed": "✘"}
    points = scene.view.points.values()
    return _line_of(
        "reached", ((f"{signs.get(one.status, '○')} {one.name}", STATUS.get(one.status, "")) for one in points)
    )


def _events(scene: Scene, rows: int, width: int) -> RenderableType:
    lines = []
    for entry in list(scene.recent)[-rows:]:
        text = Text(f"#{entry.sequence} {clock(entry.at)} ", "dim", no_wrap=True, overflow="ellipsis")
        text.append(f"{entry.name} ", "bold")
        text.append(what(entry), "dim")
        text.truncate(width, overflow="ellipsis")
        lines.append(text)
    return Group(Text("events", "bold"), *lines)
