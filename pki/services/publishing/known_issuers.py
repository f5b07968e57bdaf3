"""Which issuer an OCSP request asks about: all of them, by the hashes of certIDs, in this process's memory.

What is kept here never changes; whether an issuer is compromised, or is there at all, is asked of the
database at each request.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from pki.core import ocsp
from pki.models import CrossCertificate, Issuer

# A new issuer is known so soon, and who asks about strangers costs one look into the database in that time.
READ_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class KnownIssuer:
    """An issuer, and the issuers whose keys it certified, by the serials of those certificates."""

    pk: int
    # A database that was restored may give a number to another issuer.
    fingerprint: str
    not_after: datetime
    below: dict[int, "KnownIssuer"] = field(default_factory=dict, compare=False)  # by serial


class KnownIssuers:
    """All issuers. One object a process; threads may share it."""

    def __init__(self) -> None:
        self._by_hashes: dict[tuple[str, bytes, bytes], KnownIssuer] = {}
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def find(self, asked: ocsp.CertificateId) -> KnownIssuer:
        """The issuer that `asked` names. Raises NotAuthoritative, or DatabaseError."""
        key = (asked.algorithm, asked.issuer_name_hash, asked.issuer_key_hash)
        found = self._by_hashes.get(key)
        if found is None:
            self.read_again()
            found = self._by_hashes.get(key)
        if found is None:
            raise ocsp.NotAuthoritative("There is no such issuer here.")
        return found

    def read_again(self) -> bool:
        """Read the issuers from the database, unless that was done a moment ago; whether it was not."""
        with self._lock:
            if time.monotonic() < self._read_at + READ_AGAIN_SECONDS:
                return False
            self._by_hashes = _read()
            self._read_at = time.monotonic()
            return True

    def forget(self) -> None:
        """Begin anew, as where the database was put back to an earlier day."""
        with self._lock:
            self._by_hashes, self._read_at = {}, float("-inf")


def _read() -> dict[tuple[str, bytes, bytes], KnownIssuer]:
    issuers = list(Issuer.objects.order_by("pk"))
    known = {each.pk: KnownIssuer(each.pk, each.fingerprint, each.not_after) for each in issuers}
    for each in issuers:
        # A root signed itself.
        signer = known[each.pk if each.parent_id is None else each.parent_id]
        signer.below[each.certificate.serial_number] = known[each.pk]
    for subject, signed_by, serial in CrossCertificate.objects.values_list("subject", "signer", "serial"):
        # An issuer that was made since is read the next time.
        if subject in known and signed_by in known:
            known[signed_by].below[int(serial, 16)] = known[subject]
    return {key: known[each.pk] for each in issuers for key in ocsp.hashes_of(each.certificate)}


# This process's.
ISSUERS = KnownIssuers()
