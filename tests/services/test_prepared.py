"""Prepared statements find, change and store what the ORM would."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import BigIntegerField, CharField, DateTimeField, F
from django.test.utils import CaptureQueriesContext

from pki.models import AuditEvent, Device, EnrollmentRequest, EnrollmentToken, Profile
from pki.services.prepared import Asked, Objects, Rows, Update, insert
from tests.services.cast import Gadget, pattern_token, registered

pytestmark = pytest.mark.usefixtures("ca")


def written_by(deed):
    with CaptureQueriesContext(connection) as queries:
        deed()
    return [query["sql"] for query in queries]


def stored(row):
    """A row's columns as the database has them now, but for its number."""
    fresh = type(row).objects.get(pk=row.pk)
    return {
        field.attname: getattr(fresh, field.attname) for field in row._meta.fields if not field.primary_key
    }


@pytest.mark.parametrize("name", ["door-1", "nobody", "' OR 1=1 --", "%s", "ü\n"])
def test_rows_are_those_that_the_orm_finds(name, now):
    device = registered("door-1", now)
    query = Rows(
        lambda: Device.objects.filter(name=Asked("name", CharField())).values_list(
            "pk", "created_at", "subject", "issuer_id", "profile__name"
        )
    )
    expected = Device.objects.filter(name=name).values_list(
        "pk", "created_at", "subject", "issuer_id", "profile__name"
    )
    assert [tuple(row) for row in query.all(name=name)] == list(expected)
    assert bool(expected) == (name == device.name)


def test_objects_come_with_those_that_are_selected_along(now, django_assert_num_queries):
    registered("door-1", now)
    query = Objects(
        lambda: Device.objects.select_related("profile__issuer__parent", "issuer").filter(
            name=Asked("name", CharField())
        )
    )
    with django_assert_num_queries(1):
        found = query.one(name="door-1")
        above = found.profile.issuer.parent
    assert found == Device.objects.get(name="door-1")
    assert above == Profile.objects.get(pk=found.profile_id).issuer.parent
    assert found.issuer is None
    assert stored(found) == {name: found.__dict__[name] for name in stored(found)}
    found.state = Device.State.SUSPENDED
    found.save()
    assert Device.objects.get(name="door-1").state == Device.State.SUSPENDED


def test_one_that_is_not_there_raises(now):
    query = Objects(lambda: Device.objects.filter(pk=Asked("number", BigIntegerField())))
    assert query.first(number=0) is None
    with pytest.raises(LookupError):
        query.one(number=0)


def test_an_update_changes_what_it_finds_and_says_how_many(now):
    pattern_token("door-*", now)
    pattern_token("gate-*", now)
    use = Update(
        lambda: EnrollmentToken.objects.filter(
            name_pattern=Asked("pattern", CharField()), expires_at__gt=Asked("now", DateTimeField())
        ),
        uses=F("uses") + 1,
    )
    assert use.run(pattern="door-*", now=now) == 1
    assert use.run(pattern="door-*", now=now + timedelta(days=400)) == 0
    assert dict(EnrollmentToken.objects.values_list("name_pattern", "uses")) == {"door-*": 1, "gate-*": 0}


def test_what_is_inserted_reads_as_what_the_orm_stores(now):
    device = registered("door-1", now)
    rows = (
        (AuditEvent, {"at": now, "kind": "tried", "actor": "shell:test", "device": device,
                      "address": "2001:db8::1", "detail": {"a": ["ü", None, 1.5]}}),
        (EnrollmentRequest, {"state": "rejected", "name": "door-1", "device": device, "ignored": ["SAN x"],
                             "csr_der": b"\x00\xff", "created_at": now, "last_at": now}),
        (EnrollmentRequest, {"state": "refused", "created_at": now, "last_at": now}),
    )  # fmt: skip
    for model, values in rows:
        ours = insert(model(**values))
        theirs = model(**values)
        theirs.save(force_insert=True)
        assert stored(ours) == stored(theirs), model
        assert ours.pk != theirs.pk
        assert not ours._state.adding


def test_values_are_written_as_the_orm_writes_them(now):
    """With SQL of its own, a statement might give a column another form, which its index then misses."""
    device = registered("door-1", now)

    def event():
        return AuditEvent(
            at=now, kind="tried", actor="shell:test", address="10.0.0.1", device=device, detail={}
        )

    (ours,), (theirs,) = written_by(lambda: insert(event())), written_by(lambda: event().save())
    assert ours == theirs


def test_a_row_that_is_there_already_is_refused(now):
    request = insert(EnrollmentRequest(state="refused", created_at=now, last_at=now))
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(EnrollmentRequest(pk=request.pk, state="refused", created_at=now, last_at=now))
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(EnrollmentRequest(pk=uuid4(), state="unheard", created_at=now, last_at=now))


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL rather reads tables this small whole")
def test_an_enrollment_looks_for_all_that_it_needs_by_indexes(now):
    secret, gadget = pattern_token("*", now), Gadget("door-1")
    with CaptureQueriesContext(connection) as queries:
        gadget.enroll(secret, now)
    asked = [query["sql"] for query in queries if query["sql"].startswith(("SELECT", "UPDATE"))]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            steps = [row[-1] for row in cursor.fetchall()]
        assert steps
        assert not [step for step in steps if step.startswith("SCAN") or "TEMP B-TREE" in step], (sql, steps)
