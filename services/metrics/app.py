"""Metrics: how the whole system does. Run with `uvicorn --factory services.metrics.app:create`."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

from faststream.asgi import AsgiFastStream, AsgiResponse, get
from pydantic_core import to_json

from services.metrics.domain import RULES, Alert, Rule
from services.metrics.gauges import Gauges
from services.metrics.performance import Performance
from services.metrics.reporting import report
from services.metrics.trends import PERIODS
from shared.mapper import EventMapper
from shared.parts import Runtime
from shared.projection import Projection
from shared.records import Logged
from shared.repository import Repository
from shared.service import Parts, service
from shared.settings import Settings
from shared.snapshots import Snapshot
from shared.streams import DEAD

FOLD = 1
REPORT = "report"
EVERY = 0.5
"""Seconds between two reports while something happens."""


def create(settings: Settings | None = None) -> AsgiFastStream:
    """Build the service."""
    return service("metrics", compose, settings or Settings.load())


async def compose(runtime: Runtime) -> Parts:
    """Put the metrics service together."""
    reporter = Reporter(runtime)
    runtime.registry.register(Gauges(reporter.current))
    return Parts(
        background={"performance": reporter.projection.run, "reports": reporter.publish},
        probes={"performance": reporter.probe},
        routes=[("/performance", reporter.page), ("/trends", reporter.trends_page)],
    )


class Reporter:
    """Folds the log, tells the result to whoever asks, and raises alerts."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._mapper = runtime, EventMapper()
        self._alerts = Repository(runtime.log, Alert)
        self._dead_letters = 0
        self._told = (-1, 0)
        """Place in the log and dead letters of the last report."""
        self.projection = Projection(
            runtime.log, "performance", Performance, self._fold, snapshots=runtime.snapshots, version=FOLD
        )
        self.page = get(self._page)
        self.trends_page = get(self._trends_page)

    def _fold(self, view: Performance, logged: Logged) -> Performance:
        view.apply(logged.key, self._mapper.to_event(logged))
        return view

    def current(self) -> dict[str, Any]:
        """Return the report as of now."""
        found = report(self.projection.view, self.projection.position, datetime.now(UTC))
        return found | {"dead_letters": self._dead_letters}

    async def probe(self) -> None:
        """Raise unless the view is kept up to date."""
        if not self.projection.live:
            raise RuntimeError("the view is not up to date yet")

    async def publish(self) -> None:
        """Keep the newest report where every program can read it (`nexus.snapshots.metrics.report`), and watch it."""
        await self.projection.caught_up()
        while True:
            self._dead_letters = (await self._runtime.js.stream_info(DEAD)).state.messages
            found = self.current()
            if self._told != (found["position"], found["dead_letters"]):
                await self._runtime.snapshots.save(REPORT, Snapshot(FOLD, found["position"], 0, found))
                self._told = found["position"], found["dead_letters"]
            await self._watch(found)
            await asyncio.sleep(EVERY)

    async def _watch(self, found: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        for rule in RULES:
            watch = partial(_watch, rule, rule.measure(found), now)
            await self._alerts.change(rule.id, watch, create=True)

    async def _page(self, _scope: Any) -> AsgiResponse:
        return AsgiResponse(to_json(self.current()), 200, {"content-type": "application/json"})

    async def _trends_page(self, _scope: Any) -> AsgiResponse:
        trends = self.projection.view.trends
        return AsgiResponse(
            to_json({period: trends.report(period) for period in PERIODS}), 200, {"content-type": "application/json"}
        )


def _watch(rule: Rule, value: float, now: datetime, alert: Alert) -> None:
    alert.watch(rule, value, now)
