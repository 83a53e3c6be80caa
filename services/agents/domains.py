"""Which kind of application a request describes, by rules that say why, and what such an application consists of."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from services.agents.brief import ProjectContext, Unsupported
from services.agents.findings import Domain
from services.agents.model import Attribute, Entity, Kind
from services.agents.names import plural, words

FALLBACK = "generic"
KEYS = ("ecommerce", "blog", "tracker", "booking", FALLBACK)
NOTHING_KNOWN = (
    "no word of the description belongs to a known domain; a single entity `item` stands in until "
    "requirements.entities says better"
)
LIMIT = 40
"""Most entities that a request may bring."""
PLAIN_FIELDS = {"name": "text", "description": "long_text?"}
"""What an entity has of which a request gives only the name."""

Found = tuple[Domain, tuple[str, ...]]
"""A domain, and the reasons for it."""


@cache
def domain(key: str) -> Domain:
    """A built-in domain."""
    text = files("services.agents").joinpath(f"blueprints/domains/{key}.yaml").read_text(encoding="utf-8")
    return parse(yaml.safe_load(text))


def choose(context: ProjectContext) -> Found:
    """The domain that was named, or that the given entities make, or that most words of the description speak for."""
    named, given = context.requirements.get("domain"), context.requirements.get("entities")
    if named is not None and named not in KEYS:
        raise Unsupported(f"requirements.domain is {named!r}; known are {', '.join(KEYS)}")
    if given:
        return _given(given), (f"the request brings its own entities: {', '.join(_names(given))}",)
    if named is not None:
        return domain(named), (f"the request names the domain {named}",)
    return _by_words(f"{context.title} {context.description}")


def _by_words(text: str) -> Found:
    found = {key: sorted(_spoken(domain(key).keywords, text)) for key in KEYS}
    best = max(KEYS, key=lambda key: len(found[key]))
    if not found[best]:
        return domain(FALLBACK), (NOTHING_KNOWN,)
    others = [f"{key} {len(words)}" for key, words in found.items() if words and key != best]
    says = f"the description says {', '.join(repr(word) for word in found[best])}: {domain(best).title}"
    return domain(best), (says, *([f"fewer words speak for others: {', '.join(others)}"] if others else []))


def _spoken(words: tuple[str, ...], text: str) -> Iterator[str]:
    for word in words:
        if re.search(rf"\b{re.escape(word)}(s|es)?\b", text, re.IGNORECASE):
            yield word


def parse(data: Mapping[str, Any]) -> Domain:
    """A domain from its short form: entities by name, their fields by name, a field's type often one word."""
    given = data["entities"]
    actions = [{**action, "body": _attributes(action.get("body", {}), ())} for action in data.get("actions", ())]
    entities = [_entity(name, spec, tuple(given)) for name, spec in given.items()]
    return Domain.model_validate({**data, "entities": entities, "actions": actions})


def _given(given: Any) -> Domain:
    names = _names(given)
    if len(names) > LIMIT:
        raise Unsupported(f"requirements.entities has {len(names)} entities; at most {LIMIT}")
    if taken := words("entities") & set(names):
        raise Unsupported(f"requirements.entities: {', '.join(sorted(taken))}: every application has that already")
    specs = given if isinstance(given, Mapping) else dict.fromkeys(names, PLAIN_FIELDS)
    try:
        entities = tuple(_with_owner(_entity(name, spec, tuple(names))) for name, spec in specs.items())
    except ValidationError as error:
        raise Unsupported(f"requirements.entities: {_first(error)}") from error
    return domain(FALLBACK).model_copy(update={"entities": entities})


def _names(given: Any) -> list[str]:
    if isinstance(given, list | tuple | Mapping) and all(isinstance(name, str) for name in given):
        return list(dict.fromkeys(given))
    raise Unsupported("requirements.entities must be a list of names, or a mapping from name to fields")


def _entity(name: str, spec: Any, others: tuple[str, ...]) -> Entity:
    if not isinstance(spec, Mapping):
        raise Unsupported(f"requirements.entities: {name} must have its fields as a mapping from name to type")
    whole = spec if isinstance(spec.get("fields"), Mapping) else {"fields": spec}
    rest = {key: value for key, value in whole.items() if key != "fields"}
    made = {"name": name, "plural": plural(name), "attributes": _attributes(whole["fields"], others)}
    made |= {"change": "owner"} if "owner" in whole else {}
    return Entity.model_validate({**made, **rest})


def _attributes(fields: Mapping[str, Any], others: tuple[str, ...]) -> list[Attribute]:
    return [Attribute.model_validate({"name": name, **_spec(given, others)}) for name, given in fields.items()]


def _spec(given: Any, others: tuple[str, ...]) -> Mapping[str, Any]:
    """`text`, `text?` (may be left out), the name of an entity (a reference to it), or everything in full."""
    if isinstance(given, Mapping):
        return given
    word = str(given).removesuffix("?")
    required = word == str(given)
    if word in {*others, "user"}:
        return {"type": "reference", "references": word, "required": required, "filter": True}
    if word not in get_args(Kind):
        raise Unsupported(f"{given!r} is no type; known are {', '.join(get_args(Kind))} and the names of the entities")
    return {"type": word, "required": required}


def _with_owner(entity: Entity) -> Entity:
    """An entity whose request says nothing about its owner belongs to who created it."""
    if entity.owner or "owner" not in {entity.create, entity.change, entity.read}:
        return entity
    creator = Attribute(name="creator", type="reference", references="user")
    return entity.model_copy(update={"owner": "creator", "attributes": (creator, *entity.attributes)})


def in_order(entities: tuple[Entity, ...]) -> tuple[Entity, ...]:
    """Each entity after those that it refers to."""
    known = {entity.name: entity for entity in entities}
    needs = {name: [r.references or "" for r in entity.references] for name, entity in known.items()}
    for name, targets in needs.items():
        if missing := sorted(set(targets) - set(known)):
            raise Unsupported(f"{name} refers to {', '.join(missing)}, which nobody describes")
    graph = {name: [target for target in targets if target != name] for name, targets in needs.items()}
    try:
        return tuple(known[name] for name in TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise Unsupported(f"entities refer to each other in a circle: {' -> '.join(error.args[1])}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}".removeprefix(": ")
