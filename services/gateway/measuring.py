"""What the gateway measures about its requests. Labels are routes and statuses, never an id."""

from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Traffic:
    """The measurements."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "nexus_http_requests", "Requests answered", ("method", "route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "nexus_http_seconds", "Time to the first byte of an answer", ("route",), buckets=BUCKETS, registry=registry
        )
        self.streams = Gauge("nexus_http_streams", "Streams of events that are open", registry=registry)


class Measured:
    """Counts every request that passes."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app, self._traffic = app, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = route_of(scope)
                method = scope["method"] if route != "other" else "any"
                self._traffic.requests.labels(method, route, message["status"]).inc()
                self._traffic.seconds.labels(route).observe(perf_counter() - began)
            await send(message)

        await self._app(scope, receive, counted)


def route_of(scope: Scope) -> str:
    """Return the template of the path that was asked for; `other` if it is none of the API."""
    return getattr(scope.get("route"), "path", "") or "other"
