"""Requests that two programs would read in two ways, and headers that claim what only a socket may say.

What is hidden in a body must never be answered as a request of its own, on any listener: behind a proxy that
reads the body otherwise, it would be somebody else's.
"""

import json
import ssl

import pytest

from pki.core.forwarded import Form
from tests.clients import make_csr, run
from tests.live.devices import Connection, Device
from tests.live.raw import exchange
from tests.live.smuggled import HIDDEN, answered_otherwise

# Where each listener takes a body.
POSTED = {
    "hello": "/hello",
    "secure": "/renew",
    "provisioning": "/sign-csr",
    "console": "/admin/login/",
    "status": "/ocsp",
}


@pytest.fixture(scope="module")
def device(server, tmp_path_factory):
    enrolled = Device.enrolled(server, tmp_path_factory.mktemp("device"), "smuggler")
    yield enrolled
    enrolled.close()


@pytest.fixture(scope="module", params=POSTED)
def target(request, server, device):
    """What sends bytes to one listener, and the path that takes a body there."""
    name, context = request.param, ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    if name == "status":
        context = None
    if name == "secure":
        context = device.context()
    return lambda data, **late: exchange(server, name, data, context, **late), POSTED[name]


def test_what_can_be_read_in_two_ways_is_refused_once_and_the_connection_ends(target):
    send, path = target
    assert answered_otherwise(send, path) == {}


@pytest.mark.parametrize("head", [b"Host: elsewhere", b"X : a", b"X: a\nY: b"], ids=repr)
def test_healthz_is_answered_whatever_its_head_says_and_nothing_after_it(server, head):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n"
    received = exchange(server, "status", request, None, late=HIDDEN)
    assert (received.statuses, received.ended) == ([200], True)
    # In one piece it is like any other request.
    received = exchange(server, "status", request + HIDDEN, None)
    assert (received.statuses, received.ended) == ([400], True)


def test_an_absolute_address_reaches_nothing_but_the_listener_it_came_to(server, device):
    """RFC 9112 3.2.2."""
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "hello", context)
    elsewhere = server.url("console", "/admin/login/")
    assert connection.send(f"GET {elsewhere} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).status == 404
    assert connection.send(b"GET /sign-csr HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 404
    connection.close()


def test_requests_in_one_piece_are_each_answered_once_and_in_order(server, device):
    """HTTP pipelining, RFC 9112 9.3.2: the first one's body is not the second one's head."""
    requests = b"".join(
        f"POST /renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
        + b"G" * length
        for length in range(20)
    )
    last = b"GET /secure HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    received = exchange(server, "secure", requests + last, device.context())
    assert received.statuses == [400] * 20 + [200]
    assert received.ended


# --- Headers that claim what only the socket may say ------------------------------------------------


def forged(form, value):
    """A proxy's header, as it is called and with underscores, which WSGI cannot tell apart."""
    name = form.header
    return "".join(f"{each}: {value}\r\n" for each in (name, name.replace("-", "_"), name.lower()))


CLAIMS = (
    "Forwarded: for=203.0.113.9;proto=https;host=evil.example\r\n"
    "X-Forwarded-For: 203.0.113.9\r\nX_Forwarded_For: 203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\n"
    "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 1\r\n"
    "X-Forwarded-Ssl: off\r\n"
    "X-Original-URL: /admin/\r\nX-Rewrite-URL: /admin/\r\nX-HTTP-Method-Override: DELETE\r\n"
    "X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=root\r\nSSL_CLIENT_VERIFY: SUCCESS\r\n"
    "Remote-User: root\r\nREMOTE_USER: root\r\nREMOTE_ADDR: 203.0.113.9\r\nScript_Name: /admin\r\n"
    "wsgi.url_scheme: http\r\ngunicorn.socket: none\r\n"
)


def test_no_header_stands_in_for_the_certificate_of_the_handshake(server, device, tmp_path):
    victim = Device.enrolled(server, tmp_path, "victim")
    pem = victim.certificate.read_text().partition("-----END CERTIFICATE-----\n")
    certificate = pem[0] + pem[1]
    quoted = certificate.replace("\n", "%0A").replace(" ", "%20").replace("+", "%2B")
    der = "".join(certificate.splitlines()[1:-1])
    claims = CLAIMS + "".join(
        forged(form, value)
        for form, value in {
            Form.NGINX: quoted,
            Form.HAPROXY: der,
            Form.TRAEFIK: der,
            Form.RFC9440: f":{der}:",
            Form.ENVOY: f'Cert="{quoted}"',
        }.items()
    )
    connection = device.connect()
    answer = connection.send(f"GET /whoami HTTP/1.1\r\nHost: localhost\r\n{claims}\r\n".encode())
    assert (answer.status, answer.json["client"], answer.json["forwarded_by"]) == (200, "smuggler", None)
    shown = {name.lower() for name in answer.json["headers"]}
    assert not shown & {form.header.lower() for form in Form}
    assert not [name for name in shown if "_" in name]


def test_claims_of_another_address_are_not_believed_and_not_recorded(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "provisioning", context)
    body = make_csr("claims-to-be-elsewhere")
    head = f"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{CLAIMS}"
    answer = connection.send(f"{head}Authorization: Bearer hatch_no\r\n\r\n".encode() + body)
    assert (answer.status, answer.code) == (401, "token_invalid")
    connection.close()
    assert server.logs("claims-to-be-elsewhere")
    assert "203.0.113.9" not in server.output()


def test_the_console_leads_nowhere_else_whatever_a_header_says(server):
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    connection = Connection(server, "console", context)
    answer = connection.send(f"GET /admin/ HTTP/1.1\r\nHost: localhost\r\n{CLAIMS}\r\n".encode())
    assert (answer.status, answer.headers["location"]) == (302, "/admin/login/?next=/admin/")
    connection.close()
    received = exchange(
        server, "console", b"GET /admin/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", context
    )
    assert received.statuses == [400]


def test_a_name_with_a_line_break_comes_back_in_no_header(server, tmp_path):
    (tmp_path / "forger.csr").write_bytes(make_csr("a\r\nX-Forged: yes"))
    done = run(
        *("curl", "-sS", "-i", "--cacert", server.demo / "ca.pem", "--data-binary", "@forger.csr"),
        *("-H", f"Authorization: Bearer {server.token('--pattern', '*')}"),
        server.url("provisioning", "/sign-csr"),
        cwd=tmp_path,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"X-Forged" not in head
    assert json.loads(body)["code"] == "name_refused"
