"""With tracing on, one project is one tree; with tracing off, its context is carried on and nothing else happens."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared import telemetry

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"
OTHER = f"00-{'c' * 32}-{'d' * 16}-01"


@dataclass(frozen=True)
class Message:
    """What is known about a message that is being processed."""

    subject: str = "nexus.results.shop.design"
    traceparent: str | None = PARENT
    id: str = "r-1"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.setup("planner", exporter=exporter)
    yield exporter
    telemetry.shutdown()


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in telemetry.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    [found] = spans.get_finished_spans()
    return found


# Off


def test_without_an_endpoint_it_is_off_and_carries_the_context_on() -> None:
    telemetry.setup("planner")

    assert not telemetry.enabled()
    with telemetry.span("work", parent=PARENT) as span:
        span.set_error("no harm")
        span.set({"a": 1})
        assert span.traceparent == PARENT
    with telemetry.sending("nexus.tasks.a", parent=PARENT, message_id="1") as span:
        assert span.traceparent == PARENT
    with telemetry.processing([Message(), Message(traceparent=OTHER)], durable="d") as span:
        assert span.traceparent == PARENT
    with telemetry.span("work") as span:
        assert span.traceparent is None
    assert telemetry.current_traceparent() is None


def test_the_standard_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    telemetry.setup("planner", "http://127.0.0.1:4318")

    assert not telemetry.enabled()


# On


def test_a_span_is_a_child_of_the_context_that_arrived(spans: InMemorySpanExporter) -> None:
    with telemetry.span("work", kind="consumer", parent=PARENT, links=[OTHER, None], attributes={"a": 1}) as span:
        inside = span.traceparent

    found = only(spans)
    assert found.parent is not None
    assert telemetry.traceparent_of(found.parent) == PARENT
    assert inside == telemetry.traceparent_of(found.context)
    assert found.kind is SpanKind.CONSUMER
    assert [telemetry.traceparent_of(link.context) for link in found.links] == [OTHER]
    assert found.attributes == {"a": 1}
    assert found.resource.attributes["service.name"] == "nexus-planner"


def test_without_a_parent_it_stands_under_the_open_span(spans: InMemorySpanExporter) -> None:
    with telemetry.span("outer") as outer:
        assert telemetry.current_traceparent() == outer.traceparent
        with telemetry.span("inner"):
            pass

    inner, above = spans.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == above.context.span_id


def test_what_is_raised_is_recorded_and_raised_on(spans: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError), telemetry.span("work"):
        raise KeyError("gone")

    found = only(spans)
    assert found.status.status_code is StatusCode.ERROR
    assert (found.attributes or {})["error.type"] == "KeyError"
    assert found.events[0].name == "exception"


@pytest.mark.parametrize("wrong", ["", "garbage", f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01"])
def test_a_broken_context_starts_a_new_trace(spans: InMemorySpanExporter, wrong: str) -> None:
    with telemetry.span("work", parent=wrong, links=[wrong]):
        pass

    assert only(spans).parent is None
    assert not only(spans).links


def test_an_unsampled_context_is_carried_on_unsampled(spans: InMemorySpanExporter) -> None:
    unsampled = f"{PARENT[:-2]}00"

    with telemetry.span("work", parent=unsampled) as span:
        assert (span.traceparent or "").startswith("00-" + "a" * 32)
        assert (span.traceparent or "").endswith("-00")

    assert not spans.get_finished_spans()


def test_sending_follows_the_conventions(spans: InMemorySpanExporter) -> None:
    with telemetry.sending("nexus.tasks.painter", parent=PARENT, message_id="m", project="shop"):
        pass

    found = only(spans)
    assert (found.name, found.kind) == ("send nexus.tasks.*", SpanKind.PRODUCER)
    assert found.attributes == {
        "messaging.system": "nats",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "nexus.tasks.painter",
        "messaging.destination.template": "nexus.tasks.*",
        "messaging.message.id": "m",
        "messaging.message.conversation_id": "shop",
    }


def test_processing_one_message_is_a_child_of_its_sending(spans: InMemorySpanExporter) -> None:
    with telemetry.processing([Message()], durable="coordinator-results"):
        pass

    found = only(spans)
    assert (found.name, found.kind) == ("process nexus.results.*.*", SpanKind.CONSUMER)
    assert found.parent is not None
    assert telemetry.traceparent_of(found.parent) == PARENT
    attributes = found.attributes or {}
    assert attributes["messaging.consumer.group.name"] == "coordinator-results"
    assert attributes["messaging.message.id"] == "r-1"


def test_processing_many_is_a_child_of_the_first_and_linked_to_the_others(spans: InMemorySpanExporter) -> None:
    with telemetry.processing([Message(), Message(traceparent=OTHER), Message(traceparent=None)], durable="d"):
        pass

    found = only(spans)
    assert found.parent is not None
    assert telemetry.traceparent_of(found.parent) == PARENT
    assert [telemetry.traceparent_of(link.context) for link in found.links] == [OTHER]
    assert (found.attributes or {})["messaging.batch.message_count"] == 3


@pytest.mark.parametrize(
    ("subject", "template"),
    [
        ("nexus.commands.planner.create_project", "nexus.commands.planner.create_project"),
        ("nexus.commands.planner.made_up_by_anybody", "nexus.commands.planner.*"),
        ("nexus.events.planner.shop.project_planned", "nexus.events.planner.*.project_planned"),
        (
            "nexus.events.resource_manager.default.capacity_leased.shop",
            "nexus.events.resource_manager.*.capacity_leased.*",
        ),
        ("nexus.results.shop.design", "nexus.results.*.*"),
        ("nexus.signals.shop.ready", "nexus.signals.*.*"),
        ("nexus.tasks.painter", "nexus.tasks.*"),
        ("nexus.agents.painter.beat", "nexus.agents.*.beat"),
        ("nexus.outcomes.c-1", "nexus.outcomes.*"),
        ("nexus.due.coordinator.shop", "nexus.due.coordinator.*"),
        ("nexus.dead.nexus.results.shop.design", "nexus.dead.>"),
    ],
)
def test_no_id_names_a_span(subject: str, template: str) -> None:
    import contracts.planner  # noqa: F401  known commands are those of the contracts

    assert telemetry.template(subject) == template


def test_two_services_in_one_program_trace_under_their_own_names(spans: InMemorySpanExporter) -> None:
    import contextvars

    second = InMemorySpanExporter()

    def other() -> None:
        telemetry.setup("coordinator", exporter=second)
        with telemetry.span("theirs"):
            pass

    contextvars.copy_context().run(other)
    with telemetry.span("ours"):
        pass

    assert only(spans).name == "ours"
    assert only(second).resource.attributes["service.name"] == "nexus-coordinator"
    telemetry.shutdown("coordinator")
    assert telemetry.enabled()


def test_the_end_sends_what_is_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = InMemorySpanExporter()
    monkeypatch.setattr(telemetry, "SimpleSpanProcessor", BatchSpanProcessor)
    telemetry.setup("planner", exporter=exporter)
    with telemetry.span("last words"):
        pass

    telemetry.shutdown()

    assert only(exporter).name == "last words"
    assert not telemetry.enabled()


def test_a_collector_that_does_not_answer_keeps_nobody_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "FAREWELL", 0.1)
    release = threading.Event()

    class Hanging(InMemorySpanExporter):
        def shutdown(self) -> None:
            release.wait(10)

    telemetry.setup("planner", exporter=Hanging())
    begun = time.monotonic()

    telemetry.shutdown()

    assert time.monotonic() - begun < 2
    release.set()
