"""Hatchery behind a proxy that ends mutual TLS and forwards the client's certificate in its header."""

import itertools
import json
import ssl
import time
from contextlib import closing

import pytest

from tests.clients import run
from tests.live.devices import Connection, Device
from tests.live.test_handshakes import strangers_certificate
from tests.live.test_last_seen import WITHIN
from tests.proxies.conftest import PROXY
from tests.proxies.talk import (
    FORMS,
    ask,
    certificate_of,
    forged_certificate,
    forwarded,
    is_refused,
    without_certificate,
)

SECURE, PROVISIONING, STATUS = "8444", "8445", "8080"
NUMBERS = itertools.count(1)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def device(enroll_behind, tmp_path):
    return enroll_behind(tmp_path)


@pytest.fixture(scope="module")
def other(enroll_behind, tmp_path_factory):
    """A good device whose certificate others try to use."""
    return enroll_behind(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def revoked(behind, enroll_behind, tmp_path_factory):
    device = enroll_behind(tmp_path_factory.mktemp("revoked"))
    revoke(behind, device)
    return device


@pytest.fixture
def connect(forwarding, connections):
    """How a client connects to the proxy: with a TLS context, and a session to resume if it has one."""
    return lambda context, session=None: connections.enter_context(
        closing(Connection(forwarding, SECURE, context, session))
    )


def revoke(server, device, reason="keyCompromise"):
    done = server.manage("revoke", "--device", device.name, "--reason", reason)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_is_greeted_as_on_the_listener_itself(connect, device, version):
    answer = connect(device.context(version=version)).get("/secure")
    assert answer.json == {
        "message": f"Hello {device.name}, mutual trust established",
        "auth": "mutual TLS (both sides verified)",
        "client": device.name,
    }


def test_whoami_tells_of_the_device_and_not_of_the_proxy(connect, device):
    answer = connect(device.context()).get("/whoami")
    assert answer.json["client"] == device.name
    assert answer.json["serial"] == f"{certificate_of(device).serial_number:x}"


def test_devices_that_share_the_proxys_connections_are_told_apart(connect, device, other):
    connections = {each.name: connect(each.context()) for each in (device, other)}
    for name in [device.name, other.name] * 10:
        assert connections[name].get("/secure").json["client"] == name


def test_without_a_certificate_nobody_gets_in(forwarding, device):
    assert is_refused(forwarding, SECURE, without_certificate(device), "/secure")


def test_a_strangers_certificate_does_not_get_in(forwarding, behind, tmp_path):
    strangers_certificate(tmp_path, "mallory")
    assert is_refused(forwarding, SECURE, Device("mallory", behind, tmp_path).context(), "/secure")


def test_an_expired_certificate_does_not_get_in(forwarding, behind, tmp_path):
    device = Device.made(behind, tmp_path, f"sleeper-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    expired = behind.inside("issue_in_the_past", device.name, "31", stdin=csr)
    (tmp_path / f"{device.name}.pem").write_text(expired)
    assert is_refused(forwarding, SECURE, device.context(), "/secure")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_at_its_next_request(connect, behind, device, version):
    context = device.context(version=version)
    kept_alive = connect(context)
    assert kept_alive.get("/secure").status == 200
    session = kept_alive.tls.session
    revoke(behind, device)
    resumed = connect(context, session)
    assert resumed.tls.session_reused, "the example resumes sessions"
    for connection in (kept_alive, resumed, connect(context)):
        answer = connection.get("/secure")
        assert (answer.status, answer.code) == (403, "certificate_revoked")


def test_a_suspended_device_is_told_so(connect, behind, device):
    behind.inside("change_state", device.name, "suspended")
    assert connect(device.context()).get("/secure").code == "device_suspended"
    behind.inside("change_state", device.name, "active")
    assert connect(device.context()).get("/secure").status == 200


@pytest.mark.parametrize("header", FORMS)
def test_a_forged_header_changes_nothing(connect, device, other, header):
    connection = connect(device.context())
    answer = ask(connection, "/secure", forged_certificate(other, header))
    assert answer.json["client"] == device.name


@pytest.mark.parametrize("header", FORMS)
def test_a_revoked_device_cannot_borrow_a_good_ones_certificate(connect, revoked, other, header):
    connection = connect(revoked.context())
    answer = ask(connection, "/secure", forged_certificate(other, header))
    assert (answer.status, answer.code) == (403, "certificate_revoked")


def test_the_address_on_record_is_the_clients_whatever_it_says(forwarding, behind, device):
    done = run(
        *("curl", "-sSf", "--interface", "127.0.0.9", "--cacert", behind.demo / "ca.pem"),
        *("--cert", f"{device.name}.pem", "--key", f"{device.name}.key"),
        *("-H", "X-Forwarded-For: 203.0.113.7", f"https://localhost:{forwarding.ports[SECURE]}/secure"),
        cwd=device.folder,
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + WITHIN
    while not (told := behind.inside("last_seen", device.name)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert told.splitlines()[0] == "127.0.0.9"


@pytest.mark.parametrize("header", FORMS)
def test_a_device_that_goes_past_the_proxy_is_refused_whatever_it_forges(
    connections, behind, device, other, header
):
    """It has the right address and a good certificate, but not one of a proxy."""
    connection = connections.enter_context(closing(Connection(behind, "secure", device.context())))
    for headers in ([], [(header, forwarded(other)[header])]):
        answer = ask(connection, "/secure", headers)
        assert (answer.status, answer.code) == (403, "proxy_unknown")
    assert behind.logs("forwarded_certificate.dropped")


def test_the_proxys_certificate_alone_opens_nothing_from_another_address(behind, forwarding, device):
    context = ssl.create_default_context(cafile=str(behind.demo / "ca.pem"))
    context.load_cert_chain(forwarding.folder / f"{PROXY}.pem", forwarding.folder / f"{PROXY}.key")
    header = forwarding.kind.header
    done = run(
        *("curl", "-sS", "--interface", "127.0.0.3", "--cacert", behind.demo / "ca.pem"),
        *("--cert", forwarding.folder / "proxy.pem", "--key", forwarding.folder / "proxy.key"),
        *("-H", f"{header}: {forwarded(device)[header]}", behind.url("secure", "/secure")),
    )
    assert json.loads(done.stdout)["code"] == "proxy_unknown"


def test_devices_enroll_through_the_proxy(connect, forwarding, behind, tmp_path):
    device = Device.made(behind, tmp_path, f"new-{next(NUMBERS)}")
    token = behind.token("--device", device.name)
    done = run(
        *("curl", "-sS", "--fail-with-body", "--cacert", behind.demo / "ca.pem"),
        *("-H", f"Authorization: Bearer {token}", "--data-binary", f"@{device.name}.csr"),
        *("-o", f"{device.name}.pem", f"https://localhost:{forwarding.ports[PROVISIONING]}/sign-csr"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done
    assert connect(device.context()).get("/secure").json["client"] == device.name


def fetched(forwarding, path, *options):
    """What the proxy's status port answers: the HTTP status and the body."""
    done = run(
        *("curl", "-sS", "--path-as-is", *options, "-w", "\n%{http_code}"),
        f"http://localhost:{forwarding.ports[STATUS]}{path}",
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


@pytest.mark.parametrize("path", ["/ca/all.pem", "/crl/all.pem"])
def test_relying_parties_fetch_through_the_proxy(forwarding, behind, path):
    status, body = fetched(forwarding, path)
    direct = run("curl", "-sSf", behind.url("status", path))
    assert (status, body) == (200, direct.stdout)


@pytest.mark.parametrize(
    "path",
    [
        "/authorize",
        "/authorize/",
        "/authorize/ca/all.pem",
        "/ca/../authorize",
        "/ca/..%2Fauthorize",
        "/authorize/../ca/all.pem",
        "/authorize/..%2Fca/all.pem",
        "/%61uthorize/../ca/all.pem",
        "//authorize",
        "/.//authorize",
        "/ca/all.pem/../../authorize",
        "/healthz",
    ],
)
def test_the_question_is_not_for_the_public(forwarding, device, path):
    """Who could ask through the proxy would be asking as the proxy."""
    header = forwarding.kind.header
    _, body = fetched(forwarding, path, "-H", f"{header}: {forwarded(device)[header]}")
    assert device.name.encode() not in body
    assert b"proxy" not in body
