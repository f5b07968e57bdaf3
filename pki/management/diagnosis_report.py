"""What a diagnosis found, for people to read in a terminal."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime

from pki.core import reading
from pki.core.diagnosis import remaining
from pki.core.findings import Finding, Severity
from pki.core.names import printable
from pki.core.probes import Probed
from pki.core.reading import Reading
from pki.management.verdicts import Looked, Verdict
from pki.services.looking.inspection import Inspected

Paint = Callable[[Severity, str], str]

_WORDS = {
    Severity.REFUSED: "REFUSED",
    Severity.WARNING: "CAREFUL",
    Severity.NOTE: "note",
    Severity.GOOD: "good",
}


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
    yield _last_line(looked)


def _last_line(looked: Looked) -> str:
    match looked.verdict:
        case Verdict.GOOD:
            return "Nothing here says that it would be refused."
        case Verdict.REFUSED:
            return "It would be refused."
    return "The server could not be looked at." if looked.probed else "Not all of it could be looked at."


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
        yield (
            "valid",
            f"{_moment(read.not_before)} to {_moment(read.not_after)}, {remaining(part.certificate, now)}",
        )
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
