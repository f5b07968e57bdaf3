"""Verifying the trail in the database itself, by the check that strangers run on an export."""

from collections.abc import Sequence
from datetime import datetime

from pki.core import audit_proof
from pki.core.audit_proof import Checker, Keys
from pki.models import AuditSigner
from pki.services.auditing import chain as chains
from pki.services.auditing import records, signers, witness
from pki.services.auditing.checkpoints import NoSigner


def checked(public_keys: Sequence[bytes], now: datetime) -> Checker:
    """What the check finds. Signatures count by the keys that are given, PEM, or by those of this node.

    Raises ValueError for a file without a public key of P-256, NoSigner, KeystoreError, OSError.
    """
    keys = Keys()
    for pem in public_keys:
        keys.give(pem)
    if not public_keys:
        for signer in _ours("give --public-key FILE, as manage.py audit key prints it on a node that signs"):
            keys.give(signers.pem(signer).encode())
    checker = Checker(keys, _noted())
    chain = chains.known()
    number = 0
    try:
        for number, record in enumerate(records.whole(chain, now), 1):
            checker.take(record, f"record {number}")
    except ValueError as error:
        # A date that is none, say: Hatchery stored no such thing. What is no record is a fault.
        checker.take(None, f"after record {number} ({error})")
    checker.end_here(chain.sealed_below if chain else 0)
    checker.finish()
    return checker


def vouched_for() -> tuple[list[AuditSigner], list[AuditSigner]]:
    """The keys that others may be handed: those of this node, and those that one of them endorsed. Then those
    that merely stand in the database. Raises NoSigner, KeystoreError.
    """
    keys = Keys()
    for signer in _ours("ask on a node that signs"):
        keys.give(signers.pem(signer).encode())
    good: list[AuditSigner] = []
    strange: list[AuditSigner] = []
    for signer in signers.rows():
        (good if signers.is_vouched_for(signer, keys) else strange).append(signer)
    return good, strange


def _ours(remedy: str) -> list[AuditSigner]:
    ours = [each for each in signers.rows() if signers.is_ours(each)]
    if not ours:
        raise NoSigner(
            f"This node has no key for audit checkpoints, so it cannot tell which one is right: {remedy}."
        )
    return ours


def _noted() -> str:
    """The checkpoint that this node noted."""
    known = witness.noted()
    return audit_proof.statement(audit_proof.CHECKPOINT, **known) if known is not None else ""
