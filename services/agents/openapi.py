"""The API as an OpenAPI document, before any of it is written: back end, front end and tests are held to it. Pure."""

from collections.abc import Iterable
from typing import Any

from services.agents.findings import Analysis
from services.agents.model import Attribute, Entity, Operation

Schema = dict[str, Any]

TYPES: dict[str, Schema] = {
    "text": {"type": "string"},
    "long_text": {"type": "string"},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "integer": {"type": "integer"},
    "money": {"type": "integer", "description": "cents"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "format": "date-time"},
    "choice": {"type": "string"},
    "reference": {"type": "integer"},
}
ANSWERS = {
    "401": "Sign in first.",
    "403": "Signed in, but not allowed.",
    "404": "There is none, or none for you.",
    "409": "It clashes with what is there.",
    "422": "Something is missing or out of range.",
}


def openapi(analysis: Analysis) -> Schema:
    """The contract of the API."""
    paths: dict[str, Schema] = {}
    for operation in analysis.operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, analysis)
    return {
        "openapi": "3.1.0",
        "info": {"title": analysis.title, "version": "1.0.0"},
        "paths": paths,
        "components": {
            "schemas": {entity.model: _shown(entity) for entity in analysis.entities if entity.routes},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation, analysis: Analysis) -> Schema:
    codes = ["422", *(["401"] if operation.access != "public" else [])]
    codes += ["403"] if operation.access in {"staff", "owner"} else []
    codes += ["404"] if operation.parameters else []
    codes += ["409"] if operation.method != "GET" else []
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "x-access": operation.access,
        "security": [] if operation.access == "public" else [{"bearer": []}],
        "parameters": [_parameter(name) for name in operation.parameters],
        **({"requestBody": _body(operation)} if operation.body else {}),
        "responses": {str(operation.status): _answer(operation, analysis)}
        | {code: {"description": ANSWERS[code]} for code in sorted(codes)},
    }


def _parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def _body(operation: Operation) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": _object(operation.body)}}}


def _answer(operation: Operation, analysis: Analysis) -> Schema:
    if operation.verb is None or operation.verb == "remove":
        return {"description": operation.summary}
    one: Schema = {"$ref": f"#/components/schemas/{analysis.by_name[operation.entity].model}"}
    following = {"type": ["integer", "null"], "description": "`after` for the next page"}
    page = {"type": "object", "properties": {"items": {"type": "array", "items": one}, "next": following}}
    schema = page if operation.verb == "list" else one
    return {"description": operation.summary, "content": {"application/json": {"schema": schema}}}


def _shown(entity: Entity) -> Schema:
    properties = {"id": {"type": "integer"}} | {a.column: _attribute(a) for a in entity.shown}
    return {"type": "object", "properties": properties | {"created_at": TYPES["timestamp"]}, "required": [*properties]}


def _object(attributes: Iterable[Attribute]) -> Schema:
    given = tuple(attributes)
    required = [a.column for a in given if a.required and a.default is None]
    properties = {a.column: _attribute(a) for a in given}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _attribute(attribute: Attribute) -> Schema:
    low, high = attribute.bounds
    limits = {"minimum": low, "maximum": high, "maxLength": attribute.longest, "default": attribute.default}
    schema = TYPES[attribute.type] | {key: value for key, value in limits.items() if value is not None}
    if attribute.choices:
        schema["enum"] = list(attribute.choices)
    return schema
