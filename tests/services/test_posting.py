"""A POST goes to the very address that was judged, within its time, and to nowhere else."""

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pki.core import destinations
from pki.core.destinations import DestinationRefused
from pki.services import reaching
from pki.services.telling import posting
from pki.services.telling.posting import NotPosted, Reach
from tests.services.receivers import Receiver, raw_server

LOOPBACK = Reach(destinations.networks("127.0.0.1"))


def post(url, reach=LOOPBACK, body=b"{}"):
    return posting.post(destinations.parse(url), {"X-Test": "yes"}, body, reach)


class Names:
    """A name service that gives each question its next answer, and keeps what it was asked."""

    def __init__(self, monkeypatch, *answers):
        self.answers, self.asked = list(answers), []
        monkeypatch.setattr(reaching, "lookup", self)

    def __call__(self, host, port, **_):
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in answer
        ]


@pytest.fixture
def quick(monkeypatch):
    """Less patience, for tests in which it runs out."""
    monkeypatch.setattr(posting, "SECONDS", 0.5)


@pytest.fixture
def authority(tmp_path):
    """A TLS server's context for hooks.example, and the file by which it is trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    trusted, both = tmp_path / "ca.pem", tmp_path / "both.pem"
    trusted.write_bytes(certificate.public_bytes(Encoding.PEM))
    both.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + trusted.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, str(trusted)


def test_it_arrives_as_it_was_sent():
    with Receiver([204]).listening() as receiver:
        assert post(receiver.url(path="/a/b?c=d"), body=b'{"x":1}') == 204
        (arrived,) = receiver.posts
    assert (arrived.path, arrived.body) == ("/a/b?c=d", b'{"x":1}')
    assert arrived.headers["x-test"] == "yes"
    assert arrived.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_a_redirect_is_an_answer_and_not_followed():
    with Receiver().listening() as inside, Receiver([307]).listening() as outside:
        outside.headers["Location"] = inside.url()
        assert post(outside.url()) == 307
        assert not inside.posts


def test_proxies_of_the_environment_are_passed_by(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Receiver().listening() as receiver:
        assert post(receiver.url()) == 200


def test_nothing_is_sent_to_this_machine_unless_it_is_allowed():
    with Receiver().listening() as receiver:
        with pytest.raises(DestinationRefused, match="not a public address"):
            post(receiver.url(), Reach())
        assert not receiver.posts


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
)
def test_another_writing_of_an_address_is_judged_as_what_it_leads_to(host):
    with Receiver().listening() as receiver:
        with pytest.raises(DestinationRefused):
            post(receiver.url(host), Reach(destinations.networks("192.0.2.0/24")))
        assert not receiver.posts


def test_a_name_that_leads_inside_beside_outside_is_refused(monkeypatch):
    Names(monkeypatch, ["8.8.8.8", "127.0.0.1"])
    with Receiver().listening() as receiver:
        with pytest.raises(DestinationRefused, match=r"hooks\.example leads to 127\.0\.0\.1"):
            post(receiver.url("hooks.example").replace("http:", "https:"), Reach())
        assert not receiver.posts


def test_a_name_that_turns_after_it_was_judged_gains_nothing(monkeypatch):
    # DNS rebinding: an allowed address first, and another one to whoever asks again.
    names = Names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with Receiver().listening() as receiver:
        assert post(receiver.url("turning.example")) == 200
    assert names.asked == ["turning.example"]
    assert receiver.posts[0].headers["host"] == f"turning.example:{receiver.port}"


def test_plain_http_leads_to_allowed_networks_alone(monkeypatch):
    Names(monkeypatch, ["8.8.8.8"])
    with pytest.raises(DestinationRefused, match="use https"):
        post("http://hooks.example/")


def test_the_next_address_is_tried_if_nobody_listens_at_the_first(monkeypatch):
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with Receiver().listening() as receiver:
        assert post(receiver.url("hooks.example"), Reach(destinations.networks("127.0.0.0/8"))) == 200


def test_an_address_that_swallows_everything_leaves_time_for_the_next(monkeypatch):
    monkeypatch.setattr(posting, "SECONDS", 4.0)
    Names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with Receiver().listening() as receiver, socket.socket() as full:
        full.bind(("127.0.0.2", receiver.port))
        full.listen(0)
        # Its queue is full: the kernel answers no further knock.
        with socket.create_connection(("127.0.0.2", receiver.port)):
            assert post(receiver.url("hooks.example"), Reach(destinations.networks("127.0.0.0/8"))) == 200
    assert len(receiver.posts) == 1


def test_a_name_that_nobody_knows_is_said():
    with pytest.raises(NotPosted, match=r"The name nobody\.invalid cannot be resolved"):
        post("https://nobody.invalid/")


def test_a_name_without_an_address_is_said(monkeypatch):
    Names(monkeypatch, [])
    with pytest.raises(NotPosted, match="no address"):
        post("https://hooks.example/")


def test_nobody_listening_is_said():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotPosted, match="cannot be reached: Connection refused"):
        post(f"http://127.0.0.1:{port}/")


def test_tls_is_verified_by_the_name_and_the_roots_that_are_given(monkeypatch, authority):
    context, trusted = authority
    Names(monkeypatch, ["127.0.0.1"])
    with Receiver().listening(context) as receiver:
        assert post(receiver.url("hooks.example"), Reach(LOOPBACK.networks, trusted)) == 200
        with pytest.raises(NotPosted, match="certificate does not stand"):
            post(receiver.url("hooks.example"))
        with pytest.raises(NotPosted, match="certificate does not stand"):
            post(receiver.url("others.example"), Reach(LOOPBACK.networks, trusted))
        assert len(receiver.posts) == 1
    assert receiver.posts[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_tls_is_not_spoken_to_who_does_not_know_it():
    with Receiver().listening() as receiver:
        with pytest.raises(NotPosted, match="TLS failed"):
            post(receiver.url().replace("http:", "https:"))
        assert not receiver.posts


def test_roots_that_cannot_be_read_are_said(tmp_path):
    with Receiver().listening() as receiver, pytest.raises(NotPosted, match="PORTAL_WEBHOOK_CA_FILE"):
        post(receiver.url().replace("http:", "https:"), Reach(LOOPBACK.networks, str(tmp_path / "none.pem")))


def test_who_takes_it_and_says_nothing_is_left_in_time(quick):
    over = threading.Event()
    with raw_server(lambda connection: over.wait(10)) as port:
        began = time.monotonic()
        with pytest.raises(NotPosted, match="no answer within"):
            post(f"http://127.0.0.1:{port}/")
        over.set()
    assert time.monotonic() - began < 5


def test_who_answers_a_byte_now_and_then_gains_no_time(quick):
    def drip(connection):
        connection.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Wait: y\r\n" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    with raw_server(drip) as port:
        began = time.monotonic()
        with pytest.raises(NotPosted, match="no answer within"):
            post(f"http://127.0.0.1:{port}/")
    assert time.monotonic() - began < 5


def test_a_handshake_that_stalls_is_left_in_time(quick):
    over = threading.Event()
    with raw_server(lambda connection: over.wait(10)) as port:
        began = time.monotonic()
        with pytest.raises(NotPosted, match="no answer within"):
            post(f"https://127.0.0.1:{port}/")
        over.set()
    assert time.monotonic() - began < 5


def test_a_name_service_that_stalls_is_left_in_time(quick, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(reaching, "lookup", lambda *_, **__: over.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(NotPosted, match="no answer within"):
        post("https://hooks.example/")
    over.set()
    assert time.monotonic() - began < 5


def test_a_status_counts_though_the_rest_never_comes(quick):
    over = threading.Event()

    def half(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        over.wait(10)

    with raw_server(half) as port:
        assert post(f"http://127.0.0.1:{port}/") == 200
        over.set()


def test_of_an_endless_answer_little_is_read():
    sent = []

    def endless(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    with raw_server(endless) as port:
        assert post(f"http://127.0.0.1:{port}/") == 200
        time.sleep(0.1)
    # Beside what is read: what the kernel takes into its buffers.
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
    ],
)
def test_an_answer_that_is_none_is_said_without_its_words(answer):
    def serve(connection):
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)

    with raw_server(serve) as port, pytest.raises(NotPosted) as refused:
        post(f"http://127.0.0.1:{port}/")
    assert "nonsense" not in refused.value.detail
    assert "SSH" not in refused.value.detail
