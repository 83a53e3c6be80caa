"""Which names the produced programs can live with, in Python, SQL and JavaScript alike."""

import keyword
import re
from functools import cache
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import AfterValidator


@cache
def words(kind: str) -> frozenset[str]:
    """Words that may not be used as a name: `sql`, `javascript`, `fields`, `entities`."""
    text = files("services.agents").joinpath("blueprints/words.yaml").read_text(encoding="utf-8")
    return frozenset(yaml.safe_load(text)[kind].split())


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,23}", name):
        raise ValueError(f"{name!r} is no name: a small letter, then small letters, digits or _, 24 at most")
    if name in words("javascript") or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is a reserved word; call it something longer")
    return name


Name = Annotated[str, AfterValidator(_checked)]


def check_column(name: str) -> None:
    """Refuse a column name that PostgreSQL or pydantic would stumble over."""
    if name in words("sql") | words("fields"):
        raise ValueError(f"{name!r} can't name a column; call it something longer")


def check_table(name: str) -> None:
    """Refuse a table name that PostgreSQL keeps for itself."""
    if name in words("sql"):
        raise ValueError(f"{name!r} can't name a table; call it something longer")


def camel(name: str) -> str:
    """`order_item` as a class is called: `OrderItem`."""
    return "".join(word.capitalize() for word in name.split("_"))


def article(word: str) -> str:
    """The article that English puts before the word."""
    return "an" if re.match(r"[aeio]|u(?!ni|s)", word) else "a"


def plural(name: str) -> str:
    """The English plural, as far as rules go."""
    if re.search(r"[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search(r"(s|x|z|ch|sh)$", name) else f"{name}s"
