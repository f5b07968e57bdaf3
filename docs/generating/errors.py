"""docs/reference/errors.md: every code of a refusal, and where it comes."""

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Iterator

import pki.core
import pki.endpoints
import pki.services
from docs.generating.endpoints import LISTENERS
from docs.generating.markdown import code, first_sentence, page, table
from pki.core.errors import Refusal
from pki.core.ocsp import OcspRefused
from pki.endpoints.openapi.document import refusals
from pki.endpoints.openapi.paths import paths
from pki.endpoints.problems import status_of

ABOUT = """Every refusal has a `code` that stays the same, for programs, and a `detail` for people that
says what is wrong and what to do. On the listeners of devices it is an `application/problem+json` (RFC
9457), and the header `Hatchery-Reason` has the code too:

```json
{"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": "…", "code": "token_missing"}
```

A 503 and a 429 say in `Retry-After` when to try again. What to do about each is
told where it comes: [enrollment](../enrollment.md#answers), [renewal](../renewal.md#when-it-is-refused),
[proxies](../proxies.md)."""

ANYWHERE = [
    ("`bad_request`", "400", "The request is malformed."),
    ("`not_found`", "404", "There is nothing at this address on this port."),
    ("`internal_error`", "500", "Something failed; the log says what."),
    ("`unavailable`", "503", "The database or the keystore cannot be used at this moment."),
]


def errors_page() -> str:
    answered = _answered()
    return page(
        "Error codes",
        ABOUT,
        "## What any address may answer",
        table(("code", "status", "what"), ANYWHERE),
        "## What devices, relying parties and proxies are answered",
        table(("code", "status", "what", "where"), _rows(answered)),
        "## What OCSP answers",
        "In an OCSP response, whose HTTP status is 200; the code is in the log.",
        table(("code", "what"), _others(_below(OcspRefused))),
        "## In the console and the shell",
        "The console shows the sentence, and the audit log keeps the code; a command prints the sentence and "
        "ends with 1.",
        table(
            ("code", "what"),
            _others(each for each in _all() if each not in answered and not issubclass(each, OcspRefused)),
        ),
    )


def _answered() -> dict[type[Refusal], list[str]]:
    """What is refused at addresses of listeners → those addresses."""
    found: dict[type[Refusal], list[str]] = defaultdict(list)
    for urlconf in LISTENERS.values():
        for path in paths(urlconf):
            for kind in refusals(path):
                if path.template not in found[kind]:
                    found[kind].append(path.template)
    return found


def _rows(answered: dict[type[Refusal], list[str]]) -> list[tuple[str, str, str, str]]:
    rows: dict[tuple[str, int], tuple[set[str], set[str]]] = {}
    for kind, templates in answered.items():
        if kind.code == "not_found":
            continue
        says, where = rows.setdefault((kind.code, status_of(kind).value), (set(), set()))
        says.add(first_sentence(kind.__doc__))
        where.update(templates)
    every = {path.template for urlconf in LISTENERS.values() for path in paths(urlconf)}
    return [
        (code(name), str(status), " ".join(sorted(says)), _where(where, every))
        for (name, status), (says, where) in sorted(rows.items())
    ]


def _where(templates: set[str], every: set[str]) -> str:
    if len(templates) > len(every) // 2:
        return "nearly everywhere"
    return ", ".join(code(each) for each in sorted(templates))


def _others(kinds: Iterator[type[Refusal]]) -> list[tuple[str, str]]:
    rows: dict[str, set[str]] = defaultdict(set)
    for kind in kinds:
        if kind is not OcspRefused:
            rows[kind.code].add(first_sentence(kind.__doc__))
    return [(code(name), " ".join(sorted(says))) for name, says in sorted(rows.items())]


def _all() -> Iterator[type[Refusal]]:
    """Every refusal of the layers that devices, the console and the shell share."""
    for package in (pki.core, pki.services, pki.endpoints):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    return (
        kind for kind in _below(Refusal) if kind.__module__.split(".")[1] in ("core", "services", "endpoints")
    )


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    """A kind of refusal and those below it; the first of all is nobody's."""
    if kind is not Refusal:
        yield kind
    for each in kind.__subclasses__():
        yield from _below(each)
