"""`migrate` on a PostgreSQL that is at work: nobody waits behind it, and it says whom it waits for."""

import re
import subprocess
import sys

import environ
import psycopg
import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler

from pki.models import immutable, lock_waits, triggers
from tests import postgres, tables
from tests.server import ROOT, Server

pytestmark = [
    pytest.mark.xdist_group("test_lock_waits"),  # one PostgreSQL for all
    postgres.not_there("the run on SQLite has one for these tests"),
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with tables.on_postgresql() as cluster:
        yield Server(tmp_path_factory.mktemp("installation"), {"DATABASE_URL": cluster.url})


@pytest.fixture
def url(installation):
    return installation.settings["DATABASE_URL"]


@pytest.fixture
def database(url, db):
    """Django's connection to it."""
    made = ConnectionHandler({"default": environ.Env.db_url_config(url)})["default"]
    yield made
    made.close()


@pytest.fixture
def busy(url):
    """A transaction that has written an event, or deals with one, and does not end."""
    with postgres.connect(url) as connection:
        connection.execute("SET application_name = 'a\tslow report'")
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE pki_auditevent, pki_certificate IN ROW EXCLUSIVE MODE")
        yield connection


def writes_at_once(url):
    with postgres.connect(url) as another:
        another.execute("SET lock_timeout = '500ms'")
        another.execute("DELETE FROM pki_auditevent WHERE false")


def make(database):
    with lock_waits.short(database):
        triggers.make(database, immutable.rules())


DIFFERENCES = {
    "off": "ALTER TABLE pki_auditevent DISABLE TRIGGER pki_auditevent_kept",
    "missing": "DROP TRIGGER pki_auditevent_kept ON pki_auditevent",
    "missing for all rows at once": "DROP TRIGGER pki_auditevent_not_emptied ON pki_auditevent",
    "off for all rows at once": "ALTER TABLE pki_auditevent DISABLE TRIGGER pki_auditevent_not_emptied",
    "of another event": "CREATE OR REPLACE TRIGGER pki_auditevent_kept BEFORE INSERT ON pki_auditevent "
    "FOR EACH ROW EXECUTE FUNCTION pki_auditevent_kept()",
    "on a condition": "CREATE OR REPLACE TRIGGER pki_auditevent_kept BEFORE DELETE ON pki_auditevent "
    "FOR EACH ROW WHEN (OLD.id = 0) EXECUTE FUNCTION pki_auditevent_kept()",
    "for fewer columns": "CREATE OR REPLACE TRIGGER pki_certificate_immutable BEFORE UPDATE OF der "
    "ON pki_certificate FOR EACH ROW EXECUTE FUNCTION pki_certificate_immutable()",
    "with another function": "CREATE OR REPLACE TRIGGER pki_auditevent_kept BEFORE DELETE ON pki_auditevent "
    "FOR EACH ROW EXECUTE FUNCTION pki_notice_immutable()",
    "that its function lets through": "CREATE OR REPLACE FUNCTION pki_auditevent_kept() RETURNS trigger "
    "LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$",
}
WHAT_THEY_ARE = (
    "SELECT pg_get_triggerdef(t.oid), tgenabled, pg_get_functiondef(tgfoid) FROM pg_trigger t "
    "WHERE NOT tgisinternal ORDER BY tgname"
)


@pytest.mark.parametrize("difference", DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_trigger_that_differs_is_made_anew(database, url, difference):
    with postgres.connect(url) as connection:
        before = connection.execute(WHAT_THEY_ARE).fetchall()
        connection.execute(difference)
        assert connection.execute(WHAT_THEY_ARE).fetchall() != before
        make(database)
        assert connection.execute(WHAT_THEY_ARE).fetchall() == before


@pytest.mark.parametrize("table", immutable.KEPT)
def test_what_was_signed_or_recorded_is_not_deleted_by_truncate(database, url, table):
    make(database)
    with (
        postgres.connect(url) as connection,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match=f"^{table}: .* is never deleted"),
    ):
        connection.execute(f"TRUNCATE {table} CASCADE")


def test_triggers_that_are_as_they_should_be_wait_for_nobody(database, busy):
    make(database)


def test_one_that_must_be_made_gives_up_soon_and_names_who_is_in_the_way(database, url):
    with postgres.connect(url) as connection:
        connection.execute("DROP TRIGGER pki_auditevent_kept ON pki_auditevent")
    with postgres.connect(url) as busy:
        busy.execute("SET application_name = 'a slow report'")
        busy.execute("BEGIN")
        busy.execute("LOCK TABLE pki_auditevent IN ROW EXCLUSIVE MODE")
        with pytest.raises(OperationalError) as error:
            make(database)
        assert lock_waits.is_one(error.value)
        ((pid, words),) = lock_waits.holders(database)
        assert pid == busy.info.backend_pid
        assert re.match(rf"process {pid} \(a slow report, hatchery\), idle in transaction, ", words)
        writes_at_once(url)
    make(database)


def test_a_connection_waits_afterwards_as_long_as_before(database):
    def setting():
        with database.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return cursor.fetchone()

    with database.cursor() as cursor:
        cursor.execute("SET lock_timeout = '7s'")
    with lock_waits.short(database):
        assert setting() == (f"{lock_waits.SECONDS}s",)
        with lock_waits.without_end(database):
            assert setting() == ("0",)
        assert setting() == (f"{lock_waits.SECONDS}s",)
    assert setting() == ("7s",)


def test_migrate_beside_a_long_transaction_has_nothing_to_wait_for(installation, busy):
    assert installation.manage("migrate", "--verbosity", "0").returncode == 0


def test_migrate_says_whom_it_waits_for_lets_others_write_and_ends_when_it_can(installation, url):
    with postgres.connect(url) as connection:
        before = connection.execute(WHAT_THEY_ARE).fetchall()
        connection.execute("DROP TRIGGER pki_auditevent_kept ON pki_auditevent")
    with postgres.connect(url) as busy:
        busy.execute("BEGIN")
        busy.execute("LOCK TABLE pki_auditevent IN ROW EXCLUSIVE MODE")
        waiting = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT,
            env=installation.environment,
            stderr=subprocess.PIPE,
        )
        said = waiting.stderr.readline().decode()
        assert f"process {busy.info.backend_pid} (hatchery), idle in transaction" in said
        assert "Trying again (1 of " in said
        writes_at_once(url)
    _, rest = waiting.communicate(timeout=30)
    assert (waiting.returncode, rest) == (0, b"")
    with postgres.connect(url) as connection:
        assert connection.execute(WHAT_THEY_ARE).fetchall() == before


IMPATIENT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
import manage
from pki.management.commands import migrate
migrate.TRIES = 1
manage.main()
"""


def test_migrate_gives_up_in_the_end_with_what_to_do(installation, url):
    with postgres.connect(url) as busy:
        busy.execute("ALTER TABLE pki_auditevent DISABLE TRIGGER pki_auditevent_kept")
        busy.execute("BEGIN")
        busy.execute("LOCK TABLE pki_auditevent IN ROW EXCLUSIVE MODE")
        words, environment = [sys.executable, "-c", IMPATIENT, "migrate"], installation.environment
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, timeout=60)
        assert done.returncode == 1
        sentence = done.stderr.decode().splitlines()[-1]
        end = f"SELECT pg_terminate_backend({busy.info.backend_pid}); Then run migrate again."
        assert sentence.startswith("CommandError: migrate needs the lock")
        assert sentence.endswith(end)
        busy.execute("ROLLBACK")
        busy.execute("ALTER TABLE pki_auditevent ENABLE TRIGGER pki_auditevent_kept")
