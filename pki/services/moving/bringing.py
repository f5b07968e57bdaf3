"""A whole move: the CA, and what it has issued, together or not at all."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.core import authority_files
from pki.core.authority_files import Brought
from pki.models import Issuer, Profile
from pki.services.audit import Actor
from pki.services.moving import arrivals, authority, profiles
from pki.services.moving.issued import File
from pki.services.moving.outcome import Outcome
from pki.services.transactions import one_at_a_time, writing

_NO_INDEX = (
    "No index came with it: what it has revoked elsewhere is not known here, unless an earlier index said "
    "it. The CRL names none of it, and those certificates count as good. Bring index.txt, or revoke them "
    "here, before anybody relies on it."
)
_LOCK = hashlib.sha256(b"import").hexdigest()


@dataclass(frozen=True)
class Luggage:
    """What comes with a CA."""

    index: str | None = None  # the text of an index.txt
    files: Sequence[File] | None = None  # those that its certificates may be in
    profile: str = ""  # of its devices, by name
    name: str = ""  # what the issuer is called

    @property
    def has_certificates(self) -> bool:
        return self.index is not None or self.files is not None


@dataclass(frozen=True)
class Arrived:
    """The issuer, what somebody should know of it, and what came of what it has issued, if it was given."""

    issuer: Issuer
    is_new: bool
    remarks: tuple[str, ...]
    outcome: Outcome | None
    profile: Profile | None  # of its devices that are new, if any could come


def bring(found: Brought | Issuer, luggage: Luggage, actor: Actor, now: datetime) -> Arrived:
    """Make a CA an issuer, or go on with one that was brought before; with what it has issued.

    Raises what `authority.key_of`, `import_authority` and `require_imported`, `arrivals.read` and
    `profiles.for_devices` raise.
    """
    if isinstance(found, Brought):
        # With what it has issued since, one that is here is gone on with.
        found = (authority.find(found.certificate) if luggage.has_certificates else None) or found
    if isinstance(found, Brought):
        authority.require_importable(found, now)
    if isinstance(found, Issuer) and luggage.has_certificates:
        authority.require_imported(found)
    # Before the transaction, which keeps others from writing: it takes seconds.
    read = None
    if luggage.has_certificates:
        read = arrivals.read(found.certificate, luggage.index, luggage.files or (), now)
    is_new = isinstance(found, Brought)
    remarks = [_NO_INDEX] if luggage.index is None and (is_new or luggage.has_certificates) else []
    outcome = profile = None
    with authority.key_of(found) as key, writing():
        # The CA, its profile and its devices are looked for, and then made.
        one_at_a_time(_LOCK)
        if isinstance(found, Brought):
            issuer = authority.import_authority(found, key, actor, now, luggage.name)
            remarks += authority_files.remarks(found.certificate)
        else:
            issuer = found
        if read is not None:
            profile = profiles.for_devices(issuer, luggage.profile, actor, now)
            outcome = arrivals.keep(issuer, read, profile, actor, now)
    return Arrived(issuer, is_new, tuple(remarks), outcome, profile)
