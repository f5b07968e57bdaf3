"""The delta of an issuer's full list (RFC 5280 5.2.4), made together with it and numbered as it.

Its base is the full list as it stood when the base before it had passed its validity: who has fetched a
full list since then, which happens once a day by default, needs the small delta only.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import crls
from pki.core.crls import Entry, Heading
from pki.keystore import keystore
from pki.models import SIGNED_BYTES, RevocationList


def make(
    found: RevocationList, heading: Heading, entries: Sequence[Entry], der: bytes, now: datetime
) -> dict[str, Any]:
    """The columns of the delta that goes with a new full list, `der`. Raises KeystoreError."""
    stored = RevocationList.objects.only("number", "base_number", *SIGNED_BYTES).get(pk=found.pk)
    base_number, base_der, earlier = stored.base_number, stored.base_der, stored.delta_der
    if stored.der is None:
        # The first list is its own base: nothing has changed since.
        stored.number, stored.der = heading.number, der
    base = crls.load(bytes(base_der)) if base_der is not None else None
    if base is None or base.next_update_utc is None or base.next_update_utc <= now:
        # What was on hold after the old base and before the new one stands in the new one, or was removed
        # from all lists to which this delta may be added.
        base_number, base_der, earlier = stored.number, stored.der, None
        base = crls.load(bytes(base_der))
    changed = crls.changes(
        entries,
        crls.entries_of(base),
        crls.entries_of(crls.load(bytes(earlier))) if earlier is not None else {},
        heading.this_update,
    )
    issuer = found.issuer
    unsigned = crls.delta(issuer.certificate, heading, changed, base_number)
    signed = keystore().sign(issuer.key_reference, unsigned)
    return {
        "base_number": base_number,
        "base_der": base_der,
        "delta_der": signed.public_bytes(Encoding.DER),
    }
