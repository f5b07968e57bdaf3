"""docs/reference/endpoints.md: the OpenAPI documents of the listeners, for people."""

from collections.abc import Iterator
from typing import Any

from docs.generating.markdown import code, page, table
from pki.endpoints.openapi.document import document

# Whose documents there are, with the URLconf of each.
LISTENERS = {name: f"portal.urls.{name}" for name in ("hello", "secure", "provisioning", "status")}
TITLES = {
    "hello": "hello: TLS, 8443, for anyone",
    "secure": "secure: mutual TLS, 8444, for enrolled devices",
    "provisioning": "provisioning: TLS, 8445, for devices being enrolled",
    "status": "status: plain HTTP, 8080, for relying parties",
}
ABOUT = """Each listener serves what follows about itself as an OpenAPI 3.1 document, at `/openapi.json`;
on the secure listener to devices whose certificate stands. A path is answered by its own listener only.
Every GET answers HEAD too. Refusals are problems, whose [codes](errors.md) are on a page of their own;
the console is for browsers, and not described here."""


def endpoints_page() -> str:
    parts = (part for name, urlconf in LISTENERS.items() for part in _listener(name, urlconf))
    return page("Endpoints", ABOUT, *parts)


def _listener(name: str, urlconf: str) -> Iterator[str]:
    yield f"## {TITLES[name]}"
    for path, item in document(name, urlconf)["paths"].items():
        for method, operation in item.items():
            yield from _operation(name, f"{method.upper()} {path}", operation)


def _operation(listener: str, title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {code(title)} ({listener})"
    says = [operation["summary"], operation.get("description", ""), _shown(operation["security"])]
    yield " ".join(filter(None, says))
    rows = [
        (code(each["name"]), f"in the {each['in']}", each["description"]) for each in operation["parameters"]
    ]
    if body := operation.get("requestBody"):
        rows.append(("the body", ", ".join(map(code, body["content"])), body["description"]))
    if rows:
        yield table(("what is sent", "how", "what"), rows)
    answers = operation["responses"].items()
    yield table(("status", "type", "what"), [_answer(*each) for each in answers if each[0] != "default"])


def _shown(security: list[dict[str, Any]]) -> str:
    words = {"clientCertificate": "a client certificate", "token": "a token"}
    shown = " or ".join(words[name] for each in security for name in each)
    if not shown:
        return ""
    return f"Needs {shown}{', unless the profile does without' if {} in security else ''}."


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str, str]:
    says = answer["description"]
    for name, header in answer.get("headers", {}).items():
        if name != "Hatchery-Reason":
            says += f" {code(name)}: {header['description']}"
    fields = [
        field
        for content in answer.get("content", {}).values()
        for field in content.get("schema", {}).get("properties", ())
    ]
    if fields:
        says += f" Fields: {', '.join(map(code, fields))}."
    return status, ", ".join(map(code, answer.get("content", {}))), says
