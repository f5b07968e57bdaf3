"""The database itself refuses what must not be, whoever writes: no model's `clean` is asked here."""

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import ProtectedError

from pki.models import (
    Certificate,
    Device,
    EnrollmentRequest,
    EnrollmentToken,
    Issuer,
    Profile,
    Revocation,
)
from tests.services.cast import DAY


def refused():
    """The database says no; in a transaction of its own, so that the test can go on."""
    return pytest.raises(IntegrityError)


def copy(row: models.Model, **changes):
    """Insert a row like this one, but for the changes."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    del values[row._meta.pk.attname]
    with transaction.atomic():
        return type(row).objects.create(**{**values, **changes})


def update(row: models.Model, **changes):
    with transaction.atomic():
        return type(row).objects.filter(pk=row.pk).update(**changes)


def sql(statement: str, *parameters):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


# --- Certificates ---------------------------------------------------------------------------------


def test_an_issuer_gives_a_serial_once(stored):
    with refused():
        copy(stored.certificate, fingerprint="0" * 64)


def test_two_issuers_may_give_the_same_serial(stored):
    assert copy(stored.certificate, fingerprint="0" * 64, issuer_id=stored.root.pk).pk


def test_a_certificate_is_stored_once(stored):
    with refused():
        copy(stored.certificate, serial="1")


@pytest.mark.parametrize("life", [0 * DAY, -DAY])
def test_a_validity_does_not_end_before_it_begins(stored, life):
    begins = stored.certificate.not_before
    with refused():
        copy(stored.certificate, serial="1", fingerprint="0" * 64, not_after=begins + life)


# --- Tokens ---------------------------------------------------------------------------------------


def test_a_token_is_not_used_more_often_than_it_may_be(stored):
    with refused():
        update(stored.token, uses=3)
    with refused():
        sql("UPDATE pki_enrollmenttoken SET uses = uses_allowed + 1 WHERE id = %s", stored.token.pk)


def test_a_token_is_not_given_fewer_uses_than_it_has_had(stored):
    assert stored.token.uses == 2
    with refused():
        update(stored.token, uses_allowed=1)


@pytest.mark.parametrize("uses", [0, -1])
def test_a_token_has_a_use_at_least(stored, uses):
    with refused():
        update(stored.pattern, uses_allowed=uses)


def test_a_token_has_not_been_used_less_than_never(stored):
    with refused():
        update(stored.pattern, uses=-1)


def test_one_digest_is_one_token(stored):
    with refused():
        copy(stored.token)


def test_a_token_is_for_a_device_or_for_a_pattern(stored):
    with refused():
        update(stored.token, name_pattern="door-*")
    with refused():
        update(stored.pattern, device=stored.device)
    with refused():
        update(stored.pattern, name_pattern="")


# --- Enrollment requests --------------------------------------------------------------------------


def test_a_request_is_issued_if_and_only_if_it_has_a_certificate(stored):
    with refused():
        update(stored.waiting, state="issued")
    with refused():
        update(stored.issued, certificate=None)
    for state in ("waiting", "refused", "rejected"):
        with refused():
            update(stored.issued, state=state)


def test_a_certificate_answers_one_request(stored):
    with refused():
        copy(stored.issued, spki_sha256="0" * 64)


def test_one_key_enrolls_once_with_one_token(stored):
    another = copy(stored.certificate, serial="1", fingerprint="0" * 64)
    with refused():
        copy(stored.issued, certificate_id=another.pk)
    assert copy(stored.issued, certificate_id=another.pk, token_id=stored.pattern.pk).pk


def test_one_key_waits_once_under_one_name(stored):
    with refused():
        copy(stored.waiting)
    assert copy(stored.waiting, state="rejected").pk


def test_one_fold_is_one_row(stored):
    update(stored.waiting, fold="f" * 64)
    with refused():
        update(stored.issued, fold="f" * 64)


# --- Words that are not known ---------------------------------------------------------------------


WORDS = {
    "a device's state": ("device", "state"),
    "an issuer's state": ("issuing", "state"),
    "a request's state": ("waiting", "state"),
    "a profile's policy": ("profile", "enrollment_policy"),
}


@pytest.mark.parametrize(("who", "column"), WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("word", ["", "nonsense"])
def test_a_word_that_nobody_knows_is_not_stored(stored, who, column, word):
    row = getattr(stored, who)
    with refused():
        update(row, **{column: word})
    with refused():
        sql(f"UPDATE {row._meta.db_table} SET {column} = %s", word)  # noqa: S608  names of the table above


@pytest.mark.parametrize(("who", "column"), WORDS.values(), ids=WORDS)
def test_every_word_of_the_model_is_known_to_the_database(stored, who, column):
    row = getattr(stored, who)
    for word, _ in row._meta.get_field(column).choices:
        if who != "waiting" or word != "issued":  # which needs a certificate
            assert update(row, **{column: word}) == 1


@pytest.mark.parametrize("word", ["", "nonsense", "removeFromCRL"])
def test_a_certificate_is_not_revoked_for_a_reason_that_nobody_knows(stored, word):
    with refused():
        copy(stored.revocation, certificate_id=stored.certificate.pk, reason=word)


@pytest.mark.parametrize("word", Revocation.Reason.values)
def test_a_certificate_is_revoked_for_every_reason_of_the_model(stored, word):
    assert copy(stored.revocation, certificate_id=stored.certificate.pk, reason=word).pk


def test_reasons_are_those_of_rfc_5280_that_an_end_entity_can_have():
    """5.3.1, without cACompromise and aACompromise (not an end entity's) and removeFromCRL (not a reason)."""
    assert set(Revocation.Reason.values) == {
        "unspecified",
        "keyCompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "certificateHold",
        "privilegeWithdrawn",
    }


# --- Once -----------------------------------------------------------------------------------------


ONCE = {
    "a device's name": ("device", "name"),
    "a profile's name": ("profile", "name"),
    "an issuer's name": ("issuing", "name"),
    "an issuer's key": ("issuing", "key_reference"),
    "an issuer's key identifier": ("issuing", "key_identifier"),
    "an issuer's certificate": ("issuing", "fingerprint"),
}


@pytest.mark.parametrize(("who", "column"), ONCE.values(), ids=ONCE)
def test_it_is_there_once(stored, who, column):
    row = getattr(stored, who)
    unique = {
        field.attname: f"other-{field.name}"[:40]
        for field in row._meta.concrete_fields
        if field.unique and not field.primary_key and field.name != column
    }
    with refused():
        copy(row, **unique)


def test_a_certificate_is_revoked_once(stored):
    with refused():
        copy(stored.revocation, reason="keyCompromise")


def test_a_profile_has_a_lifetime(stored):
    for seconds in (0, -1):
        with refused():
            update(stored.profile, lifetime_seconds=seconds)


# --- Nothing is lost by deleting something else ---------------------------------------------------


@pytest.mark.parametrize(
    "who", ["root", "issuing", "profile", "device", "token", "certificate", "other", "user"]
)
def test_what_something_else_rests_on_is_not_deleted(stored, who):
    if who == "user":
        copy(stored.revocation, certificate_id=stored.certificate.pk, revoked_by_id=stored.user.pk)
    with pytest.raises(ProtectedError):
        getattr(stored, who).delete()


DEPENDENCIES = [
    (model, field)
    for model in (Certificate, Device, EnrollmentRequest, EnrollmentToken, Issuer, Profile, Revocation)
    for field in model._meta.concrete_fields
    if isinstance(field, models.ForeignKey)
]


@pytest.mark.parametrize(
    "field", [field for _, field in DEPENDENCIES], ids=[str(field) for _, field in DEPENDENCIES]
)
def test_no_deletion_cascades(field):
    assert field.remote_field.on_delete is models.PROTECT


@pytest.mark.django_db(transaction=True)
def test_a_row_that_something_rests_on_is_not_deleted_by_sql_either(stored):
    for row in (stored.issuing, stored.profile, stored.device, stored.token, stored.certificate):
        with refused():
            sql(f"DELETE FROM {row._meta.db_table} WHERE id = %s", row.pk)  # noqa: S608
