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
from tests.proxies.conftest import PROXY, running, served, supplied
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


@pytest.fixture(scope="module")
def hatchery(kind, tmp_path_factory):
    """Its secure listener is reached through the proxy alone, over mutual TLS."""
    settings = {
        "PORTAL_PROXIES": f"{kind.form}@127.0.0.1",
        "PORTAL_SECURE_PROXY": "mutual",
        "PORTAL_PROXY_DEVICES": PROXY,
    }
    yield from served(tmp_path_factory.mktemp("behind"), settings)


@pytest.fixture(scope="module")
def front(kind, hatchery, tmp_path_factory):
    """The proxy in front of Hatchery."""
    folder = supplied(hatchery, tmp_path_factory.mktemp("forwarding"))
    yield from running(kind, "hatchery-behind", folder, hatchery, 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_is_greeted_as_on_the_listener_itself(connect, device, version):
    answer = connect(device.context(version=version)).get("/secure")
    greeting = {
        "message": f"Hello {device.name}, mutual trust established",
        "auth": "mutual TLS (both sides verified)",
        "client": device.name,
    }
    assert answer.json.items() >= greeting.items()


def test_a_device_renews_through_the_proxy_and_uses_what_it_got(front, connect, device, tmp_path):
    connection = connect(device.context())
    assert connection.get("/renewal-info").json.keys() == {"suggestedWindow"}
    assert connection.get("/ca-bundle").status == 200
    (tmp_path / "after").mkdir()
    after = Device.made(device.server, tmp_path / "after", device.name)
    pem = (after.folder / f"{device.name}.csr").read_text()
    answer = ask(connection, "/renew", method="POST", body=pem)
    assert answer.status == 200, answer.body
    after.certificate.write_bytes(answer.body)
    told = connect(after.context()).get("/whoami").json
    assert told["serial"] == f"{certificate_of(after).serial_number:x}"
    assert connection.get("/secure").status == 200


def test_whoami_tells_of_the_device_and_not_of_the_proxy(connect, device):
    answer = connect(device.context()).get("/whoami")
    assert answer.json["client"] == device.name
    assert answer.json["serial"] == f"{certificate_of(device).serial_number:x}"


def test_devices_that_share_the_proxys_connections_are_told_apart(connect, device, other):
    connections = {each.name: connect(each.context()) for each in (device, other)}
    for name in [device.name, other.name] * 10:
        assert connections[name].get("/secure").json["client"] == name


def test_without_a_certificate_nobody_gets_in(front, device):
    assert is_refused(front, SECURE, without_certificate(device), "/secure")


def test_a_strangers_certificate_does_not_get_in(front, hatchery, tmp_path):
    strangers_certificate(tmp_path, "mallory")
    assert is_refused(front, SECURE, Device("mallory", hatchery, tmp_path).context(), "/secure")


def test_an_expired_certificate_does_not_get_in(front, hatchery, tmp_path):
    device = Device.made(hatchery, tmp_path, f"sleeper-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    expired = hatchery.inside("issue_in_the_past", device.name, "31", stdin=csr)
    (tmp_path / f"{device.name}.pem").write_text(expired)
    assert is_refused(front, SECURE, device.context(), "/secure")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_at_its_next_request(connect, hatchery, device, version):
    context = device.context(version=version)
    kept_alive = connect(context)
    assert kept_alive.get("/secure").status == 200
    session = kept_alive.tls.session
    hatchery.revoke(device.name)
    resumed = connect(context, session)
    assert resumed.tls.session_reused, "the example resumes sessions"
    for connection in (kept_alive, resumed, connect(context)):
        answer = connection.get("/secure")
        assert (answer.status, answer.code) == (403, "certificate_revoked")


def test_a_suspended_device_is_told_so(connect, hatchery, device):
    hatchery.inside("change_state", device.name, "suspended")
    assert connect(device.context()).get("/secure").code == "device_suspended"
    hatchery.inside("change_state", device.name, "active")
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


def test_the_address_on_record_is_the_clients_whatever_it_says(front, hatchery, device):
    done = run(
        *("curl", "-sSf", "--interface", "127.0.0.9", "--cacert", hatchery.demo / "ca.pem"),
        *("--cert", f"{device.name}.pem", "--key", f"{device.name}.key"),
        *("-H", "X-Forwarded-For: 203.0.113.7", f"https://localhost:{front.ports[SECURE]}/secure"),
        cwd=device.folder,
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + WITHIN
    while not (told := hatchery.inside("last_seen", device.name)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert told.splitlines()[0] == "127.0.0.9"


@pytest.mark.parametrize("header", FORMS)
def test_a_device_that_goes_past_the_proxy_is_refused_whatever_it_forges(
    connections, hatchery, device, other, header
):
    """It has the right address and a good certificate, but not one of a proxy."""
    connection = connections.enter_context(closing(Connection(hatchery, "secure", device.context())))
    for headers in ([], [(header, forwarded(other)[header])]):
        answer = ask(connection, "/secure", headers)
        assert (answer.status, answer.code) == (403, "proxy_unknown")
    assert hatchery.logs("forwarded_certificate.dropped")


def test_the_proxys_certificate_alone_opens_nothing_from_another_address(hatchery, front, device):
    context = ssl.create_default_context(cafile=str(hatchery.demo / "ca.pem"))
    context.load_cert_chain(front.folder / f"{PROXY}.pem", front.folder / f"{PROXY}.key")
    header = front.kind.header
    done = run(
        *("curl", "-sS", "--interface", "127.0.0.3", "--cacert", hatchery.demo / "ca.pem"),
        *("--cert", front.folder / "proxy.pem", "--key", front.folder / "proxy.key"),
        *("-H", f"{header}: {forwarded(device)[header]}", hatchery.url("secure", "/secure")),
    )
    assert json.loads(done.stdout)["code"] == "proxy_unknown"


def test_devices_enroll_through_the_proxy(connect, front, hatchery, tmp_path):
    device = Device.made(hatchery, tmp_path, f"new-{next(NUMBERS)}")
    token = hatchery.token("--device", device.name)
    done = run(
        *("curl", "-sS", "--fail-with-body", "--cacert", hatchery.demo / "ca.pem"),
        *("-H", f"Authorization: Bearer {token}", "--data-binary", f"@{device.name}.csr"),
        *("-o", f"{device.name}.pem", f"https://localhost:{front.ports[PROVISIONING]}/sign-csr"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done
    assert connect(device.context()).get("/secure").json["client"] == device.name


def fetched(url, path, *options):
    """What the proxy answers: the HTTP status, and all else."""
    done = run(
        *("curl", "-sS", "-i", "--path-as-is", *options, "-w", "\n%{http_code}"),
        f"{url}{path}",
    )
    assert done.returncode == 0, done.stderr
    answer, _, status = done.stdout.rpartition(b"\n")
    return int(status), answer


@pytest.fixture(scope="module")
def status_url(front):
    return f"http://localhost:{front.ports[STATUS]}"


@pytest.mark.parametrize("path", ["/ca/all.pem", "/crl/all.pem"])
def test_relying_parties_fetch_through_the_proxy(status_url, hatchery, path):
    status, answer = fetched(status_url, path)
    direct = run("curl", "-sSf", hatchery.url("status", path))
    assert (status, answer.partition(b"\r\n\r\n")[2]) == (200, direct.stdout)


# However a proxy, or Hatchery behind it, might read them.
ASKING = [
    "/authorize",
    "/authorize/",
    "/authorize?x=/secure",
    "/Authorize",
    "/%61uthorize",
    "/authoriz%65/x",
    "//authorize",
    "/.//authorize",
    "/./authorize",
    "/;x/authorize",
    "/authorize;/secure",
]


@pytest.mark.parametrize(
    "path",
    [
        *ASKING,
        "/authorize/ca/all.pem",
        "/ca/../authorize",
        "/ca/..%2Fauthorize",
        "/authorize/../ca/all.pem",
        "/authorize/..%2Fca/all.pem",
        "/%61uthorize/../ca/all.pem",
        "/ca/all.pem/../../authorize",
        "/healthz",
        "/readyz",
    ],
)
def test_the_question_is_not_for_the_public(front, status_url, device, path):
    """Who could ask through the proxy would be asking as the proxy."""
    header = front.kind.header
    _, answer = fetched(status_url, path, "-H", f"{header}: {forwarded(device)[header]}")
    assert device.name.encode() not in answer
    assert b"proxy" not in answer


@pytest.mark.parametrize(
    "path",
    [
        *ASKING,
        "/authorize/secure",
        "/authorize/../secure",
        "/authorize/..%2Fsecure",
        "/authorize/%2e%2e/secure",
        "/%61uthorize/../secure",
        "/secure/../authorize",
        "/secure/..%2Fauthorize",
        "/secure/%2e%2e/authorize",
        "/whoami/../authorize?/secure",
    ],
)
def test_the_question_is_not_for_devices_either(front, device, path):
    """They would be told their groups, and that is between the proxies and Hatchery."""
    url = f"https://localhost:{front.ports[SECURE]}"
    _, answer = fetched(
        *(url, path, "--cacert", device.server.demo / "ca.pem"),
        *("--cert", device.certificate, "--key", device.folder / f"{device.name}.key"),
    )
    assert b"hatchery-" not in answer.lower()
    status = int(answer.split()[1])
    assert status in (400, 404) or b"Hello " in answer


def test_an_absolute_address_is_no_way_around_that(front, connect, device):
    host = f"localhost:{front.ports[SECURE]}"
    request = f"GET https://{host}/authorize HTTP/1.1\r\nHost: {host}\r\n\r\n"
    answer = connect(device.context()).send(request.encode())
    assert answer.status == 404
    assert "hatchery-device" not in answer.headers
