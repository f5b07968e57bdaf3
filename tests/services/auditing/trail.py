"""What the tests of the audit trail do with it."""

from datetime import timedelta

from django.core.management.color import no_style
from django.db import connection

from pki.models import AuditEvent, AuditSeal
from pki.services.auditing import verifying

MINUTE = timedelta(minutes=1)


def faults(now, *public_keys):
    return verifying.checked(public_keys, now).faults


def numbers_sealed():
    return list(AuditSeal.objects.order_by("position").values_list("position", "event_id"))


def go_on_after_the_highest():
    """PostgreSQL counts on from the last number that it gave itself."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), [AuditEvent]):
            cursor.execute(statement)


def defenceless(*tables):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # What waits for the end of the test's transaction would keep the table from being altered.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            if connection.vendor == "postgresql":
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            else:
                for rule in ("immutable", "kept"):
                    cursor.execute(f"DROP TRIGGER IF EXISTS {table}_{rule}")
