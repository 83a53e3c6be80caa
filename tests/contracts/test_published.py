"""What is written down for other languages is what the models say, and what they say is kept."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from contracts import samples
from contracts.base import COMMANDS, EVENTS
from contracts.envelope import decode
from contracts.publish import HERE, files, messages

# other tests define events and commands of their own, which register too
OUR_EVENTS = {topic: event for topic, event in EVENTS.items() if event.__module__.startswith("contracts.")}
OUR_COMMANDS = {subject: each for subject, each in COMMANDS.items() if each.__module__.startswith("contracts.")}
TOPICS = Path(__file__).with_name("topics.txt")
GENERATED = files()


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_what_is_committed_is_what_would_be_generated(name: str) -> None:
    path = HERE / name

    assert path.exists(), f"{name} is missing: run `python -m contracts.publish`"
    assert path.read_text(encoding="utf-8") == GENERATED[name], f"{name} is old: run `python -m contracts.publish`"


def test_nothing_is_left_over() -> None:
    present = {str(path.relative_to(HERE)) for kind in ("schemas", "examples") for path in HERE.glob(f"{kind}/*.json")}

    assert present == {name for name in GENERATED if name.endswith(".json")}


def test_every_command_and_event_has_a_sample() -> None:
    assert {type(command) for command in samples.COMMANDS} == set(OUR_COMMANDS.values())
    assert {type(event) for _, event in samples.EVENTS} == set(OUR_EVENTS.values())


def test_topics_are_never_changed_or_taken_away() -> None:
    kept = TOPICS.read_text().split()

    assert kept == sorted(kept)
    assert set(kept) == set(OUR_EVENTS), "add new topics to topics.txt; a topic that is in a log cannot be renamed"


@pytest.mark.parametrize(("subject", "name", "message", "event"), list(messages()), ids=lambda value: str(value)[:40])
def test_each_sample_is_valid_by_the_published_schemas(subject: str, name: str, message: Any, event: Any) -> None:
    example = json.loads((HERE / f"examples/{name}.json").read_text())["message"]
    registry: Registry[Any] = Registry().with_resources(
        (f"./schemas/{path.name}", Resource.from_contents(json.loads(path.read_text())))
        for path in HERE.glob("schemas/*.json")
    )
    document = yaml.safe_load((HERE / "asyncapi.yaml").read_text())
    schema = document["components"]["messages"][re.sub(r"[.-]", "_", name)]["payload"]["schema"]

    Draft202012Validator(schema, registry=registry).validate(example)
    read = decode(json.dumps(example).encode(), subject=subject)

    assert type(message).model_validate(read.data) == message
    assert not Draft202012Validator(schema, registry=registry).is_valid({**example, "type": "nexus.other"})


def test_the_document_refers_to_nothing_that_is_not_there() -> None:
    document = yaml.safe_load((HERE / "asyncapi.yaml").read_text())

    for reference in _references(document):
        if reference.startswith("#/"):
            place: Any = document
            for token in reference[2:].split("/"):
                place = place[token]
        else:
            assert (HERE / reference).exists(), reference


def test_parameters_are_declared_exactly_where_an_address_has_them() -> None:
    channels = yaml.safe_load((HERE / "asyncapi.yaml").read_text())["channels"]

    assert len(channels) > len(OUR_EVENTS)
    for channel in channels.values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", {}))


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for part in value.values() for found in _references(part)]
    return [found for part in value for found in _references(part)] if isinstance(value, list) else []
