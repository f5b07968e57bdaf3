"""A revocation takes effect at the next request, whatever the connection has verified before."""

import ssl

import pytest
from cryptography import x509

from tests.live.devices import Connection, Device
from tests.server import Server, seen_within


@pytest.fixture
def device(server, tmp_path, request):
    name = f"device-{abs(hash(request.node.nodeid)) % 10**9}"
    enrolled = Device.enrolled(server, tmp_path, name)
    yield enrolled
    enrolled.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_kept_alive_connection_is_refused_after_revocation(server, device, version):
    connection = device.connect(device.context(version=version))
    assert connection.get("/secure").json["client"] == device.name
    server.revoke(device.name)
    refused = connection.get("/secure")
    assert (refused.status, refused.code) == (403, "certificate_revoked")
    assert connection.get("/whoami").code == "certificate_revoked"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_is_refused_after_revocation(server, device, version):
    context = device.context(version=version)
    first = device.connect(context)
    assert first.get("/whoami").json["resumed"] is False
    session = first.tls.session
    first.close()

    resumed = device.connect(context, session)
    assert resumed.get("/whoami").json["resumed"] is True
    assert resumed.tls.session_reused
    session = resumed.tls.session
    resumed.close()

    server.revoke(device.name)
    after = device.connect(context, session)
    assert after.tls.session_reused
    assert after.get("/secure").code == "certificate_revoked"


def test_a_revoked_certificate_is_refused_in_the_handshake_and_known_by_name(server, device):
    server.revoke(device.name)
    assert device.curl().returncode == 56
    assert server.logs(f'"subject": "CN={device.name}"')
    told = server.inside("newest_refusal", device.name).splitlines()
    address, serial, reason, subject, issuer, certificate_serial = told
    assert (address, reason, subject) == ("127.0.0.1", "certificate_revoked", f"CN={device.name}")
    assert issuer.startswith("CN=Hatchery Issuing CA")
    assert certificate_serial == serial


@pytest.mark.parametrize(
    ("state", "code"), [("suspended", "device_suspended"), ("retired", "device_retired")]
)
def test_a_suspended_or_retired_device_is_told_so(server, device, state, code):
    kept_alive = device.connect()
    assert kept_alive.get("/secure").status == 200
    server.inside("change_state", device.name, state)
    assert kept_alive.get("/secure").code == code
    assert device.connect().get("/secure").code == code


def test_a_resumed_device_is_good_again(server, device):
    server.inside("change_state", device.name, "suspended")
    connection = device.connect()
    assert connection.get("/secure").status == 403
    server.inside("change_state", device.name, "active")
    assert connection.get("/secure").status == 200


def test_an_expired_certificate_is_refused_on_a_connection_that_was_good(server, device, tmp_path):
    """Its record says that it has ended, as the clock would; the connection was made while it was good."""
    connection = device.connect()
    assert connection.get("/secure").status == 200
    server.inside("end_now", device.name)
    assert connection.get("/secure").code == "certificate_expired"


def refused_in_the_handshake(server, folder, name, made_by):
    """A device shows what was made inside the server, and is refused."""
    device = Device.made(server, folder, name)
    made = server.inside(made_by, name, stdin=(folder / f"{name}.csr").read_bytes())
    (folder / f"{name}.pem").write_text(made)
    assert device.curl().returncode == 56
    assert server.logs(f'"subject": "CN={name}"')


def test_a_certificate_that_is_not_on_record_is_refused_in_the_handshake(server, tmp_path):
    """Signed by our own issuer, but not stored: what somebody with a stolen issuer key would show."""
    refused_in_the_handshake(server, tmp_path, "not-on-record", "sign_off_the_record")
    assert '"reason": "certificate_unknown"' in server.output()


def test_a_certificate_that_was_written_into_the_database_is_refused_in_the_handshake(server, tmp_path):
    """Who writes the database has no issuer's key: on record is not enough."""
    name = "written-in"
    refused_in_the_handshake(server, tmp_path, name, "record_a_forgery")
    (event,) = [each for each in server.events("handshake.refused") if each.get("subject") == f"CN={name}"]
    assert event["reason"] != "certificate_unknown", "it is on record"


def test_only_its_own_paths_exist_on_a_listener(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    for listener, path in [
        ("hello", "/sign-csr"),
        ("hello", "/secure"),
        ("hello", "/admin/"),
        ("provisioning", "/admin/"),
        ("provisioning", "/hello"),
        ("console", "/hello"),
        ("console", "/sign-csr"),
    ]:
        connection = Connection(server, listener, context)
        assert connection.get(path).status == 404, (listener, path)
        connection.close()


def test_under_a_compromised_root_nobody_passes_from_the_next_request_on(tmp_path):
    """Though OpenSSL trusts that root until the workers have taken up that it is gone."""
    server = Server(tmp_path / "data").start()
    root = x509.load_pem_x509_certificate((server.demo / "ca.pem").read_bytes())
    device = Device.enrolled(server, tmp_path, "device-1")
    context = device.context()
    kept_alive = device.connect(context)
    assert kept_alive.get("/secure").status == 200
    session = kept_alive.tls.session
    server.inside("declare_compromised", root.subject.rfc4514_string().removeprefix("CN="))
    assert kept_alive.get("/secure").code == "issuer_compromised"
    resumed = device.connect(context, session)
    assert resumed.tls.session_reused
    assert resumed.get("/whoami").code == "issuer_compromised"
    assert device.curl().returncode == 56
    # Our own rule refused it, or OpenSSL in a worker that has taken it up.
    reasons = ("issuer_compromised", "unknown_issuer")
    assert seen_within(10, lambda: any(f'"reason": "{each}"' in server.output() for each in reasons))
    device.close()
    assert server.stop() == 0
