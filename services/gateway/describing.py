"""What FastAPI cannot know when it describes the API: every error is a problem document; whether a token is asked."""

from typing import Any

from fastapi import FastAPI

from services.gateway.models import ProblemDetails
from services.gateway.problems import MEDIA_TYPE

ERROR: dict[str, Any] = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}
OTHERWISE: dict[str, Any] = {"description": "Anything else that went wrong.", "content": ERROR}
INVALID: dict[str, Any] = {"description": "The request is wrong; each error says where.", "content": ERROR}


def describe(app: FastAPI, *, token: bool) -> None:
    """Let the application's OpenAPI document say what it does."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _correct(plain(), token)
        return plain()

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI means it to be extended


def _correct(document: dict[str, Any], token: bool) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            for status, answer in answers.items():
                if status >= "4":
                    answers[status] = INVALID if _is_fastapis_own(answer) else {**answer, "content": ERROR}
            answers["default"] = OTHERWISE
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    if token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]


def _is_fastapis_own(answer: dict[str, Any]) -> bool:
    return "HTTPValidationError" in str(answer.get("content"))
