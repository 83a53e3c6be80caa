"""What a piece of software keeps and does: entities with fields, who may do what with them, operations. Pure."""

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.agents.names import Name, article, camel, check_column, check_table

Kind = Literal[
    "text", "long_text", "email", "url", "integer", "number", "money", "boolean", "date", "timestamp", "choice",
    "reference",
]  # fmt: skip
Access = Literal["public", "member", "owner", "staff", "nobody"]
Verb = Literal["list", "get", "create", "change", "remove"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Value = str | int | float | bool | None

ANY = re.compile("")
NUMBERS = {"integer": (int,), "money": (int,), "number": (int, float), "reference": (int,)}
PATTERNS = {
    "date": re.compile(r"^\d{4}-\d{2}-\d{2}$"),
    "timestamp": re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$"),
    "email": re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$"),
    "url": re.compile(r"^https?://[^\s]+$"),
}


class Part(BaseModel):
    """A frozen piece of an analysis; an unknown key is a mistake and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Attribute(Part):
    """One field of an entity, or of what an operation is told."""

    name: Name
    type: Kind = "text"
    required: bool = True
    unique: bool = False
    readonly: bool = False
    """Set by the program and never by a caller."""
    hidden: bool = False
    """Stored, never shown."""
    search: bool = False
    filter: bool = False
    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = Field(None, ge=1)
    choices: tuple[str, ...] = ()
    references: str | None = None
    cascade: bool = False
    """Goes away with what it refers to."""
    default: Value = None
    example: Value = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.type == "reference") != (self.references is not None):
            raise ValueError(f"{self.name}: `references` belongs to type reference, and to no other")
        if (self.type == "choice") != bool(self.choices):
            raise ValueError(f"{self.name}: `choices` belongs to type choice, and to no other")
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,29}", choice) for choice in self.choices):
            raise ValueError(f"{self.name}: a choice is letters, digits, spaces, _ and -, 30 at most")
        if self.unique and (self.type in {"boolean", "choice"} or (self.max_length or 4) < 4):
            raise ValueError(f"{self.name}: too few values for a unique field")
        for value in (self.default, self.example):
            if value is not None and not self._fits(value):
                raise ValueError(f"{self.name}: {value!r} is no {self.type}")
        low, high = self.bounds
        if low is not None and high is not None and low > high:
            raise ValueError(f"{self.name}: nothing is at least {low} and at most {high}")
        check_column(self.column)
        return self

    def _fits(self, value: Value) -> bool:
        if self.type == "boolean":
            return isinstance(value, bool)
        if self.type in NUMBERS:
            return isinstance(value, NUMBERS[self.type]) and not isinstance(value, bool)
        if self.type == "choice":
            return value in self.choices
        return isinstance(value, str) and bool(PATTERNS.get(self.type, ANY).search(value))

    @property
    def column(self) -> str:
        return f"{self.name}_id" if self.type == "reference" else self.name

    @property
    def label(self) -> str:
        words = self.name.removesuffix("_cents") if self.type == "money" else self.name
        return words.replace("_", " ").capitalize()

    @property
    def longest(self) -> int | None:
        """Most characters of a textual field."""
        limits = {"text": 200, "long_text": 10_000, "email": 254, "url": 2_000, "choice": 30}
        return self.max_length or limits.get(self.type)

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """Smallest and largest number."""
        usual = {"integer": (0, 2**31 - 1), "money": (0, 10**12)}.get(self.type, (None, None))
        return (
            usual[0] if self.minimum is None else self.minimum,
            usual[1] if self.maximum is None else self.maximum,
        )


class Overlap(Part):
    """Two rows with the same `scope` may not overlap in time, unless `unless_status` frees the older one."""

    scope: str
    start: str
    end: str
    unless_status: str = "cancelled"


class Entity(Part):
    """Something that the software keeps: one table, and the routes that its access allows."""

    name: Name
    plural: Name
    description: str = ""
    attributes: tuple[Attribute, ...]
    owner: str | None = None
    """The reference to a user that says whose it is."""
    read: Access = "member"
    create: Access = "member"
    change: Access = "member"
    routes: tuple[Verb, ...] = ("list", "get", "create", "change", "remove")
    unique_together: tuple[tuple[str, ...], ...] = ()
    visible: dict[str, Value] = {}
    """Only rows like this are shown to those who could not change them."""
    overlap: Overlap | None = None
    newest_first: bool = False
    rows_per_user: float = 1.0
    """Expected rows in the first year, for each expected user."""
    seed: tuple[dict[str, Value], ...] = ()

    @model_validator(mode="after")
    def _can_be_a_table(self) -> Self:
        check_table(self.plural)
        if self.owner is None and "owner" in {self.read, self.create, self.change}:
            raise ValueError(f"{self.name} is for its owner, but says not which reference to a user that is")
        if self.owner is not None and self.create == "public":
            raise ValueError(f"{self.name} has an owner, so creating one can't be public")
        for a in self.attributes:
            if (
                "create" in self.routes
                and self.create != "nobody"
                and (a.readonly or a.hidden)
                and a.required
                and a.default is None
            ):
                raise ValueError(f"{self.name}.{a.name} can't be said and has no default: none could be created")
        columns = [a.column for a in self.attributes]
        if twice := {column for column in columns if columns.count(column) > 1}:
            raise ValueError(f"{self.name} has {', '.join(sorted(twice))} twice")
        return self

    @property
    def model(self) -> str:
        return camel(self.name)

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    @property
    def one(self) -> str:
        return f"{article(self.label)} {self.label}"

    @property
    def labels(self) -> str:
        return self.plural.replace("_", " ")

    @property
    def path(self) -> str:
        return f"/api/{self.plural.replace('_', '-')}"

    @property
    def references(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if a.type == "reference")

    @property
    def settable(self) -> tuple[Attribute, ...]:
        """What a caller may say when creating one."""
        return tuple(a for a in self.attributes if not (a.readonly or a.hidden or a.name == self.owner))

    @property
    def shown(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if not a.hidden)

    @property
    def needs(self) -> tuple[str, ...]:
        """Entities without one of which none can be created."""
        return tuple(a.references for a in self.settable if a.references and a.required)

    @property
    def searched(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.attributes if a.search)

    @property
    def filters(self) -> tuple[Attribute, ...]:
        return tuple(a for a in self.shown if a.filter)

    @property
    def headline(self) -> Attribute:
        """The field by which a person recognises one."""
        named = [a for a in self.shown if a.name in {"name", "title"}]
        short = [a for a in self.shown if a.type in {"text", "email"}]
        long = [a for a in self.shown if a.type == "long_text"]
        return next(iter((*named, *short, *long, *self.shown)), self.attributes[0])

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What the routes of this entity can do."""
        return tuple(operation.verb for operation in routes(self) if operation.verb)

    @property
    def guarded(self) -> bool:
        """Some rows must not be seen by some people."""
        return bool(self.visible) or self.read == "owner"

    @property
    def single(self) -> bool:
        """One person can have only one."""
        alone = any(a.unique and a.references == "user" for a in self.attributes)
        return alone or (self.owner,) in self.unique_together

    @property
    def page_model(self) -> str:
        return f"{self.model}Paging" if self.filters else "Paging"

    @property
    def columns_together(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(self.attribute(name).column for name in names) for names in self.unique_together)

    @property
    def indexes(self) -> tuple[tuple[str, ...], ...]:
        """For each foreign key and each filter, unless a unique constraint serves it; `id` last, for paging."""
        served = {a.column for a in self.attributes if a.unique} | {columns[0] for columns in self.columns_together}
        wanted = [a.column for a in self.attributes if a.references or a.filter or a.name == self.owner]
        return tuple((column, "id") for column in wanted if column not in served)

    def attribute(self, name: str) -> Attribute:
        return next(a for a in self.attributes if a.name == name)


class Operation(Part):
    """One route of the API."""

    id: Name
    method: Method
    path: str
    access: Access
    summary: str
    status: int = 200
    body: tuple[Attribute, ...] = ()
    entity: str = ""
    verb: Verb | None = None
    """Set for the five routes that every entity may have; the others are the domain's own."""

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def request_model(self) -> str:
        return f"{camel(self.id)}Request"

    @property
    def js(self) -> str:
        """The operation's name in JavaScript."""
        name = camel(self.id)
        return name[0].lower() + name[1:]


def routes(entity: Entity) -> tuple[Operation, ...]:
    """The routes that an entity's access allows, in the order in which they are documented."""
    one = f"{entity.path}/{{{entity.name}_id}}"
    every: dict[Verb, dict[str, Any]] = {
        "list": {"id": f"list_{entity.plural}", "method": "GET", "path": entity.path, "access": entity.read},
        "create": {"id": f"create_{entity.name}", "method": "POST", "path": entity.path, "access": entity.create,
                   "status": 201, "body": entity.settable},
        "get": {"id": f"get_{entity.name}", "method": "GET", "path": one, "access": entity.read},
        "change": {"id": f"change_{entity.name}", "method": "PATCH", "path": one, "access": entity.change,
                   "body": tuple(a.model_copy(update={"required": False, "default": None}) for a in entity.settable)},
        "remove": {"id": f"remove_{entity.name}", "method": "DELETE", "path": one, "access": entity.change,
                   "status": 204},
    }  # fmt: skip
    return tuple(
        Operation(entity=entity.name, verb=verb, summary=_summary(verb, entity), **given)
        for verb, given in every.items()
        if verb in entity.routes and given["access"] != "nobody"
    )


def _summary(verb: Verb, entity: Entity) -> str:
    phrases = {"list": f"{entity.labels}, a page at a time", "get": f"one {entity.label}"}
    return phrases.get(verb, f"{verb} {entity.one}").capitalize()
