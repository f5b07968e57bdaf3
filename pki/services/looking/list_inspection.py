"""A CRL that somebody shows us, against our records: whose it is, whether it is the one that is out, and
whether the certificates that were pasted with it are in it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509

from pki.core import extensions, list_reading
from pki.core.diagnosis import difference
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.list_reading import ListReading
from pki.core.parts import Part
from pki.models import FULL, SIGNED_BYTES, Issuer, RevocationList

_FETCH = "Fetch the list anew from its address."


def findings(
    part: Part, issuers: Sequence[Issuer], shown: Sequence[Part], now: datetime
) -> Iterator[Finding]:
    """What there is to say of a CRL, and of the certificates `shown` with it."""
    crl = part.revocation_list
    if crl is None:
        return
    reading = list_reading.read(crl)
    issuer = next((each for each in issuers if list_reading.signed_by(crl, each.certificate)), None)
    if issuer is not None:
        yield from _ours(reading, issuer, part.number)
    elif any(list_reading.names(crl, each.certificate) for each in issuers):
        yield Finding(
            "crl_signature_invalid",
            Severity.REFUSED,
            "It names a CA of ours, but that CA's key did not sign it: it was changed, or another CA has the "
            "same name.",
            _FETCH,
            part.number,
        )
    else:
        yield Finding(
            "not_ours", Severity.NOTE, f"It is not ours: {reading.issuer} made it.", part=part.number
        )
    if reading.this_update > now:
        yield Finding(
            "crl_not_yet_valid",
            Severity.REFUSED,
            f"It was made {difference(reading.this_update - now)} from now, at "
            f"{reading.this_update:%Y-%m-%d %H:%M:%S} UTC; here it is {now:%Y-%m-%d %H:%M:%S} UTC.",
            "A clock is wrong, here or where it was made: set both by NTP, in UTC.",
            part.number,
        )
    if reading.next_update is not None and reading.next_update <= now:
        yield Finding(
            "crl_out_of_date",
            Severity.REFUSED,
            f"Its next update was due {difference(now - reading.next_update)} ago: who checks refuses it.",
            _FETCH,
            part.number,
        )
    for each in shown:
        yield from _of_certificate(each, crl, reading, part.number)


def _ours(reading: ListReading, issuer: Issuer, number: int) -> Iterator[Finding]:
    out = _published(reading, issuer)
    which = "the full list" if not reading.addresses else f"shard {out.shard}" if out else "a shard"
    delta = f", as a delta to number {reading.base_number:,}" if reading.base_number is not None else ""
    yield Finding(
        "our_crl", Severity.GOOD, f"It is a revocation list of our CA {issuer}: {which}{delta}.", part=number
    )
    if out is None or reading.number is None or reading.number > out.number:
        yield Finding(
            "not_on_record",
            Severity.WARNING,
            "Our CA's key signed it, but it is not on record here.",
            "If the database was restored from a backup, publish now; if not, look for who else holds "
            "that key.",
            number,
        )
    elif reading.number < out.number and out.this_update is not None:
        yield Finding(
            "crl_superseded",
            Severity.WARNING,
            f"It is older than the one that is out: number {out.number:,}, made "
            f"{out.this_update:%Y-%m-%d %H:%M:%S} UTC.",
            _FETCH,
            number,
        )


def _published(reading: ListReading, issuer: Issuer) -> RevocationList | None:
    lists = issuer.revocation_lists.defer(*SIGNED_BYTES)
    if not reading.addresses:
        return lists.filter(shard=FULL).first()
    return lists.filter(shard__gt=FULL, url__in=reading.addresses).first()


def _of_certificate(
    part: Part, crl: x509.CertificateRevocationList, reading: ListReading, number: int
) -> Iterator[Finding]:
    certificate = part.certificate
    if certificate is None or not _same_issuer(certificate, crl):
        return
    entry = list_reading.entry_of(crl, certificate.serial_number)
    if entry is not None:
        since, reason = entry
        yield Finding(
            "in_crl",
            Severity.REFUSED,
            f"It names the certificate of part {part.number}: revoked since {since:%Y-%m-%d %H:%M:%S} UTC "
            f"({reason}).",
            "Do not rely on that certificate.",
            number,
        )
    elif reading.addresses and not set(reading.addresses) & set(extensions.crl_addresses(certificate)):
        yield Finding(
            "crl_of_others",
            Severity.NOTE,
            f"It is not the list that the certificate of part {part.number} names, and says nothing of it.",
            part=number,
        )
    else:
        yield Finding(
            "not_in_crl", Severity.GOOD, f"The certificate of part {part.number} is not in it.", part=number
        )


def _same_issuer(certificate: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    try:
        return certificate.issuer == crl.issuer
    except UNREADABLE:
        return False
