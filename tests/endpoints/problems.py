"""What every refusal must look like, and what none may show."""

import re
from collections.abc import Iterator

from django.http import HttpResponse

from pki.core.errors import Refusal

_INTERNAL = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/tmp/|/work/|/home/|0x[0-9a-f]{6}|<class|<object|"
    r"\b[A-Za-z]+(?:Error|Exception|Warning)\b|\b(?:pki|portal|django|cryptography|sqlite3?)\b",
    re.IGNORECASE,
)


def refusals(kind: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every class of refusal there is."""
    for below in kind.__subclasses__():
        yield below
        yield from refusals(below)


def assert_problem(response: HttpResponse, status: int, code: str) -> None:
    """An RFC 9457 problem with a stable code, that shows nothing internal."""
    text = response.content.decode()
    assert (response.status_code, response.json()["code"]) == (status, code), text
    assert response["Content-Type"] == "application/problem+json"
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Length"] == str(len(response.content))
    body = response.json()
    assert body.keys() == {"type", "title", "status", "detail", "code"}
    assert body["status"] == status
    assert body["detail"].endswith(".")
    assert_shows_nothing_internal(text)


def assert_shows_nothing_internal(text: str) -> None:
    assert not (found := _INTERNAL.search(text)), found
    assert not [kind for kind in refusals() if re.search(rf"\b{kind.__name__}\b", text)]
