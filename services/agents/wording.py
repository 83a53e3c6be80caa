"""How values and text are written inside programs and documents: the filters of the templates. Pure."""

import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from services.agents.findings import Analysis
from services.agents.model import Attribute, Entity

# What a comment, a string, a table, HTML or a template would take for its own.
HARMLESS = str.maketrans({ord("\\"): "/", ord('"'): "'", ord("|"): "/", ord("<"): "‹", ord(">"): "›", ord("`"): "'",
                          ord("{"): "(", ord("}"): ")"})  # fmt: skip


def pretty(value: Any) -> str:
    """JSON for people."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return json.dumps(plain, indent=2, ensure_ascii=False)


def quoted(value: object) -> str:
    """A literal that JSON, JavaScript and Python read alike."""
    return json.dumps(value, ensure_ascii=False)


def sql(value: object) -> str:
    """A literal of SQL."""
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, int | float) else "'{}'".format(str(value).replace("'", "''"))


def flat(text: str, limit: int = 90) -> str:
    """What a person wrote, on one line, harmless wherever it stands."""
    words = " ".join(text.translate(HARMLESS).replace("*/", "* /").split())
    return "".join(character for character in words if character.isprintable())[:limit].strip()


def sentence(text: str) -> str:
    """With a capital letter in front, and the others as they are."""
    return text[:1].upper() + text[1:]


def used(text: str, *names: str) -> str:
    """Those of the names that occur in the text: what has to be imported."""
    return ", ".join(name for name in names if re.search(rf"\b{name}\b", text))


def guarded(references: list[Attribute], analysis: Analysis) -> list[Attribute]:
    """Those that refer to something that not everybody may see."""
    return [a for a in references if a.references and analysis.by_name[a.references].guarded]


def entity(name: str, analysis: Analysis) -> Entity:
    """The entity of that name."""
    return analysis.by_name[name]


def cut(text: str, limit: int) -> str:
    """The beginning of a text."""
    return text[:limit]


FILTERS: dict[str, Callable[..., Any]] = {
    "cut": cut,
    "entity": entity,
    "flat": flat,
    "guarded": guarded,
    "literal": repr,
    "pretty": pretty,
    "quoted": quoted,
    "sentence": sentence,
    "sql": sql,
    "used": used,
}
