"""Handshakes that are refused: what the client sees, and what the log knows of it."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.utils import timezone

from tests.clients import run
from tests.live.devices import Device

RECEIVE_FAILED = 56


def events(server):
    """The refused handshakes that the log shows."""
    return server.events("handshake.refused")


def strangers_certificate(folder, name):
    """A self-signed client certificate with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(0xABCDEF)
        .not_valid_before(now.replace(year=now.year - 1))
        .not_valid_after(now.replace(year=now.year + 1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_a_strangers_certificate_is_refused_and_its_name_is_known(server, tmp_path):
    strangers_certificate(tmp_path, "mallory")
    assert Device("mallory", server, tmp_path).curl().returncode == RECEIVE_FAILED
    assert server.logs('"subject": "CN=mallory"')
    (event,) = [event for event in events(server) if event.get("subject") == "CN=mallory"]
    assert event["reason"] == "unknown_issuer"
    assert event["issuer"] == "CN=mallory"
    assert event["certificate_serial"] == "abcdef"
    assert event["address"] == "127.0.0.1"


def test_an_expired_certificate_is_refused_in_the_handshake(server, tmp_path):
    device = Device.made(server, tmp_path, "sleeper")
    csr = (tmp_path / "sleeper.csr").read_bytes()
    (tmp_path / "sleeper.pem").write_text(server.inside("issue_in_the_past", "sleeper", "31", stdin=csr))
    assert device.curl().returncode == RECEIVE_FAILED
    assert server.logs('"subject": "CN=sleeper"')
    (event,) = [event for event in events(server) if event.get("subject") == "CN=sleeper"]
    assert event["reason"] == "certificate_expired"
    assert event["device"] == "sleeper"


def test_a_listeners_own_certificate_is_no_client_certificate(server, tmp_path):
    """The right issuer, the wrong purpose: EKU serverAuth alone."""
    certificate, key = server.inside("sign_a_server", "a-server").split("#")
    (tmp_path / "a-server.pem").write_text(certificate)
    (tmp_path / "a-server.key").write_text(key)
    assert Device("a-server", server, tmp_path).curl().returncode == RECEIVE_FAILED
    assert server.logs('"subject": "CN=a-server"')
    (event,) = [event for event in events(server) if event.get("subject") == "CN=a-server"]
    assert event["reason"] == "wrong_purpose"


def test_a_certificate_that_cannot_be_read_is_refused_without_a_traceback(server, tmp_path):
    """Version 5, which X.509 does not have: OpenSSL takes it, and nothing else does."""
    strangers_certificate(tmp_path, "vfive")
    pem = x509.load_pem_x509_certificate((tmp_path / "vfive.pem").read_bytes())
    der = pem.public_bytes(Encoding.DER).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1)
    body = base64.encodebytes(der)
    (tmp_path / "vfive.pem").write_bytes(
        b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"
    )
    assert Device("vfive", server, tmp_path).curl().returncode == RECEIVE_FAILED
    assert server.logs('"reason": "certificate_malformed"')
    assert "Traceback" not in server.output()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("curl -s {hello}/hello", "client_distrusts_us"),
        ("curl -s --cacert ca.pem {secure}/secure", "no_certificate"),
        ("curl -s http://localhost:{hello_port}/hello", "plain_http"),
        (
            "openssl s_client -connect localhost:{hello_port} -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null",
            "protocol_version",
        ),
        (
            "openssl s_client -connect localhost:{hello_port} -tls1_2 -cipher AES128-SHA </dev/null",
            "no_shared_cipher",
        ),
    ],
)
def test_everybodys_mistakes_are_named_in_the_log(server, command, reason):
    filled = command.format(
        hello=server.url("hello", ""), secure=server.url("secure", ""), hello_port=server.ports["hello"]
    )
    assert run("sh", "-c", filled, cwd=server.demo).returncode != 0
    assert server.logs(f'"reason": "{reason}"')


@pytest.mark.parametrize("option", ["-tls1_2", "-tls1_3"])
def test_both_tls_versions_are_spoken_with_forward_secret_aead_suites(server, option):
    done = run(
        *(
            "openssl",
            "s_client",
            "-connect",
            f"localhost:{server.ports['hello']}",
            option,
            "-CAfile",
            "ca.pem",
        ),
        cwd=server.demo,
    )
    assert b"Verify return code: 0 (ok)" in done.stdout
    assert b"Server Temp Key: X25519" in done.stdout or b"Server Temp Key: ECDH" in done.stdout
    assert b"GCM" in done.stdout or b"CHACHA20" in done.stdout


def test_a_resumed_session_of_tls_1_3_has_a_key_exchange_of_its_own(server, tmp_path):
    """Also for a client that would do without: who has the ticket's key reads nothing of it afterwards."""
    session = tmp_path / "session"
    asks = ("openssl", "s_client", "-connect", f"localhost:{server.ports['hello']}", "-CAfile", "ca.pem")
    # Its tickets come with the answer.
    request, words = (
        b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ("-ign_eof", "-tls1_3"),
    )
    run(*asks, *words, "-sess_out", session, cwd=server.demo, stdin=request)
    done = run(*asks, *words, "-sess_in", session, "-allow_no_dhe_kex", cwd=server.demo, stdin=request)
    assert b"Reused, TLSv1.3" in done.stdout
    assert b"Server Temp Key: " in done.stdout


def test_a_client_with_p256_alone_is_served(server):
    done = run(
        *("openssl", "s_client", "-connect", f"localhost:{server.ports['hello']}", "-CAfile", "ca.pem"),
        *("-groups", "P-256"),
        cwd=server.demo,
    )
    assert b"Verify return code: 0 (ok)" in done.stdout


def test_tls_1_2_clients_cannot_renegotiate(server):
    done = run(
        *("openssl", "s_client", "-connect", f"localhost:{server.ports['hello']}", "-tls1_2"),
        *("-CAfile", "ca.pem"),
        cwd=server.demo,
        stdin=b"R\n",
    )
    assert b"no renegotiation" in done.stderr
