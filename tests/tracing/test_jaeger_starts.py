"""The Jaeger that the tracing tests build is a real one: what goes in by OTLP comes out of its query API."""

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.tracing.jaeger_server import Jaeger, spans_of, wait_for_spans

pytestmark = pytest.mark.tracing


def test_a_span_sent_by_otlp_is_read_back_through_the_query_api(jaeger: Jaeger) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "sender"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{jaeger.otlp}/v1/traces")))

    with provider.get_tracer("tests").start_as_current_span("hello", attributes={"answer": 42}) as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
    provider.shutdown()

    [told] = wait_for_spans(jaeger.query, trace_id)
    assert told["operationName"] == "hello"
    assert {"key": "answer", "type": "int64", "value": 42} in told["tags"]


def test_a_trace_that_was_never_sent_has_no_spans(jaeger: Jaeger) -> None:
    assert spans_of(jaeger.query, "f" * 32) == []
