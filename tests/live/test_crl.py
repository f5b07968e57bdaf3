"""CRLs on a running server: fresh soon after a revocation, on every process, and for slow readers too."""

import http.client
import socket
import time

import pytest
from cryptography import x509

from tests.clients import run
from tests.live.devices import Device
from tests.server import Server

FRESH_WITHIN = 5.0  # seconds


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.ports["status"], timeout=20)
    try:
        connection.request(method, path, headers={"Host": "localhost", **headers})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def certificate_of(device):
    return x509.load_pem_x509_certificate((device.folder / f"{device.name}.pem").read_bytes())


def path_of(certificate):
    """Where a certificate says that its list is, on its own port."""
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return "/" + point.full_name[0].value.split("/", 3)[3]


def revoked(server, path):
    answer, body = get(server, path)
    assert answer.status == 200, body
    return {each.serial_number for each in x509.load_der_x509_crl(body)}


@pytest.fixture
def device(server, tmp_path, request):
    enrolled = Device.enrolled(server, tmp_path, f"device-{abs(hash(request.node.nodeid)) % 10**9}")
    yield enrolled
    enrolled.close()


def appears(server, serial, path, within=FRESH_WITHIN):
    deadline = time.monotonic() + within
    while serial not in revoked(server, path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_revocation_from_the_shell_is_on_both_lists_within_five_seconds(server, device):
    certificate = certificate_of(device)
    shard = path_of(certificate)
    full = f"{shard.rpartition('/')[0]}.crl"
    assert certificate.serial_number not in revoked(server, shard)
    done = server.manage("revoke", "--device", device.name, "--reason", "keyCompromise")
    assert done.returncode == 0, done.stderr
    assert appears(server, certificate.serial_number, shard)
    assert appears(server, certificate.serial_number, full)


def test_a_hold_and_its_end_are_seen_in_time(server, device):
    certificate = certificate_of(device)
    server.manage("revoke", "--device", device.name, "--reason", "certificateHold")
    assert appears(server, certificate.serial_number, path_of(certificate))
    server.inside("lift_hold", device.name)
    deadline = time.monotonic() + FRESH_WITHIN
    while certificate.serial_number in revoked(server, path_of(certificate)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_lists_are_there_when_the_server_has_started(server, device):
    answer, _ = get(server, path_of(certificate_of(device)))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pkix-crl")


def test_a_head_ends_after_its_headers_and_a_304_has_no_length(server, device):
    path = path_of(certificate_of(device))
    whole, body = get(server, path)
    head, nothing = get(server, path, method="HEAD")
    assert (head.status, nothing) == (200, b"")
    assert head.headers["Content-Length"] == str(len(body))
    same, nothing = get(server, path, **{"If-None-Match": whole.headers["ETag"]})
    assert (same.status, nothing) == (304, b"")
    assert same.headers["ETag"] == whole.headers["ETag"]
    assert "Content-Length" not in same.headers
    # Nothing of a body is left in the connection: the next answer on it is read as one.
    asked = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
    with socket.create_connection(("127.0.0.1", server.ports["status"]), 10) as connection:
        connection.sendall(asked.encode())
        received = b""
        while received.count(b"\r\n\r\n") < 2:
            received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.endswith(b"\r\n\r\n")


def test_two_servers_over_one_database_make_each_list_once(server, device, tmp_path_factory):
    """The second has other ports, and sees what was revoked on the first."""
    second = Server(server.data, settings={"PORTAL_STATUS_URL": server_status_url(server)})
    second.log = tmp_path_factory.mktemp("second") / "serve.log"
    second.start()
    try:
        certificate = certificate_of(device)
        path = path_of(certificate)
        server.manage("revoke", "--device", device.name, "--reason", "superseded")
        assert appears(second, certificate.serial_number, path)
        assert appears(server, certificate.serial_number, path)
        assert get(server, path)[1] == get(second, path)[1]
        assert "Traceback" not in second.output()
    finally:
        assert second.stop() == 0, second.output()


def server_status_url(server):
    return f"http://127.0.0.1:{server.ports['status']}"


def test_openssl_refuses_a_revoked_device_by_what_is_served(server, device):
    """All that a relying party needs comes from the status listener."""
    certificate = certificate_of(device)
    for name, path in (("roots.pem", "/ca/bundle.pem"), ("all.pem", "/ca/all.pem")):
        (device.folder / name).write_bytes(get(server, path)[1])

    def verify():
        (device.folder / "lists.pem").write_bytes(get(server, "/crl/all.pem")[1])
        return run(
            *("openssl", "verify", "-crl_check_all", "-CAfile", "roots.pem", "-untrusted", "all.pem"),
            *("-CRLfile", "lists.pem", f"{device.name}.pem"),
            cwd=device.folder,
        )

    assert verify().returncode == 0
    server.manage("revoke", "--device", device.name, "--reason", "keyCompromise")
    full = f"{path_of(certificate).rpartition('/')[0]}.crl"
    assert appears(server, certificate.serial_number, full)
    assert b"certificate revoked" in verify().stderr


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A server whose full list is large."""
    running = Server(tmp_path_factory.mktemp("large"), settings={"WEB_CONCURRENCY": "1"}).start()
    running.inside("store_large_list", "200000")
    yield running
    assert running.stop() == 0, running.output()


def slow_reader(server, path):
    """A client that asks, takes its time, and reads to the end."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.ports["status"]))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return connection


def read_to_the_end(connection):
    received = bytearray()
    while chunk := connection.recv(1 << 20):
        received += chunk
    return bytes(received).partition(b"\r\n\r\n")[2]


def memory(server):
    """Bytes of the worker's own memory."""
    import psutil

    return sum(each.memory_info().rss for each in psutil.Process(server.process.pid).children())


def test_a_large_list_reaches_readers_that_are_slow_and_they_share_it(large):
    pem = get(large, "/crl/all.pem")[1]
    path = next(path for path in (f"/crl/{name}.crl" for name in large.inside("issuers").split()))
    _, body = get(large, path)
    assert len(body) > 9_000_000
    assert len(pem) > len(body)
    before = memory(large)
    readers = [slow_reader(large, path) for _ in range(20)]
    try:
        # More than there are threads: who does not read keeps none.
        time.sleep(3.0)
        assert get(large, "/healthz")[0].status == 200
        assert memory(large) - before < 10 * len(body)
        for reader in readers:
            assert read_to_the_end(reader) == body
    finally:
        for reader in readers:
            reader.close()
