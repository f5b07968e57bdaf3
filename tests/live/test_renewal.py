"""Devices renew over real TLS, while what they had before stays good; and who may not is turned away."""

import json
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from portal.housekeeping import SIGHTINGS_SECONDS
from tests.clients import make_csr, run
from tests.live.devices import Connection, Device
from tests.live.test_handshakes import strangers_certificate
from tests.server import Server, seen_within

RECEIVE_FAILED = 56
SOON = SIGHTINGS_SECONDS + 15  # seconds, generous


@pytest.fixture
def device(server, tmp_path, request):
    name = f"renewing-{abs(hash(request.node.nodeid)) % 10**9}"
    enrolled = Device.enrolled(server, tmp_path, name)
    yield enrolled
    enrolled.close()


def csr_of(device, key, name=None):
    return make_csr(name or device.name, key=key)


def post(connection: Connection, pem: bytes):
    head = f"POST /renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(pem)}\r\n\r\n"
    return connection.send(head.encode() + pem)


def renewed(device: Device, folder, answer, key) -> Device:
    """The same device with what it was answered."""
    assert answer.status == 200, answer.body
    folder.mkdir()
    (folder / f"{device.name}.pem").write_bytes(answer.body)
    (folder / f"{device.name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return Device(device.name, device.server, folder)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_device_renews_while_its_connections_and_its_certificate_stay_good(device, tmp_path, version):
    context = device.context(version=version)
    kept_alive, other = device.connect(context), device.connect(context)
    assert other.get("/secure").status == 200
    key = ec.generate_private_key(ec.SECP256R1())
    after = renewed(device, tmp_path / "after", post(kept_alive, csr_of(device, key)), key)
    assert kept_alive.get("/secure").json["client"] == device.name
    assert other.get("/secure").status == 200
    assert device.curl().returncode == 0
    assert json.loads(after.curl().stdout)["client"] == device.name
    before, now = (x509.load_pem_x509_certificate(each.certificate.read_bytes()) for each in (device, after))
    assert before.subject == now.subject
    assert before.not_valid_after_utc <= now.not_valid_after_utc


def test_curl_renews_with_three_lines(device):
    folder, name = device.folder, device.name
    for line in (
        f"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout next.key -out next.csr "
        f"-subj /CN={name}",
        f"curl -sS --fail-with-body --cacert {device.server.demo}/ca.pem --cert {name}.pem --key {name}.key "
        f"--data-binary @next.csr {device.server.url('secure', '/renew')} -o next.pem",
        f"mv next.key {name}.key && mv next.pem {name}.pem",
    ):
        done = run("sh", "-c", line, cwd=folder)
        assert done.returncode == 0, done
    assert json.loads(device.curl().stdout)["client"] == name


def test_a_lost_answer_heals_and_two_at_once_get_the_same(device):
    pem = csr_of(device, ec.generate_private_key(ec.SECP256R1()))
    bodies = []
    connections = [device.connect() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda each=each: bodies.append(post(each, pem).body)) for each in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bodies.append(post(device.connect(), pem).body)
    assert len(bodies) == 5
    assert len(set(bodies)) == 1
    assert bodies[0].count(b"BEGIN CERTIFICATE") == 2


REFUSED = {
    "the same key": (lambda device: (device.folder / f"{device.name}.csr").read_bytes(), "same_key_refused"),
    "another name": (lambda device: make_csr("somebody-else"), "name_mismatch"),
    "nothing": (lambda device: b"", "csr_missing"),
}


@pytest.mark.parametrize(("pem", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_a_problem_and_in_the_log(server, device, pem, code):
    connection = device.connect()
    assert post(connection, pem(device)).code == code
    assert connection.get("/secure").status == 200
    assert server.logs(f'renewal.refused {{"actor": "device:{device.name}"')


def test_a_profile_may_let_devices_keep_their_key(server, device):
    server.inside("change_profile", device.name, "renew_same_key=true")
    answer = post(device.connect(), (device.folder / f"{device.name}.csr").read_bytes())
    assert answer.status == 200
    device.certificate.write_bytes(answer.body)
    assert device.curl().returncode == 0


def test_a_revoked_device_does_not_renew_on_a_connection_that_was_good(server, device):
    kept_alive = device.connect()
    assert kept_alive.get("/secure").status == 200
    server.revoke(device.name)
    assert post(kept_alive, csr_of(device, ec.generate_private_key(ec.SECP256R1()))).code == (
        "certificate_revoked"
    )
    assert device.curl("/renewal-info").returncode == RECEIVE_FAILED


def test_a_suspended_device_does_not_renew(server, device):
    server.inside("change_state", device.name, "suspended")
    connection = device.connect()
    assert post(connection, csr_of(device, ec.generate_private_key(ec.SECP256R1()))).code == (
        "device_suspended"
    )
    assert connection.get("/renewal-info").code == "device_suspended"


def test_a_stranger_does_not_renew(server, tmp_path):
    strangers_certificate(tmp_path, "renewing-mallory")
    assert Device("renewing-mallory", server, tmp_path).curl("/renewal-info").returncode == RECEIVE_FAILED


def test_the_old_one_is_superseded_some_minutes_after_the_new_one_was_first_used(server, device, tmp_path):
    server.inside("change_profile", device.name, "supersede_after_minutes=10")
    kept_alive = device.connect()
    key = ec.generate_private_key(ec.SECP256R1())
    after = renewed(device, tmp_path / "after", post(kept_alive, csr_of(device, key)), key)
    assert server.inside("supersede_in", device.name, "1000").strip() == "0", "it was not used yet"

    assert after.curl().returncode == 0
    assert kept_alive.get("/secure").status == 200  # the old one is shown too, and after it
    assert seen_within(SOON, lambda: server.inside("first_used", device.name).strip() == "1")
    assert server.inside("supersede_in", device.name, "9").strip() == "0"
    assert kept_alive.get("/secure").status == 200
    assert server.inside("supersede_in", device.name, "11").strip() == "1"
    assert kept_alive.get("/secure").code == "certificate_revoked"
    assert device.curl().returncode == RECEIVE_FAILED
    assert after.curl().returncode == 0


# --- Sleepers -------------------------------------------------------------------------------------------


def sleeper(server: Server, folder, name: str, grace_hours: int) -> Device:
    """A device whose certificate ended a day ago, as it was issued under a profile with so much grace."""
    server.inside("change_profile", name, f"grace_hours={grace_hours}")
    device = Device.made(server, folder, name)
    csr = (folder / f"{name}.csr").read_bytes()
    device.certificate.write_text(server.inside("issue_in_the_past", name, "31", name, stdin=csr))
    return device


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_slept_past_its_end_renews_within_its_grace_and_does_nothing_else(server, tmp_path, version):
    device = sleeper(server, tmp_path, f"sleeper-{version.name.lower().replace('_', '-')}", 48)
    context = device.context(version=version)
    connection = device.connect(context)
    for path in ("/secure", "/whoami"):
        assert connection.get(path).code == "certificate_expired", path
    assert connection.get("/renewal-info").status == 200
    session = connection.tls.session
    resumed = device.connect(context, session)
    assert resumed.tls.session_reused
    assert resumed.get("/secure").code == "certificate_expired"
    assert resumed.get("/renewal-info").status == 200

    key = ec.generate_private_key(ec.SECP256R1())
    answer = post(resumed, csr_of(device, key))
    after = renewed(device, tmp_path / "after", answer, key)
    assert after.curl().returncode == 0
    assert connection.get("/secure").code == "certificate_expired"
    device.close()


@pytest.mark.parametrize("grace_hours", [0, 23])
def test_who_slept_longer_than_its_grace_is_refused_in_the_handshake(server, tmp_path, grace_hours):
    name = f"overslept-{grace_hours}"
    assert sleeper(server, tmp_path, name, grace_hours).curl("/renewal-info").returncode == RECEIVE_FAILED
    assert server.logs(f'"subject": "CN={name}"')
    told = server.inside("newest_refusal", name).splitlines()
    assert (told[2], told[3]) == ("certificate_expired", f"CN={name}")


STOPPED = {
    "revoked": lambda server, name: server.inside("revoke_expired", name),
    "suspended": lambda server, name: server.inside("change_state", name, "suspended"),
}


@pytest.mark.parametrize(("how", "stop"), STOPPED.items(), ids=STOPPED)
def test_grace_is_for_nobody_who_was_stopped(server, tmp_path, how, stop):
    name = f"stopped-{how}"
    device = sleeper(server, tmp_path, name, 48)
    kept_alive = device.connect()
    assert kept_alive.get("/renewal-info").status == 200
    stop(server, name)
    assert kept_alive.get("/renewal-info").status == 403
    assert post(kept_alive, make_csr(name)).status == 403
    assert device.curl("/renewal-info").returncode == RECEIVE_FAILED
    device.close()


def test_an_expired_certificate_that_is_not_on_record_gets_no_grace(server, tmp_path):
    """By our issuer's key, and with the name of a device whose profile is generous."""
    device = sleeper(server, tmp_path, "graced-1", 48)
    forged = server.inside("sign_off_the_record_in_the_past", "graced-1", "31")
    assert device.curl("/renewal-info").returncode == 0
    # Its own key does not fit the forged one, so take that of the forger.
    certificate, key = forged.split("#")
    device.certificate.write_text(certificate)
    (tmp_path / "graced-1.key").write_text(key)
    assert device.curl("/renewal-info").returncode == RECEIVE_FAILED
    assert server.logs('"reason": "certificate_unknown"')


OTHERS = {
    "administrators": ("console", {"PORTAL_CONSOLE_CLIENT_CERTIFICATES": "on"}),
    "proxies": (
        "secure",
        {
            "PORTAL_SECURE_PROXY": "mutual",
            "PORTAL_PROXIES": "nginx@127.0.0.1",
            "PORTAL_PROXY_DEVICES": "sleeper-1",
        },
    ),
}


@pytest.mark.parametrize(("listener", "settings"), OTHERS.values(), ids=OTHERS)
def test_grace_is_for_devices_alone(tmp_path, listener, settings):
    """Whoever else shows a certificate takes the same handshake."""
    server = Server(tmp_path / "data", settings).start()
    try:
        device = sleeper(server, tmp_path, "sleeper-1", 48)
        context = device.context(version=ssl.TLSVersion.TLSv1_2)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Connection(server, listener, context).get("/")
        assert server.logs('"reason": "certificate_expired"')
    finally:
        stopped = server.stop()
    assert stopped == 0


def test_a_life_of_hours_renews_in_its_turn(server, tmp_path):
    """Eight times one after the other, each with a new key and by the certificate before."""
    server.inside("change_profile", "short-1", "lifetime_seconds=3600")
    device = Device.made(server, tmp_path, "short-1")
    csr = (tmp_path / "short-1.csr").read_bytes()
    device.certificate.write_text(server.inside("issue_in_the_past", "short-1", "0.03", "short-1", stdin=csr))
    hint = device.connect().get("/renewal-info")
    assert 3600 / 24 * 7 / 8 - 1 <= int(hint.headers["retry-after"]) <= 3600 / 24 * 9 / 8
    for number in range(8):
        key = ec.generate_private_key(ec.SECP256R1())
        answer = post(device.connect(), csr_of(device, key))
        device.close()
        device = renewed(device, tmp_path / str(number), answer, key)
    told = json.loads(device.curl("/whoami").stdout)
    assert told["not_before"] < told["renew_at"] < told["not_after"]
