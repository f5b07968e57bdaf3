"""Who signs checkpoints: keys of this alone. A new one is endorsed by the one before, if that is at hand."""

import hashlib
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from pki.core import audit_proof, pins
from pki.core.errors import Refusal
from pki.keystore import AUDIT, keystore
from pki.models import AuditChain, AuditSigner
from pki.services import audit
from pki.services.audit import HATCHERY, Actor
from pki.services.auditing import chain as chains
from pki.services.new_keys import new_key
from pki.services.transactions import writing

_SPEC = "P-256"


class KeyElsewhere(Refusal):
    """This node does not have the key that signs, so a new one could not be endorsed by it."""

    code = "audit_key_elsewhere"


def newest() -> AuditSigner | None:
    """The one that signs, wherever its key is."""
    return AuditSigner.objects.order_by("-pk").first()


def usable(chain: AuditChain, now: datetime) -> AuditSigner | None:
    """The newest signer of all, if its key is on this node; the first one of all is made. None if it is
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
    with new_key(AUDIT, _SPEC) as reference:
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
        with writing():
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
    """Whether this node has its key: a row alone proves nothing. Raises KeystoreError."""
    if not keystore().has(signer.key_reference):
        return False
    return pins.spki(keystore().public_key(signer.key_reference)) == bytes(signer.public_key)


def pem(signer: AuditSigner) -> str:
    """Its public key, PEM."""
    key = load_der_public_key(bytes(signer.public_key))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
