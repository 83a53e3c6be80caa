"""Errors as RFC 9457 tells them (`application/problem+json`): one shape for everything that can go wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventsourcing.persistence import OperationalError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from nats.errors import Error as NatsError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts.outcomes import Problem, pointer
from nexus.client import OutcomeUnknown, PayloadTooLarge, Refused, UnknownProject
from services.gateway.models import ProblemDetails, ProblemError
from shared.deadletters import NoSuchLetter

MEDIA_TYPE = "application/problem+json"
TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Content too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Unprocessable content",
    500: "Internal error",
    503: "Unavailable",
    504: "No answer in time",
}
CONFLICTS = frozenset(
    {
        *("already_ended", "id_taken", "not_plannable", "not_planned", "not_possible", "not_started", "not_yet"),
        "retired_protocol",
    }
)


class Unread(ValueError):
    """The request says something that nobody reads; whoever typed it should know before anything is done."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(one.message for one in problems))


class Busy(Exception):
    """As much is going on as may at one time."""


def problem(
    status: int,
    detail: str,
    *,
    code: str = "",
    errors: Sequence[ProblemError] = (),
    headers: Mapping[str, str] | None = None,
    command: str | None = None,
) -> Response:
    """Return an answer that says what is wrong; `code` is for programs, `detail` for people."""
    body = ProblemDetails(
        type=f"urn:nexus:problem:{code}" if code else "about:blank",
        title=TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        code=code,
        errors=list(errors),
        command=command,
    )
    content = body.model_dump_json(exclude_defaults=True)
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of the application be told this way."""
    handlers: dict[type[Exception], Any] = {
        RequestValidationError: _invalid,
        HTTPException: _http,
        Refused: _refused,
        Unread: _unread,
        OutcomeUnknown: _unknown_outcome,
        PayloadTooLarge: lambda _, error: problem(413, str(error), code="too_large"),
        UnknownProject: lambda _, error: problem(404, str(error), code="unknown_project"),
        NoSuchLetter: lambda _, error: problem(404, str(error), code="unknown_letter"),
        Busy: lambda _, error: problem(503, str(error), code="busy", headers={"Retry-After": "1"}),
        TimeoutError: _too_slow,
        OperationalError: _unavailable,
        NatsError: _unavailable,
        Exception: lambda *_: problem(500, "the gateway failed; its log says how", code="failed"),
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, _asynchronous(handler))


def _asynchronous(handler: Any) -> Any:
    async def handle(request: Request, error: Exception) -> Response:
        answer: Response = handler(request, error)
        return answer

    return handle


def status_of(code: str, path: str) -> int:
    """Return the status of a refusal: what the path names and nobody knows is not found; the rest is said by code."""
    thing = code.removeprefix("unknown_")
    if thing != code and f"/{thing}s/" in f"{path}/":
        return 404
    return 409 if code in CONFLICTS else 422


def _refused(request: Request, error: Refused) -> Response:
    status = status_of(error.code, request.url.path)
    found = [ProblemError(pointer=each.pointer, detail=each.message) for each in error.problems]
    return problem(status, error.message or error.code, code=error.code, errors=found, command=error.outcome.command)


def _unknown_outcome(_: Request, error: OutcomeUnknown) -> Response:
    text = f"{error} Use it as Idempotency-Key."
    return problem(504, text, code="outcome_unknown", headers={"Retry-After": "2"}, command=error.command_id)


def _invalid(_: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        reason = found[0].get("ctx", {}).get("error", "")
        return problem(400, f"the body is no JSON: {reason} at character {found[0]['loc'][-1]}", code="malformed")
    if any(each["loc"] == ("body",) and isinstance(each.get("input"), bytes) for each in found):
        return problem(415, "send JSON, with Content-Type: application/json", code="not_json")
    return problem(
        422, f"{len(found)} error(s) in the request", code="invalid", errors=[_error(each) for each in found]
    )


def _unread(_: Request, error: Unread) -> Response:
    errors = [ProblemError(pointer=one.pointer, detail=one.message) for one in error.problems]
    return problem(422, f"{len(errors)} error(s) in the request", code="invalid", errors=errors)


def _error(found: Any) -> ProblemError:
    place, *path = found["loc"]
    message = str(found["msg"])
    if place == "body":
        return ProblemError(pointer=pointer(path), detail=message)
    return ProblemError(parameter=str(path[0]) if path else place, detail=message)


def _http(_: Request, error: HTTPException) -> Response:
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _too_slow(_: Request, __: TimeoutError) -> Response:
    return problem(504, "the answer took too long", code="too_slow", headers={"Retry-After": "2"})


def _unavailable(_: Request, error: Exception) -> Response:
    text = f"the nats-server does not answer: {str(error) or type(error).__name__}"
    return problem(503, text, code="unavailable", headers={"Retry-After": "2"})
