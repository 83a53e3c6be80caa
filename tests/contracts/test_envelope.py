"""The envelope is written in one form and read in every form that people send."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import CloudEvent, Malformed, decode, encode

SUBJECT = "nexus.signals.shop-7f3k9c.schema_ready"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.text(min_size=1), st.text(min_size=1))
def test_what_is_written_is_read_again(data: object, identity: str, project: str) -> None:
    event = CloudEvent(identity, "nexus.x", "me", "about", data, time=datetime(2026, 1, 1, tzinfo=UTC), project=project)

    assert decode(encode(event)) == event


def test_plain_json_is_filled_in() -> None:
    event = decode(b'{"by": "me"}', None, subject=SUBJECT, position=42)

    assert (event.id, event.type, event.source, event.data) == ("seq-42", SUBJECT, "anonymous", {"by": "me"})


def test_an_empty_payload_is_an_empty_object() -> None:
    assert decode(b"", None, subject=SUBJECT, position=1).data == {}


def test_the_message_id_of_nats_is_the_id() -> None:
    assert decode(b"{}", {"nats-MSG-id": "abc"}, subject=SUBJECT, position=1).id == "abc"


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_binary_mode_takes_headers_in_any_case(case: object) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "7",
        "ce-type": "a.b",
        "ce-source": "caf%C3%A9",
        "ce-project": '"shop"',
    }

    event = decode(b"[1]", {case(name): value for name, value in headers.items()}, subject=SUBJECT)  # type: ignore[operator]

    assert (event.id, event.type, event.source, event.project, event.data) == ("7", "a.b", "café", "shop", [1])


def test_extensions_nobody_knows_are_kept() -> None:
    event = decode(b'{"specversion": "1.0", "id": "1", "type": "t", "source": "s", "tenant": 7}')

    assert event.extensions == {"tenant": 7}


def test_the_trace_of_the_hop_goes_before_the_stored_one() -> None:
    body = b'{"specversion": "1.0", "id": "1", "type": "t", "source": "s", "traceparent": "old"}'

    assert decode(body, {"Traceparent": "new"}).traceparent == "new"
    assert decode(body).traceparent == "old"


@pytest.mark.parametrize(
    ("payload", "headers", "why"),
    [
        (b"{", None, "not JSON"),
        (b"\xff", None, "not JSON"),
        (b'{"specversion": "0.3", "id": "1"}', None, "specversion is '0.3'"),
        (b'{"specversion": "1.0", "id": 1}', None, "attribute id must be a string"),
        (b'{"specversion": "1.0", "id": "1", "time": "yesterday"}', None, "not RFC 3339"),
        (b'{"specversion": "1.0", "id": "1", "data_base64": "AA=="}', None, "data_base64"),
        (b"{}", {"Content-Type": "application/cloudevents+json"}, "specversion is missing"),
        (b"{}", {"ce-id": "1", "ce-source": "%ff"}, "percent-encoded"),
        (b"{}", {"ce-id": "1", "ce-specversion": "2.0"}, "ce-specversion is '2.0'"),
    ],
)
def test_what_cannot_be_understood_says_where_and_why(payload: bytes, headers: dict[str, str] | None, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(payload, headers, subject=SUBJECT, position=1)
