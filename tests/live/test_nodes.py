"""Two nodes over one PostgreSQL: what one of them is told, the other knows at its next request."""

import itertools
import json
import shutil
import ssl
from contextlib import closing

import pytest

from tests.clients import run
from tests.live.conftest import BAD_TOKENS
from tests.live.devices import Device
from tests.live.parties import Crl, Ocsp
from tests.live.visitors import Visitor
from tests.server import seen_within

NUMBERS = itertools.count()
SOON = 20.0  # seconds, generous: the benchmark measures how soon lists have a revocation


@pytest.fixture(params=[(0, 1), (1, 0)], ids=["first tells second", "second tells first"])
def pair(request, nodes):
    """The node where something is done, and the other one."""
    here, there = request.param
    return nodes[here], nodes[there]


@pytest.fixture
def device(pair, tmp_path):
    """A device that enrolled at one node, as it comes to the other."""
    here, there = pair
    name = f"wanderer-{next(NUMBERS)}"
    Device.enrolled(here, tmp_path, name)
    arrived = Device(name, there, tmp_path)
    yield arrived
    arrived.close()


def is_let_in(device):
    """Whether a new connection is served; a revoked certificate is refused in its handshake."""
    try:
        return device.connect().get("/secure").status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def test_what_one_node_signs_the_other_takes(device):
    answer = device.connect().get("/secure")
    assert (answer.status, answer.json["client"]) == (200, device.name)


def test_a_token_of_one_node_enrolls_at_the_other(pair, tmp_path):
    here, there = pair
    device = Device.made(there, tmp_path, f"guest-{next(NUMBERS)}")
    device.enroll(here.token("--device", device.name))
    for node in pair:
        assert json.loads(Device(device.name, node, tmp_path).curl().stdout)["client"] == device.name


def test_a_new_connection_to_the_other_node_is_refused_in_the_handshake(pair, device):
    here, there = pair
    assert is_let_in(device)
    here.revoke(device.name)
    assert not is_let_in(device)
    assert device.curl().returncode == 56
    assert there.logs(f'"subject": "CN={device.name}"')
    assert '"reason": "certificate_revoked"' in there.output()


def test_a_connection_that_the_other_node_keeps_alive_is_refused(pair, device):
    connection = device.connect()
    assert connection.get("/secure").status == 200
    pair[0].revoke(device.name)
    assert connection.get("/secure").code == "certificate_revoked"


def test_a_session_that_the_other_node_resumes_is_refused(pair, device):
    context = device.context(version=ssl.TLSVersion.TLSv1_3)
    first = device.connect(context)
    assert first.get("/secure").status == 200
    pair[0].revoke(device.name)
    resumed = device.connect(context, first.tls.session)
    assert resumed.tls.session_reused
    assert resumed.get("/secure").code == "certificate_revoked"


def test_what_was_on_hold_is_good_again_on_the_other_node_at_once(pair, device):
    here, _ = pair
    connection = device.connect()
    assert connection.get("/secure").status == 200
    here.revoke(device.name, "certificateHold")
    assert connection.get("/secure").code == "certificate_revoked"
    assert not is_let_in(device)
    here.inside("lift_hold", device.name)
    assert connection.get("/secure").status == 200
    assert is_let_in(device)


def test_the_ocsp_of_the_other_node_says_so_at_once(pair, device):
    here, _ = pair
    with closing(Ocsp(device)) as party:
        assert party.is_good()
        here.revoke(device.name, "certificateHold")
        assert not party.is_good()
        here.inside("lift_hold", device.name)
        assert party.is_good()


def test_the_list_that_the_other_node_serves_has_it_soon(pair, device):
    here, _ = pair
    with closing(Crl(device)) as party:
        assert party.is_good()
        here.revoke(device.name, "certificateHold")
        assert seen_within(SOON, lambda: not party.is_good())
        here.inside("lift_hold", device.name)
        assert seen_within(SOON, party.is_good)


def test_a_device_that_one_node_suspends_the_other_turns_away(pair, device):
    here, _ = pair
    connection = device.connect()
    assert connection.get("/secure").status == 200
    here.inside("change_state", device.name, "suspended")
    assert connection.get("/secure").code == "device_suspended"
    here.inside("change_state", device.name, "active")
    assert connection.get("/secure").status == 200


def test_who_logged_in_at_one_node_is_logged_in_at_the_other(pair):
    here, there = pair
    context = ssl.create_default_context(cafile=str(here.demo / "ca.pem"))
    ada = Visitor(here, context)
    ada.log_in_as_administrator()
    moved = Visitor(there, context, dict(ada.cookies))
    stranger = Visitor(there, context)
    try:
        assert ada.is_in()
        assert moved.is_in()
        assert not stranger.is_in()
    finally:
        for visitor in (ada, moved, stranger):
            visitor.connection.close()


def test_a_second_node_makes_nothing_anew(nodes):
    """No issuer, no administrator, and no certificate of a listener: all came with the first one's keys."""
    _, second = nodes
    done = second.manage("bootstrap", "--no-demo")
    assert (done.returncode, done.stdout) == (0, b"Everything is there already.\n")
    for listener in ("hello", "secure", "provisioning", "console"):
        one, other = (ssl.get_server_certificate(("localhost", node.ports[listener])) for node in nodes)
        assert one == other


def test_a_session_of_one_node_is_a_whole_handshake_at_another(nodes, tmp_path):
    first, second = nodes
    device = Device.enrolled(first, tmp_path, f"wanderer-{next(NUMBERS)}")
    context = device.context()
    begun = device.connect(context)
    assert begun.get("/secure").status == 200
    arrived = Device(device.name, second, tmp_path).connect(context, begun.tls.session)
    assert not arrived.tls.session_reused
    assert arrived.get("/secure").status == 200
    arrived.close()
    device.close()


def test_a_node_signs_for_a_new_issuer_once_it_has_its_key(nodes, tmp_path):
    """Until then it says that it cannot, and nothing of the token is used up."""
    first, second = nodes
    first.inside("new_issuer", "latecomer")
    device = Device.made(second, tmp_path, "signed-by-a-latecomer")
    token = first.token("--device", device.name, "--profile", "latecomer")
    asked = device.ask(token)
    assert asked.stdout == b"503"
    assert json.loads(device.certificate.read_bytes())["code"] == "unavailable"

    shutil.copytree(first.data / "keys", second.data / "keys", dirs_exist_ok=True)
    device.enroll(token)
    subject = run("openssl", "x509", "-in", device.certificate, "-noout", "-issuer").stdout
    assert subject == b"issuer=CN = latecomer\n"


def test_an_audit_event_that_is_committed_late_is_sealed_late_and_none_is_left_out(nodes):
    found = json.loads(nodes[0].inside("seal_late").splitlines()[-1])
    assert found.pop("faults") == []
    assert len(found) == 4
    assert all(found.values()), found


def test_a_node_proves_what_another_has_sealed(nodes, tmp_path):
    """By the key that came with keys/, which was copied before any worker ran, and by its public key."""
    key = tmp_path / "audit.pem"
    key.write_bytes(nodes[0].manage("audit", "key").stdout)
    for given in ((), ("--public-key", str(key))):
        done = nodes[1].manage("audit", "verify", *given)
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1].startswith(b"PROVEN")


def test_bad_tokens_at_one_node_count_at_the_other_and_good_devices_are_served_at_both(nodes, tmp_path):
    first, second = nodes
    stranger = Device.made(first, tmp_path, "guesser")
    answers = [stranger.ask("hatch_never-made").stdout for _ in range(BAD_TOKENS + 1)]
    assert answers[-1] == b"429"
    stranger.server = second
    assert stranger.ask("hatch_never-made").stdout == b"429"
    for node in nodes:
        device = Device.enrolled(node, tmp_path, f"wanderer-{next(NUMBERS)}")
        assert json.loads(device.curl().stdout)["client"] == device.name
