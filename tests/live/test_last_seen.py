"""A device's proof over mutual TLS is known a few seconds later, and ends a rotation."""

import logging
import selectors
import signal
import socket
import ssl
import time
from threading import Thread

from gunicorn.config import Config

from pki.core import certificates
from portal.housekeeping import SIGHTINGS_SECONDS
from portal.listeners import SMALL, Listener, TlsMode
from portal.sockets import READ, ClientSocket
from portal.worker import Connection, PortalWorker
from tests.live.devices import Device
from tests.server import Server

WITHIN = SIGHTINGS_SECONDS + 10  # seconds, generous


def seen(server, name, serial=None):
    """What is known of a device's last sighting, once there is one, or one with this certificate."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        told = server.inside("last_seen", name).split()
        if told and serial in (None, told[2]):
            return told
        time.sleep(0.2)
    raise AssertionError(f"{name} was not seen within {WITHIN} seconds")


def serial_of(device):
    parsed = certificates.x509.load_pem_x509_certificate((device.folder / f"{device.name}.pem").read_bytes())
    return f"{parsed.serial_number:x}"


def test_a_device_was_seen_when_from_where_and_over_which_tls(server, tmp_path):
    device = Device.enrolled(server, tmp_path, "seen-1")
    assert server.inside("last_seen", "seen-1") == ""
    connection = device.connect(device.context(version=ssl.TLSVersion.TLSv1_2))
    assert connection.get("/secure").status == 200
    assert seen(server, "seen-1") == ["127.0.0.1", "TLSv1.2", serial_of(device)]
    device.close()


def test_a_rotated_device_keeps_its_old_certificate_until_it_shows_the_new_one(server, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old = Device.enrolled(server, tmp_path / "old", "rotated-1")
    server.inside("rotate", "rotated-1")
    new = Device.enrolled(server, tmp_path / "new", "rotated-1")
    assert old.curl().returncode == 0
    assert new.curl().returncode == 0
    seen(server, "rotated-1", serial_of(new))
    assert server.logs("rotation.completed")
    assert old.curl().returncode == 56
    assert new.curl().returncode == 0


def test_what_was_seen_last_is_written_when_the_server_stops(tmp_path):
    server = Server(tmp_path / "data").start()
    device = Device.enrolled(server, tmp_path, "seen-2")
    assert device.curl().returncode == 0
    assert server.stop() == 0
    assert server.inside("last_seen", "seen-2").split()[2] == serial_of(device)


def test_a_worker_that_is_told_to_stop_waits_for_no_lock():
    worker = PortalWorker(0, 0, [], None, 1, Config(), logging.getLogger())
    worker.tpool = worker.get_thread_pool()
    worker.method_queue.init()
    # The signal comes while the worker hands something to its threads.
    with worker.tpool._shutdown_lock:
        told = Thread(target=worker.handle_quit, args=(signal.SIGQUIT, None), daemon=True)
        told.start()
        told.join(timeout=10)
        assert not told.is_alive()
    assert not worker.alive
    worker.tpool.shutdown()
    worker.method_queue.close()
    worker.tmp.close()


class Unheard(ClientSocket):
    """A connection whose handshake fails as nobody has foreseen."""

    def handshake(self):
        raise RuntimeError("unheard of")


def connected(worker, kind):
    """The client's end of a connection that waits for its handshake."""
    listener = Listener("hello", 1, TlsMode.TLS, "portal.urls.status", SMALL)
    client, raw = socket.socketpair()
    conn = Connection(worker.cfg, kind(raw, listener, ""), ("", 1), ("", 2))
    conn.deadline = time.monotonic() + 60
    worker.nr_conns += 1
    worker.wait(conn, READ)
    client.settimeout(10)
    return client


def test_a_handshake_that_fails_as_nobody_has_foreseen_ends_its_connection_alone(caplog):
    worker = PortalWorker(0, 0, [], None, 1, Config(), logging.getLogger())
    worker.poller = selectors.DefaultSelector()
    clients = [connected(worker, kind) for kind in (Unheard, ClientSocket, Unheard)]
    for client in clients:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with caplog.at_level("ERROR", logger="hatchery.worker"):
        worker.wait_for_and_dispatch_events(1)
    heads = []
    for client in clients:
        try:
            heads.append(client.recv(100)[:15])
        except ConnectionResetError:
            heads.append(b"")
    assert heads == [b"", b"HTTP/1.1 200 OK", b""]
    assert [str(record.exc_info[1]) for record in caplog.records] == ["unheard of"] * 2
    assert worker.nr_conns == 1
    for client in clients:
        client.close()
    worker.murder_keepalived(force=True)
    worker.poller.close()
    worker.tmp.close()
