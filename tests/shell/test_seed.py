"""`make seed`: a fleet that Hatchery itself could have made, and never in a database that is in use."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DEVICES, CERTIFICATES = 30, 200


def seed(folder: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
    environment |= {"PORTAL_DATA_DIR": str(folder), "DATABASE_URL": "", "DJANGO_READ_DOT_ENV": "off"}
    command = [sys.executable, "-m", "benchmarks.seed", "--processes", "2"]
    command += ["--devices", str(DEVICES), "--certificates", str(CERTIFICATES)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeded") / "data"
    outcome = seed(folder)
    assert outcome.returncode == 0, outcome.stderr
    return folder


@pytest.fixture
def database(seeded):
    connection = sqlite3.connect(seeded / "db.sqlite3")
    yield connection
    connection.close()


def one(database, sql):
    return database.execute(sql).fetchone()[0]


def test_the_fleet_is_as_large_as_it_was_asked_for(database):
    assert one(database, "SELECT COUNT(*) FROM pki_device") == DEVICES
    assert one(database, "SELECT COUNT(*) FROM pki_certificate WHERE listener = ''") == CERTIFICATES
    for table in (
        "revocation",
        "enrollmentrequest",
        "enrollmenttoken",
        "lastseen",
        "subjectaltname",
        "tally",
    ):
        assert one(database, f"SELECT COUNT(*) FROM pki_{table}") > 0, table  # noqa: S608


def test_every_certificate_has_its_event_and_every_name_one_key(database):
    assert (
        one(
            database,
            "SELECT COUNT(*) FROM pki_auditevent WHERE kind = 'certificate.issued' AND device_id NOT NULL",
        )
        == CERTIFICATES
    )
    assert one(
        database, "SELECT COUNT(DISTINCT spki_sha256) FROM pki_certificate WHERE listener = ''"
    ) == one(database, "SELECT COUNT(DISTINCT device_id) FROM pki_certificate")


def test_every_certificate_is_signed_by_its_issuer(database):
    from cryptography import x509

    issuers = {
        pk: x509.load_der_x509_certificate(der)
        for pk, der in database.execute("SELECT id, certificate_der FROM pki_issuer")
    }
    rows = database.execute("SELECT issuer_id, der, serial FROM pki_certificate").fetchall()
    for issuer, der, serial in rows:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(issuers[issuer])
        assert f"{certificate.serial_number:x}" == serial


def test_what_is_seeded_already_is_refused_in_a_sentence_and_left_alone(seeded, database):
    outcome = seed(seeded)
    assert outcome.returncode == 1
    assert "There are devices in this database already" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert one(database, "SELECT COUNT(*) FROM pki_device") == DEVICES


def test_what_was_left_half_done_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "seeding").touch()
    outcome = seed(tmp_path)
    assert outcome.returncode == 1
    assert "was not finished" in outcome.stderr
    assert "Traceback" not in outcome.stderr
