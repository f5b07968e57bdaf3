"""The addresses of a URLconf as OpenAPI writes them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, get_resolver
from django.urls.resolvers import RoutePattern

from pki.endpoints.openapi.operations import Operation, Schema

_UUID: Schema = {"type": "string", "format": "uuid"}
_SLUG: Schema = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"}
_CONVERTED = re.compile(r"<(?P<kind>\w+):(?P<name>\w+)>")
_KINDS: dict[str, Schema] = {"uuid": _UUID, "slug": _SLUG}

# As our own URLconfs write them: a group's expression has no group in it.
_GROUP = re.compile(r"\(\?P<(?P<name>\w+)>(?P<expression>[^()]*)\)")
# What may be there or not, in an address that is asked for without it: `/?` and `(?:…)?`.
_OPTIONAL = re.compile(r"\(\?:[^()]*\)\?|/\?")


@dataclass(frozen=True)
class Path:
    """An address of a listener, with what is answered there."""

    template: str  # OpenAPI 4.8.8.2
    route: str  # as Django has it, in a request's resolver_match
    parameters: dict[str, Schema]
    methods: tuple[str, ...]  # empty: all
    operation: Operation
    view: Callable[..., Any]


def paths(urlconf: str) -> Iterator[Path]:
    """The addresses of a listener, in the order in which they are tried."""
    for pattern in get_resolver(urlconf).url_patterns:
        if not isinstance(pattern, URLPattern):
            raise TypeError(f"{urlconf} includes another URLconf, which no listener of devices does.")
        template, parameters = _template(pattern)
        view: Any = pattern.callback
        if not hasattr(view, "operation"):
            raise TypeError(f"{view.__module__}.{view.__name__} does not say what it does; see `described`.")
        yield Path(f"/{template}", str(pattern.pattern), parameters, view.methods, view.operation, view)


def _template(pattern: URLPattern) -> tuple[str, dict[str, Schema]]:
    if isinstance(pattern.pattern, RoutePattern):
        route = str(pattern.pattern)
        kinds = {match["name"]: _KINDS[match["kind"]] for match in _CONVERTED.finditer(route)}
        return _CONVERTED.sub(r"{\g<name>}", route), kinds
    expression = str(pattern.pattern)
    groups = {
        match["name"]: {"type": "string", "pattern": f"^(?:{match['expression']})$"}
        for match in _GROUP.finditer(expression)
    }
    template = _OPTIONAL.sub("", _GROUP.sub(r"{\g<name>}", expression))
    return template.removeprefix("^").removesuffix(r"\Z").replace(r"\.", "."), groups
