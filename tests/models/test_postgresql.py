"""PostgreSQL plans hot statements once, and one that has ended is found without asking it each time."""

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction
from django.db.models import CharField
from django.utils import timezone

from pki.models import Certificate, EnrollmentRequest
from pki.services.prepared import Asked, Rows, insert
from portal.postgresql import base
from tests import postgres

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps what it planned by itself"),
    pytest.mark.django_db(transaction=True),
]

HERE = "SELECT pg_backend_pid()"


def prepared(table):
    return [row for row in asked("SELECT statement FROM pg_prepared_statements") if f'"{table}"' in row[0]]


def asked(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@pytest.fixture
def another():
    """Another connection to the same database."""
    with postgres.connect(postgres.of_this_run(), connection.settings_dict["NAME"]) as made:
        yield made


@pytest.fixture(autouse=True)
def _new_connection():
    connection.close()
    yield
    connection.close()


def test_a_statement_that_comes_again_is_prepared_once_and_sees_the_value_of_each_time():
    query = Rows(
        lambda: EnrollmentRequest.objects.filter(state=Asked("state", CharField())).values_list("state")
    )
    now = timezone.now()
    for _ in range(3):
        insert(EnrollmentRequest(state="refused", created_at=now, last_at=now))
    for state, count in [("refused", 3), ("rejected", 0)] * 10:
        assert len(query.all(state=state)) == count
    reading, writing = sorted(prepared("pki_enrollmentrequest"), key=lambda row: "INSERT" in row[0])
    assert (reading[0].split()[0], writing[0].split()[0]) == ("SELECT", "INSERT")


def test_a_statement_that_fails_each_time_leaves_nothing_behind():
    now = timezone.now()
    for _ in range(20):
        with pytest.raises(IntegrityError), transaction.atomic():
            insert(EnrollmentRequest(state="unheard", created_at=now, last_at=now))
    assert len(prepared("pki_enrollmentrequest")) <= 1


def test_statements_outlive_a_table_that_changes_beneath_them(another):
    query = Rows(
        lambda: Certificate.objects.filter(serial=Asked("serial", CharField())).values_list("serial")
    )
    for _ in range(8):
        query.all(serial="01")
    another.execute("ALTER TABLE pki_certificate ADD COLUMN tried integer")
    try:
        assert query.all(serial="01") == []
    finally:
        another.execute("ALTER TABLE pki_certificate DROP COLUMN tried")
    assert query.all(serial="01") == []


def test_a_living_connection_that_answered_lately_is_not_asked_again(another, monkeypatch):
    def last_told():
        close_old_connections()
        with connection.cursor():
            pass
        told = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        return another.execute(told, [connection.connection.info.backend_pid]).fetchone()[0]

    asked(HERE)
    with monkeypatch.context() as later:
        later.setattr(base, "_LATELY", 0.0)
        assert last_told() == "SELECT 1"
    asked(HERE)
    assert last_told() == HERE


def test_a_connection_that_was_ended_is_replaced_before_it_is_used(another):
    for _ in range(2):  # when it was not asked yet, and when it has answered lately
        close_old_connections()
        ((before,),) = asked(HERE)
        close_old_connections()
        assert asked(HERE) == [(before,)]
        another.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
        close_old_connections()
        assert asked(HERE) != [(before,)]
