"""What must not change or go, held by the database itself: triggers on SQLite and PostgreSQL.

Those that are missing are made after every `migrate`, because Django's SQLite migrations rebuild a table to
alter it, and a rebuilt table has lost its triggers.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections

from pki.models import triggers
from pki.models.triggers import Rule

# Table → the columns that never change, or None for all of them.
IMMUTABLE: dict[str, tuple[str, ...] | None] = {
    "pki_auditevent": None,
    "pki_auditseal": None,
    "pki_auditsigner": None,
    "pki_auditcheckpoint": None,
    "pki_revocation": None,
    "pki_revokedserial": None,
    "pki_certificate": (
        "issuer_id",
        "serial",
        "fingerprint",
        "profile_id",
        "device_id",
        "listener",
        "key_reference",
        "common_name",
        "sans",
        "spki_sha256",
        "not_before",
        "not_after",
        "issued_at",
        "crl_shard",
        "der",
    ),
    "pki_subjectaltname": None,
    "pki_responder": None,
    "pki_issuer": ("parent_id", "key_reference", "key_identifier", "certificate_der", "fingerprint"),
    "pki_crosscertificate": None,
    "pki_bundlesigner": None,
    "pki_trustbundle": ("version", "contents", "fingerprint", "made_at"),
    "pki_renewal": ("certificate_id", "replaced_id", "device_id", "address", "at"),
    "pki_notice": None,
    "pki_expirywarning": None,
}


# Table → which of its rows may be deleted after all, in SQL; None for none of them.
KEPT: dict[str, str | None] = {
    "pki_auditevent": None,
    "pki_auditseal": None,
    "pki_auditsigner": None,
    "pki_auditcheckpoint": None,
    "pki_auditchain": None,
    # RFC 5280 5.3.1: a hold can be lifted; every other revocation is for good.
    "pki_revocation": "OLD.reason = 'certificateHold'",
    "pki_revokedserial": None,
    "pki_certificate": None,
    "pki_subjectaltname": None,
    "pki_issuer": None,
    "pki_responder": None,
    # The number that was given last would be forgotten.
    "pki_revocationlist": None,
    "pki_crosscertificate": None,
    "pki_bundlesigner": None,
    # A device refuses a version that is lower than the one it has.
    "pki_trustbundle": None,
    "pki_renewal": None,
}

# Table → the columns that only grow, together, and what they may not do then, in SQL.
GROWING: dict[str, tuple[tuple[str, ...], str]] = {
    # RFC 5280 5.2.3: no number is given to two lists. Dates go back with a clock that was ahead.
    "pki_revocationlist": (
        ("number", "fingerprint"),
        "NEW.number < OLD.number OR NEW.number = OLD.number AND NEW.fingerprint <> OLD.fingerprint",
    ),
}


def make_triggers(*, using: str, **_: Any) -> None:
    """Receiver of post_migrate."""
    triggers.make(connections[using], rules())


def rules() -> Iterator[Rule]:
    """The tables above, as what each refuses."""
    for table, columns in IMMUTABLE.items():
        message = f"{table}: what was signed or recorded never changes"
        yield Rule(table, "immutable", "UPDATE", message, columns or ())
    for table, (columns, never) in GROWING.items():
        yield Rule(table, "growing", "UPDATE", f"{table}: its numbers only grow", columns, f"({never})")
    for table, but in KEPT.items():
        message = f"{table}: what was signed or recorded is never deleted"
        yield Rule(table, "kept", "DELETE", message, when=f"(NOT ({but}))" if but else "")
        # PostgreSQL asks no row whether it may go.
        yield Rule(table, "not_emptied", "TRUNCATE", message)
