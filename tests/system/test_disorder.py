"""Every message is delivered twice and out of order, and everything ends as it would have."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus.agent import AgentHost
from nexus.embedded import CORE, embedded
from shared.eventlog import EventLog
from tests.chaos import audit
from tests.chaos.agents import Diary, make_diary, workers
from tests.chaos.campaign import Campaign
from tests.chaos.past import Past
from tests.chaos.stage import chaos_settings, rest
from tests.chaos.workload import SHAPES, Wish, wishes
from tests.system.disorder import disordered, echo

pytestmark = [pytest.mark.system, pytest.mark.slow]

COUNT = 2 * len(SHAPES)
TIMELESS = ("chain", "fan", "diamonds", "retries", "signals", "line", "broken", "degraded")
"""Shapes whose number of attempts depends on nothing but the plan."""


@dataclass
class Run:
    """What one run came to."""

    problems: list[str]
    work: Counter[str]
    """How often each task of the timeless shapes was worked on."""
    dispatches: int


async def carried_out(data: Path, seed: int, *, twice: bool) -> Run:
    everything = wishes(seed, COUNT, 2)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(embedded(chaos_settings(data, "1m"), services=CORE))
        client = await stack.enter_async_context(running.client())
        await make_diary(client.nc)
        agents = workers(("ada", "bo", "cy"), Diary(client.nc))
        await stack.enter_async_context(AgentHost(agents, settings=running.settings))
        campaign = Campaign(client)
        listening = asyncio.create_task(campaign.listen())
        async with AsyncExitStack() as inner:
            if twice:
                await inner.enter_async_context(echo(client.nc, seed))
            async with asyncio.timeout(60):
                await asyncio.gather(*(campaign.drive(wish) for wish in everything))
        await rest(client)
        past, effects = await Past.read(EventLog(client.nc, "client")), await audit.effects_of(client.nc.jetstream())
        problems = [
            *(line for wish in everything for line in audit.ends(wish, past)),
            *audit.commands(past, campaign.acknowledged),
            *audit.attempts(past, effects),
            *audit.pool(past.pool),
            *audit.views(past),
            *await audit.left_over(client.nc.jetstream()),
            *await audit.answered(client, past, campaign.acknowledged),
        ]
        listening.cancel()
    return Run(problems, _work(everything, effects), len(past.dispatched()))


def _work(everything: list[Wish], effects: dict[str, Counter[str]]) -> Counter[str]:
    counted = {wish.project for wish in everything if wish.shape in TIMELESS}
    found = Counter[str]()
    for attempt, by in effects.items():
        project, task, _, kind = attempt.split(".")
        if project in counted:
            found[f"{project}.{task}.{kind}"] += by.total()
    return found


@pytest.mark.parametrize("seed", [1])
async def test_everything_twice_and_out_of_order_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    plain = await carried_out(tmp_path / "plain", seed, twice=False)
    disordered(monkeypatch, seed)
    twice = await carried_out(tmp_path / "twice", seed, twice=True)

    assert plain.problems == []
    assert twice.problems == []
    assert twice.work == plain.work, "the same work was done as often"
    assert plain.work.total() > 4 * COUNT
