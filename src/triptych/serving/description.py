"""Describe the server to programs: /openapi.json, with the shape of every answer and error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from .answers import ANSWERS, UNWELL, LlamaError, OpenAIError, PlainError
from .infill import error_body as llama_body
from .problems import ErrorBody, plain_body

REFUSALS = {
    "400": "The request cannot be answered as it is.",
    "401": "The key is missing or wrong.",
    "403": "The host or the page may not ask.",
    "404": "There is no such model, task or file.",
    "408": "The request did not arrive in time.",
    "413": "The request is larger than is allowed.",
    "429": "The queue is full; ask again after Retry-After seconds.",
    "503": "The server cannot answer now.",
}
OPEN = ("/health", "/ready")
REF = "#/components/schemas/{model}"


def describe(app: FastAPI, error_of: Callable[[str], ErrorBody]) -> Callable[[], dict[str, Any]]:
    """Return what gives the description of an application.

    Args:
        app: The routes.
        error_of: The error body of a path's dialect.
    """

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title, version=app.version, description=app.description,
                routes=app.routes, separate_input_output_schemas=False,
            )  # fmt: skip
            _complete(found, error_of)
            app.openapi_schema = found
        return app.openapi_schema

    return described


def _complete(found: dict[str, Any], error_of: Callable[[str], ErrorBody]) -> None:
    """Add answers, errors and the key to a description."""
    schemas: dict[str, Any] = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):  # a wrong body is 400 here
        schemas.pop(unused, None)
    found["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        body = error_of(path)
        shape = OpenAIError if body is plain_body else PlainError
        shape = LlamaError if body is llama_body else shape
        error = _json(_schema(shape, schemas))
        answers = {code: {"description": text, "content": error}
                   for code, text in REFUSALS.items()}  # fmt: skip
        if path in UNWELL:
            answers["503"]["content"] = _json(_schema(UNWELL[path], schemas))
        kind, other = ANSWERS[path]
        content = {} if kind is None else _json(_schema(kind, schemas))
        if other is not None:
            content |= {other: {"schema": {"type": "string"}}}
        answers["200"] = {"description": "The answer.", "content": content}
        for operation in operations.values():
            operation["responses"] = answers
            operation["security"] = [{}] if path in OPEN else [{}, {"key": []}]


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a type, whose parts are added to `schemas`."""
    schema = TypeAdapter(kind).json_schema(ref_template=REF, mode="serialization")
    schemas.update(schema.pop("$defs", {}))
    name = getattr(kind, "__name__", "")
    if schema.get("type") != "object" or "properties" not in schema:
        return schema
    schemas[name] = schema
    return {"$ref": REF.format(model=name)}
