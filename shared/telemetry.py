"""Traces: one project is one tree of spans. Off, and free of cost, unless an OTLP endpoint is configured.

The W3C context travels in every message and is stored in every event; with tracing off it is still carried on.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Protocol

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from contracts.base import COMMANDS

Attributes = Mapping[str, str | int | float | bool]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FAREWELL = 3.0
"""Seconds that an end waits for the last spans to be sent."""
KINDS = {kind.name.lower(): kind for kind in SpanKind}
TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")

_on = False
_providers: dict[str, TracerProvider] = {}
_tracer: ContextVar[trace.Tracer | None] = ContextVar("tracer", default=None)


class Spanned(Protocol):
    """What `span` yields: the context to send on, and a place to say what went wrong or was found out."""

    @property
    def traceparent(self) -> str | None: ...

    def set_error(self, error: BaseException | str, /) -> None: ...

    def set(self, attributes: Attributes, /) -> None: ...


class Delivered(Protocol):
    """What is known about a message that is being processed."""

    @property
    def subject(self) -> str: ...

    @property
    def traceparent(self) -> str | None: ...

    @property
    def id(self) -> str: ...


def setup(service: str, endpoint: str | None = None, *, exporter: SpanExporter | None = None) -> None:
    """Let this task, and those it starts, trace as `service` if an endpoint or an exporter is there.

    Without `endpoint` the standard environment variables of OpenTelemetry decide; they also say how.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if exporter is None and not endpoint and not any(os.environ.get(name) for name in ENDPOINTS):
        return
    global _on  # noqa: PLW0603  the one switch: reading a global is what makes "off" free
    _on = True
    if service not in _providers:
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"nexus-{service}"}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(_otlp(endpoint)))
        _providers[service] = provider
    _tracer.set(_providers[service].get_tracer("nexus"))


def _otlp(endpoint: str | None) -> OTLPSpanExporter:
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces") if endpoint else OTLPSpanExporter()


def enabled() -> bool:
    """Tell whether spans are made at all."""
    return _on


def shutdown(service: str | None = None) -> None:
    """Send what is waiting and end; blocks, at most some seconds. Without a name: for all services."""
    global _on  # noqa: PLW0603  see setup
    for name in [service] if service else list(_providers):
        if provider := _providers.pop(name, None):
            _end(provider)
    _on = bool(_providers)


def _end(provider: TracerProvider) -> None:
    # A collector that does not answer is asked again and again; nobody's exit waits for that.
    thread = Thread(target=provider.shutdown, name="telemetry", daemon=True)
    thread.start()
    thread.join(FAREWELL)


def current_traceparent() -> str | None:
    """Return the context of the span that is open in this task, if there is one."""
    return traceparent_of(trace.get_current_span().get_span_context()) if _on else None


def traceparent_of(context: SpanContext) -> str | None:
    """Return the W3C form of a context; None if it is void."""
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def context_of(traceparent: str | None) -> SpanContext | None:
    """Read the W3C form; None if it is absent or no valid context."""
    if not traceparent or not (match := TRACEPARENT.match(traceparent)):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


class _Carried:
    """Tracing is off: the incoming context is carried on."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> "_Carried":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def set_error(self, _error: BaseException | str, /) -> None:
        return None

    def set(self, _attributes: Attributes, /) -> None:
        return None


class _Recorded:
    """A span that is open."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span, parent: str | None) -> None:
        self._span = span
        self.traceparent = traceparent_of(span.get_span_context()) or parent

    def set_error(self, error: BaseException | str, /) -> None:
        self._span.set_status(Status(StatusCode.ERROR, str(error)))
        if isinstance(error, BaseException):
            self._span.record_exception(error)
            self._span.set_attribute("error.type", type(error).__qualname__)

    def set(self, attributes: Attributes, /) -> None:
        self._span.set_attributes(attributes)


def span(
    name: str,
    *,
    kind: str = "internal",
    parent: str | None = None,
    links: Sequence[str | None] = (),
    attributes: Attributes | None = None,
) -> AbstractContextManager[Spanned]:
    """Open a span under `parent`, or under the one that is open here; what it raises is recorded and raised on."""
    tracer = _tracer.get() if _on else None
    if tracer is None:
        return _Carried(parent)
    return _open(tracer, name, kind, parent, links, attributes)


@contextmanager
def _open(
    tracer: trace.Tracer,
    name: str,
    kind: str,
    parent: str | None,
    links: Sequence[str | None],
    attributes: Attributes | None,
) -> Iterator[Spanned]:
    context = context_of(parent)
    above = trace.set_span_in_context(NonRecordingSpan(context)) if context else None
    linked = [Link(found) for found in map(context_of, links) if found]
    with tracer.start_as_current_span(
        name, above, KINDS[kind], attributes, linked, record_exception=False, set_status_on_exception=False
    ) as opened:
        spanned = _Recorded(opened, parent)
        try:
            yield spanned
        except BaseException as error:
            spanned.set_error(error)
            raise


def sending(
    subject: str, *, parent: str | None, message_id: str, project: str | None = None
) -> AbstractContextManager[Spanned]:
    """Open the span of one message that is being published: inject the `traceparent` it yields."""
    if not _on:
        return _Carried(parent)
    found = {**_messaging("send", subject), "messaging.message.id": message_id}
    if project:
        found["messaging.message.conversation_id"] = project
    return span(f"send {template(subject)}", kind="producer", parent=parent, attributes=found)


def processing(messages: Sequence[Delivered], *, durable: str) -> AbstractContextManager[Spanned]:
    """Open the span of handling what arrived together for one project: a child of the first, linked to the others."""
    first = messages[0]
    if not _on:
        return _Carried(first.traceparent)
    found = {**_messaging("process", first.subject), "messaging.consumer.group.name": durable}
    if len(messages) == 1:
        found["messaging.message.id"] = first.id
    else:
        found["messaging.batch.message_count"] = len(messages)
    links = [message.traceparent for message in messages[1:]]
    name = f"process {template(first.subject)}"
    return span(name, kind="consumer", parent=first.traceparent, links=links, attributes=found)


def _messaging(operation: str, subject: str) -> dict[str, str | int]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": subject,
        "messaging.destination.template": template(subject),
    }


def template(subject: str) -> str:
    """Return the subject without ids: what may name a span or label a metric."""
    match subject.split("."):
        case ["nexus", "commands", service, *_]:
            return subject if subject in COMMANDS else f"nexus.commands.{service}.*"
        case ["nexus", "events", service, _, name, *rest]:
            return ".".join(["nexus", "events", service, "*", name, *("*" for _ in rest)])
        case ["nexus", "agents", _, kind]:
            return f"nexus.agents.*.{kind}"
        case ["nexus", ("timers" | "due") as family, service, *_]:
            return f"nexus.{family}.{service}.*"
        case ["nexus", "dead", *_]:
            return "nexus.dead.>"
        case [root, family, *rest]:
            return ".".join([root, family, *("*" for _ in rest)])
    return subject
