"""/authorize: what proxies are told of a client, and nobody else."""

import ssl

import pytest

from tests.clients import run
from tests.live import proxies
from tests.live.devices import Connection, Device
from tests.live.proxies import NAMED, STRANGER, Plain, ask, enrolled, nginx
from tests.live.test_last_seen import WITHIN
from tests.live.waiting import eventually
from tests.server import Server

EDGE = "edge-1"
FROM_CLIENT = "X-Forwarded-For: 192.0.2.77"


def started(folder, **settings):
    return Server(folder, {"PORTAL_PROXIES": NAMED, **settings}).start()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Proxies are known by their addresses, and ask on the status listener."""
    running = started(tmp_path_factory.mktemp("asked"), PORTAL_TRUST_DOMAIN="devices.example")
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """Proxies must show certificates of their own, and ask on the secure listener."""
    running = started(tmp_path_factory.mktemp("strict"), PORTAL_PROXY_DEVICES=f"{EDGE},edge-2,edge-3")
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """The secure listener itself is behind proxies that show certificates of their own."""
    running = started(
        tmp_path_factory.mktemp("mutual"),
        PORTAL_PROXY_DEVICES=f"{EDGE},edge-2,edge-3",
        PORTAL_SECURE_PROXY="mutual",
    )
    yield running
    assert running.stop() == 0, running.output()


def identity(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("hatchery-")}


# --- What is told ---------------------------------------------------------------------------------


def test_a_good_device_is_told_of_in_headers(server, tmp_path):
    enrolled(server, tmp_path, "door@hall")
    certificate = proxies.certificate(tmp_path, "door@hall")
    server.inside("put_into_groups", "door@hall", "site-berlin", "beta")
    answer = ask(server, "status", "/authorize", nginx(tmp_path, "door@hall"))
    assert (answer.status, answer.json) == (200, {"client": "door@hall"})
    assert answer.headers["cache-control"] == "no-store"
    assert identity(answer) == {
        "hatchery-device": "door@hall",
        "hatchery-serial": f"{certificate.serial_number:x}",
        "hatchery-uri": "spiffe://devices.example/device/door%40hall",
        "hatchery-groups": "beta,site-berlin",
        "hatchery-not-after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }


ASKED = [
    ("GET", "/authorize/"),
    ("GET", "/authorize/orders/7?page=2"),
    ("HEAD", "/authorize/orders"),
    ("POST", "/authorize/orders"),
    ("DELETE", "/authorize/orders/7"),
    ("OPTIONS", "/authorize/*"),
    ("PROPFIND", "/authorize/dav"),
    ("GET", "/authorize/../secure"),
    ("GET", "/authorize//double"),
    ("GET", "/authorize/a%0Ab%00c%FF"),
]


@pytest.mark.parametrize(("method", "path"), ASKED, ids=map(" ".join, ASKED))
def test_the_method_and_the_path_that_are_asked_about_are_of_no_account(server, tmp_path, method, path):
    name = f"asked-{ASKED.index((method, path))}"
    enrolled(server, tmp_path, name)
    connection = Plain(server, "status")
    connection.tls.sendall(proxies.request(path, nginx(tmp_path, name), "Connection: close", method=method))
    head = b"".join(iter(lambda: connection.tls.recv(65536), b"")).partition(b"\r\n\r\n")[0].decode()
    connection.close()
    assert head.startswith("HTTP/1.1 200 ")
    assert f"Hatchery-Device: {name}" in head


@pytest.mark.parametrize("path", ["/authorized", "/authorize.txt", "/x/authorize"])
def test_other_paths_are_not_asked_about(server, path):
    assert ask(server, "status", path).code == "not_found"


@pytest.mark.parametrize("length", [5, 60_000, 5_000_000])
def test_a_body_is_of_no_account_however_long_it_says_that_it_is(server, tmp_path, length):
    enrolled(server, tmp_path, f"long-{length}")
    connection = Plain(server, "status")
    headers = (nginx(tmp_path, f"long-{length}"), f"Content-Length: {length}")
    head = proxies.request("/authorize", *headers, method="POST")
    assert connection.send(head + b"x" * min(length, 60_000)).status == 200
    connection.close()


def test_a_refused_device_is_told_of_by_a_reason_that_auth_request_sees(server, tmp_path):
    enrolled(server, tmp_path, "gone-1")
    connection = Plain(server, "status")
    assert connection.ask("/authorize", nginx(tmp_path, "gone-1")).status == 200
    assert server.manage("revoke", "--device", "gone-1", "--reason", "keyCompromise").returncode == 0
    answer = connection.ask("/authorize", nginx(tmp_path, "gone-1"), FROM_CLIENT)
    assert (answer.status, answer.code) == (403, "certificate_revoked")
    assert identity(answer) == {"hatchery-reason": "certificate_revoked"}
    assert answer.headers["cache-control"] == "no-store"
    connection.close()
    assert server.logs('"forwarded_by": "127.0.0.1"')
    told = server.inside("newest_refusal", "gone-1").splitlines()
    assert (told[0], told[2]) == ("192.0.2.77", "certificate_revoked")


def test_a_suspended_device_is_refused_though_it_is_not_revoked(server, tmp_path):
    enrolled(server, tmp_path, "paused-1")
    server.inside("change_state", "paused-1", "suspended")
    assert ask(server, "status", "/authorize", nginx(tmp_path, "paused-1")).code == "device_suspended"
    server.inside("change_state", "paused-1", "active")
    assert ask(server, "status", "/authorize", nginx(tmp_path, "paused-1")).status == 200


def test_a_client_without_a_certificate_is_a_403_which_auth_request_understands(server):
    answer = ask(server, "status", "/authorize")
    assert (answer.status, answer.code) == (403, "client_certificate_missing")


def test_to_be_asked_about_is_to_be_seen(server, tmp_path):
    enrolled(server, tmp_path, "seen-1")
    ask(server, "status", "/authorize", nginx(tmp_path, "seen-1"), FROM_CLIENT)
    told = eventually(lambda: server.inside("last_seen", "seen-1"), within=WITHIN)
    assert told.splitlines()[:2] == ["192.0.2.77", ""]


# --- And nobody else ------------------------------------------------------------------------------


def test_nobody_else_learns_which_certificates_are_good(server, tmp_path):
    enrolled(server, tmp_path, "door-2")
    good = ask(server, "status", "/authorize", nginx(tmp_path, "door-2"), address=STRANGER)
    bad = ask(server, "status", "/authorize", "X-SSL-Client-Cert: nonsense", address=STRANGER)
    none = ask(server, "status", "/authorize", address=STRANGER)
    assert good.code == "proxy_unknown"
    assert (good.status, good.body) == (bad.status, bad.body) == (none.status, none.body)
    assert server.logs(f'"address": "{STRANGER}"')


def test_a_header_is_of_no_account_to_who_asks_for_something_else_and_is_counted(server, tmp_path):
    enrolled(server, tmp_path, "door-3")
    forger = "127.0.0.78"
    assert ask(server, "status", "/openapi.json", nginx(tmp_path, "door-3"), address=forger).status == 200
    assert server.logs(f'"address": "{forger}", "listener": "status", "reason": "not_asked"')


def test_who_asks_and_is_no_proxy_is_on_record_though_he_sends_no_header(server):
    asker = "127.0.0.77"
    assert ask(server, "status", "/authorize", address=asker).code == "proxy_unknown"
    assert server.logs(f'"address": "{asker}", "listener": "status", "reason": "address_not_named"')
    assert "proxy.refused" in server.output()


def test_a_device_may_not_ask_in_a_proxys_place_though_its_connection_is_mutual_tls(server, tmp_path):
    """Where no devices are named as proxies, none is one: its address alone does not make it so."""
    device = enrolled(server, tmp_path, "curious-1")
    connection = device.connect()
    request = proxies.request("/authorize", nginx(tmp_path, "curious-1"))
    assert connection.send(request).code == "proxy_unknown"
    device.close()


def test_a_forged_header_on_our_own_mutual_tls_is_dropped_and_counted(server, tmp_path):
    device = enrolled(server, tmp_path, "mallory-1")
    enrolled(server, tmp_path, "victim-1")
    connection = device.connect()
    told = connection.send(proxies.request("/whoami", nginx(tmp_path, "victim-1"), FROM_CLIENT)).json
    assert (told["client"], told["forwarded_by"]) == ("mallory-1", None)
    assert "X-SSL-Client-Cert" not in told["headers"]
    assert told["tls_version"].startswith("TLSv1.")
    assert server.logs('"reason": "not_asked"')
    assert eventually(lambda: server.inside("last_seen", "mallory-1"), WITHIN).startswith("127.0.0.1\n")
    device.close()


# --- Proxies that must show a certificate of their own --------------------------------------------


def test_over_plain_http_such_a_proxy_is_not_believed(strict, tmp_path):
    enrolled(strict, tmp_path, "door-1")
    answer = ask(strict, "status", "/authorize", nginx(tmp_path, "door-1"))
    assert answer.code == "proxy_unknown"
    assert "PORTAL_PROXY_DEVICES" in answer.json["detail"]


@pytest.mark.parametrize(
    ("where", "path"), [("strict", "/authorize"), ("behind", "/secure"), ("behind", "/authorize")]
)
def test_a_proxy_with_its_own_certificate_is_believed_and_a_device_is_not(request, tmp_path, where, path):
    server = request.getfixturevalue(where)
    door = enrolled(server, tmp_path, f"door-{where}{path[1:]}")
    edge = Device.enrolled(server, tmp_path, EDGE)
    asking = proxies.request(path, nginx(tmp_path, door.name))
    answer = edge.connect().send(asking)
    assert (answer.status, answer.json["client"]) == (200, door.name)
    # Its own certificate, whether it speaks for itself or for another, makes no proxy of a device.
    for header in (nginx(tmp_path, door.name), nginx(tmp_path, EDGE)):
        assert door.connect().send(proxies.request(path, header)).code == "proxy_unknown"
    edge.close()
    door.close()


@pytest.mark.parametrize("where", ["strict", "behind"])
@pytest.mark.parametrize("deed", ["revoked", "suspended"])
def test_a_proxy_whose_own_certificate_falls_is_not_believed_any_more(request, tmp_path, where, deed):
    """On the connection on which it was."""
    server = request.getfixturevalue(where)
    name = {"revoked": "edge-2", "suspended": "edge-3"}[deed]
    edge, door = (enrolled(server, tmp_path, each) for each in (name, f"door-{deed}"))
    asking = proxies.request("/authorize", nginx(tmp_path, door.name))
    connection = edge.connect()
    assert connection.send(asking).status == 200
    if deed == "revoked":
        assert server.manage("revoke", "--device", name, "--reason", "keyCompromise").returncode == 0
    else:
        server.inside("change_state", name, "suspended")
    assert connection.send(asking).code == "proxy_unknown"
    edge.close()


def test_a_proxys_certificate_from_another_address_is_not_enough(behind, tmp_path):
    edge = Device.enrolled(behind, tmp_path, EDGE)
    plain = Plain(behind, "secure", STRANGER)
    plain.tls = edge.context().wrap_socket(plain.tls, server_hostname="localhost")
    assert plain.ask("/secure", nginx(tmp_path, EDGE)).code == "proxy_unknown"
    plain.close()


def test_a_proxy_without_a_certificate_is_refused_in_the_handshake(behind):
    done = run("curl", "-sS", "--cacert", behind.demo / "ca.pem", behind.url("secure", "/secure"))
    assert done.returncode == 56


def test_over_tls_a_proxy_is_known_by_its_address_and_asked_for_no_certificate(tmp_path):
    server = started(tmp_path / "data", PORTAL_SECURE_PROXY="tls")
    enrolled(server, tmp_path, "door-1")
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "secure", context)
    assert connection.send(proxies.request("/secure", nginx(tmp_path, "door-1"))).json["client"] == "door-1"
    connection.close()
    stranger = Plain(server, "secure", STRANGER)
    stranger.tls = context.wrap_socket(stranger.tls, server_hostname="localhost")
    assert stranger.ask("/secure", nginx(tmp_path, "door-1")).code == "proxy_unknown"
    stranger.close()
    assert server.stop() == 0
