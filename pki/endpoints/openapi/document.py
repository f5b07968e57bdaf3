"""The OpenAPI 3.1 document of a listener."""

from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pki.core.errors import Refusal
from pki.endpoints.openapi.operations import TEXT, Answer, Operation, Schema, record
from pki.endpoints.openapi.paths import Path, paths
from pki.endpoints.problems import (
    PROBLEM,
    BodyTooLarge,
    LengthRequired,
    MethodNotAllowed,
    status_of,
)

VERSION = "3.1.1"
# Of what is answered, not of Hatchery: it counts up when a client would have to change.
CONTRACT = "1.0.0"

_ABOUT = (
    "What this listener of Hatchery answers; another port answers none of it. Each GET answers HEAD too. "
    "Every refusal is a problem (RFC 9457) with a `code` that stays the same and a `detail` for people; each "
    "response here names its codes, and any address may answer 400 `bad_request`, 404 `not_found`, "
    "500 `internal_error` or 503 `unavailable` besides."
)
_PROBLEM: Schema = {
    **record(
        type={"const": "about:blank"},
        title=TEXT,
        status={"type": "integer"},
        detail={"type": "string", "description": "What is wrong and what to do, for people."},
        code={"type": "string", "pattern": "^[a-z_]+$", "description": "The same for ever, for programs."},
    ),
    "additionalProperties": False,
}
_REASON = {"Hatchery-Reason": {"description": "The code, for who is given no body.", "schema": TEXT}}
# What a method that takes a body refuses unread.
_OF_A_BODY = (LengthRequired, BodyTooLarge)


def document(listener: str, urlconf: str) -> dict[str, Any]:
    """The document of a listener by its name and the URLconf that it serves; the addresses are its own."""
    found = list(paths(urlconf))
    schemes = {each.name: each.scheme for path in found for each in path.operation.security}
    return {
        "openapi": VERSION,
        "info": {"title": f"Hatchery: {listener}", "version": CONTRACT, "description": _ABOUT},
        # OpenAPI 4.8.5: relative to where this document is fetched.
        "servers": [{"url": "/"}],
        "paths": {path.template: _item(path) for path in found},
        "components": {
            "schemas": {"Problem": _PROBLEM},
            **({"securitySchemes": schemes} if schemes else {}),
        },
    }


def _item(path: Path) -> dict[str, Any]:
    # Who answers any method answers it as this one.
    return {method.lower(): _operation(path, method) for method in path.methods or ("GET",)}


def _operation(path: Path, method: str) -> dict[str, Any]:
    operation = path.operation
    found: dict[str, Any] = {
        "operationId": _identifier(path, method),
        "summary": operation.summary,
        "parameters": [*_in_path(path), *_in_query(operation)],
        "responses": _responses(path),
        # OpenAPI 4.8.30: an empty requirement stands for nobody in particular.
        "security": [
            *({each.name: []} for each in operation.security),
            *([{}] if operation.anonymous or not operation.security else []),
        ],
    }
    if operation.description:
        found["description"] = operation.description
    if operation.body is not None:
        found["requestBody"] = {
            "description": operation.body.description,
            "content": {operation.body.content_type: {}},
            "required": True,
        }
    return found


def _identifier(path: Path, method: str) -> str:
    words = [
        word for word in path.template.replace("{", "").replace("}", "").replace(".", "/").split("/") if word
    ]
    return "_".join([method.lower(), *words]).replace("-", "_")


def _in_path(path: Path) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schema,
            "description": path.operation.parameters[name],
        }
        for name, schema in path.parameters.items()
    ]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "schema": schema, "description": says}
        for name, (says, schema) in operation.query.items()
    ]


def _responses(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for answer in path.operation.answers:
        _add(found.setdefault(str(answer.status.value), {}), answer)
    for status, codes in sorted(_codes(refusals(path)).items()):
        found[str(status.value)] = _problems(codes)
    found["default"] = _problems()
    return found


def _add(response: dict[str, Any], answer: Answer) -> None:
    """An address may answer one status in several types (OpenAPI 4.8.17)."""
    said = response.get("description")
    response["description"] = f"{said} Or: {answer.description}" if said else answer.description
    if answer.content_type is not None:
        response.setdefault("content", {})[answer.content_type] = (
            {"schema": answer.schema} if answer.schema else {}
        )
    if answer.headers:
        headers = {name: {"description": says, "schema": TEXT} for name, says in answer.headers.items()}
        response.setdefault("headers", {}).update(headers)


def refusals(path: Path) -> list[type[Refusal]]:
    """What an address refuses, by what it says of itself and by what it is."""
    found = list(path.operation.refusals)
    if path.methods:
        found.append(MethodNotAllowed)
    if path.operation.body is not None:
        found.extend(_OF_A_BODY)
    return found


def _codes(kinds: Iterable[type[Refusal]]) -> dict[HTTPStatus, list[str]]:
    found: dict[HTTPStatus, set[str]] = defaultdict(set)
    for kind in kinds:
        found[status_of(kind)].add(kind.code)
    return {status: sorted(codes) for status, codes in found.items()}


def _problems(codes: list[str] | None = None) -> dict[str, Any]:
    problem: Schema = {"$ref": "#/components/schemas/Problem"}
    if codes is None:
        says, schema = "Any other problem.", problem
    else:
        says = f"A problem: {', '.join(f'`{code}`' for code in codes)}."
        schema = {"allOf": [problem, {"properties": {"code": {"enum": codes}}}]}
    return {"description": says, "headers": _REASON, "content": {PROBLEM: {"schema": schema}}}
