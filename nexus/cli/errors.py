"""Which error means what to a script, and how it reads."""

from contextlib import suppress

from nats.errors import Error as NatsError
from pydantic import ValidationError

from nexus.agent.artifacts import ArtifactMissing
from nexus.cli.entry import FAILED, NO_CONNECTION, USAGE
from nexus.client import AlreadyThere, UnknownProject
from nexus.connection import CannotConnect
from nexus.history import BrokenStory
from nexus.nats_binary import BinaryMissing
from nexus.ports import PortInUse
from nexus.sending import OutcomeUnknown, PayloadTooLarge, Refused
from nexus.server import ServerDied, ServerUnreachable
from nexus.server_folder import FolderForbidden, FolderInUse
from nexus.supervisor import ServiceFailed
from nexus.wfcommons import WorkflowError
from shared.deadletters import NoSuchLetter
from shared.nats_version import ServerTooOld
from shared.settings import SettingsError
from shared.streams import SetupError


class Mistake(Exception):
    """What was typed makes no sense; the text says what would."""


class NotDone(Exception):
    """The verb could not do what it is for; the text says why."""


class NothingRuns(Exception):
    """The verb needs a running system, and there is none."""


CODES: dict[type[Exception], int] = {
    Mistake: USAGE,
    SettingsError: USAGE,
    WorkflowError: USAGE,
    BrokenStory: USAGE,
    ValidationError: USAGE,
    NothingRuns: NO_CONNECTION,
    CannotConnect: NO_CONNECTION,
    ServerUnreachable: NO_CONNECTION,
    OutcomeUnknown: NO_CONNECTION,
    NatsError: NO_CONNECTION,
    NotDone: FAILED,
    Refused: FAILED,
    PayloadTooLarge: FAILED,
    UnknownProject: FAILED,
    AlreadyThere: FAILED,
    ArtifactMissing: FAILED,
    NoSuchLetter: FAILED,
    BinaryMissing: FAILED,
    ServerTooOld: FAILED,
    SetupError: FAILED,
    FolderForbidden: FAILED,
    FolderInUse: FAILED,
    PortInUse: FAILED,
    ServerDied: FAILED,
    ServiceFailed: FAILED,
}
"""Exit codes of the errors that a user can do something about; any other is our own mistake."""


def code_of(error: Exception) -> int | None:
    """Return the exit code of an error; None if nobody expected it."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)


def sentence(error: Exception) -> str:
    """Return what to say about an error."""
    if isinstance(error, ValidationError):
        with suppress(IndexError):
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return f"{where}: {first['msg']}, not {first['input']!r}"
    if isinstance(error, Refused):
        problems = [
            f"{one.pointer or '/'}: {one.message}" for one in error.problems if one.message not in error.message
        ]
        return "; ".join((error.message or error.code, *problems))
    return str(error)
