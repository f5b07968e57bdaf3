"""`manage.py` in a process of its own: exit statuses, and what is said where."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pki.services.enrolling import tokens
from tests.clients import make_csr
from tests.server import ROOT, Server


def on_sqlite(folder: Path) -> Server:
    """An installation of its own, whatever database the tests themselves run on."""
    return Server(folder, {"DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}"})


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """One that is migrated and bootstrapped, without the demo."""
    made = on_sqlite(tmp_path_factory.mktemp("installation"))
    made.copy_tables()
    done = made.manage("bootstrap", "--no-demo")
    assert done.returncode == 0, done.stderr
    return made


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


def sentence_of(failed: subprocess.CompletedProcess) -> str:
    """The one line that a failed command writes, which must be all that it says."""
    assert failed.returncode != 0
    assert failed.stdout == b""
    (line,) = lines(failed.stderr)
    return line


def test_a_second_bootstrap_says_that_everything_is_there(installation):
    done = installation.manage("bootstrap", "--no-demo")
    assert done.returncode == 0
    assert lines(done.stdout) == ["Everything is there already."]
    assert not (installation.data / "demo").exists()


def test_who_asks_for_the_trust_bundle_first_need_not_wait_for_its_making(installation):
    with closing(sqlite3.connect(installation.data / "db.sqlite3")) as database:
        (contents,) = database.execute("SELECT contents FROM pki_trustbundle").fetchone()
    assert "# pin listener-secure current sha256//" in contents


def test_a_token_a_certificate_and_its_end_from_the_shell(installation, tmp_path):
    made = installation.manage("issue_token", "--device", "door-1")
    assert made.returncode == 0
    (secret,) = lines(made.stdout)
    assert secret.startswith(tokens.PREFIX)

    issued = installation.manage("issue", "--device", "door-1", "--csr", "-", stdin=make_csr("door-1"))
    assert issued.returncode == 0
    assert issued.stdout.count(b"BEGIN CERTIFICATE") == 2

    revoked = installation.manage("revoke", "--device", "door-1", "--reason", "keyCompromise")
    assert revoked.returncode == 0
    assert len(lines(revoked.stdout)) == 1

    assert "no living certificate" in sentence_of(installation.manage("revoke", "--device", "door-1"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["issue_token", "--pattern", "no [such] pattern"], "pattern"),
        (["issue", "--device", "nobody", "--csr", "/dev/null"], "nobody"),
        (["revoke", "--serial", "1f"], "1f"),
    ],
    ids=["issue_token", "issue", "revoke"],
)
def test_what_is_refused_is_one_sentence_and_an_exit_status(installation, words, named):
    assert named in sentence_of(installation.manage(*words))


def test_a_bootstrap_before_the_tables_are_there_says_what_to_run(tmp_path):
    failed = on_sqlite(tmp_path).manage("bootstrap")
    assert "manage.py migrate" in sentence_of(failed)


def check(tmp_path, *words, **settings):
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PORTAL_")
        and name not in ("SECRET_KEY", "DEBUG", "DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    }
    environment |= {"DJANGO_READ_DOT_ENV": "off", "PORTAL_DATA_DIR": str(tmp_path), **settings}
    return subprocess.run(
        [sys.executable, "manage.py", "check", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=60,
    )


DEPLOY = ("--deploy", "--fail-level", "WARNING")


def test_production_settings_are_clean(tmp_path):
    done = check(
        tmp_path,
        *DEPLOY,
        PORTAL_HOSTNAMES="ca.example",
        PORTAL_KEY_PASSPHRASE="a passphrase that is long enough",
    )
    assert done.returncode == 0, done.stderr
    assert b"no issues" in done.stdout


def test_a_check_for_production_can_fail(tmp_path):
    done = check(tmp_path, *DEPLOY, PORTAL_HOSTNAMES="ca.example")
    assert done.returncode != 0
    assert b"portal.W001" in done.stderr


def test_a_setting_that_can_not_be_read_stops_every_command_in_one_sentence(tmp_path):
    assert "PORTAL_PORT_HELLO" in sentence_of(check(tmp_path, PORTAL_PORT_HELLO="many"))
