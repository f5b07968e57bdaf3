"""What somebody shows us, against our records: what it is, whether it is ours, why it would be refused.

Nothing of it is stored or logged.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from pki.core import chains, diagnosis, pins, recognition
from pki.core.diagnosis import Circumstances
from pki.core.findings import Finding, Severity
from pki.core.identifiers import LONGEST_SERIAL
from pki.core.parts import Kind, Part, Recognised
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Certificate, Issuer, Revocation
from pki.services.looking import list_inspection, own_certificates, standings
from pki.services.looking.standings import Word

log = logging.getLogger("hatchery.inspection")

# Certificates that are named for one key.
MOST_OF_A_KEY = 20
_MOST_ISSUERS = 500

_CODES = {
    Word.REVOKED: "certificate_revoked",
    Word.HELD: "certificate_held",
    Word.ISSUER_COMPROMISED: "issuer_compromised",
    Word.DEVICE_SUSPENDED: "device_suspended",
    Word.DEVICE_RETIRED: "device_retired",
}
_ADVICE = {
    Word.REVOKED: "Enroll the device again: a revocation is for good.",
    Word.HELD: "Lift the hold on its page, if the device is all right.",
    Word.ISSUER_COMPROMISED: "Enroll the device again, under another issuer.",
    Word.DEVICE_SUSPENDED: "Resume the device on its page, if it is all right.",
    Word.DEVICE_RETIRED: "Register a new device.",
}


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
    issuers = list(Issuer.objects.select_related("parent").order_by("pk")[:_MOST_ISSUERS])
    circumstances = Circumstances([issuer.certificate for issuer in issuers], now, use, hostname)
    try:
        recognised = recognition.recognise(data, password)
        findings = diagnosis.diagnose(recognised, circumstances)
    except Exception as error:
        # What is pasted may be secret, and a report of this error would show it.
        _log_without_secrets(error)
        return Inspection([], [_NOT_UNDERSTOOD])
    parts = _on_record(recognised, issuers)
    certificates = recognised.of(Kind.CERTIFICATE)
    for each in parts:
        each.findings += _record_findings(each, issuers, use, now)
        each.findings += list_inspection.findings(each.part, issuers, certificates, now)
        each.findings += [finding for finding in findings if finding.part == each.part.number]
    return Inspection(parts, [finding for finding in findings if finding.part is None])


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
    ours = {each.fingerprint: each for each in _selected().filter(fingerprint__in=prints.values())}
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
    most = MOST_OF_A_KEY * 10
    for each in _selected().filter(spki_sha256__in=digests).order_by("-pk")[:most]:
        certificates = found.setdefault(each.spki_sha256, [])
        if len(certificates) < MOST_OF_A_KEY:
            certificates.append(each)
    return found


def _selected() -> QuerySet[Certificate]:
    return Certificate.objects.select_related("issuer__parent", "device", "revocation__revoked_by")


def _record_findings(
    each: Inspected, issuers: list[Issuer], use: ExtendedKeyUsage, now: datetime
) -> Iterator[Finding]:
    number = each.part.number
    if each.certificate is not None:
        yield from _ours(each.certificate, use, now, number)
    elif each.issuer is not None:
        yield from _our_issuer(each.issuer, number)
    elif each.part.certificate is not None:
        yield from _not_ours(each.part.certificate, each.same_key, issuers, number)
    elif each.part.key is not None:
        yield from _key(each, number)


def _ours(certificate: Certificate, use: ExtendedKeyUsage, now: datetime, number: int) -> Iterator[Finding]:
    yield Finding(
        "ours",
        Severity.GOOD,
        f"It is ours: issued by {certificate.issuer} for {_whose(certificate)}.",
        part=number,
    )
    standing = standings.of(certificate, now)
    if standing.word in _CODES:
        yield Finding(
            _CODES[standing.word], Severity.REFUSED, standing.sentence, _ADVICE[standing.word], number
        )
    if certificate.device is None and use is ExtendedKeyUsage.CLIENT_AUTH:
        yield Finding(
            "certificate_of_no_device",
            Severity.REFUSED,
            "It belongs to no device: it is a server's, and opens nothing as a client's.",
            "Enroll the device for a certificate of its own.",
            number,
        )


def _whose(certificate: Certificate) -> str:
    if certificate.device is not None:
        return f"the device {certificate.device}"
    return f"the listener {certificate.listener}" if certificate.listener else certificate.common_name


def _our_issuer(issuer: Issuer, number: int) -> Iterator[Finding]:
    yield Finding("our_issuer", Severity.GOOD, f"It is our CA {issuer}.", part=number)
    if issuer.is_lost:
        yield Finding(
            "issuer_compromised",
            Severity.REFUSED,
            f"{standings.whose_key(issuer)} is in wrong hands: nothing that it signed is trusted here.",
            _ADVICE[Word.ISSUER_COMPROMISED],
            number,
        )


def _not_ours(
    shown: x509.Certificate, same_key: list[Certificate], issuers: list[Issuer], number: int
) -> Iterator[Finding]:
    signer = next((each for each in issuers if chains.signed_by(shown, each.certificate)), None)
    own = list(own_certificates.findings(shown, number)) if signer is not None else []
    if own:
        yield from own
        return
    namesake = _of_the_same_serial(shown, issuers)
    if namesake is not None or signer is not None:
        other = f" Our certificate of that serial is another one, {namesake}." if namesake else ""
        signed = f"It is signed by our CA {signer}" if signer else "It names our CA"
        yield Finding(
            "not_on_record",
            Severity.REFUSED,
            f"{signed}, but is not on record here.{other}",
            "If the database was restored from a backup, enroll the device again; if not, look for who "
            "else holds that CA's key.",
            number,
        )
    else:
        yield Finding(
            "not_ours", Severity.NOTE, "It is not ours: no CA of this Hatchery signed it.", part=number
        )
    if same_key:
        yield Finding("key_known", Severity.NOTE, f"Its key has {_count(same_key)} of ours.", part=number)


def _of_the_same_serial(shown: x509.Certificate, issuers: list[Issuer]) -> Certificate | None:
    named = [issuer.pk for issuer in issuers if chains.names(shown, issuer.certificate)]
    if not named:
        return None
    serial = f"{shown.serial_number:x}"
    return (
        _selected().filter(issuer__in=named, serial=serial).first() if len(serial) <= LONGEST_SERIAL else None
    )


def _key(each: Inspected, number: int) -> Iterator[Finding]:
    if not each.same_key:
        yield Finding("key_unknown", Severity.NOTE, "No certificate of ours has this key.", part=number)
        return
    yield Finding("key_known", Severity.GOOD, f"This key has {_count(each.same_key)} of ours.", part=number)
    if any(_reason(certificate) == Revocation.Reason.KEY_COMPROMISE for certificate in each.same_key):
        yield Finding(
            "key_compromised",
            Severity.REFUSED,
            "A certificate of this key was revoked because the key is in wrong hands.",
            "Make a new key.",
            number,
        )


def _reason(certificate: Certificate) -> str | None:
    revocation = getattr(certificate, "revocation", None)
    return revocation.reason if revocation is not None else None


def _count(certificates: list[Certificate]) -> str:
    number = len(certificates)
    least = "at least " if number == MOST_OF_A_KEY else ""
    return f"{least}{number} certificate{'s' if number != 1 else ''}"
