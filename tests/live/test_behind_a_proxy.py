"""The secure listener in proxy mode over plain HTTP: raw sockets play the proxies, and everybody else."""

import pytest

from pki.core.forwarded import Form
from tests.clients import make_csr, run
from tests.core.test_forwarded import WRITTEN
from tests.live import proxies
from tests.live.proxies import NAMED, NGINX, STRANGER, Plain, ask, certificate, enrolled, nginx
from tests.live.raw import exchange
from tests.live.smuggled import answered_otherwise
from tests.live.test_handshakes import strangers_certificate
from tests.live.test_last_seen import WITHIN
from tests.live.waiting import eventually
from tests.server import Server

WORKERS = 2  # of gunicorn, by default
CLIENT = "192.0.2.77"
FROM_CLIENT = f"X-Forwarded-For: 198.51.100.1, {CLIENT}"
ADDRESSES = {form: getattr(proxies, form.name) for form in Form}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(
        tmp_path_factory.mktemp("behind"), {"PORTAL_PROXIES": NAMED, "PORTAL_SECURE_PROXY": "http"}
    ).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("devices")


@pytest.fixture(scope="module")
def door(server, folder):
    return enrolled(server, folder, "door-1")


@pytest.fixture(scope="module")
def gate(server, folder):
    return enrolled(server, folder, "gate-1")


# --- What named proxies say -----------------------------------------------------------------------


@pytest.mark.parametrize("form", list(Form))
def test_each_named_proxy_is_believed_in_its_own_form(server, folder, door, form):
    header = f"{form.header}: {WRITTEN[form](certificate(folder, door.name))}"
    answer = ask(server, "secure", "/secure", header, address=ADDRESSES[form])
    assert (answer.status, answer.json["client"]) == (200, door.name)


def test_whoami_says_who_forwarded_and_that_only_the_proxy_knows_the_rest(server, folder, door):
    header = nginx(folder, door.name)
    told = ask(server, "secure", "/whoami", header, FROM_CLIENT).json
    assert told["client"] == door.name
    assert told["forwarded_by"] == NGINX
    assert (told["tls_version"], told["cipher_suite"], told["resumed"]) == (None, None, None)
    assert told["headers"]["X-SSL-Client-Cert"] == header.partition(": ")[2]


def test_what_can_be_read_in_two_ways_is_refused_once_and_the_connection_ends(server):
    def send(data, **late):
        return exchange(server, "secure", data, None, address=NGINX, **late)

    assert answered_otherwise(send, "/renew") == {}


@pytest.mark.parametrize(
    "name", ["X_SSL_Client_Cert", "X-SSL_Client-Cert", "X-SSL-Client-Cert-", "SSL-Client-Cert"]
)
def test_a_name_that_is_nearly_the_headers_is_not_read(server, folder, door, name):
    """A proxy that sets its own header lets others of its client through; to WSGI, _ would be -."""
    value = nginx(folder, door.name).partition(":")[2]
    assert ask(server, "secure", "/secure", f"{name}:{value}").code == "client_certificate_missing"


@pytest.mark.parametrize("name", ["x-ssl-client-cert", "X-SSL-CLIENT-CERT", "X-Ssl-Client-Cert"])
def test_a_headers_case_is_of_no_account(server, folder, door, name):
    value = nginx(folder, door.name).partition(":")[2]
    assert ask(server, "secure", "/secure", f"{name}:{value}").json["client"] == door.name


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.NGINX])
def test_the_form_of_another_proxy_is_not_read_of_this_one(server, folder, door, form):
    header = f"{form.header}: {WRITTEN[form](certificate(folder, door.name))}"
    assert ask(server, "secure", "/secure", header).code == "client_certificate_missing"


def test_a_forged_header_beside_the_right_one_changes_nothing(server, folder, door, gate):
    forged = [
        f"{form.header}: {WRITTEN[form](certificate(folder, gate.name))}"
        for form in Form
        if form is not Form.NGINX
    ]
    told = ask(server, "secure", "/whoami", *forged, nginx(folder, door.name), *forged).json
    assert told["client"] == door.name
    assert {form.header for form in Form} & set(told["headers"]) == {"X-SSL-Client-Cert"}
    assert server.logs('"reason": "other_form"')
    dropped = [each for each in server.events("forwarded_certificate.dropped") if each["address"] == NGINX]
    assert {"reason": "other_form", "listener": "secure"}.items() <= dropped[-1].items()


def test_the_right_header_twice_is_refused_whoever_is_first(server, folder, door, gate):
    for first, second in ((door, gate), (gate, door), (door, door)):
        headers = [nginx(folder, first.name), nginx(folder, second.name)]
        assert ask(server, "secure", "/secure", *headers).code == "forwarded_certificate_malformed"


def test_a_header_with_underscores_is_another_header_and_dropped(server, folder, door, gate):
    forged = nginx(folder, gate.name).replace("X-SSL-Client-Cert", "X_SSL_Client_Cert")
    assert ask(server, "secure", "/secure", forged).code == "client_certificate_missing"
    assert ask(server, "secure", "/secure", forged, nginx(folder, door.name)).json["client"] == door.name


def test_a_header_in_the_trailers_of_a_chunked_body_is_not_read(server, folder, door):
    body = f"3\r\nabc\r\n0\r\n{nginx(folder, door.name)}\r\n\r\n".encode()
    connection = Plain(server, "secure")
    head = proxies.request("/secure", "Transfer-Encoding: chunked")
    assert connection.send(head + body).code == "client_certificate_missing"
    connection.close()


def test_a_request_with_two_lengths_is_refused(server, folder, door):
    """What one side takes for a body, the other would take for a request with a header of its own."""
    smuggled = proxies.request("/secure", nginx(folder, door.name))
    head = proxies.request("/secure", "Content-Length: 5", "Transfer-Encoding: chunked", method="GET")
    connection = Plain(server, "secure")
    assert connection.send(head + b"0\r\n\r\n" + smuggled).status == 400
    assert connection.ended()
    connection.close()


def test_a_folded_header_is_refused(server, folder, door):
    head = proxies.request("/secure", "X-Anything: x\r\n " + nginx(folder, door.name))
    connection = Plain(server, "secure")
    assert connection.send(head).status == 400
    connection.close()


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (20_000, 403, "forwarded_certificate_malformed"),
        (26_000, 403, "forwarded_certificate_malformed"),
        (40_000, 431, "head_too_large"),
    ],
)
def test_a_huge_header_is_refused(server, size, status, code):
    answer = ask(server, "secure", "/secure", f"X-SSL-Client-Cert: {'A' * size}")
    assert (answer.status, answer.code) == (status, code)


# --- Everybody else -------------------------------------------------------------------------------


def test_nobody_else_is_answered_and_all_are_told_the_same(server, folder, door):
    told = set()
    for path in ("/secure", "/whoami", "/authorize", "/nowhere", "/"):
        for headers in ([], [nginx(folder, door.name)], ["X-SSL-Client-Cert: nonsense"]):
            answer = ask(server, "secure", path, *headers, address=STRANGER)
            assert (answer.status, answer.code) == (403, "proxy_unknown")
            told.add(answer.body)
    assert len(told) == 1


def test_methods_are_no_way_past_the_door(server):
    connection = Plain(server, "secure", STRANGER)
    assert connection.ask("/secure", "Content-Length: 0", method="POST").code == "proxy_unknown"
    connection.close()


def test_headers_of_nobody_are_dropped_and_counted_and_do_not_fill_the_trail(server, folder, door):
    for _ in range(20):
        ask(server, "secure", "/secure", nginx(folder, door.name), address="127.0.0.10")
    assert server.logs('"address": "127.0.0.10"')
    written = [
        each for each in server.events("forwarded_certificate.dropped") if each["address"] == "127.0.0.10"
    ]
    assert len(written) <= WORKERS, "each worker writes the first at once, and the others by their number"
    for each in written:
        assert each["headers"] == ["X-SSL-Client-Cert"]
        assert (each["reason"], each["listener"]) == ("proxy_unknown", "secure")


def test_a_stranger_cannot_say_that_he_comes_from_elsewhere(server, folder, door):
    for header in (f"X-Forwarded-For: {NGINX}", f"Forwarded: for={NGINX}", f"X-Real-IP: {NGINX}"):
        answer = ask(server, "secure", "/secure", nginx(folder, door.name), header, address=STRANGER)
        assert answer.code == "proxy_unknown"


# --- Whom a proxy forwards ------------------------------------------------------------------------


def refused(server, header, code):
    """That /secure refuses with this code, and what is on record of it."""
    answer = ask(server, "secure", "/secure", header, FROM_CLIENT)
    assert (answer.status, answer.code, answer.headers["hatchery-reason"]) == (403, code, code)
    return [
        each
        for each in server.events("handshake.refused")
        if each["reason"] == code and each.get("forwarded_by") == NGINX
    ]


def in_file(folder, name, pem):
    (folder / f"{name}.pem").write_text(pem)
    return nginx(folder, name)


def test_a_strangers_certificate_is_refused_and_known_by_name(server, tmp_path):
    strangers_certificate(tmp_path, "mallory")
    (event,) = refused(server, nginx(tmp_path, "mallory"), "unknown_issuer")
    assert (event["address"], event["subject"], event["certificate_serial"]) == (
        CLIENT,
        "CN=mallory",
        "abcdef",
    )


def test_a_revoked_certificate_is_refused_on_the_connection_on_which_it_was_good(server, tmp_path):
    device = enrolled(server, tmp_path, "taken-1")
    connection = Plain(server, "secure")
    assert connection.ask("/secure", nginx(tmp_path, "taken-1")).status == 200
    done = server.manage("revoke", "--device", device.name, "--reason", "keyCompromise")
    assert done.returncode == 0, done.stderr
    assert connection.ask("/secure", nginx(tmp_path, "taken-1")).code == "certificate_revoked"
    connection.close()
    told = server.inside("newest_refusal", "taken-1").splitlines()
    assert told[2:4] == ["certificate_revoked", "CN=taken-1"], "the console can say whose it was"


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_a_device_that_is_suspended_or_retired_is_told_so(server, tmp_path, state):
    enrolled(server, tmp_path, f"{state}-1")
    assert ask(server, "secure", "/secure", nginx(tmp_path, f"{state}-1")).status == 200
    server.inside("change_state", f"{state}-1", state)
    assert ask(server, "secure", "/secure", nginx(tmp_path, f"{state}-1")).code == f"device_{state}"


@pytest.mark.parametrize(
    ("days", "code"), [("31", "certificate_expired"), ("-2", "certificate_not_yet_valid")]
)
def test_a_certificate_outside_its_time_is_refused(server, tmp_path, days, code):
    pem = server.inside("issue_in_the_past", f"at-{code}", days, stdin=make_csr(f"at-{code}"))
    (event,) = refused(server, in_file(tmp_path, "late", pem), code)
    assert event["device"] == f"at-{code}"


def test_a_server_certificate_is_no_clients(server, tmp_path):
    pem, _ = server.inside("sign_a_server", "a-server").split("#")
    assert refused(server, in_file(tmp_path, "a-server", pem), "wrong_purpose")


def test_a_certificate_that_is_not_on_record_is_refused(server, tmp_path):
    pem = server.inside("sign_off_the_record", "ghost-1", stdin=make_csr("ghost-1"))
    assert refused(server, in_file(tmp_path, "ghost-1", pem), "certificate_unknown")


def test_what_is_no_certificate_is_refused(server):
    assert refused(server, "X-SSL-Client-Cert: nonsense", "forwarded_certificate_malformed")


def test_a_client_without_a_certificate_is_refused(server):
    assert ask(server, "secure", "/secure").code == "client_certificate_missing"
    assert ask(server, "secure", "/secure", "X-SSL-Client-Cert:").code == "client_certificate_missing"


@pytest.mark.parametrize(
    ("forwarded_for", "address"),
    [
        (FROM_CLIENT, CLIENT),
        (f"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: {CLIENT}", CLIENT),
        ("X-Forwarded-For: 198.51.100.1, fe80::7%eth0", "fe80::7"),
        ("X-Forwarded-For: 198.51.100.1, garbage", "None"),
        ("X-Other: 198.51.100.1", "None"),
    ],
)
def test_a_device_was_seen_from_where_the_proxy_says(server, tmp_path, forwarded_for, address, request):
    name = f"seen-{abs(hash(request.node.nodeid)) % 10**9}"
    enrolled(server, tmp_path, name)
    assert ask(server, "secure", "/secure", nginx(tmp_path, name), forwarded_for).status == 200
    told = eventually(lambda: server.inside("last_seen", name), within=WITHIN)
    assert told.splitlines()[:2] == [address, ""], "the TLS version is the proxy's secret"


# --- The server itself ----------------------------------------------------------------------------


def test_what_is_printed_does_not_send_anybody_to_the_secure_listener(server):
    assert f"{server.ports['secure']}, answers nobody but its proxies (nginx@{NGINX}," in server.output()
    assert f"{server.ports['secure']}/secure" not in server.output()


def test_a_listener_without_tls_is_given_no_certificate(server):
    made = {path.name for path in (server.data / "keys").iterdir()}
    assert [name for name in made if name.startswith("listener-hello")]
    assert not [name for name in made if name.startswith("listener-secure")]


def test_it_is_no_tls_listener(server):
    done = run("curl", "-sS", "--insecure", f"https://localhost:{server.ports['secure']}/secure")
    assert done.returncode == 35, done
