"""A proxy that ends mutual TLS for an application, and asks Hatchery about each request."""

import itertools
import ssl
from contextlib import closing

import pytest

from tests.live.devices import Connection, Device
from tests.live.test_handshakes import strangers_certificate
from tests.proxies.talk import (
    FORMS,
    ask,
    certificate_of,
    forged_certificate,
    forged_identity,
    forwarded,
    from_address,
    is_refused,
    without_certificate,
)

APP = "443"
NUMBERS = itertools.count(1)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def device(enroll_asked, tmp_path):
    return enroll_asked(tmp_path)


@pytest.fixture(scope="module")
def other(enroll_asked, tmp_path_factory):
    """A good device whose certificate others try to use."""
    return enroll_asked(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def revoked(asked, enroll_asked, tmp_path_factory):
    device = enroll_asked(tmp_path_factory.mktemp("revoked"))
    revoke(asked, device)
    return device


@pytest.fixture
def connect(asking, connections):
    """How a client connects to the proxy: with a TLS context, and a session to resume if it has one."""
    return lambda context, session=None: connections.enter_context(
        closing(Connection(asking, APP, context, session))
    )


def revoke(server, device, reason="keyCompromise"):
    done = server.manage("revoke", "--device", device.name, "--reason", reason)
    assert done.returncode == 0, done.stderr


def seen_by(application_answer, start="hatchery"):
    """The headers that the application got, of those that begin so, however CGI would write them."""
    return [
        (name, value)
        for name, value in application_answer.json["headers"]
        if name.replace("_", "-").startswith(start)
    ]


def test_a_good_device_passes_and_the_application_sees_who_it_is(connect, asked, device):
    asked.inside("put_into_groups", device.name, f"berlin-{device.name}", f"line-{device.name}")
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


def test_without_a_certificate_nobody_passes(asking, device, application):
    before = len(application.requests)
    assert is_refused(asking, APP, without_certificate(device))
    assert len(application.requests) == before


def test_a_strangers_certificate_does_not_pass(asking, asked, tmp_path, application):
    before = len(application.requests)
    strangers_certificate(tmp_path, "mallory")
    assert is_refused(asking, APP, Device("mallory", asked, tmp_path).context())
    assert len(application.requests) == before


def test_an_expired_certificate_does_not_pass(asking, asked, tmp_path):
    device = Device.made(asked, tmp_path, f"sleeper-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    expired = asked.inside("issue_in_the_past", device.name, "31", stdin=csr)
    (tmp_path / f"{device.name}.pem").write_text(expired)
    assert is_refused(asking, APP, device.context())


def test_a_certificate_of_our_issuer_that_is_on_no_record_does_not_pass(connect, asked, tmp_path):
    """The proxy has nothing against it: Hatchery has."""
    device = Device.made(asked, tmp_path, f"unrecorded-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    (tmp_path / f"{device.name}.pem").write_text(asked.inside("sign_off_the_record", device.name, stdin=csr))
    answer = connect(device.context()).get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "certificate_unknown")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_at_its_next_request(connect, asked, device, application, version):
    connection = connect(device.context(version=version))
    assert connection.get("/").status == 200
    before = len(application.requests)
    revoke(asked, device)
    answer = connection.get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "certificate_revoked")
    assert answer.code == "certificate_revoked"
    assert len(application.requests) == before
    connection.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_device_is_refused_on_a_session_that_is_resumed(connect, asked, device, version):
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
    revoke(asked, device)
    after = connect(context, session)
    assert after.tls.session_reused
    assert after.get("/").headers["hatchery-reason"] == "certificate_revoked"
    after.close()


def test_a_suspended_device_is_told_so_and_passes_again_once_it_is_resumed(connect, asked, device):
    connection = connect(device.context())
    asked.inside("change_state", device.name, "suspended")
    answer = connection.get("/")
    assert (answer.status, answer.headers["hatchery-reason"]) == (403, "device_suspended")
    assert answer.code == "device_suspended"
    asked.inside("change_state", device.name, "active")
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
def test_who_is_no_named_proxy_gets_no_answer_from_hatchery_itself(asked, other, header):
    """Past the proxy, from an address that is not named."""
    name, value = header, forwarded(other)[header]
    request = f"GET /authorize HTTP/1.0\r\nHost: localhost\r\n{name}: {value}\r\n\r\n".encode()
    answer = from_address("127.0.0.3", asked.ports["status"], request)
    assert b" 403 " in answer.splitlines()[0]
    assert b"proxy_unknown" in answer
    assert b"Hatchery-Device" not in answer
    assert asked.logs("forwarded_certificate.dropped")
    assert '"127.0.0.3"' in asked.output()


def test_nobody_passes_while_hatchery_does_not_answer(connect, asked, device, application):
    kept_alive = connect(device.context())
    assert kept_alive.get("/").status == 200
    before = len(application.requests)
    assert asked.stop() == 0
    try:
        for connection in (kept_alive, connect(device.context())):
            assert connection.get("/").status in (403, 500, 503)
        assert len(application.requests) == before
    finally:
        asked.start()
    assert connect(device.context()).get("/").status == 200
