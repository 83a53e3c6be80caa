"""Reading what a user wrote: requests from files, NAME=VALUE from options."""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from contracts.planner import CreateProject
from contracts.work import Task
from nexus.cli.errors import Mistake


def mapping(source: str, what: str) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file holds; `-` is stdin."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{source}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Mistake(f"{source}: is neither YAML nor JSON: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise Mistake(f"{source}: must hold {what} as keys and values, not {type(content).__name__}")
    return content


def request(source: str | None, said: dict[str, Any]) -> dict[str, Any]:
    """Return the request of a file, with what was said on the command line laid over it."""
    found = mapping(source, "a request") if source else {}
    found |= {name: value for name, value in said.items() if value not in (None, {})}
    known(found, CreateProject, source or "the request")
    for number, task in enumerate(found.get("tasks") or ()):
        if isinstance(task, dict):
            known(task, Task, f"{source}: tasks.{number}")
    if not found:
        raise Mistake('say what to do: a file, or --type, --description … (try `nexus run --description "A blog"`)')
    return found


def known(found: Iterable[str], model: type[BaseModel], where: str) -> None:
    """Refuse keys that nobody reads; a typing error would otherwise pass unnoticed."""
    for key in found:
        if key not in model.model_fields:
            close = get_close_matches(str(key), model.model_fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(model.model_fields)}"
            raise Mistake(f"{where}: unknown key {key!r}; {hint}")


def pairs(given: list[str] | None, option: str) -> dict[str, Any]:
    """Return NAME=VALUE options as a mapping; numbers and truth values are read as such."""
    found: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise Mistake(f"{option} takes NAME=VALUE, not {pair!r}")
        found[name] = yaml.safe_load(value)
    return found
