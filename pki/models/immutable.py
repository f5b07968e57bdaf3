"""What must not change or go, held by the database itself: triggers on SQLite and PostgreSQL.

They are (re)made after every `migrate`, because Django's SQLite migrations rebuild a table to alter
it, and a rebuilt table has lost its triggers.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections

# Table → the columns that never change, or None for all of them.
IMMUTABLE: dict[str, tuple[str, ...] | None] = {
    "pki_auditevent": None,
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
    connection = connections[using]
    with connection.cursor() as cursor:
        present = set(connection.introspection.table_names(cursor))
        for table, columns in IMMUTABLE.items():
            if table in present:
                event = f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE"
                message = f"{table}: what was signed or recorded never changes"
                for statement in _statements(connection.vendor, table, "immutable", event, "", message):
                    cursor.execute(statement)
        for table, (columns, never) in GROWING.items():
            if table in present:
                event = f"UPDATE OF {', '.join(columns)}"
                message = f"{table}: its numbers only grow"
                for statement in _statements(
                    connection.vendor, table, "growing", event, f"WHEN ({never})", message
                ):
                    cursor.execute(statement)
        for table, but in KEPT.items():
            if table in present:
                condition = f"WHEN (NOT ({but}))" if but else ""
                message = f"{table}: what was signed or recorded is never deleted"
                for statement in _statements(connection.vendor, table, "kept", "DELETE", condition, message):
                    cursor.execute(statement)


def _statements(
    vendor: str, table: str, rule: str, event: str, condition: str, message: str
) -> Iterator[str]:
    # All of these words are the constants above, nothing from outside.
    name = f"{table}_{rule}"
    if vendor == "sqlite":
        yield f"DROP TRIGGER IF EXISTS {name}"
        yield (
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
    elif vendor == "postgresql":
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        yield (
            f"CREATE OR REPLACE TRIGGER {name} BEFORE {event} ON {table} "
            f"FOR EACH ROW {condition} EXECUTE FUNCTION {name}()"
        )
