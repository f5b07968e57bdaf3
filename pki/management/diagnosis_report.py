"""What a diagnosis found, for people to read in a terminal, or as JSON for programs."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from pki.core import probes, reading
from pki.core.diagnosis import difference
from pki.core.findings import Finding, Severity
from pki.core.probes import UNREACHED, Probed
from pki.core.reading import Reading, Time
from pki.services.looking.inspection import Inspected, Inspection

Paint = Callable[[Severity, str], str]

# Nothing can be said of what these are about.
_NOT_LOOKED_AT = {"nothing_pasted", "too_large", "not_recognised", "not_understood", "too_many_parts"}
_WORDS = {
    Severity.REFUSED: "REFUSED",
    Severity.WARNING: "CAREFUL",
    Severity.NOTE: "note",
    Severity.GOOD: "good",
}


class Verdict(IntEnum):
    """What is said in the end, as an exit status."""

    GOOD = 0
    REFUSED = 1
    UNKNOWN = 2


@dataclass
class Looked:
    """Files that were looked at together, or one server."""

    title: str
    inspection: Inspection
    now: datetime
    probed: Probed | None = None

    @property
    def verdict(self) -> Verdict:
        if self.probed is not None and self.probed.outcome in UNREACHED:
            return Verdict.UNKNOWN
        if self.inspection.refused:
            return Verdict.REFUSED
        unread = any(not each.part.is_read for each in self.inspection.parts)
        codes = {finding.code for finding in self.inspection.all_findings}
        is_locked = "p12_password_needed" in codes or "p12_wrong_password" in codes
        return Verdict.UNKNOWN if unread or is_locked or codes & _NOT_LOOKED_AT else Verdict.GOOD


def verdict(looked: list[Looked]) -> Verdict:
    """One refusal is enough; else one thing that could not be looked at."""
    each = {one.verdict for one in looked}
    return next((found for found in (Verdict.REFUSED, Verdict.UNKNOWN) if found in each), Verdict.GOOD)


def printable(text: str) -> str:
    """A text that a stranger may have written, without what would move a terminal's cursor, or hide."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


# --- For people -----------------------------------------------------------------------------------


def text(looked: Looked, paint: Paint) -> Iterator[str]:
    """The lines of a report. `paint` may give a word its colour."""
    yield printable(looked.title)
    if looked.probed is not None:
        yield from _rows(_of_server(looked.probed), indent=2)
    yield from _findings(looked.inspection.findings, paint, looked.title, indent=2)
    for each in looked.inspection.parts:
        yield ""
        yield f"  {printable(_heading(each, looked.title))}"
        yield from _rows(_of_part(each, looked.now), indent=5)
        yield from _findings(each.findings, paint, looked.title, indent=5)
    yield ""
    yield _last_line(looked.verdict)


def _last_line(found: Verdict) -> str:
    return {
        Verdict.GOOD: "Nothing here says that it would be refused.",
        Verdict.REFUSED: "It would be refused.",
        Verdict.UNKNOWN: "Not all of it could be looked at.",
    }[found]


def _heading(each: Inspected, title: str) -> str:
    part = each.part
    holder = part.certificate or part.request
    whose = f": {reading.subject_of(holder)}" if holder is not None else ""
    source = "" if part.source == title else part.source
    return f"{part.title}{whose} ({', '.join(filter(None, (source, part.origin)))})"


def _of_server(probed: Probed) -> Iterator[tuple[str, str]]:
    yield "address", probed.address
    yield "protocol", probed.protocol
    yield "cipher", probed.cipher
    yield "key exchange", probed.group
    if probed.asks:
        yield "client certificate", "asked for" + (", of these CAs:" if probed.acceptable else ", of any CA")
        for name in probed.acceptable:
            yield "", name.rfc4514_string()
    elif probed.cipher:
        yield "client certificate", "not asked for"


def _of_part(each: Inspected, now: datetime) -> Iterator[tuple[str, str]]:
    part = each.part
    if part.certificate is not None:
        read = reading.read(part.certificate)
        yield "issuer", reading.name_of(part.certificate, "issuer")
        yield from zip(itertools.chain(("names",), itertools.repeat("")), _sans(read), strict=False)
        yield "valid", f"{_moment(read.not_before)} to {_moment(read.not_after)}, {_left(each, now)}"
        yield "key", f"{read.key.kind}, signed with {read.signature}"
        yield "serial", read.serial_hex
        yield "SHA-256", read.fingerprint
    elif part.key is not None:
        key = reading.read_key(part.key)
        yield "key", key.kind
        yield "SPKI pin", key.pin_base64


def _sans(read: Reading) -> tuple[str, ...]:
    return next(
        (tuple(each.sentences) for each in read.extensions if each.name == "subjectAltName"),
        (),
    )


def _left(each: Inspected, now: datetime) -> str:
    certificate = each.part.certificate
    if certificate is None:
        return ""
    match reading.time_of(certificate, now):
        case Time.OVER:
            return f"ended {difference(now - certificate.not_valid_after_utc)} ago"
        case Time.NOT_YET:
            return f"begins in {difference(certificate.not_valid_before_utc - now)}"
    return f"{difference(certificate.not_valid_after_utc - now)} left"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _rows(rows: Iterator[tuple[str, str]], *, indent: int) -> Iterator[str]:
    for name, value in rows:
        if value:
            yield f"{' ' * indent}{name:<20}{printable(value)}"


def _findings(findings: list[Finding], paint: Paint, title: str, *, indent: int) -> Iterator[str]:
    for finding in findings:
        word = paint(finding.severity, f"{_WORDS[finding.severity]:<9}")
        is_elsewhere = finding.source not in ("", title) and finding.part is None
        where = f"{finding.source}: " if is_elsewhere else ""
        yield f"{' ' * indent}{word}{printable(where + finding.sentence)} [{finding.code}]"
        if finding.advice:
            yield f"{' ' * (indent + 9)}{printable(finding.advice)}"


# --- For programs ---------------------------------------------------------------------------------


def as_json(looked: list[Looked]) -> dict[str, Any]:
    """The same as an object. Names and codes of it are stable; sentences are not."""
    return {
        "verdict": verdict(looked).name.lower(),
        "looked_at": [
            {
                "title": each.title,
                "verdict": each.verdict.name.lower(),
                "server": _server_as_json(each.probed),
                "findings": [_finding_as_json(finding) for finding in each.inspection.findings],
                "parts": [_part_as_json(part) for part in each.inspection.parts],
            }
            for each in looked
        ],
    }


def _server_as_json(probed: Probed | None) -> dict[str, Any] | None:
    if probed is None:
        return None
    return {
        "host": probed.target.host,
        "port": probed.target.port,
        "name": probed.name,
        "address": probed.address,
        "outcome": probed.outcome.name.lower(),
        "alert": probes.alert_in_words(probed.alert) if probed.alert is not None else None,
        "protocol": probed.protocol,
        "cipher": probed.cipher,
        "group": probed.group,
        "asks_for_client_certificate": probed.asks,
        "acceptable_cas": [name.rfc4514_string() for name in probed.acceptable],
        "has_stapled_ocsp": bool(probed.stapled),
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "sentence": finding.sentence,
        "advice": finding.advice,
        "source": finding.source,
    }


def _part_as_json(each: Inspected) -> dict[str, Any]:
    part = each.part
    found: dict[str, Any] = {
        "number": part.number,
        "kind": part.kind.value,
        "source": part.source,
        "origin": part.origin,
        "findings": [_finding_as_json(finding) for finding in each.findings],
    }
    if part.certificate is not None:
        read = reading.read(part.certificate)
        found |= {
            "subject": reading.subject_of(part.certificate),
            "issuer": reading.name_of(part.certificate, "issuer"),
            "serial": read.serial_hex,
            "fingerprint": read.fingerprint,
            "not_before": read.not_before.isoformat(),
            "not_after": read.not_after.isoformat(),
        }
    if part.key is not None:
        found["key"] = reading.read_key(part.key).kind
    return found
