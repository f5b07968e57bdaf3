"""Checkpoints: signed statements of how many events are sealed, and of the hash over them all."""

import base64
from datetime import datetime, timedelta
from typing import Any

from pki.core import audit_proof
from pki.core.errors import Refusal
from pki.keystore import keystore
from pki.models import AuditChain, AuditCheckpoint
from pki.services import audit
from pki.services.auditing import chain as chains
from pki.services.auditing import signers, witness
from pki.services.transactions import writing

# Also when nothing has happened: a trail without a fresh one was cut off, or nobody signs.
AT_LEAST_EVERY = timedelta(hours=24)


# Maintenance signs each minute; after so long without, something is wrong.
LONGEST_REST = timedelta(minutes=15)


class NoSigner(Refusal):
    """This node cannot sign, and none that can does."""

    code = "no_audit_signer"


def is_long_ago(at: datetime, now: datetime) -> bool:
    """Whether nobody signs any more, if something waits since then.

    One that is as far ahead was told by a wrong clock, and says as little.
    """
    return abs(now - at) > LONGEST_REST


def sign_due(chain: AuditChain, now: datetime) -> AuditCheckpoint | None:
    """Sign what was sealed since the last one, or that there was nothing; None if neither is due, or another
    node is to. Raises NoSigner, KeystoreError.
    """
    seal, before = chains.last_seal(), chains.last_checkpoint()
    if seal is None or not _is_due(before, seal.position, now):
        return None
    signer = signers.usable(chain, now)
    if signer is None:
        if before is None or is_long_ago(before.at, now):
            raise NoSigner(
                "No node with the key for audit checkpoints has signed one lately. Start that node, or copy "
                "keys/ from it; if the key is lost, make another one here: manage.py audit new_key "
                "--without-endorsement."
            )
        return None
    number = before.number + 1 if before else 1
    statement = audit_proof.statement(
        audit_proof.CHECKPOINT,
        at=chains.written(now),
        chain=chain.name,
        count=seal.position,
        head=bytes(seal.hash).hex(),
        last_event=seal.event_id,
        number=number,
        previous=audit_proof.digest(before.statement) if before else "",
    )
    signature = keystore().sign_statement(signer.key_reference, statement)
    with writing():
        checkpoint = AuditCheckpoint.objects.create(
            number=number,
            count=seal.position,
            last_event=seal.event_id,
            at=now,
            statement=statement,
            signature=signature,
            signer=signer,
        )
    # On a log that is kept elsewhere, it is what a trail that was cut off is held against.
    made = record(checkpoint)
    audit.write_line("audit.checkpoint", made)
    witness.note(made)
    return checkpoint


def record(checkpoint: AuditCheckpoint) -> dict[str, Any]:
    """A checkpoint as an export has it."""
    return {
        "type": "checkpoint",
        "statement": checkpoint.statement,
        "signature": base64.b64encode(bytes(checkpoint.signature)).decode(),
        "signer": checkpoint.signer.fingerprint,
    }


def _is_due(before: AuditCheckpoint | None, position: int, now: datetime) -> bool:
    if before is None or before.count != position:
        return True
    # One that is to come was signed by a clock that was ahead.
    return not now - AT_LEAST_EVERY < before.at <= now + AT_LEAST_EVERY
