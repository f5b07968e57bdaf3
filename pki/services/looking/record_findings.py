"""What our records say of something that somebody shows us: whether it is ours, and how it stands."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from django.db.models import QuerySet

from pki.core import chains
from pki.core.findings import Finding, Severity
from pki.core.identifiers import LONGEST_SERIAL
from pki.core.parts import Part
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Certificate, Issuer, Revocation
from pki.services.looking import own_certificates, standings
from pki.services.looking.standings import Word

# Certificates that are named for one key.
MOST_OF_A_KEY = 20

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


def findings(
    part: Part,
    certificate: Certificate | None,
    issuer: Issuer | None,
    same_key: Sequence[Certificate],
    issuers: Sequence[Issuer],
    use: ExtendedKeyUsage,
    now: datetime,
) -> Iterator[Finding]:
    """What there is on record of a part: the very certificate, or the very CA, or others of its key."""
    if certificate is not None:
        yield from _ours(certificate, use, now, part.number)
    elif issuer is not None:
        yield from _our_issuer(issuer, part.number)
    elif part.certificate is not None:
        yield from _not_ours(part.certificate, same_key, issuers, part.number)
    elif part.key is not None:
        yield from _key(same_key, part.number)


def selected() -> QuerySet[Certificate]:
    """Certificates with all that `findings` reads of them."""
    return Certificate.objects.select_related("issuer__parent", "device", "revocation__revoked_by")


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
    shown: x509.Certificate, same_key: Sequence[Certificate], issuers: Sequence[Issuer], number: int
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


def _of_the_same_serial(shown: x509.Certificate, issuers: Sequence[Issuer]) -> Certificate | None:
    named = [issuer.pk for issuer in issuers if chains.names(shown, issuer.certificate)]
    if not named:
        return None
    serial = f"{shown.serial_number:x}"
    return (
        selected().filter(issuer__in=named, serial=serial).first() if len(serial) <= LONGEST_SERIAL else None
    )


def _key(same_key: Sequence[Certificate], number: int) -> Iterator[Finding]:
    if not same_key:
        yield Finding("key_unknown", Severity.NOTE, "No certificate of ours has this key.", part=number)
        return
    yield Finding("key_known", Severity.GOOD, f"This key has {_count(same_key)} of ours.", part=number)
    if any(_reason(certificate) == Revocation.Reason.KEY_COMPROMISE for certificate in same_key):
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


def _count(certificates: Sequence[Certificate]) -> str:
    number = len(certificates)
    least = "at least " if number == MOST_OF_A_KEY else ""
    return f"{least}{number} certificate{'s' if number != 1 else ''}"
