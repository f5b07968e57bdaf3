"""Which CRL is served at this moment: what is stored; made first only if nothing that is valid is."""

from datetime import datetime

from pki.models import FULL, RevocationList
from pki.services.publishing import making
from pki.services.publishing.publication import NotPublishable, PublicationBusy


def current(key_identifier: str, shard: int, now: datetime) -> RevocationList | None:
    """A list without its bytes, as it is stored; None if there is no such issuer, or no such list of it.

    Made here only if there is none, or none that is still valid. Raises PublicationBusy if somebody else is
    making it then, NotPublishable if there is none and cannot be, or KeystoreError.
    """
    found = making.without_bytes().filter(issuer__key_identifier=key_identifier, shard=shard).first()
    return found and _made(found, now)


def current_full_lists(now: datetime) -> list[RevocationList]:
    """The full lists of all issuers that live; not of one that has none yet and whose key is on another node.

    Who verifies by these refuses what such an issuer signed, and nothing else. Raises as `current`.
    """
    found = making.without_bytes().filter(shard=FULL, issuer__not_after__gt=now).order_by("issuer_id")
    return [_made(each, now) for each in found if each.number or making.has_key(each.issuer)]


def _made(found: RevocationList, now: datetime) -> RevocationList:
    if not _wanting(found, now):
        return found
    if now >= found.issuer.not_after or not making.has_key(found.issuer):
        if found.number:
            return found
        raise NotPublishable("This list was not made yet, and this node cannot; ask another one.")
    with making.turn(found.issuer, found.shard) as free:
        if not free:
            raise PublicationBusy("This list is being made at this moment; try again in a few seconds.")
        # Somebody may have made it before the lock was free.
        found = making.find(found.pk)
        if _wanting(found, now):
            making.make(found, now)
            found = making.find(found.pk)
    return found


def _wanting(found: RevocationList, now: datetime) -> bool:
    """Whether a list has to be made before it can be served."""
    if found.next_update is None:
        return True
    return found.next_update <= now and found.renew_at is not None
