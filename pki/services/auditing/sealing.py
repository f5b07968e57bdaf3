"""What maintenance does for the audit trail, and the shell when it is asked to."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import AuditSigner
from pki.services.audit import Actor
from pki.services.auditing import chain as chains
from pki.services.auditing import checkpoints, signers, witness
from pki.services.transactions import alone


class SealingElsewhere(Refusal):
    """Somebody else seals, and may be signing with the key that is to be changed, or to sign."""

    code = "sealing_elsewhere"


def seal(now: datetime) -> int:
    """Seal the events that are committed, and sign a checkpoint; how many were sealed.

    Events are sealed also where no key is. Raises NoSigner, KeystoreError, OSError.
    """
    with alone("audit") as free:
        return _seal(now) if free else 0


@contextmanager
def sealed(now: datetime) -> Iterator[None]:
    """Seal as `seal` does; until the block ends nobody else seals, signs or changes the key.

    Raises SealingElsewhere, NoSigner, KeystoreError, OSError.
    """
    with alone("audit") as free:
        if not free:
            raise SealingElsewhere(
                "Another process seals at this moment, so what is committed cannot be sealed first. Wait "
                "until it has ended, which takes moments unless an old trail is sealed for the first time, "
                "and try again."
            )
        _seal(now)
        yield


def ensure_key(actor: Actor, now: datetime) -> None:
    """Make the first key, with the other keys of a first run: they are copied to all nodes together.

    Raises KeystoreError, OSError.
    """
    if signers.newest() is not None:
        return
    with alone("audit") as free:
        # If not, another process is sealing, and makes it.
        if free and signers.newest() is None:
            signers.make(chains.here(now), actor, now)


def change_key(actor: Actor, now: datetime, *, endorsed: bool = True) -> AuditSigner:
    """Have another key sign from now on; the one before signs what is sealed so far, for the last time, and
    endorses the new one unless that is said to be lost.

    Raises SealingElsewhere, KeyElsewhere, KeystoreError, OSError.
    """
    with alone("audit") as free:
        if not free:
            raise SealingElsewhere("Another process seals at this moment; try again.")
        # One that does not open any more is as lost as one that is gone.
        lost = () if endorsed else (KeystoreError,)
        with suppress(checkpoints.NoSigner, *lost):
            _seal(now)
        return signers.make(chains.here(now), actor, now, endorsed=endorsed)


def _seal(now: datetime) -> int:
    # First: what it puts on record is sealed with the rest, before anything new is noted.
    witness.look(now)
    chain = chains.here(now)
    sealed = chains.extend(chain)
    checkpoints.sign_due(chain, now)
    return sealed
