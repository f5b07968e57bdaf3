"""HEAD on a running server: the headers of a GET, and not a line in the log."""

import http.client
import ssl

import pytest

# Where                        what stands there
PATHS = [
    ("status", "/healthz"),
    ("status", "/ca/all.pem"),
    ("status", "/crl/all.pem"),
    ("status", "/ca/ff.crt"),  # 404
    ("status", "/nowhere"),
    ("status", "/ocsp"),  # 405
    ("status", "/ocsp/x"),
    ("status", "/authorize"),  # 403
    ("hello", "/hello"),
    ("provisioning", "/sign-csr"),
    ("console", "/admin/login/"),
    ("console", "/nowhere"),
]


def connect(server, listener):
    if listener == "status":
        return http.client.HTTPConnection("127.0.0.1", server.ports[listener], timeout=20)
    trust = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    return http.client.HTTPSConnection("localhost", server.ports[listener], timeout=20, context=trust)


@pytest.mark.parametrize(("listener", "path"), PATHS)
def test_a_head_has_the_length_of_a_get_and_leaves_no_warning(server, listener, path):
    connection = connect(server, listener)
    lengths = []
    # On one connection: when the last has come, whatever there was to log of the others is written.
    for method in ("HEAD", "HEAD", "GET"):
        connection.request(method, path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        body = answer.read()
        lengths.append(int(answer.headers["Content-Length"]))
    connection.close()
    assert lengths[2] == len(body)
    # Of a method that is not allowed, the answer names it; a login page has another token each time.
    assert all(abs(length - len(body)) <= 1 for length in lengths)
    assert "no-body response" not in server.output()
