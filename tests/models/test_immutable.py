"""What was signed or recorded is not changed: not by `save`, not by a queryset, not by SQL."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from pki.models import (
    AuditCheckpoint,
    AuditEvent,
    AuditSeal,
    AuditSigner,
    Certificate,
    Issuer,
    Revocation,
    RevokedSerial,
)
from pki.models.immutable import make_triggers
from tests.services.cast import everything


def columns(model, *but):
    return [
        (model, field.column) for field in model._meta.concrete_fields if field.column not in ("id", *but)
    ]


SIGNED_OR_RECORDED = [
    *columns(AuditEvent),
    *columns(AuditSeal),
    *columns(AuditSigner),
    *columns(AuditCheckpoint),
    *columns(Certificate),
    *columns(Revocation),
    *columns(RevokedSerial),
    (Issuer, "certificate_der"),
    (Issuer, "fingerprint"),
    (Issuer, "key_identifier"),
    (Issuer, "key_reference"),
]


@pytest.mark.parametrize(
    ("model", "column"),
    SIGNED_OR_RECORDED,
    ids=[f"{model.__name__}.{column}" for model, column in SIGNED_OR_RECORDED],
)
def test_a_column_of_it_is_not_updated_by_sql(stored, model, column):
    """Not even to the value that it has: only the trigger can be what refuses here."""
    with (
        pytest.raises(IntegrityError, match="never changes"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE {model._meta.db_table} SET {column} = {column}")  # noqa: S608


CHANGES = {
    "an event's actor": (AuditEvent, {"actor": "nobody"}),
    "an event's detail": (AuditEvent, {"detail": {}}),
    "an event's device": (AuditEvent, {"device": None}),
    "a certificate's bytes": (Certificate, {"der": b"\x30\x00"}),
    "a certificate's end": (Certificate, {"not_after": "2099-01-01T00:00:00Z"}),
    "whose a certificate is": (Certificate, {"device": None}),
    "why a certificate was revoked": (Revocation, {"reason": "unspecified"}),
    "since when": (Revocation, {"revoked_at": "2099-01-01T00:00:00Z"}),
    "which certificate": (Revocation, {"certificate": None}),
    "an issuer's bytes": (Issuer, {"certificate_der": b"\x30\x00"}),
    "an issuer's key": (Issuer, {"key_reference": "file:another"}),
}


@pytest.mark.parametrize(("model", "change"), CHANGES.values(), ids=CHANGES)
def test_it_is_not_updated_by_a_queryset(stored, model, change):
    before = everything()
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        model.objects.update(**change)
    assert everything() == before


def test_it_is_not_updated_in_bulk(stored):
    stored.event.actor = "nobody"
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        AuditEvent.objects.bulk_update([stored.event], ["actor"])


def test_it_is_not_saved_again(stored):
    stored.certificate.der = b"\x30\x00"
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        stored.certificate.save()
    with pytest.raises(TypeError):
        stored.event.save()


def test_an_audit_event_is_not_deleted(stored):
    with pytest.raises(TypeError):
        stored.event.delete()


def test_an_issuers_state_may_change(stored):
    """It is not what was signed."""
    assert Issuer.objects.filter(pk=stored.issuing.pk).update(state=Issuer.State.RETIRED) == 1


def drop_triggers():
    with connection.cursor() as cursor:
        for model in (AuditEvent, Certificate, Issuer, Revocation):
            table = model._meta.db_table
            on = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER {table}_immutable{on}")


@pytest.mark.parametrize(
    "again",
    [lambda: make_triggers(using="default"), lambda: call_command("migrate", verbosity=0)],
    ids=["make_triggers", "migrate"],
)
def test_the_triggers_come_back_after_a_table_was_rebuilt(stored, again):
    drop_triggers()
    assert AuditEvent.objects.update(count=1), "without them it would change"
    again()
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        AuditEvent.objects.update(count=1)
    again()  # and doing it twice is no error


def statements(work):
    with CaptureQueriesContext(connection) as queries:
        work()
    return [each["sql"] for each in queries if not each["sql"].lstrip().upper().startswith("SELECT")]


@pytest.mark.django_db
def test_triggers_that_are_as_they_should_be_are_let_be():
    make_triggers(using="default")  # another test may have left some out
    assert statements(lambda: make_triggers(using="default")) == []


@pytest.mark.django_db
def test_only_a_trigger_that_is_missing_is_made():
    make_triggers(using="default")
    on = " ON pki_notice" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER pki_notice_immutable{on}")
    made = statements(lambda: make_triggers(using="default"))
    assert [each for each in made if "CREATE" in each and "pki_notice_immutable" not in each] == []
    assert [each for each in made if "CREATE" in each]


@pytest.mark.django_db
def test_a_trigger_of_the_same_name_that_lets_through_is_made_anew():
    make_triggers(using="default")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION pki_notice_immutable() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RETURN NEW; END $$"
            )
        else:
            cursor.execute("DROP TRIGGER pki_notice_immutable")
            cursor.execute(
                "CREATE TRIGGER pki_notice_immutable BEFORE UPDATE ON pki_notice FOR EACH ROW "
                "BEGIN SELECT 1; END"
            )
    assert [each for each in statements(lambda: make_triggers(using="default")) if "CREATE" in each]
    assert statements(lambda: make_triggers(using="default")) == []
