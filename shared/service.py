"""The frame every service hangs in: connection, streams, log, inflows, commands, health, graceful stop."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from faststream.asgi import AsgiFastStream
from nats.errors import Error as NatsError

from shared import logs, telemetry
from shared.broker import broker_for
from shared.commands import Commands, Handler
from shared.deadletters import DeadLetters
from shared.delivery import Delivery, Settlement
from shared.edge import ACK_WAIT, Edge
from shared.eventlog import EventLog
from shared.incoming import Incoming
from shared.inflow import Inflow, InflowSpec
from shared.loops import Loops
from shared.metrics import Meter
from shared.parts import Compose, Parts, Runtime, SignalHandler, Subscription
from shared.publisher import Publisher
from shared.readiness import Readiness, connected, consumers_exist, metrics_page, streams_exist
from shared.settings import Settings
from shared.snapshots import Snapshots
from shared.streams import BY_NAME, DEAD, EVENTS, INBOX, OUTCOMES, SetupError, check_server, provision
from shared.timers import Timers

__all__ = [
    "Compose",
    "Handler",
    "InflowSpec",
    "Parts",
    "Runtime",
    "SignalHandler",
    "Subscription",
    "running",
    "service",
]

ALWAYS = (EVENTS, INBOX, OUTCOMES, DEAD)
"""Streams that no service can do without."""

COMMANDED = BY_NAME[INBOX].subjects or ()

Take = Callable[[Incoming], Awaitable[None]]

log = logging.getLogger(__name__)

App = TypeVar("App")


def service(name: str, compose: Compose, settings: Settings) -> AsgiFastStream:
    """Return the service as an ASGI application; it connects when it is started, not before."""
    frame = Frame(name, compose, settings)
    return frame.app


@asynccontextmanager
async def running(factory: Callable[[Settings], App], settings: Settings) -> AsyncIterator[App]:
    """Run a service inside this program, without HTTP; yields when it is ready, stops it gracefully at the end."""
    started: asyncio.Future[App] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def live() -> None:
        # A task of its own: the frame may be entered and left by different tasks of the host program.
        logs.embedded.set(True)
        app = factory(settings)
        async with _life(app):
            started.set_result(app)
            await stop.wait()

    task = asyncio.create_task(live(), name="service")
    task.add_done_callback(lambda _: started.cancel())
    try:
        app = await started
    except asyncio.CancelledError:
        task.cancel()
        await task  # says why it could not start
        raise
    try:
        yield app
    finally:
        stop.set()
        await task


@asynccontextmanager
async def _life(app: Any) -> AsyncIterator[None]:
    if isinstance(app, AsgiFastStream):
        async with app.start_lifespan_context():
            # FastStream says that it has started while its broker still starts.
            await app.context.get("readiness").started.wait()
            yield
    else:
        async with app.router.lifespan_context(app):  # Starlette and FastAPI
            yield


def collect_rarely() -> None:
    """Let the garbage collector look less often: a service keeps many small objects, and hardly any are in cycles.

    With Python's own thresholds it took most of the time of folding a long log (measured).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


class Frame:
    """One service between start and stop."""

    def __init__(self, name: str, compose: Compose, settings: Settings) -> None:
        self.name, self._compose, self._settings = name, compose, settings
        self._meter = Meter()
        self._broker = broker_for(name, settings, self._on_reconnect)
        self._ready = Readiness(name)
        self._edges: list[Edge] = []
        self._inflows: list[Inflow] = []
        self._loops = Loops({}, self._meter)
        self._parts = Parts()
        self._tasks: set[asyncio.Task[None]] = set()
        routes = [
            ("/healthz", self._ready.healthz),
            ("/readyz", self._ready.readyz),
            ("/metrics", metrics_page(self._meter.registry)),
        ]
        self.app = AsgiFastStream(
            self._broker,
            asgi_routes=routes,
            logger=None,
            lifespan=self._lifespan,
            after_startup=[self._started],
            on_shutdown=[self._stop],
        )
        self.app.context.set_global("readiness", self._ready)

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        logs.setup(self._settings.log_level)
        if not logs.embedded.get():
            collect_rarely()
        telemetry.setup(self.name, self._settings.otlp_endpoint)
        self._nc = await self._broker.connect()
        try:
            check_server(self._nc)
            await provision(self._nc)
            await self._build()
        except BaseException:
            await self._nc.close()
            raise
        try:
            yield
        finally:
            await asyncio.to_thread(telemetry.shutdown, self.name)
            if not self._nc.is_closed:
                await self._nc.close()

    async def _build(self) -> None:
        publisher = Publisher(self._nc)
        self._log = EventLog(self._nc, self.name)
        runtime = Runtime(
            name=self.name,
            settings=self._settings,
            nc=self._nc,
            js=self._nc.jetstream(timeout=5),
            log=self._log,
            snapshots=Snapshots(self._nc, self.name),
            timers=Timers(publisher, self.name),
            publisher=publisher,
            meter=self._meter,
        )
        self._parts = await self._compose(runtime)
        settlement = Settlement(self._nc, DeadLetters(publisher), self._meter)
        await self._build_edges(publisher, settlement)
        self._inflows = [Inflow(self._nc, spec, settlement, self._meter) for spec in self._parts.inflows]
        self._loops = Loops(self._parts.background, self._meter)
        self.app.routes.extend(self._parts.routes)
        self._demand_readiness()

    async def _build_edges(self, publisher: Publisher, settlement: Settlement) -> None:
        self._broker.add_middleware(Delivery.using(settlement, ACK_WAIT))
        commands = Commands(self._nc, publisher, self.name, self._parts.commands, self._meter)
        settlement.refusals["commands"] = commands.refuse
        if self._parts.commands or f"nexus.commands.{self.name}.>" in COMMANDED:
            # Also one that knows no command must refuse those it gets.
            self._edges.append(self._edge(f"{self.name}-commands", f"nexus.commands.{self.name}.>", commands.take))
        for subscription in self._parts.subscriptions:
            self._edges.append(self._edge(subscription.durable, subscription.filter, _taking(subscription)))
        for edge in self._edges:
            await edge.prepare()

    def _edge(self, durable: str, filters: str, handle: Take) -> Edge:
        return Edge(self._broker, self._nc, durable=durable, filters=filters, handle=handle, meter=self._meter)

    def _demand_readiness(self) -> None:
        ready, inflows = self._ready, self._inflows
        ready.watch("connection", connected(self._nc))
        ready.add("streams", streams_exist(self._nc, sorted({*ALWAYS, *(each.spec.stream for each in inflows)})))
        durables = {each.spec.durable: each.spec.stream for each in inflows}
        ready.add("durables", consumers_exist(self._nc, durables | {edge.durable: INBOX for edge in self._edges}))
        for inflow in inflows:
            ready.watch(f"inflow {inflow.spec.durable}", inflow.trouble)
        for edge in self._edges:
            ready.watch(f"subscriber {edge.durable}", edge.trouble)
        ready.watch("loops", self._loops.trouble)
        for name, probe in self._parts.probes.items():
            ready.add(name, probe)

    async def _started(self) -> None:
        for edge in self._edges:
            edge.watch()
        for inflow in self._inflows:
            inflow.start()
        self._loops.start()
        self._ready.started.set()
        log.info("%s: started", self.name)

    async def _stop(self) -> None:
        self._ready.started.clear()
        await asyncio.gather(
            *(edge.stop() for edge in self._edges),
            *(inflow.stop() for inflow in self._inflows),
            self._loops.stop(),
        )
        for close in self._parts.closing:
            try:
                await close()
            except Exception:  # one part that cannot close must not keep the others from it
                log.exception("%s: closing", self.name)
        await self._log.close()
        for task in self._tasks:
            task.cancel()
        log.info("%s: stopped", self.name)

    async def _on_reconnect(self) -> None:
        # nats-py waits for this callback before it goes on, and the streams may take a while to come back.
        task = asyncio.create_task(self._provision_again(), name=f"{self.name} provision")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _provision_again(self) -> None:
        for pause in (0.0, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
            await asyncio.sleep(pause)
            try:
                await provision(self._nc)
            except (NatsError, TimeoutError, OSError) as error:
                log.info("%s: streams: %r, trying again", self.name, error)
            except SetupError:
                log.exception("%s: streams", self.name)
                return
            else:
                log.info("%s: connected again", self.name)
                return


def _taking(subscription: Subscription) -> Take:
    async def take(message: Incoming) -> None:
        with telemetry.processing([message], durable=subscription.durable) as spanned:
            event = message.ce
            event.traceparent = spanned.traceparent
            await subscription.handle(wildcards(subscription.filter, message.subject), event)

    return take


def wildcards(pattern: str, subject: str) -> tuple[str, ...]:
    """Return the tokens of a subject that the wildcards of a filter stand for."""
    tokens, asked = subject.split("."), pattern.split(".")
    found = [token for token, wanted in zip(tokens, asked, strict=False) if wanted in {"*", ">"}]
    return (*found, *tokens[len(asked) :]) if asked[-1] == ">" else tuple(found)
