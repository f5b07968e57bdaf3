"""What an endpoint says of itself, for the OpenAPI document: beside its view, because only it knows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from pki.core.errors import Refusal

Schema = dict[str, Any]  # JSON Schema 2020-12
View = TypeVar("View", bound=Callable[..., Any])

TEXT: Schema = {"type": "string"}
MOMENT: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC"}
HEX: Schema = {"type": "string", "pattern": "^[0-9a-f]+$"}
FLAG: Schema = {"type": "boolean"}
BYTES: Schema = {}  # OpenAPI 3.1 4.8.14.2: what is no JSON has no schema


def either(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def record(**properties: Schema) -> Schema:
    """An object with all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


@dataclass(frozen=True)
class Answer:
    """One way in which an endpoint answers, other than by a problem."""

    description: str
    content_type: str | None = "application/json"  # None: without a body
    schema: Schema = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)  # what each says


@dataclass(frozen=True)
class Body:
    """What a client sends."""

    description: str
    content_type: str


@dataclass(frozen=True)
class Security:
    """How a client proves who it is: a security scheme of OpenAPI (4.8.27)."""

    name: str
    scheme: Schema


MUTUAL_TLS = Security(
    "clientCertificate",
    {"type": "mutualTLS", "description": "A certificate that Hatchery issued to a device, and that stands."},
)
TOKEN = Security(
    "token",
    {"type": "http", "scheme": "bearer", "description": "A one-time token that an administrator handed out."},
)


@dataclass(frozen=True)
class Operation:
    """What a method does at an address. The path, its parameters and the methods are known from the code."""

    summary: str
    answers: tuple[Answer, ...]
    refusals: tuple[type[Refusal], ...] = ()  # and those that any address may answer
    description: str = ""
    body: Body | None = None
    security: tuple[Security, ...] = ()  # any of these; none: anybody
    anonymous: bool = False  # whether it may do without any, though there are some
    query: dict[str, tuple[str, Schema]] = field(default_factory=dict)  # what each says, and its schema
    parameters: dict[str, str] = field(default_factory=dict)  # what those in the path say


def described(operation: Operation) -> Callable[[View], View]:
    """Give a view its part in the OpenAPI document."""

    def decorate(view: View) -> View:
        view.operation = operation  # type: ignore[attr-defined]
        return view

    return decorate
