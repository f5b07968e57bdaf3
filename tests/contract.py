"""Whether what a listener answers is what its OpenAPI document says."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.urls import get_resolver
from jsonschema import Draft202012Validator

from pki.endpoints.openapi.document import document
from pki.endpoints.openapi.paths import Path, paths

ANYWHERE = {"bad_request", "not_found", "internal_error", "unavailable"}
PROBLEM = "application/problem+json"


@cache
def documented(listener: str) -> dict[str, Any]:
    return document(listener, f"portal.urls.{listener}")


def assert_documented(
    listener: str, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Hold an answer against the document; `path` is without its query, and not encoded."""
    headers = {name.lower(): value for name, value in headers.items()}
    found = _found(listener, path)
    code = json.loads(body)["code"] if body and headers.get("content-type") == PROBLEM else None
    if found is None:
        if method != "HEAD":
            assert (status, code) in {(404, "not_found"), (403, "proxy_unknown")}, (
                method,
                path,
                status,
                code,
            )
        return
    item = documented(listener)["paths"][found.template]
    # Who answers any method answers it as GET.
    asked = "get" if method == "HEAD" or not found.methods else method.lower()
    if asked not in item:
        assert status in (405, 429) or code in ANYWHERE, (method, path, status, code)
        return
    responses = item[asked]["responses"]
    said = responses["default"] if code in ANYWHERE and code != "not_found" else responses.get(str(status))
    assert said is not None, (method, path, status, code)
    _assert_answer(listener, said, headers, body, method)


def _found(listener: str, path: str) -> Path | None:
    urlconf = f"portal.urls.{listener}"
    patterns = get_resolver(urlconf).url_patterns
    for pattern, described in zip(patterns, paths(urlconf), strict=True):
        if pattern.resolve(path.removeprefix("/")) is not None:
            return described
    return None


def _assert_answer(
    listener: str, said: dict[str, Any], headers: Mapping[str, str], body: bytes, method: str
) -> None:
    assert headers.keys() >= {name.lower() for name in said.get("headers", {})}, (said, headers)
    if "content" not in said or method == "HEAD":
        assert not body
        return
    kind = headers["content-type"]
    assert kind in said["content"], (kind, said)
    schema = said["content"][kind].get("schema")
    if schema is not None:
        _validator(listener, json.dumps(schema)).validate(json.loads(body))


@cache
def _validator(listener: str, schema: str) -> Draft202012Validator:
    """Of a schema with references into the document."""
    return Draft202012Validator({**json.loads(schema), "components": documented(listener)["components"]})
