"""What commands, events and other messages have in common: identity on the wire, registry, tokens."""

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints

TOKEN_PATTERN = r"^[A-Za-z0-9_-]+$"  # noqa: S105  a token of a subject, no secret
Token = Annotated[str, StringConstraints(pattern=TOKEN_PATTERN, min_length=1, max_length=128)]
"""One token of a NATS subject: letters, digits, `_` and `-`; never text typed by a user."""

INLINE_LIMIT = 256 * 1024
"""Largest payload, in bytes, that travels inline; larger ones go to the object store and travel by reference."""

M = TypeVar("M", bound="Message")


class Message(BaseModel):
    """Anything published: frozen, and tolerant of fields that a newer publisher added."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants", validate_default=False)


class Command(Message):
    """A wish addressed to one service. Its envelope's id is its idempotency key."""

    SUBJECT: ClassVar[str] = ""
    SERVICE: ClassVar[str] = ""
    NAME: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if cls.SUBJECT:
            _, _, cls.SERVICE, cls.NAME = cls.SUBJECT.split(".")
            _register(COMMANDS, cls.SUBJECT, cls)


class Event(Message):
    """A fact: past tense, stated once by one aggregate, kept for ever."""

    TOPIC: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    SERVICE: ClassVar[str] = ""
    NAME: ClassVar[str] = ""

    at: datetime
    """When it was decided (UTC)."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if cls.TOPIC:
            cls.SERVICE, _, cls.NAME = cls.TOPIC.split(".")
            _register(EVENTS, cls.TOPIC, cls)


COMMANDS: dict[str, type[Command]] = {}
"""Every command by its subject."""

EVENTS: dict[str, type[Event]] = {}
"""Every event by its topic, `<service>.<aggregate>.<event>`. Topics are stored: they may be added, never changed."""


def event_class(topic: str) -> type[Event]:
    """Return the class of the events stored under `topic`; KeyError if there is none."""
    return EVENTS[topic]


def wire_type(message: type[Command] | type[Event]) -> str:
    """Return the CloudEvents `type`: `nexus.<service>.<thing>`."""
    return f"nexus.{message.SERVICE}.{message.NAME}"


def is_token(text: str) -> bool:
    """Tell whether `text` may stand as one token of a subject."""
    return len(text) <= 128 and re.match(TOKEN_PATTERN, text) is not None


def _register(registry: dict[str, Any], key: str, cls: type) -> None:
    known = registry.setdefault(key, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"{key} is already {known.__qualname__}; {cls.__qualname__} needs a name of its own")
