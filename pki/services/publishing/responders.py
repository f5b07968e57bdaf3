"""OCSP responders: for each issuer and node a certificate by which a key of this node signs answers.

Delegated (RFC 6960 4.2.2.2), so that the issuer's own key signs one certificate in days, and no answers.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPResponseStatus
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from pki.core import certificates, keys, ocsp
from pki.core.keys import KeyKind
from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, Responder
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.complaints import COMPLAINTS
from pki.services.new_keys import new_key
from pki.services.publishing.known_issuers import KnownIssuer
from pki.services.transactions import alone, writing

log = logging.getLogger("hatchery.responders")

LIFETIME = timedelta(days=7)
# While another thread or process makes one.
_LONGEST_WAIT = 5.0  # seconds
_LOOK_AGAIN = 0.05
# Its key is opened and used at each answer that is signed: RSA of this size is the quickest that may be.
_SPECS = {KeyKind.P256: "P-256", KeyKind.P384: "P-384", KeyKind.ED25519: "Ed25519", KeyKind.RSA: "RSA-2048"}
_TRY_LATER = "OCSP requests are answered with tryLater"


class NoResponder(ocsp.OcspRefused):
    """This node has neither a responder's key nor the issuer's.

    tryLater, not unauthorized: another node may answer, and this one can be mended.
    """

    code = "ocsp_no_responder"
    status = OCSPResponseStatus.TRY_LATER


class IssuerEnded(ocsp.NotAuthoritative):
    """The issuer's time is over, and with it that of all its certificates; nobody can answer for it."""

    code = "ocsp_issuer_ended"


def lifetime() -> timedelta:
    """How long a responder's certificate lives: the last third is longer than any answer may be relied on."""
    return max(LIFETIME, timedelta(seconds=3 * settings.PORTAL_OCSP_SECONDS))


class Responders:
    """The responders of this node that are in use. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._used: dict[str, Responder] = {}

    def of(self, issuer: KnownIssuer, now: datetime) -> Responder:
        """The responder of an issuer on this node; made if none stands yet.

        Raises NoResponder, IssuerEnded, KeystoreError or DatabaseError.
        """
        used = self._used.get(issuer.fingerprint)
        if used is None or not used.not_before <= now < used.not_after:
            if issuer.not_after <= now:
                raise IssuerEnded("This issuer's time is over.")
            try:
                used = _found_or_made(Issuer.objects.get(pk=issuer.pk), now)
            except NoResponder as refused:
                COMPLAINTS.say(log, _TRY_LATER, refused.detail)
                raise
            self._used[issuer.fingerprint] = used
        return used

    def renew_due(self, now: datetime) -> int:
        """Renew those of this node of whose life two thirds are over, and make one for each issuer whose last
        has ended on every node; how many. Two queries if there is nothing to do.

        Raises DatabaseError.
        """
        return self._renew(now) + self._make_again(now)

    def _renew(self, now: datetime) -> int:
        renewed = 0
        for responder in _newest(now):
            issuer = responder.issuer
            if _is_due(responder, now):
                try:
                    made = _made_anew(issuer, now)
                except (KeystoreError, NoResponder) as error:
                    # Until it ends there is time to mend this, and it is tried again.
                    log.warning("The OCSP responder of %s could not be renewed: %s", issuer, error)
                    made = None
                if made is not None:
                    responder, renewed = made, renewed + 1
            self._used[issuer.fingerprint] = responder
        return renewed

    def _make_again(self, now: datetime) -> int:
        made = 0
        for issuer in unanswered(now):
            try:
                responder = _made_again(issuer, now)
            except (KeystoreError, NoResponder) as error:
                COMPLAINTS.say(log, _TRY_LATER, str(error))
                continue
            if responder is not None:
                self._used[issuer.fingerprint] = responder
                made += 1
        return made

    def forget(self) -> None:
        """Begin anew."""
        self._used = {}


def unanswered(now: datetime) -> QuerySet[Issuer]:
    """The issuers that live and once had a responder, on whatever node, and have none that stands now."""
    ever = Responder.objects.filter(issuer=OuterRef("pk"))
    stands = ever.filter(not_before__lte=now, not_after__gt=now)
    alive = Issuer.objects.filter(not_after__gt=now).exclude(state=Issuer.State.COMPROMISED)
    return alive.filter(Exists(ever), ~Exists(stands))


def _found_or_made(issuer: Issuer, now: datetime) -> Responder:
    """The newest responder of this node, or a first one."""
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        for found in _newest(now, issuer):
            return found
        with _making(issuer) as free:
            if free:
                return next(_newest(now, issuer), None) or _make(issuer, now)
        if time.monotonic() > deadline:
            raise NoResponder(f"Another process is making the responder of {issuer}, and has not finished.")
        time.sleep(_LOOK_AGAIN)


def _made_anew(issuer: Issuer, now: datetime) -> Responder | None:
    """A new responder in place of one that is due; none if somebody else is making one, or has."""
    with _making(issuer) as free:
        if not free or not all(_is_due(each, now) for each in _newest(now, issuer)):
            return None
        return _make(issuer, now)


def _made_again(issuer: Issuer, now: datetime) -> Responder | None:
    """A new responder of an issuer that has none; none if somebody else is making one, or has."""
    with _making(issuer) as free:
        return _make(issuer, now) if free and unanswered(now).filter(pk=issuer.pk).exists() else None


def _making(issuer: Issuer) -> AbstractContextManager[bool]:
    return alone(f"responder-{issuer.key_identifier}")


def _newest(now: datetime, issuer: Issuer | None = None) -> Iterator[Responder]:
    """The newest responder that stands now and whose key is on this node, of one issuer or of each."""
    standing = Responder.objects.filter(not_before__lte=now, not_after__gt=now).select_related("issuer")
    if issuer is not None:
        standing = standing.filter(issuer=issuer)
    seen = set()
    for responder in standing.order_by("issuer", "-not_after", "-pk"):
        if responder.issuer_id not in seen and keystore().has(responder.key_reference):
            seen.add(responder.issuer_id)
            yield responder


def _is_due(responder: Responder, now: datetime) -> bool:
    # One that ends with its issuer can have no successor that lives longer.
    ends_with_issuer = responder.not_after >= responder.issuer.not_after
    due = now >= certificates.renew_at(responder.not_before, responder.not_after)
    return due and not ends_with_issuer


def _make(issuer: Issuer, now: datetime) -> Responder:
    if not keystore().has(issuer.key_reference):
        raise NoResponder(f"No key of {issuer} is on this node, and no responder's.")
    kind, _ = keys.certified(issuer.certificate.public_key())
    with new_key("ocsp", _SPECS[kind]) as reference:
        key = keystore().public_key(reference)
        to_be_signed = certificates.ocsp_responder(key, lifetime(), issuer.certificate, now)
        signed = keystore().sign(issuer.key_reference, to_be_signed)
        with writing():
            responder = Responder.objects.create(
                issuer=issuer,
                key_reference=reference,
                serial=f"{signed.serial_number:x}",
                not_before=signed.not_valid_before_utc,
                not_after=signed.not_valid_after_utc,
                created_at=now,
                certificate_der=signed.public_bytes(Encoding.DER),
            )
            audit.record(
                "responder.made",
                HATCHERY,
                now,
                issuer=issuer.name,
                serial=responder.serial,
                key=keys.describe(key),
                not_after=responder.not_after.isoformat(timespec="seconds"),
            )
        return responder


# This process's.
RESPONDERS = Responders()
