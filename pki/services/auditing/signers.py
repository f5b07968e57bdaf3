"""Who signs checkpoints: keys of this alone. A new one is endorsed by the one before, if that is at hand."""

import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from pki.core import audit_proof, pins
from pki.core.audit_proof import Keys, NotProven
from pki.core.errors import Refusal
from pki.keystore import AUDIT, keystore
from pki.models import AuditChain, AuditCheckpoint, AuditSigner
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.auditing import chain as chains
from pki.services.new_keys import new_key
from pki.services.transactions import writing

_SPEC = "P-256"


class KeyElsewhere(Refusal):
    """This node does not have the key that signs, so a new one could not be endorsed by it."""

    code = "audit_key_elsewhere"


def rows() -> list[AuditSigner]:
    """All that stand in the database, in their order, whoever put them there."""
    # When one was made nobody asks, and on SQLite it need not be a date.
    found = AuditSigner.objects.defer("made_at", "endorsed_by__made_at")
    return list(found.select_related("endorsed_by").order_by("pk"))


def newest() -> AuditSigner | None:
    """The one that signs, wherever its key is. Raises KeystoreError.

    Who can write to the database can put rows in, and nobody can take them out. So the last one counts whose
    key is here, or the last that it endorsed. Where no key is, it is the last of all.
    """
    there = rows()
    for place in reversed(range(len(there))):
        if is_ours(there[place]):
            return _signs_after(there[place], there[place + 1 :])
    return there[-1] if there else None


def usable(chain: AuditChain, now: datetime) -> AuditSigner | None:
    """The newest signer, if its key is on this node; the first one of all is made. None if it is
    elsewhere: who checks an export is not to need a key for each node. Raises KeystoreError.
    """
    signs = newest()
    if signs is None:
        return make(chain, HATCHERY, now)
    return signs if is_ours(signs) else None


def make(chain: AuditChain, actor: Actor, now: datetime, *, endorsed: bool = True) -> AuditSigner:
    """A new key that signs from now on, and is endorsed by the one that did, unless that is lost.

    Raises KeyElsewhere, KeystoreError.
    """
    before = newest() if endorsed else None
    if before is not None and not is_ours(before):
        raise KeyElsewhere(
            f"The key that signs, {before.fingerprint}, is not on this node, so it cannot endorse another. "
            "Make one on the node that has it, or copy keys/ from there. Only if it is lost, or not to be "
            "believed any more, use --without-endorsement; then everybody needs the new public key."
        )
    # The transaction outside: if the answer to its COMMIT is lost, the row may be there, and needs its key.
    with writing(), new_key(AUDIT, _SPEC) as reference:
        key = pins.spki(keystore().public_key(reference))
        signer = AuditSigner(
            key_reference=reference,
            public_key=key,
            fingerprint=hashlib.sha256(key).hexdigest(),
            made_at=now,
            endorsed_by=before,
        )
        if before is not None:
            signer.statement = audit_proof.statement(
                audit_proof.SIGNER, at=chains.written(now), chain=chain.name, fingerprint=signer.fingerprint
            )
            signer.signature = keystore().sign_statement(before.key_reference, signer.statement)
        signer.save(force_insert=True)
        audit.record(
            "audit_signer.made",
            actor,
            now,
            fingerprint=signer.fingerprint,
            endorsed_by=before.fingerprint if before else None,
        )
    return signer


def is_ours(signer: AuditSigner) -> bool:
    """Whether this node has its key: a row alone proves nothing. Raises KeystoreError for one that is here
    and does not open.
    """
    if not keystore().signs_statements(signer.key_reference):
        return False
    return pins.spki(keystore().public_key(signer.key_reference)) == _octets(signer.public_key)


def is_vouched_for(signer: AuditSigner, keys: Keys) -> bool:
    """Whether its key is among `keys`, or endorsed by one of them; then it is among them from now on."""
    with suppress(NotProven, ValueError, TypeError, KeyError):
        keys.take(record(signer))
    # Fingerprints are unique: nobody puts the same key in a second time, under another reference.
    return signer.fingerprint == digest(signer) and signer.fingerprint in keys


def digest(signer: AuditSigner) -> str:
    """SHA-256 of its public key, whatever the row calls itself; lower-case hex."""
    return hashlib.sha256(_octets(signer.public_key)).hexdigest()


def record(signer: AuditSigner) -> dict[str, Any]:
    """A key that signs, as an export has it."""
    return {
        "type": "signer",
        "fingerprint": str(signer.fingerprint),
        "public_key": base64.b64encode(_octets(signer.public_key)).decode(),
        "endorsed_by": str(signer.endorsed_by.fingerprint) if signer.endorsed_by else "",
        "statement": str(signer.statement),
        "signature": base64.b64encode(_octets(signer.signature)).decode(),
    }


def pem(signer: AuditSigner) -> str:
    """Its public key, PEM."""
    key = load_der_public_key(_octets(signer.public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _signs_after(ours: AuditSigner, later: Sequence[AuditSigner]) -> AuditSigner:
    """Who signs if a key of this node did: the last of the later rows that it endorsed, at first hand or not;
    or a stranger that has followed.
    """
    keys = Keys()
    keys.give(pem(ours).encode())
    signs = ours
    for row in later:
        if is_vouched_for(row, keys):
            signs = row
    last = chains.last_checkpoint()
    if last is None or last.signer.fingerprint in keys or not signs.checkpoints.exists():
        return signs
    # Made elsewhere without an endorsement, it may be right: one that was followed is not to sign again.
    return signs if is_ours(last.signer) or not _has_signed(last) else last.signer


def _has_signed(checkpoint: AuditCheckpoint) -> bool:
    keys = Keys()
    try:
        keys.give(pem(checkpoint.signer).encode())
        signature = base64.b64encode(_octets(checkpoint.signature)).decode()
        keys.verify(digest(checkpoint.signer), checkpoint.statement, signature)
    except (NotProven, ValueError, KeyError, UnsupportedAlgorithm):
        return False
    return True


def _octets(value: Any) -> bytes:
    """What a binary column holds: SQLite takes values of any type there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
