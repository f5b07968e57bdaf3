"""Starting and stopping: what is made once, what is said, and what stops a start."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests import postgres
from tests.clients import make_csr, run
from tests.server import ROOT, Server


@pytest.fixture
def fresh(tmp_path):
    """A server of a test's own, not started yet."""
    server = Server(tmp_path / "var")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop(signal.SIGKILL)


TABLES = (
    "pki_issuer",
    "pki_certificate",
    "pki_device",
    "pki_profile",
    "pki_enrollmenttoken",
    "auth_user",
)


def start_and_fail(server, **settings) -> str:
    """Start a server that must refuse to; returns the one sentence that it says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env={**server.environment, **settings},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0
    said = done.stderr.decode().strip()
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1, said
    assert said.startswith("Hatchery cannot start. ")
    return said


def made_so_far(server) -> dict[str, int]:
    url = server.environment.get("DATABASE_URL")
    database = postgres.connect(url) if url else sqlite3.connect(server.data / "db.sqlite3")
    try:
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in TABLES
        }
    finally:
        database.close()
    return counts


def test_the_first_run_makes_everything_and_the_second_nothing(fresh):
    fresh.from_nothing = True
    fresh.start()
    said = fresh.output()
    password = re.search(r"Password +(\S+)", said)[1]
    token = re.search(r"Token +(hatch_\S+)", said)[1]
    assert (fresh.data / "secrets" / "admin-password").read_text().strip() == password
    assert f"https://localhost:{fresh.ports['console']}/admin/" in said
    assert fresh.stop() == 0
    first = made_so_far(fresh)
    assert first == {
        "pki_issuer": 2,  # a root and an issuing CA
        "pki_certificate": 5,  # four TLS listeners and the demo device
        "pki_device": 1,
        "pki_profile": 2,
        "pki_enrollmenttoken": 2,  # the demo's and the one that is printed
        "auth_user": 1,
    }
    names = {"ca.pem", "ca-chain.pem", "client.pem", "client.key", "client.p12", "token"}
    assert {path.name for path in fresh.demo.iterdir()} == names
    files = {path: path.read_bytes() for path in fresh.demo.iterdir()}

    fresh.log.unlink()
    fresh.start()
    assert password not in fresh.output()
    assert token not in fresh.output()
    assert fresh.stop() == 0
    assert made_so_far(fresh) == first
    assert {path: path.read_bytes() for path in fresh.demo.iterdir()} == files


def test_what_is_written_is_for_its_owner_alone(fresh):
    fresh.from_nothing = True
    fresh.start()
    fresh.stop()
    for path in fresh.data.rglob("*"):
        if path != fresh.log:  # this test's own
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_printed_token_enrolls_one_device(fresh, tmp_path):
    fresh.start()
    token = re.search(r"Token +(hatch_\S+)", fresh.output())[1]
    for number, status in ((1, b"200"), (2, b"401")):
        (tmp_path / "a.csr").write_bytes(make_csr(f"a-{number}"))
        done = run(
            *("curl", "-sS", "--cacert", fresh.demo / "ca.pem", "-H", f"Authorization: Bearer {token}"),
            *("--data-binary", "@a.csr", fresh.url("provisioning", "/sign-csr"), "-w", "%{http_code}"),
            cwd=tmp_path,
        )
        assert done.stdout.endswith(status)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_frees_the_ports(fresh, sig):
    fresh.start()
    assert fresh.stop(sig) == 0
    for port in fresh.ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    assert "Traceback" not in fresh.output()


@pytest.mark.parametrize("listener", ["hello", "status"])
def test_a_port_that_is_taken_is_named(fresh, listener):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", fresh.ports[listener]))
        taken.listen()
        said = start_and_fail(fresh)
    comm = Path("/proc/self/comm").read_text().strip()
    taken_by = f"is taken by the program {comm} (process {os.getpid()});"
    assert f"Port {fresh.ports[listener]} ({listener}) {taken_by}" in said
    assert f"PORTAL_PORT_{listener.upper()}" in said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORTAL_DATA_DIR": "/proc/nowhere"}, "PORTAL_DATA_DIR: /proc/nowhere cannot be written"),
        ({"PORTAL_PORT_HELLO": "https"}, "PORTAL_PORT_HELLO must be a port"),
        ({"PORTAL_PORT_HELLO": "70000"}, "PORTAL_PORT_HELLO must be a port"),
        ({"DEBUG": "maybe"}, "DEBUG must be on or off"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY must be a number of worker processes"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY has fewer than 50 characters"),
        ({"PORTAL_BIND_HOST": "nowhere"}, "PORTAL_BIND_HOST is 'nowhere'"),
        ({"PORTAL_BIND_HOST": "192.0.2.1"}, "PORTAL_BIND_HOST is 192.0.2.1"),
        ({"PORTAL_HOSTNAMES": "a b"}, "PORTAL_HOSTNAMES names 'a b'"),
        ({"PORTAL_LISTENERS": "hello,nothing"}, "PORTAL_LISTENERS names 'nothing'"),
        ({"PORTAL_STATUS_URL": "https://status.example"}, "PORTAL_STATUS_URL is 'https://status.example'"),
        ({"PORTAL_KEY_PASSPHRASE": "short"}, "PORTAL_KEY_PASSPHRASE has fewer than 20 characters"),
        ({"PORTAL_KEY_PASSPHRASE_FILE": "/nowhere"}, "PORTAL_KEY_PASSPHRASE_FILE names /nowhere"),
        ({"DATABASE_URL": "mysql://a@b/c"}, "DATABASE_URL must name an SQLite or a PostgreSQL database"),
        ({"DATABASE_URL": "postgres://a:secret@127.0.0.1:1/x"}, "The database cannot be used"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(fresh, settings, named):
    said = start_and_fail(fresh, **settings)
    assert named in said
    assert "secret" not in said


@postgres.not_there("the name of a data directory is part of none of its URLs")
def test_a_data_directory_may_have_any_name(tmp_path):
    server = Server(tmp_path / "a #1 %20 ca").start()
    try:
        assert (server.data / "db.sqlite3").exists()
    finally:
        server.stop()


def test_a_host_that_is_not_ours_is_told_so_and_leaves_no_traceback(server):
    done = run(
        *("curl", "-sS", "--cacert", "ca.pem", "-H", "Host: elsewhere.example"),
        server.url("console", "/admin/login/"),
        cwd=server.demo,
    )
    assert b"PORTAL_HOSTNAMES" in done.stdout
    assert "Traceback" not in server.output()


def test_two_listeners_on_one_port_are_named(fresh):
    said = start_and_fail(fresh, PORTAL_PORT_SECURE=str(fresh.ports["hello"]))
    assert "hello and secure have the same port" in said


def test_a_second_one_on_the_same_data_is_refused_on_the_same_ports_and_serves_on_others(server, tmp_path):
    """The second names the first. What both have is the database, and keys that are made by one at a time."""
    said = start_and_fail(server)
    assert f"is taken by another Hatchery (process {server.process.pid});" in said

    before = made_so_far(server), {path: path.read_bytes() for path in (server.data / "keys").iterdir()}
    settings = {"PORTAL_LISTENERS": "hello", "WEB_CONCURRENCY": "1"}
    second = Server(server.data, {**server.settings, **settings})
    second.log = tmp_path / "second.log"
    second.start()
    try:
        for node in (server, second):
            done = run("curl", "-sS", "--cacert", server.demo / "ca.pem", node.url("hello", "/hello"))
            assert b"Hello from TLS server" in done.stdout
    finally:
        assert second.stop() == 0
    assert (
        made_so_far(server),
        {path: path.read_bytes() for path in (server.data / "keys").iterdir()},
    ) == before


def test_the_wrong_passphrase_is_named(fresh):
    fresh.start()
    fresh.stop()
    said = start_and_fail(fresh, PORTAL_KEY_PASSPHRASE="another-passphrase-of-enough-length")
    assert "does not open with this passphrase" in said


def test_a_lost_key_file_is_named(fresh):
    fresh.start()
    fresh.stop()
    keys = list((fresh.data / "keys").glob("listener-hello-*.pem"))  # its own, and its next
    for key in keys:
        key.write_bytes(key.read_bytes()[:100])
    said = start_and_fail(fresh)
    assert any(f"{key} does not open" in said for key in keys)


def test_a_lost_demo_folder_is_made_again(fresh):
    fresh.start()
    fresh.stop()
    shutil.rmtree(fresh.demo)
    fresh.start()
    done = run(
        *("curl", "-sS", "--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"),
        fresh.url("secure", "/secure"),
        cwd=fresh.demo,
    )
    assert b"Hello demo-iphone" in done.stdout


def test_only_the_listeners_that_are_named_are_served(fresh):
    fresh.settings["PORTAL_LISTENERS"] = "hello,status"
    fresh.start()
    assert run("curl", "-sS", fresh.url("status", "/healthz")).stdout == b'{"status": "ok"}'
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fresh.ports["secure"]))


def test_open_enrollment_is_loud(fresh):
    fresh.start()
    fresh.stop()
    fresh.inside("open_enrollment")
    fresh.start()
    assert "OPEN ENROLLMENT: the profile device signs for anybody" in fresh.output()


def test_the_console_and_its_style_sheets_are_served(server):
    login = run("curl", "-sS", "--cacert", "ca.pem", server.url("console", "/admin/login/"), cwd=server.demo)
    assert b"csrfmiddlewaretoken" in login.stdout
    sheets = re.findall(rb'href="(/static/[^"]+\.css)"', login.stdout)
    assert sheets
    for sheet in sheets:
        done = run(
            *("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{content_type}", "--cacert", "ca.pem"),
            server.url("console", sheet.decode()),
            cwd=server.demo,
        )
        assert done.stdout.startswith(b"200 text/css")


def test_the_ca_certificate_is_where_certificates_point(server):
    shown = run("openssl", "x509", "-in", "client.pem", "-noout", "-text", cwd=server.demo).stdout.decode()
    pointer = re.search(r"CA Issuers - URI:(\S+)", shown)[1]
    path = pointer.split(f":{server.ports['status']}", 1)[1]
    done = run("curl", "-sS", server.url("status", path))
    chain = (server.demo / "client.pem").read_bytes().split(b"-----END CERTIFICATE-----\n")[1]
    issuing = run("openssl", "x509", "-outform", "DER", stdin=chain + b"-----END CERTIFICATE-----\n").stdout
    assert done.stdout == issuing
