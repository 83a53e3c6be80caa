"""Where settings come from, and what to say when something in there is wrong."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

DEFAULT_FILE = Path("nexus.yaml")
PREFIX = "NEXUS_"
FILE_VARIABLE = "NEXUS_CONFIG"
SHORT = "nexus"  # the section whose name NEXUS_… and flags may leave out: NEXUS_DEMO_OUTPUT is nexus.demo_output
SECRETS = ("password", "token", "creds")

Key = tuple[str, ...]


class SettingsError(ValueError):
    """Something is wrong with the settings; `problems` has a sentence for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("The settings are wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


@dataclass
class Layer:
    """What one source says: values by path, and what could not be read."""

    values: dict[Key, Any] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, path: Key, value: Any, name: str) -> None:
        """Keep `value`, leaf by leaf, so that a later layer replaces single keys."""
        if isinstance(value, Mapping) and value:
            for key, inner in value.items():
                self.put((*path, str(key)), inner, name)
        else:
            self.values[path], self.names[path] = value, name


def file_layer(
    config: Path | str | Mapping[str, Any] | BaseModel | None, environ: Mapping[str, str] | None = None
) -> Layer:
    """Read a file, or what stands for one; without any, NEXUS_CONFIG or ./nexus.yaml."""
    layer = Layer()
    if isinstance(config, BaseModel):
        config = config.model_dump(exclude_unset=True)
    if isinstance(config, Mapping):
        layer.put((), config, "")
        return layer
    named = config or (os.environ if environ is None else environ).get(FILE_VARIABLE)
    path = Path(named) if named else DEFAULT_FILE
    if named or path.exists():
        _read_yaml(path, layer)
    return layer


def _read_yaml(path: Path, layer: Layer) -> None:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        layer.problems.append(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}")
    except yaml.YAMLError as error:
        layer.problems.append(f"{path}: is not YAML: {' '.join(str(error).split())}")
    else:
        if isinstance(content, Mapping):
            layer.put((), content, str(path))
        elif content is not None:
            layer.problems.append(f"{path}: must hold keys and values, not {type(content).__name__}")


def env_layer(model: type[BaseModel], environ: Mapping[str, str] | None = None) -> Layer:
    """Read NEXUS_… variables; `__` goes one level down, and an empty variable says nothing."""
    layer, environ = Layer(), os.environ if environ is None else environ
    if endpoint := environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        layer.put(("otlp_endpoint",), endpoint, "OTEL_EXPORTER_OTLP_ENDPOINT")
    for name in sorted(environ):
        if name.startswith(PREFIX) and name != FILE_VARIABLE and environ[name]:
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            layer.put(_placed(model, path), _decoded(environ[name]), name)
    return layer


def flag_layer(model: type[BaseModel], flags: Mapping[str, Any]) -> Layer:
    """Take what was said explicitly; None was not said."""
    layer = Layer()
    for name, value in flags.items():
        if value is not None:
            layer.put(_placed(model, (name,)), value, "")
    return layer


def _placed(model: type[BaseModel], path: Key) -> Key:
    short = section_at(model, (SHORT,))
    here = path[0] in model.model_fields
    return path if here or short is None or path[0] not in short.model_fields else (SHORT, *path)


def _decoded(text: str) -> Any:
    if text[0] not in "[{":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def merge(layers: Sequence[Layer]) -> tuple[dict[str, Any], dict[Key, str]]:
    """Lay the later over the earlier; return the nested values, and for each path who said it last."""
    merged: dict[str, Any] = {}
    names: dict[Key, str] = {}
    for layer in layers:
        names |= layer.names
        for path, value in layer.values.items():
            here = merged
            for key in path[:-1]:
                if not isinstance(here.get(key), dict):
                    here[key] = {}
                here = here[key]
            if path and not (value in ({}, None) and isinstance(here.get(path[-1]), dict)):
                here[path[-1]] = value
    return merged, names


def explain(error: ValidationError, model: type[BaseModel], names: Mapping[Key, str]) -> list[str]:
    """Return one sentence for each error, with its path, its source, and a guess of what was meant."""
    return [_sentence(detail, model, names) for detail in error.errors(include_url=False)]


def _sentence(detail: ErrorDetails, model: type[BaseModel], names: Mapping[Key, str]) -> str:
    path = tuple(str(part) for part in detail["loc"])
    source = next((names[path[:n]] for n in range(len(path), 0, -1) if path[:n] in names), "")
    variable = source.startswith(PREFIX)
    where = source if variable else ".".join(path) or "settings"
    if detail["type"] == "extra_forbidden":
        what = "variable" if variable else "key"
        return f"{where}: unknown {what}{_guess(model, path, variable)}" + _aside(source, variable)
    message = detail["msg"].removeprefix("Value error, ").partition(", unable to")[0]
    message = message[:1].lower() + message[1:] if path else message
    shown = "" if not path or any(word in path[-1] for word in SECRETS) else f", not {detail['input']!r}"
    return f"{where}: {message}{shown}" + _aside(source, variable)


def _aside(source: str, variable: bool) -> str:
    return f" ({source})" if source and not variable else ""


def _guess(model: type[BaseModel], path: Key, variable: bool) -> str:
    section = section_at(model, path[:-1])
    siblings = list(section.model_fields) if section else []
    here = [(*path[:-1], name) for name in get_close_matches(path[-1], siblings, 1)]
    meant = max([*here, _elsewhere(model, path[-1], 0.8)], key=lambda key: _likeness(path, key))
    if not meant:
        return f"; known here: {', '.join(siblings)}" if siblings and not variable else ""
    if variable:
        short = meant[1:] if meant[0] == SHORT else meant
        return f", did you mean {PREFIX}{'__'.join(short).upper()}?"
    return f", did you mean {meant[-1] if meant[:-1] == path[:-1] else '.'.join(meant)}?"


def _likeness(said: Key, meant: Key) -> float:
    return SequenceMatcher(None, said[-1], meant[-1]).ratio() if meant else 0.0


def _elsewhere(model: type[BaseModel], key: str, likeness: float) -> Key:
    names = dict(_leaves(model))
    close = get_close_matches(key, names.values(), 1, likeness)
    return next((path for path, name in names.items() if close and name == close[0]), ())


def _leaves(model: type[BaseModel], path: Key = ()) -> Iterator[tuple[Key, str]]:
    for name in model.model_fields:
        yield (*path, name), name
        if inner := section_at(model, (name,)):
            yield from _leaves(inner, (*path, name))


def section_at(model: type[BaseModel], path: Key) -> type[BaseModel] | None:
    """Return the model that describes what stands at `path`, if one does."""
    here: Any = model
    for key in path:
        if get_origin(here) is dict:
            here = get_args(here)[1]
        elif isinstance(here, type) and issubclass(here, BaseModel) and key in here.model_fields:
            here = _without_none(here.model_fields[key].annotation)
        else:
            return None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation
    return next(part for part in get_args(annotation) if part is not type(None))
