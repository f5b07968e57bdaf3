"""Answers to OCSP requests: the status is asked of the database each time, the signature is often there.

A signed answer is kept in the process's memory, and handed out again while the database says the same.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

from pki.core import ocsp
from pki.keystore import keystore
from pki.services.publishing import revocation_status
from pki.services.publishing.known_issuers import ISSUERS, KnownIssuer
from pki.services.publishing.responders import RESPONDERS

# Of signed answers that are kept; one has 700 to 1,400 bytes.
MOST_ANSWERS = 20_000
MOST_BYTES = 32 * 1024 * 1024

_Key = tuple[str, str, int]  # an issuer's fingerprint, the certID's hash, a serial


@dataclass(frozen=True, slots=True)
class Answer:
    """A signed answer and for how long it may be relied on."""

    der: bytes
    status: ocsp.Status
    this_update: datetime
    next_update: datetime
    # By others who ask the same: it holds no nonce, and no word of a certificate that is not yet.
    reusable: bool

    def is_fresh(self, now: datetime) -> bool:
        """Whether at least half of its life is left; false as well if it is from the future."""
        half = (self.next_update - self.this_update) / 2
        return self.this_update <= now <= self.next_update - half


class Answers:
    """Signed answers, those that were used last; threads may share it."""

    def __init__(self, most: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._kept: OrderedDict[_Key, Answer] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of DER."""
        return self._bytes

    def find(self, key: _Key, status: ocsp.Status, now: datetime) -> Answer | None:
        """A fresh answer that says `status`."""
        with self._lock:
            answer = self._kept.get(key)
            if answer is None or answer.status != status or not answer.is_fresh(now):
                return None
            self._kept.move_to_end(key)
            return answer

    def keep(self, key: _Key, answer: Answer) -> None:
        with self._lock:
            replaced = self._kept.pop(key, None)
            self._bytes += len(answer.der) - (len(replaced.der) if replaced else 0)
            self._kept[key] = answer
            while len(self._kept) > self._most or self._bytes > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.der)

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


# This process's.
KEPT = Answers()


def answer(data: bytes, now: datetime) -> Answer:
    """The answer to a request, DER.

    Raises OcspRefused, which says which OCSP error to send, KeystoreError or DatabaseError.
    """
    request = ocsp.read(data)
    asked = request.certificate
    issuer, status = _status(asked)
    # An unknown certificate may be issued the next moment, and who makes serials up must not push out others.
    reusable = request.nonce is None and status != ocsp.UNKNOWN
    key = (issuer.fingerprint, asked.algorithm, asked.serial)
    kept = KEPT.find(key, status, now) if reusable else None
    if kept is not None:
        return kept
    signed = _signed(request, status, issuer, now, reusable)
    if reusable:
        KEPT.keep(key, signed)
    return signed


def _status(asked: ocsp.CertificateId) -> tuple[KnownIssuer, ocsp.Status]:
    issuer = ISSUERS.find(asked)
    try:
        status = revocation_status.of_serial(issuer, asked.serial)
        if status == ocsp.UNKNOWN and ISSUERS.read_again():
            # It may be a CA that was made a moment ago.
            status = revocation_status.of_serial(ISSUERS.find(asked), asked.serial)
    except revocation_status.IssuerGone:
        ISSUERS.forget()
        raise ocsp.NotAuthoritative("There is no such issuer here any more.") from None
    return issuer, status


def _signed(
    request: ocsp.Request, status: ocsp.Status, issuer: KnownIssuer, now: datetime, reusable: bool
) -> Answer:
    responder = RESPONDERS.of(issuer, now)
    this_update = now.replace(microsecond=0)
    # Nobody relies on an answer for longer than on who signed it.
    next_update = min(this_update + timedelta(seconds=settings.PORTAL_OCSP_SECONDS), responder.not_after)
    to_be_signed = ocsp.answer(request, status, responder.certificate, this_update, next_update)
    signed = keystore().sign(responder.key_reference, to_be_signed)
    return Answer(signed.public_bytes(Encoding.DER), status, this_update, next_update, reusable)


def forget() -> None:
    """Forget all that this process keeps in memory, as where the database was put back to an earlier day."""
    for memory in (ISSUERS, RESPONDERS, KEPT):
        memory.forget()
