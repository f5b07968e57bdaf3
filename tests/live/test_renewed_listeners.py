"""Listeners take up new certificates and issuers while they serve: nobody is refused or dropped."""

import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.clients import run
from tests.live.devices import Connection, Device
from tests.server import ROOT, Server, seen_within

WORKERS = 2
SOON = 20.0  # seconds, generous: a worker looks every two


@pytest.fixture(scope="module")
def renewing(tmp_path_factory):
    """A server whose listeners' certificates these tests replace."""
    running = Server(tmp_path_factory.mktemp("renewed"), {"WEB_CONCURRENCY": str(WORKERS)}).start()
    yield running
    assert running.stop() == 0, running.output()


def replace_certificates(server: Server) -> dict[str, str]:
    """Have all listeners' certificates replaced; the new serials."""
    lines = server.inside("replace_listener_certificates").splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2)


def taken_up_by_all(server: Server, serial: str) -> bool:
    return server.output().count(f"shows the certificate {serial}.") == WORKERS


def shown(server: Server, listener: str) -> str:
    """The serial that a listener shows to a new connection."""
    connection = Connection(server, listener, hello_context(server))
    try:
        return connection.tls.getpeercert()["serialNumber"].lower().lstrip("0")
    finally:
        connection.close()


def hello_context(server: Server) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.demo / "ca.pem"))


# --- Under load -----------------------------------------------------------------------------------


@dataclass
class Visitor:
    """Does the same thing over and over, in a thread, and keeps what went wrong."""

    visit: Callable[[], None]
    visits: int = 0
    troubles: list[Exception] = field(default_factory=list)

    def go_on(self, until: threading.Event) -> None:
        while not until.is_set():
            try:
                self.visit()
            except Exception as trouble:
                self.troubles.append(trouble)
            self.visits += 1


class Resuming:
    """A device that resumes its session at each new connection, as far as it may."""

    def __init__(self, device: Device, version: ssl.TLSVersion) -> None:
        self.device = device
        self.context = device.context(version=version)
        self.session: ssl.SSLSession | None = None
        self.resumed = 0

    def visit(self) -> None:
        connection = Connection(self.device.server, "secure", self.context, self.session)
        try:
            answer = connection.get("/secure")
            assert answer.status == 200, answer
            self.resumed += connection.tls.session_reused
            self.session = connection.tls.session  # TLS 1.3 sends its tickets with the answer
        finally:
            connection.close()


class Staying:
    """A device that keeps one connection for all its requests."""

    def __init__(self, device: Device) -> None:
        self.connection = device.connect()

    def visit(self) -> None:
        answer = self.connection.get("/secure")
        assert answer.status == 200, answer
        time.sleep(0.02)


def visiting_once(server: Server, listener: str, context: ssl.SSLContext, path: str) -> None:
    connection = Connection(server, listener, context)
    try:
        answer = connection.get(path)
        assert answer.status == 200, answer
    finally:
        connection.close()


def test_nobody_is_refused_or_dropped_while_certificates_are_renewed_and_an_issuer_is_added(
    renewing, tmp_path
):
    device = Device.enrolled(renewing, tmp_path, "busy")
    resuming = [Resuming(device, version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
    context = device.context()
    visitors = [
        Visitor(lambda: visiting_once(renewing, "hello", hello_context(renewing), "/hello")),
        Visitor(lambda: visiting_once(renewing, "secure", context, "/secure")),
        Visitor(Staying(device).visit),
        *(Visitor(each.visit) for each in resuming),
    ]
    over = threading.Event()
    threads = [threading.Thread(target=visitor.go_on, args=[over]) for visitor in visitors]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(3):
            before = [visitor.visits for visitor in visitors]
            serials = replace_certificates(renewing)
            assert set(serials) == {"hello", "secure", "provisioning", "console"}
            for serial in serials.values():
                assert seen_within(SOON, lambda serial=serial: taken_up_by_all(renewing, serial))
            renewing.inside("new_issuer", f"Busy Issuing CA {round_}")
            resumed = [each.resumed for each in resuming]
            assert seen_within(
                SOON,
                lambda before=before: all(v.visits > b + 20 for v, b in zip(visitors, before, strict=True)),
            ), "everybody was at work all the while"
            assert seen_within(
                SOON,
                lambda resumed=resumed: all(e.resumed > b for e, b in zip(resuming, resumed, strict=True)),
            ), "sessions are resumed as before"
            for listener, serial in serials.items():
                assert {shown(renewing, listener) for _ in range(8)} == {serial}
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=30)
        device.close()
    assert [visitor.troubles for visitor in visitors] == [[]] * len(visitors)


# --- Sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_from_before_is_resumed_by_every_worker_after(renewing, tmp_path, version):
    device = Device.enrolled(renewing, tmp_path, f"before-{version.name.lower().replace('_', '-')}")
    context = device.context(version=version)
    first = device.connect(context)
    assert first.get("/whoami").json["resumed"] is False
    session = first.tls.session
    serial = replace_certificates(renewing)["secure"]
    assert seen_within(SOON, lambda: taken_up_by_all(renewing, serial))
    # The kernel gives a connection to either worker: sixteen times the same one is no chance.
    for _ in range(16):
        again = device.connect(context, session)
        assert again.get("/whoami").json["resumed"] is True
    assert first.get("/whoami").status == 200
    device.close()


def test_a_session_that_is_resumed_after_a_renewal_is_refused_once_its_certificate_is_revoked(
    renewing, tmp_path
):
    device = Device.enrolled(renewing, tmp_path, "turned")
    context = device.context()
    first = device.connect(context)
    first.get("/secure")
    session = first.tls.session
    serial = replace_certificates(renewing)["secure"]
    assert seen_within(SOON, lambda: taken_up_by_all(renewing, serial))
    renewing.revoke("turned")
    again = device.connect(context, session)
    assert (again.tls.session_reused, again.get("/secure").code) == (True, "certificate_revoked")
    assert device.curl().returncode == 56
    device.close()


# --- Issuers --------------------------------------------------------------------------------------


def accepted_names(server: Server) -> str:
    done = run(
        *("openssl", "s_client", "-connect", f"localhost:{server.ports['secure']}", "-CAfile", "ca.pem"),
        cwd=server.demo,
    )
    _, _, names = done.stdout.decode().partition("Acceptable client certificate CA names\n")
    return names.partition("Requested Signature")[0]


def named_by_all(server: Server, issuer: str, times: int = 8) -> bool:
    """Whether each of several connections, which come to either worker, hears of an issuer."""
    return all(issuer in accepted_names(server) for _ in range(times))


def test_a_new_issuer_is_accepted_with_no_restart_and_a_compromised_one_is_dropped(renewing, tmp_path):
    renewing.inside("new_issuer", "Passing Issuing CA")
    assert seen_within(SOON, lambda: named_by_all(renewing, "Passing Issuing CA"))
    device = Device.made(renewing, tmp_path, "passing")
    device.enroll(renewing.token("--device", "passing", "--profile", "Passing Issuing CA"))
    assert all(device.curl().returncode == 0 for _ in range(4))
    renewing.inside("declare_compromised", "Passing Issuing CA")
    assert device.curl().returncode == 56, "at once: the database is asked"
    assert seen_within(
        SOON, lambda: not any("Passing Issuing CA" in accepted_names(renewing) for _ in range(8))
    )
    assert device.curl().returncode == 56


# --- Killed ---------------------------------------------------------------------------------------


def test_a_renewal_that_is_killed_in_the_middle_leaves_key_and_listener_as_they_were(renewing):
    before, _ = renewing.inside("standby_key", "hello").split()
    serving = shown(renewing, "hello")
    renewal = subprocess.Popen(
        [sys.executable, "-m", "tests.live.inside", "renew_for_ever"],
        cwd=ROOT,
        env=renewing.environment,
        stdout=subprocess.PIPE,
    )
    assert renewal.stdout.readline() == b"in the middle\n"
    renewal.kill()
    renewal.communicate(timeout=20)
    assert shown(renewing, "hello") == serving
    renewing.inside("renew_listeners")
    after, current = renewing.inside("standby_key", "hello").split()
    assert current == before != after
    assert seen_within(SOON, lambda: shown(renewing, "hello") != serving)
