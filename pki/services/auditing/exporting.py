"""An export of the audit trail: sealed first, and its end signed, so that nothing can be cut off there."""

import base64
from collections.abc import Iterator
from datetime import datetime

from pki.core import audit_proof
from pki.keystore import keystore
from pki.models import AuditChain, AuditSigner
from pki.services.auditing import chain as chains
from pki.services.auditing import records, sealing, signers
from pki.services.auditing.checkpoints import NoSigner
from pki.services.auditing.records import Record


def exported(now: datetime) -> Iterator[Record]:
    """All of the trail as it is now, and its end.

    Raises SealingElsewhere, NoSigner, KeystoreError or OSError, at once.
    """
    with sealing.sealed(now):
        chain = chains.here(now)
        signer = signers.usable(chain, now)
        if signer is None:
            raise NoSigner(
                "This node has no key for audit checkpoints, so it cannot sign the end of an export, and "
                "nobody could tell whether it is whole. Export on a node that signs, or copy keys/ from it."
            )
        # While nobody changes the key: one that follows later has signed nothing of this.
        trail = records.whole(chain, now)
    return _signed(trail, chain, signer, now)


def lines(now: datetime) -> Iterator[bytes]:
    """That as JSON Lines. Raises SealingElsewhere, NoSigner, KeystoreError or OSError, at once."""
    return (audit_proof.canonical(record) + b"\n" for record in exported(now))


def _signed(
    trail: Iterator[Record], chain: AuditChain, signer: AuditSigner, now: datetime
) -> Iterator[Record]:
    tally = audit_proof.Tally()
    for record in trail:
        tally.add(record)
        yield record
    statement = audit_proof.statement(
        audit_proof.END,
        at=chains.written(now),
        chain=chain.name,
        settled=chain.sealed_below,
        **tally.said(),
    )
    signature = keystore().sign_statement(signer.key_reference, statement)
    yield {
        "type": "end",
        "statement": statement,
        "signature": base64.b64encode(signature).decode(),
        "signer": signer.fingerprint,
    }
