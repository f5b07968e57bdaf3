"""Campaigns lead real devices over real TLS: over a canary to the end, and back after too many failures."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.clients import make_csr
from tests.live.devices import Answer, Device
from tests.server import Server, seen_within

NEXT = "Next Issuing CA"
SOON = 120.0  # seconds, generous: each look is a process of its own
AT_ONCE = ("--watch", "0", "--window", "0")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of one's own: campaigns change who signs."""
    running = Server(tmp_path_factory.mktemp("campaigns") / "data").start()
    running.inside("new_issuer", NEXT)
    yield running
    assert running.stop() == 0, running.output()


def fleet(server, folder, begins, number):
    """Enrolled devices, in a group that is called as their names begin."""
    token = server.token("--pattern", f"{begins}-*", "--uses", str(number))
    devices = [Device.made(server, folder, f"{begins}-{index}") for index in range(number)]
    for device in devices:
        device.enroll(token)
    server.inside("group_those", f"{begins}-", begins)
    return devices


def ask(device: Device, request: bytes) -> Answer:
    connection = device.connect()
    try:
        return connection.send(request)
    finally:
        device.close()


def is_asked(device) -> bool:
    """What a good device is told, with whatever certificate it has: it must never be refused."""
    answer = ask(device, b"GET /secure HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.status == 200, answer.body
    return answer.json["renewal"]["asked"]


def renew(device, key) -> Answer:
    pem = make_csr(device.name, key=key)
    head = f"POST /renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(pem)}\r\n\r\n"
    return ask(device, head.encode() + pem)


def obey(devices) -> set[str]:
    """Those who are asked renew, and use what they get; who did."""
    asked = [device for device in devices if is_asked(device)]
    for device in asked:
        key = ec.generate_private_key(ec.SECP256R1())
        answer = renew(device, key)
        assert answer.status == 200, answer.body
        device.certificate.write_bytes(answer.body)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (device.folder / f"{device.name}.key").write_bytes(pem)
        assert not is_asked(device), "once it has moved"
    return {device.name for device in asked}


def signed_by(devices) -> set[str]:
    parsed = [x509.load_pem_x509_certificate(device.certificate.read_bytes()) for device in devices]
    return {each.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value for each in parsed}


def campaign(server, *words) -> str:
    done = server.manage("campaign", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def becomes(server, name, says) -> bool:
    """Whether a campaign says so in time, with steps as maintenance does them."""

    def look() -> bool:
        server.quickly("campaign", "step")
        return says in server.quickly("campaign", "show", name)

    return seen_within(SOON, look)


def test_a_fleet_moves_over_a_canary_to_the_end_and_nobody_is_refused(server, tmp_path):
    devices = fleet(server, tmp_path, "lamp", 12)
    before = signed_by(devices)
    plan = ("--group", "lamp", "--to", NEXT, "--canary", "10", *AT_ONCE)
    campaign(server, "draft", "lamps", *plan)
    assert not any(is_asked(device) for device in devices)

    campaign(server, "start", "lamps")
    campaign(server, "step")
    canaries = obey(devices)
    assert 1 <= len(canaries) < len(devices)
    assert signed_by(devices) == before | {NEXT}

    assert becomes(server, "lamps", "lamps: open")
    campaign(server, "step")
    assert obey(devices) == {device.name for device in devices} - canaries
    assert becomes(server, "lamps", "lamps: finished")
    assert "12 of 12 moved (100 %)" in campaign(server, "show", "lamps")
    assert signed_by(devices) == {NEXT}
    assert not any(is_asked(device) for device in devices)


def test_one_that_goes_wrong_stops_by_itself_and_is_rolled_back(server, tmp_path):
    devices = fleet(server, tmp_path, "pump", 8)
    before = signed_by(devices)
    plan = ("--group", "pump", "--to", NEXT, "--canary", "0", "--failures", "30", *AT_ONCE)
    campaign(server, "draft", "pumps", *plan)
    campaign(server, "start", "pumps")
    campaign(server, "step")
    assert obey(devices[:2]) == {"pump-0", "pump-1"}
    taken = ec.generate_private_key(ec.SECP384R1())
    assert renew(devices[0], taken).status == 200
    for broken in devices[2:5]:
        assert is_asked(broken)
        assert renew(broken, taken).code == "key_in_use"

    assert becomes(server, "pumps", "pumps: stopped")
    shown = campaign(server, "show", "pumps")
    assert "3 of 8 devices that were asked failed" in shown
    assert "pump-2: failed (key_in_use)" in shown
    campaign(server, "step")
    assert not any(is_asked(device) for device in devices)

    campaign(server, "roll_back", "pumps")
    campaign(server, "step")
    assert obey(devices) == {"pump-0", "pump-1"}
    assert becomes(server, "pumps", "pumps: rolled back")
    assert signed_by(devices) == before
