"""Two nodes behind HAProxy, which spreads TCP and says by the PROXY protocol whose each connection is."""

import itertools
import json
import os
import re
import signal
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from tests import postgres
from tests.clients import make_csr, needs, run
from tests.live.balancers import BALANCER, CLIENT, STRANGER, balanced, coming_from, header
from tests.live.conftest import POOL
from tests.live.devices import Answer, Connection, Device
from tests.server import seen_within

pytestmark = pytest.mark.xdist_group("test_nodes")  # it has the same servers
NUMBERS = itertools.count()
CROWD = 40  # devices that enroll while a node is killed
SOON = 30.0  # seconds, generous
GIVES_UP_AFTER = 60.0  # seconds of tries, generous
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def front(nodes, tmp_path_factory):
    with balanced(nodes, tmp_path_factory.mktemp("front")) as running:
        yield running


@pytest.fixture
def device(nodes, front, tmp_path):
    """A device that knows the balancer alone."""
    name = f"balanced-{next(NUMBERS)}"
    made = Device.made(front, tmp_path, name)
    made.enroll(nodes[0].token("--device", name))
    yield made
    made.close()


class Raw(Connection):
    """A connection from an address, of which the first bytes are given."""

    def __init__(self, server, listener, address, beginning=b"", context=None):
        raw = coming_from(address, server, listener)
        raw.sendall(beginning)
        self.tls = context.wrap_socket(raw, server_hostname="localhost") if context else raw


def events(nodes, kind):
    """What the nodes' logs have of a kind."""
    return [event for node in nodes for event in node.events(kind)]


def refused_there(nodes, **told):
    """Whether a refused handshake is on record with these details, soon."""
    return seen_within(
        10, lambda: any(told.items() <= event.items() for event in events(nodes, "handshake.refused"))
    )


# --- What HAProxy says is believed --------------------------------------------------------------------


def test_connections_are_spread_and_a_revocation_of_one_node_is_refused_by_both(nodes, device):
    """By turns: of two connections one is to either node, kept alive or new."""
    kept = [device.connect(), device.connect()]
    assert [connection.get("/secure").status for connection in kept] == [200, 200]
    nodes[0].revoke(device.name)
    assert [connection.get("/secure").code for connection in kept] == ["certificate_revoked"] * 2
    for _ in range(2):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            device.connect().get("/secure")
    subject = f"CN={device.name}"
    for node in nodes:
        assert refused_there([node], subject=subject, reason="certificate_revoked"), "each was asked"


def test_the_client_is_on_record_and_not_the_balancer(nodes, front):
    before = events(nodes, "handshake.refused")
    context = ssl.create_default_context(cafile=str(front.demo / "ca.pem"))
    with closing(Raw(front, "secure", CLIENT, context=context)) as connection, pytest.raises(OSError):  # noqa: PT011
        connection.get("/secure")
    assert refused_there(nodes, address=CLIENT, reason="no_certificate")
    new = [event for event in events(nodes, "handshake.refused") if event not in before]
    assert not any(event.get("address") == BALANCER for event in new)


def test_a_request_is_from_the_client_too(nodes, front, device):
    connection = Raw(front, "secure", CLIENT, context=device.context())
    with closing(connection):
        assert connection.get("/secure").status == 200
    assert seen_within(20, lambda: nodes[0].inside("last_seen", device.name).startswith(CLIENT))


def test_a_client_cannot_say_through_the_balancer_that_it_is_somebody_else(nodes, front):
    with closing(Raw(front, "hello", CLIENT, header(STRANGER))) as connection:
        assert connection.ended()
    assert refused_there(nodes, address=CLIENT, reason="not_tls")
    with closing(Raw(front, "status", CLIENT, header(STRANGER))) as connection:
        assert connection.send(REQUEST).status == 400


def test_the_lines_of_the_example_are_right(front):
    """HAProxy's own look at its file, and the question that is asked through it."""
    done = run(needs("haproxy", package="haproxy"), "-c", "-f", front.file)
    assert done.returncode == 0, done.stderr
    assert run("curl", "-fsS", front.url("status", "/healthz")).stdout == b'{"status": "ok"}'


def secure(node, device):
    """A device's connection to a node's secure listener."""
    return Connection(node, "secure", device.context())


# --- A node that lives and cannot work --------------------------------------------------------------


def test_a_node_that_has_lost_its_database_alone_is_asked_no_more(nodes, front, second_way, device):
    second_way.cut()
    try:
        assert seen_within(SOON, lambda: (front.marks("second"), front.marks("first")) == ({"DOWN"}, {"UP"}))
        assert [device.curl().returncode for _ in range(8)] == [0] * 8
    finally:
        second_way.mend()
    assert seen_within(SOON, lambda: front.marks("second") == {"UP"})


def test_if_no_node_has_a_database_those_that_live_are_asked_all_the_same(nodes, front, device, cluster):
    first, second = nodes
    cluster.stop(signal.SIGQUIT)
    try:
        assert seen_within(SOON, lambda: front.marks("first") | front.marks("second") == {"DOWN"})
        hello = ("curl", "-fsS", "--cacert", front.demo / "ca.pem", front.url("hello", "/hello"))
        assert [run(*hello).returncode for _ in range(4)] == [0] * 4
        answer = json.loads(run("curl", "-sS", front.url("status", "/readyz")).stdout)
        assert answer["checks"]["database"] == "failed"
        for node in (first, second):
            with pytest.raises(ssl.SSLError, match="alert"), closing(secure(node, device)) as connection:
                connection.get("/secure")
            assert "Traceback" not in node.output(), "away is said in a line"
    finally:
        cluster.start()
    assert seen_within(SOON, lambda: front.marks("first") | front.marks("second") == {"UP"})


# --- Who is no balancer, and balancers that misbehave -------------------------------------------------


def test_from_nobody_else_a_header_is_read(nodes):
    with closing(Raw(nodes[0], "hello", STRANGER, header(CLIENT))) as connection:
        assert connection.ended()
    assert refused_there(nodes, address=STRANGER, reason="not_tls")
    with closing(Raw(nodes[0], "status", STRANGER, header(CLIENT))) as connection:
        assert connection.send(REQUEST).status == 400


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
        header(CLIENT, command=0x22),
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(3000),
        b"PROXY TCP4 " + b"1" * 200,
    ],
    ids=["TLS", "HTTP", "an unknown command", "too long", "an endless line"],
)
@pytest.mark.parametrize("listener", ["hello", "status"])
def test_a_balancer_that_does_not_say_whose_a_connection_is_is_refused(nodes, listener, beginning):
    with closing(Raw(nodes[0], listener, BALANCER, beginning)) as connection:
        assert connection.tls.recv(1) == b"", "nothing is answered"
    # On record by its address and reason; the listener is that of the first of these.
    assert refused_there(nodes, address=BALANCER, reason="proxy_protocol")


def test_a_balancer_that_stalls_in_its_header_is_cut_off(nodes):
    beginning = header(CLIENT)[:20]
    stalled = [Raw(nodes[0], listener, BALANCER, beginning) for listener in ("hello", "status")]
    for connection in stalled:
        assert connection.tls.recv(1) == b""
        connection.close()
    assert refused_there(nodes, address=BALANCER, reason="timeout")


def test_a_header_may_come_byte_by_byte_and_be_of_version_1(nodes):
    context = ssl.create_default_context(cafile=str(nodes[0].demo / "ca.pem"))
    line = f"PROXY TCP4 {CLIENT} 127.0.0.1 49152 8443\r\n".encode()
    for beginning in (header(CLIENT), line):
        raw = coming_from(BALANCER, nodes[0], "hello")
        for byte in beginning:
            raw.sendall(bytes((byte,)))
            time.sleep(0.001)
        with closing(Raw.__new__(Raw)) as connection:
            connection.tls = context.wrap_socket(raw, server_hostname="localhost")
            assert connection.get("/hello").status == 200


def test_a_check_of_the_balancers_own_is_answered(nodes):
    with closing(Raw(nodes[0], "status", BALANCER, header(CLIENT, command=0x20))) as connection:
        assert connection.send(REQUEST).status == 200


# --- A node dies ----------------------------------------------------------------------------------------


def kill(node):
    """As a machine that loses its power: all processes at once."""
    master = node.process.pid
    with open(f"/proc/{master}/task/{master}/children") as file:
        workers = [int(word) for word in file.read().split()]
    for process in (master, *workers):
        os.kill(process, signal.SIGKILL)
    assert node.process.wait(timeout=20) == -signal.SIGKILL


def enrolled(front, context, token, name):
    """The certificate that a device gets in the end; it asks again with the same CSR and token."""
    body = make_csr(name)
    request = (
        f"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    deadline = time.monotonic() + GIVES_UP_AFTER
    while True:
        try:
            with closing(Connection(front, "provisioning", context)) as connection:
                answer = connection.send(request)
        except OSError:  # refused, reset, or ended in the middle
            answer = Answer(0, {}, b"")
        if answer.status == 200:
            return x509.load_pem_x509_certificates(answer.body)[0]
        assert answer.status in (0, 503), answer
        assert time.monotonic() < deadline, f"{name} was not enrolled"
        time.sleep(0.05)


@pytest.fixture
def crowd(nodes, front, cluster):
    """Has devices enroll, does something once some of them have, and compares what they hold in the end."""
    context = ssl.create_default_context(cafile=str(front.demo / "ca.pem"))

    def together(prefix, deed):
        # As many uses as devices: a try that took a second one would leave the last device without.
        token = nodes[0].token("--pattern", f"{prefix}-*", "--uses", str(CROWD))
        done, enough = itertools.count(1), threading.Event()

        def enroll(name):
            held = enrolled(front, context, token, name)
            if next(done) == CROWD // 4:
                enough.set()
            return held

        with ThreadPoolExecutor(4) as pool:
            waiting = {
                f"{prefix}-{number}": pool.submit(enroll, f"{prefix}-{number}") for number in range(CROWD)
            }
            assert enough.wait(GIVES_UP_AFTER)
            deed()
            held = [(name, future.result()) for name, future in waiting.items()]
        with postgres.connect(cluster.url) as database:
            stored = database.execute(
                "SELECT common_name, fingerprint, (SELECT count(*) FROM pki_auditevent"
                " WHERE kind = 'certificate.issued' AND certificate_id = c.id)"
                " FROM pki_certificate c WHERE common_name LIKE %s",
                [f"{prefix}-%"],
            ).fetchall()
        assert sorted(stored) == sorted(
            (name, certificate.fingerprint(SHA256()).hex(), 1) for name, certificate in held
        )

    return together


def test_a_node_is_killed_under_load_and_every_device_enrolls_by_its_retry(nodes, front, crowd):
    try:
        crowd("crowd", lambda: kill(nodes[1]))
    finally:
        nodes[1].start()

    before = nodes[1].output().count("not_tls")

    def is_back():
        """Whether the node that was killed has turned away a connection of the balancer's."""
        with closing(Raw(front, "secure", CLIENT, b"no TLS")) as connection:
            connection.ended()
        return nodes[1].output().count("not_tls") > before

    assert seen_within(30, is_back)


def test_postgresql_crashes_under_load_and_every_device_enrolls_by_its_retry(nodes, crowd, cluster):
    """Both nodes, with a pool and without, find new connections by themselves."""

    def restart():
        cluster.stop(signal.SIGQUIT)
        time.sleep(0.5)
        cluster.start()

    crowd("waiting", restart)
    for node in nodes:
        assert seen_within(20, lambda node=node: answers_health(node))


def answers_health(node):
    """Whether a node reaches its database; all of its threads are asked, more than once."""
    statuses = []
    for _ in range(20):
        with closing(Raw(node, "status", STRANGER)) as connection:
            statuses.append(connection.send(REQUEST).status)
    return set(statuses) == {200}


def pool_of(node):
    """What a node tells of its pool, by what the metrics are of and their names' ends."""
    done = run("curl", "-fsS", "--max-time", "20", f"http://127.0.0.1:{node.ports['metrics']}/metrics")
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^hatchery_database_(pool|connections)_(\w+) (\S+)$", done.stdout.decode(), re.M)
    return {f"{what} {name}": float(value) for what, name, value in found}


def test_a_pool_tells_what_is_opened_taken_and_waited_for(nodes, device, cluster):
    first, _ = nodes
    with closing(secure(first, device)) as connection:
        connection.get("/secure")
        before = pool_of(first)
        for _ in range(40):
            assert connection.get("/secure").status == 200
    assert pool_of(first)["connections opened_total"] <= before["connections opened_total"] + POOL, (
        "each request takes one"
    )
    assert pool_of(first)["pool limit"] == POOL
    with postgres.connect(cluster.url) as database, ThreadPoolExecutor(POOL + 2) as threads:
        with database.transaction():
            database.execute("LOCK TABLE pki_certificate IN ACCESS EXCLUSIVE MODE")
            asked = [threads.submit(secure_at, first, device) for _ in range(POOL + 2)]
            assert seen_within(
                SOON, lambda: (seen := pool_of(first))["pool in_use"] == POOL and seen["pool waiting"] > 0
            )
            assert seen_within(
                SOON, lambda: pool_of(first)["pool timeouts_total"] > before["pool timeouts_total"]
            )
        for each in asked:
            each.result()


def secure_at(node, device):
    """One request, whatever becomes of it."""
    try:
        with closing(secure(node, device)) as connection:
            connection.get("/secure")
    except OSError:
        pass  # refused in the handshake


def test_a_node_with_a_pool_has_no_more_connections_than_it_may(nodes, front, cluster, device):
    """More requests at once than the pool has: they wait for each other, and none is refused."""
    _, second = nodes
    second.stop()
    assert seen_within(SOON, lambda: front.marks("second") == {"DOWN"})
    try:
        with ThreadPoolExecutor(16) as pool:
            many = [pool.submit(device.curl) for _ in range(24)]
            with postgres.connect(cluster.url) as database:
                counts = []
                while not all(future.done() for future in many):
                    (count,) = database.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND pid <> pg_backend_pid()"
                    ).fetchone()
                    counts.append(count)
                    time.sleep(0.02)
        assert [future.result().returncode for future in many] == [0] * 24
        assert 0 < max(counts) <= POOL + 1, "and that of a look"
    finally:
        second.start()
