"""What somebody shows us, against our records: what it is, whether it is ours, why it would be refused.

Nothing of it is stored or logged.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from pki.core import diagnosis, pins, recognition, trust
from pki.core.diagnosis import Circumstances
from pki.core.findings import Finding, Severity
from pki.core.parts import Kind, Part, Recognised
from pki.core.profiles import ExtendedKeyUsage
from pki.core.trust import Trust
from pki.models import Certificate, Issuer
from pki.services.looking import list_inspection, record_findings

log = logging.getLogger("hatchery.inspection")

_MOST_ISSUERS = 500


@dataclass
class Inspected:
    """One part, and what our records say of it."""

    part: Part
    certificate: Certificate | None = None  # the very one, if it is ours
    issuer: Issuer | None = None  # the very one, if it is one of our CAs
    same_key: list[Certificate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass
class Inspection:
    """All parts, and the findings that are about none of them alone."""

    parts: list[Inspected]
    findings: list[Finding]

    @property
    def refused(self) -> list[Finding]:
        """Why a server, or a client, would turn it away."""
        return [finding for finding in self.all_findings if finding.severity is Severity.REFUSED]

    @property
    def all_findings(self) -> list[Finding]:
        return [*self.findings, *(finding for each in self.parts for finding in each.findings)]


@dataclass(frozen=True)
class File:
    """Bytes to look at, the name of the file that they are from, and what opens it."""

    name: str  # empty for what was pasted
    data: bytes = field(repr=False)
    password: str = field(default="", repr=False)


@sensitive_variables()
def inspect(
    data: bytes,
    now: datetime,
    *,
    password: str = "",
    use: ExtendedKeyUsage = ExtendedKeyUsage.CLIENT_AUTH,
    hostname: str = "",
) -> Inspection:
    """Look at anything: PEM, DER, PKCS#12, PKCS#7, keys, CRLs, garbage. Raises nothing for what is in it.

    `use` is what a certificate is shown for; `hostname` what a client would ask for, empty to leave it out.
    """
    return inspect_files([File("", data, password)], now, use=use, hostname=hostname)


@sensitive_variables()
def inspect_files(
    files: Sequence[File],
    now: datetime,
    *,
    use: ExtendedKeyUsage = ExtendedKeyUsage.CLIENT_AUTH,
    hostname: str = "",
    store: File | None = None,
) -> Inspection:
    """Look at several files as at one, so that a key and its certificate meet. Raises nothing, as `inspect`.

    `store` is a trust store that stands for the CAs of this Hatchery.
    """

    def read() -> Recognised:
        recognised = Recognised()
        for file in files:
            recognition.recognise(file.data, file.password, recognised, file.name)
        return recognised

    return judged(read, now, use=use, hostname=hostname, store=store)


@sensitive_variables()
def judged(
    read: Callable[[], Recognised],
    now: datetime,
    *,
    use: ExtendedKeyUsage,
    hostname: str = "",
    store: File | None = None,
    is_all: bool = False,
) -> Inspection:
    """What is wrong with what `read` returns, and what is on record of it. Raises nothing.

    With `is_all` the other side gets nothing else, as in a handshake.
    """
    issuers = list(Issuer.objects.select_related("parent").order_by("pk")[:_MOST_ISSUERS])
    try:
        to_lead_to, found = _trust(issuers, store, now)
        recognised = read()
        findings = diagnosis.diagnose(recognised, Circumstances(to_lead_to, now, use, hostname, is_all))
    except Exception as error:
        # What is shown may be secret, and a report of this error would show it.
        _log_without_secrets(error)
        return Inspection([], [_NOT_UNDERSTOOD])
    parts = _on_record(recognised, issuers)
    certificates = recognised.of(Kind.CERTIFICATE)
    for each in parts:
        each.findings += record_findings.findings(
            each.part, each.certificate, each.issuer, each.same_key, issuers, use, now
        )
        each.findings += list_inspection.findings(each.part, issuers, certificates, now)
        each.findings += [finding for finding in findings if finding.part == each.part.number]
    return Inspection(parts, [*found, *(finding for finding in findings if finding.part is None)])


def _trust(issuers: list[Issuer], store: File | None, now: datetime) -> tuple[Trust, list[Finding]]:
    """What a chain is to lead to, and what is wrong with it by itself."""
    ours = [issuer.certificate for issuer in issuers]
    if store is None:
        return Trust(ours), []
    recognised = recognition.recognise(store.data, store.password, source=store.name)
    # Their part numbers are of the store, which is shown as a whole.
    found = [replace(each, part=None, source=store.name) for each in trust.of_store(recognised, now)]
    return Trust(trust.held_in(recognised), store.name, ours), found


_NOT_UNDERSTOOD = Finding(
    "not_understood",
    Severity.WARNING,
    "This could not be looked at: it breaks a rule that Hatchery does not know of.",
    "Look at it with openssl asn1parse, and tell the makers of Hatchery what kind of file it is.",
)


def _log_without_secrets(error: Exception) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace else "nowhere"
    log.error("Something that was pasted could not be looked at: %s in %s", type(error).__name__, where)


def _on_record(recognised: Recognised, issuers: list[Issuer]) -> list[Inspected]:
    prints = {
        part.number: pins.fingerprint_of(part.certificate) for part in recognised.parts if part.certificate
    }
    ours = {
        each.fingerprint: each for each in record_findings.selected().filter(fingerprint__in=prints.values())
    }
    cas = {issuer.fingerprint: issuer for issuer in issuers}
    keyed = _by_key({pins.spki_sha256(part.key) for part in recognised.parts if part.key is not None})
    return [
        Inspected(
            part,
            ours.get(prints.get(part.number, "")),
            cas.get(prints.get(part.number, "")),
            keyed.get(pins.spki_sha256(part.key), []) if part.key is not None else [],
        )
        for part in recognised.parts
    ]


def _by_key(digests: Iterable[str]) -> dict[str, list[Certificate]]:
    found: dict[str, list[Certificate]] = {}
    most = record_findings.MOST_OF_A_KEY * 10
    for each in record_findings.selected().filter(spki_sha256__in=digests).order_by("-pk")[:most]:
        certificates = found.setdefault(each.spki_sha256, [])
        if len(certificates) < record_findings.MOST_OF_A_KEY:
            certificates.append(each)
    return found
