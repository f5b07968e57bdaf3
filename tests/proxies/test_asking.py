"""A proxy that ends mutual TLS for an application, and asks Hatchery about each request."""

import itertools
import ssl

import pytest

from pki.endpoints.identity_headers import MOST
from tests.live.devices import Device
from tests.live.test_handshakes import strangers_certificate
from tests.proxies.conftest import running, served, supplied
from tests.proxies.talk import (
    FORMS,
    ask,
    certificate_of,
    forged_certificate,
    forged_identity,
    forwarded,
    from_address,
    invented_identity,
    is_refused,
    without_certificate,
)

APP = "443"
NUMBERS = itertools.count(1)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def hatchery(kind, tmp_path_factory):
    """It answers the proxy's questions."""
    yield from served(tmp_path_factory.mktemp("asked"), {"PORTAL_PROXIES": f"{kind.form}@127.0.0.1"})


@pytest.fixture(scope="module")
def front(kind, hatchery, application, tmp_path_factory):
    """The proxy in front of the application, asking Hatchery."""
    folder = supplied(hatchery, tmp_path_factory.mktemp("asking"))
    yield from running(kind, "ask-hatchery", folder, hatchery, application.port)


def seen_by(application_answer, start="hatchery"):
    """The headers that the application got, of those that begin so, however CGI would write them."""
    return [
        (name, value)
        for name, value in application_answer.json["headers"]
        if name.replace("_", "-").startswith(start)
    ]


def test_a_good_device_passes_and_the_application_sees_who_it_is(connect, hatchery, device):
    hatchery.inside("put_into_groups", device.name, f"berlin-{device.name}", f"line-{device.name}")
    answer = connect(device.context()).get("/orders")
    assert answer.status == 200
    certificate = certificate_of(device)
    assert dict(seen_by(answer)) == {
        "hatchery-device": device.name,
        "hatchery-serial": f"{certificate.serial_number:x}",
        "hatchery-uri": f"spiffe://localhost/device/{device.name}",
        "hatchery-groups": f"berlin-{device.name},line-{device.name}",
        "hatchery-not-after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_both_tls_versions_pass(connect, device, version):
    assert connect(device.context(version=version)).get("/").status == 200


def test_the_application_gets_the_request_as_it_was_sent(connect, device):
    connection = connect(device.context())
    answer = ask(connection, "/a%2Fb%0A?q=%00&r=../authorize", [("X-Own", "kept")], "PUT", "the body")
    assert answer.status == 200
    got = answer.json
    assert (got["method"], got["path"], got["body"]) == ("PUT", "/a%2Fb%0A?q=%00&r=../authorize", "the body")
    assert ["x-own", "kept"] in got["headers"]


def test_without_a_certificate_nobody_passes(front, device, application):
    before = len(application.requests)
    assert is_refused(front, APP, without_certificate(device))
    assert len(application.requests) == before


def test_a_strangers_certificate_does_not_pass(front, hatchery, tmp_path, application):
    before = len(application.requests)
    strangers_certificate(tmp_path, "mallory")
    assert is_refused(front, APP, Device("mallory", hatchery, tmp_path).context())
    assert len(application.requests) == before


def test_an_expired_certificate_does_not_pass(front, hatchery, tmp_path):
    device = Device.made(hatchery, tmp_path, f"sleeper-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    expired = hatchery.inside("issue_in_the_past", device.name, "31", stdin=csr)
    (tmp_path / f"{device.name}.pem").write_text(expired)
    assert is_refused(front, APP, device.context())


def test_a_certificate_of_our_issuer_that_is_on_no_record_does_not_pass(connect, hatchery, tmp_path):
    """The proxy has nothing against it: Hatchery has."""
    device = Device.made(hatchery, tmp_path, f"unrecorded-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    (tmp_path / f"{device.name}.pem").write_text(
        hatchery.inside("sign_off_the_record", device.name, stdin=csr)
    )
    answer = connect(device.context()).get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "certificate_unknown")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_at_its_next_request(connect, hatchery, device, application, version):
    connection = connect(device.context(version=version))
    assert connection.get("/").status == 200
    before = len(application.requests)
    hatchery.revoke(device.name)
    answer = connection.get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "certificate_revoked")
    assert answer.code == "certificate_revoked"
    assert len(application.requests) == before
    connection.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_on_a_session_that_is_resumed(connect, hatchery, device, version):
    context = device.context(version=version)
    first = connect(context)
    assert first.get("/").status == 200
    session = first.tls.session
    first.close()
    resumed = connect(context, session)
    assert resumed.tls.session_reused, "the example resumes sessions"
    assert resumed.get("/").status == 200
    session = resumed.tls.session
    resumed.close()
    hatchery.revoke(device.name)
    after = connect(context, session)
    assert after.tls.session_reused
    assert after.get("/").headers["hatchery-reason"] == "certificate_revoked"
    after.close()


def test_a_suspended_device_is_told_so_and_passes_again_once_it_is_resumed(connect, hatchery, device):
    connection = connect(device.context())
    hatchery.inside("change_state", device.name, "suspended")
    answer = connection.get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "device_suspended")
    assert answer.code == "device_suspended"
    hatchery.inside("change_state", device.name, "active")
    assert connect(device.context()).get("/").status == 200


def test_a_forged_identity_never_reaches_the_application(connect, device):
    """Also where the device has none of its own: it is in no group."""
    answer = ask(connect(device.context()), "/", forged_identity("admin"))
    assert answer.status == 200
    assert ["hatchery-device", device.name] in answer.json["headers"]
    assert len([name for name, _ in seen_by(answer) if name.startswith("hatchery-device")]) == 1
    told = " ".join(value for _, value in seen_by(answer))
    for lie in ("admin", "abcdef", "2099", "none"):
        assert lie not in told.replace(certificate_serial(device), "")


@pytest.mark.parametrize("kind", ["haproxy", "traefik", "envoy"], indirect=True)
def test_no_name_with_the_beginning_of_an_identity_reaches_the_application(connect, device):
    """nginx cannot do that, and says so: test_allow_list.py."""
    answer = ask(connect(device.context()), "/", invented_identity("admin"))
    assert answer.status == 200
    assert ["hatchery-device", device.name] in answer.json["headers"]
    assert "admin" not in str(answer.json["headers"])


def test_a_device_in_very_many_groups_passes_with_all_of_them(connect, hatchery, device):
    """As many as Hatchery tells of, and in a request that has long headers of its own."""
    room = (MOST - 500) // 150 - 1  # for a name; the other headers have the 500 bytes
    groups = [f"{device.name}-{number:03}".ljust(room, "x") for number in range(150)]
    hatchery.inside("put_into_groups", device.name, *groups)
    answer = ask(connect(device.context()), "/", [("X-Own", "x" * 6000)] * 2)
    assert answer.status == 200
    assert dict(seen_by(answer))["hatchery-groups"].split(",") == groups


def certificate_serial(device):
    return f"{certificate_of(device).serial_number:x}"


@pytest.mark.parametrize("header", FORMS)
def test_a_forged_certificate_header_changes_nothing(connect, device, other, header):
    answer = ask(connect(device.context()), "/", forged_certificate(other, header))
    assert answer.status == 200
    assert ["hatchery-device", device.name] in answer.json["headers"]
    name = header.lower()
    assert not [value for got, value in answer.json["headers"] if got.replace("_", "-").startswith(name)]


@pytest.mark.parametrize("header", FORMS)
def test_a_revoked_device_cannot_borrow_a_good_ones_certificate(connect, revoked, other, header):
    answer = ask(connect(revoked.context()), "/", forged_certificate(other, header))
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "certificate_revoked")


@pytest.mark.parametrize("header", FORMS)
def test_who_is_no_named_proxy_gets_no_answer_from_hatchery_itself(hatchery, other, header):
    """Past the proxy, from an address that is not named."""
    name, value = header, forwarded(other)[header]
    request = f"GET /authorize HTTP/1.0\r\nHost: localhost\r\n{name}: {value}\r\n\r\n".encode()
    answer = from_address("127.0.0.3", hatchery.ports["status"], request)
    assert b" 403 " in answer.splitlines()[0]
    assert b"proxy_unknown" in answer
    assert b"Hatchery-Device" not in answer
    assert hatchery.logs("forwarded_certificate.dropped")
    assert '"127.0.0.3"' in hatchery.output()


def test_nobody_passes_while_hatchery_does_not_answer(connect, hatchery, device, application):
    kept_alive = connect(device.context())
    assert kept_alive.get("/").status == 200
    before = len(application.requests)
    assert hatchery.stop() == 0
    try:
        for connection in (kept_alive, connect(device.context())):
            assert connection.get("/").status in (403, 500, 503)
        assert len(application.requests) == before
    finally:
        hatchery.start()
    assert connect(device.context()).get("/").status == 200
