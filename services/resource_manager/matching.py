"""Which agent does what: an assignment problem, solved by scipy. Pure.

Rows are wishes, columns are free slots of agents. A cell costs the load that the agent would have then, plus what
speaks against this agent for this wish. Where slots are short, the most urgent wishes get them.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Any

from services.resource_manager.domain.admission import Wish
from services.resource_manager.domain.ledger import Seats

GENERALIST = 0.3
"""An agent that can do much else is better kept for that: cost of an agent with very many capabilities."""
STRANGER = 0.05
"""Cost of an agent that does nothing for the project yet: what the project has there is warm."""
AVOIDED = 100.0
"""Cost of an agent on which it failed before: only if no other has room."""
URGENT = 1e5
"""What it is worth to serve a wish rather than the next one: more than all other costs together can differ."""

Group = tuple[tuple[str, ...], tuple[float, ...]]
"""Agents, and what speaks against each: wishes of one group are worth the same."""


def assign(wishes: Sequence[Wish], seats: Mapping[str, Seats]) -> list[str | None]:
    """Give each wish, the most urgent first, an agent or none; as many as possible, and at the least cost."""
    found: list[str | None] = [None] * len(wishes)
    groups: dict[Group, list[int]] = {}
    known: dict[tuple[object, ...], tuple[float, ...]] = {}
    for row, wish in enumerate(wishes):
        alike = (wish.project, wish.agents, wish.avoid)
        if (against := known.get(alike)) is None:
            against = known[alike] = tuple(_against(wish, seats[agent]) for agent in wish.agents)
        if wish.slots:
            groups.setdefault((wish.agents, against), []).append(row)
        else:  # takes no slot, so it stands in nobody's way
            found[row] = min(zip(wish.agents, against, strict=True), key=lambda pair: _first(seats, *pair))[0]
    for part in _parts(groups):
        _solve(part, seats, found)
    return found


def solver() -> tuple[Any, Any]:
    """Return numpy and the solver; they take longer to load than all the rest of the service."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    return np, linear_sum_assignment


def cost(agent: Seats, further: int, against: float) -> float:
    """Return what it costs to give an agent one more wish after `further` others; grows with the load."""
    return (agent.used + further + 1) / agent.slots + against


def _against(wish: Wish, agent: Seats) -> float:
    breadth = GENERALIST * (1 - 1 / max(1, len(agent.capabilities)))
    stranger = 0.0 if agent.projects.get(wish.project) else STRANGER
    return breadth + stranger + (AVOIDED if agent.id in wish.avoid else 0.0)


def _first(seats: Mapping[str, Seats], agent: str, against: float) -> float:
    return cost(seats[agent], 0, against)


def _parts(groups: Mapping[Group, list[int]]) -> Iterator[list[tuple[Group, list[int]]]]:
    """Take apart what has no agent in common: smaller problems, and most have only one group."""
    rest = list(groups.items())
    while rest:
        part, agents = [rest.pop(0)], set[str]()
        agents.update(part[0][0][0])
        grown = True
        while grown:
            near = [item for item in rest if not agents.isdisjoint(item[0][0])]
            rest = [item for item in rest if agents.isdisjoint(item[0][0])]
            part += near
            agents.update(*(item[0][0] for item in near))
            grown = bool(near)
        yield part


def _solve(part: Sequence[tuple[Group, list[int]]], seats: Mapping[str, Seats], found: list[str | None]) -> None:
    agents = sorted({agent for (names, _), _ in part for agent in names})
    if len(part) == 1:
        (_, against), rows = part[0]
        _fill(dict(zip(agents, against, strict=True)), rows, seats, found)
    elif len(agents) == 1:
        _fill({agents[0]: 0.0}, sorted(row for _, rows in part for row in rows), seats, found)
    else:
        _assign(part, agents, seats, found)


def _fill(
    against: Mapping[str, float], rows: Sequence[int], seats: Mapping[str, Seats], found: list[str | None]
) -> None:
    """Solve the case in which all wishes are worth the same: the cheapest slots, one after the other."""
    cheapest = [(cost(seats[agent], 0, much), agent, 0) for agent, much in against.items() if seats[agent].free > 0]
    heapify(cheapest)
    for row in rows:
        if not cheapest:
            return
        _, agent, further = cheapest[0]
        found[row] = agent
        further += 1
        if further < seats[agent].free:
            heapreplace(cheapest, (cost(seats[agent], further, against[agent]), agent, further))
        else:
            heappop(cheapest)


def _assign(
    part: Sequence[tuple[Group, list[int]]], agents: Sequence[str], seats: Mapping[str, Seats], found: list[str | None]
) -> None:
    """Solve the general case."""
    np, solve = solver()
    rows = sorted(row for _, members in part for row in members)
    line = {row: n for n, row in enumerate(rows)}
    columns, loads = _columns(agents, len(rows), seats)
    position = {agent: n for n, agent in enumerate(agents)}
    cells = np.full((len(part), len(columns)), np.inf)
    for n, ((names, against), _) in enumerate(part):
        offsets = np.full(len(agents), np.inf)
        offsets[[position[name] for name in names]] = against
        cells[n] = offsets[columns] + loads
    # With so many cheaper slots for each group as there are rows, no wish ever needs a dearer one.
    needed = np.unique(np.argsort(cells, axis=1, kind="stable")[:, : len(rows)])
    cells, columns = cells[:, needed], columns[needed]
    # A cell that must not be used is worth nothing; one that may be used, the more the more urgent the wish is. Because
    # the sets of wishes that can be served together form a matroid, the best sum serves the most urgent ones.
    matrix = np.zeros((len(rows), len(columns)))
    for n, (_, members) in enumerate(part):
        for row in members:
            matrix[line[row]] = np.where(np.isfinite(cells[n]), cells[n] - URGENT * (len(rows) - line[row]), 0.0)
    for n, column in zip(*solve(matrix), strict=True):
        if matrix[n, column] < 0:
            found[rows[n]] = agents[columns[column]]


def _columns(agents: Sequence[str], rows: int, seats: Mapping[str, Seats]) -> tuple[Any, Any]:
    """Return the free slots: the position of the agent of each, and its load when this one is taken, too."""
    np, _ = solver()
    free = [min(rows, seats[agent].free) for agent in agents]
    loads = [
        (seats[agent].used + 1 + np.arange(count)) / seats[agent].slots
        for agent, count in zip(agents, free, strict=True)
    ]
    return np.repeat(np.arange(len(agents)), free), np.concatenate(loads)
