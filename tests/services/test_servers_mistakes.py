"""Servers that make the mistakes that everybody makes, each on purpose, and what is said of each."""

import socket
import threading
from contextlib import contextmanager
from http.server import HTTPServer

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from pki.core import certificates, names, profiles, targets
from pki.core.credentials import Credential
from pki.core.findings import Severity
from pki.core.probes import Outcome
from pki.keystore import keystore
from pki.models import Certificate, Profile
from pki.services.issuing import authorities
from pki.services.looking import probing, server_inspection
from pki.services.looking.inspection import File
from tests.core import cast
from tests.services import tls_servers
from tests.services.tls_servers import CLIENT, DAY, LOCAL, certificate, pem, self_signed, serving

pytestmark = pytest.mark.django_db

CHAIN = (cast.ca().issuing,)
STORE = File("ca.pem", pem(cast.ca().root))


def look(port, now, **more):
    target = targets.parse(f"127.0.0.1:{port}")
    return server_inspection.inspect(target, now, **{"store": STORE, **more})


def codes(looked, *severities):
    found = looked.inspection.all_findings
    return {each.code for each in found if not severities or each.severity in severities}


def refusals(looked):
    return codes(looked, Severity.REFUSED)


def good(now, *sans, **more):
    """The chain of a server that is as it should be: its certificate, then its issuer's."""
    return pem(certificate(now, *(sans or LOCAL), **more), *CHAIN)


def credential(certificate, *chain, key_kind="P-256"):
    return Credential(certificate, cast.private_key(key_kind), chain)


# --- What is as it should be ----------------------------------------------------------------------


def test_of_a_good_server_nothing_is_refused_and_all_is_said(tmp_path, now):
    leaf = certificate(now, *LOCAL)
    with serving(tmp_path, pem(leaf, *CHAIN)) as port:
        looked = look(port, now)
    assert codes(looked) == {"hostname_matches", "chain_trusted", "not_ours"}
    probed = looked.probed
    assert (probed.outcome, probed.protocol, probed.address) == (Outcome.MET, "TLSv1.3", "127.0.0.1")
    assert probed.cipher.startswith("TLS_")
    assert probed.group
    assert probed.chain == (leaf, *CHAIN)
    assert not probed.asks


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_of_one_version_of_today_is_no_fault(tmp_path, now, version):
    with serving(tmp_path, good(now), version) as port:
        assert refusals(look(port, now)) == set()


# --- Versions and ciphers -------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "words"), [("-tls1", "TLS 1.0 at most"), ("-tls1_1", "TLS 1.1 at most")])
def test_a_server_that_is_too_old_is_told_how_old(tmp_path, now, version, words):
    with serving(tmp_path, good(now), version, "-cipher", "DEFAULT@SECLEVEL=0") as port:
        looked = look(port, now)
    (finding,) = looked.inspection.refused
    assert finding.code == "tls_version_too_old"
    assert words in finding.sentence
    assert "chain_trusted" in codes(looked), "its certificates are looked at all the same"


def test_a_cipher_without_forward_secrecy(tmp_path, now):
    shown = good(now, key_kind="RSA-2048")
    with serving(tmp_path, shown, "-tls1_2", "-cipher", "AES128-SHA", key_kind="RSA-2048") as port:
        looked = look(port, now)
    assert "cipher_old" in codes(looked, Severity.WARNING)
    assert refusals(looked) == set()


def test_nothing_in_common(tmp_path, now):
    options = ("-tls1_2", "-cipher", "PSK-AES128-GCM-SHA256", "-psk", "00")
    with serving(tmp_path, good(now), *options) as port:
        looked = look(port, now)
    assert refusals(looked) == {"handshake_failed"}
    assert "handshake_failure" in looked.inspection.refused[0].sentence


def test_a_name_that_is_not_served(tmp_path, now):
    options = ("-servername", "door.example", "-servername_fatal", "-cert2", tmp_path / "server.pem")
    with serving(tmp_path, good(now), *options, "-key2", tmp_path / "server.key") as port:
        assert refusals(look(port, now, name="gate.example")) >= {"name_not_served"}
        assert "name_not_served" not in codes(look(port, now, name="door.example"))


# --- The certificate ------------------------------------------------------------------------------

MISTAKES = {
    "expired": (lambda now: good(now - 33 * DAY), {"certificate_expired"}),
    "not yet valid": (lambda now: good(now + 2 * DAY), {"certificate_not_yet_valid"}),
    "for another name": (lambda now: good(now, "DNS:door.example"), {"hostname_mismatch"}),
    "a client's": (lambda now: good(now, *LOCAL, usage=CLIENT), {"eku_missing"}),
    "self-signed": (lambda now: pem(self_signed(now)), {"self_signed", "hostname_mismatch"}),
    "without its intermediate": (lambda now: pem(certificate(now, *LOCAL)), {"trust_store_lacks_ca"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_with_a_servers_certificate_is_named(tmp_path, now, mistake):
    shown, expected = MISTAKES[mistake]
    with serving(tmp_path, shown(now)) as port:
        looked = look(port, now)
        assert refusals(looked) == expected
        assert "chain_trusted" not in codes(looked) or "self_signed" not in expected


def test_a_certificate_that_cannot_be_read_is_said(tmp_path, now):
    der = certificate(now, *LOCAL).public_bytes(Encoding.DER)
    version_3, version_6 = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")
    odd = cast.block("CERTIFICATE", der.replace(version_3, version_6, 1))
    with serving(tmp_path, odd) as port:
        looked = look(port, now)
    assert refusals(looked) == {"certificate_malformed"}
    assert looked.probed.outcome is Outcome.MET


def test_a_cn_and_no_san(tmp_path, now):
    without = certificate(now)
    with serving(tmp_path, pem(without, *CHAIN)) as port:
        looked = look(port, now, name="localhost")
    assert refusals(looked) == {"san_missing", "hostname_mismatch"}
    assert any("Its CN is localhost" in each.sentence for each in looked.inspection.refused)


def test_how_far_the_clocks_are_apart_is_said(tmp_path, now):
    with serving(tmp_path, good(now + 2 * DAY)) as port:
        (finding,) = look(port, now).inspection.refused
    # Validity begins a little before the moment of issuing.
    assert finding.sentence.startswith(("It is valid only in 1 day,", "It is valid only in 2 days,"))


def test_a_name_is_looked_for_that_is_not_the_targets(tmp_path, now):
    with serving(tmp_path, good(now, "DNS:door.example")) as port:
        assert refusals(look(port, now, name="door.example")) == set()


# --- The chain, and who trusts it -----------------------------------------------------------------


def test_the_order_of_the_chain_the_root_in_it_and_what_is_in_nobodys_way(tmp_path, now):
    leaf, ca, stranger = certificate(now, *LOCAL), cast.ca(), self_signed(now, "P-384", "a stranger")
    with serving(tmp_path, pem(leaf, ca.root, ca.issuing, stranger)) as port:
        looked = look(port, now)
    assert refusals(looked) == set()
    assert {"chain_order", "root_sent", "chain_unneeded", "chain_trusted"} <= codes(looked)
    with serving(tmp_path, pem(leaf, ca.issuing, ca.root)) as port:
        assert codes(look(port, now)) & {"chain_order", "root_sent", "chain_unneeded"} == {"root_sent"}


def test_trust_stores_that_do_not_help(tmp_path, now):
    other, key = cast.ca("P-384"), tls_servers.key_pem()
    stores = {
        "wrong CA": (pem(self_signed(now)), {"trust_store_lacks_ca"}),
        "a CA of the same name": (pem(other.root), {"trust_store_wrong_ca"}),
        "empty": (b"# nothing in here\n", {"trust_store_empty", "trust_store_lacks_ca"}),
        "a key in it": (pem(cast.ca().root) + key, set()),
        "no root": (pem(cast.ca().issuing), set()),
    }
    with serving(tmp_path, good(now)) as port:
        looked = {name: look(port, now, store=File("t.pem", data)) for name, (data, _) in stores.items()}
    assert {name: refusals(each) for name, each in looked.items()} == {
        name: expected for name, (_, expected) in stores.items()
    }
    assert "trust_store_holds_key" in codes(looked["a key in it"])
    assert "trust_store_without_root" in codes(looked["no root"])
    assert "chain_trusted" in codes(looked["no root"])


def signed_by_ours(issuer, now):
    """A server's certificate that is not on record."""
    allowed = Profile.objects.get(name="server").rules
    granted = profiles.Grant(names.subject({"CN": "localhost"}), (names.parse_san("IP:127.0.0.1"),), ())
    key = cast.private_key("P-256").public_key()
    builder = certificates.end_entity(allowed, granted, key, authorities.authority(issuer), now)
    return keystore().sign(issuer.key_reference, builder)


def test_an_intermediate_that_is_ours_and_not_sent_is_known(ca, tmp_path, now):
    server = Certificate.objects.filter(listener="hello").get()
    chain = authorities.chain(server.issuer)
    root = File("root.pem", pem(authorities.root_of(server.issuer).certificate))
    leaf = signed_by_ours(server.issuer, now)
    with serving(tmp_path, pem(leaf)) as port:
        for store in (None, root):
            looked = look(port, now, store=store)
            assert refusals(looked) == {"intermediate_missing", "not_on_record"}
    with serving(tmp_path, pem(leaf, *chain)) as port:
        for store in (None, root):
            assert "chain_trusted" in codes(look(port, now, store=store))


# --- Client certificates --------------------------------------------------------------------------

WANTS = ("-Verify", "3", "-verify_return_error", "-CAfile")


@pytest.fixture
def trusted(tmp_path):
    path = tmp_path / "clients.pem"
    path.write_bytes(pem(cast.ca().root, cast.ca().issuing))
    return path


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_server_that_wants_a_client_certificate_says_what_is_wrong_with_it(tmp_path, now, trusted, version):
    mine, old = certificate(now, usage=CLIENT), certificate(now - 33 * DAY, usage=CLIENT)
    with serving(tmp_path, good(now), version, *WANTS, trusted) as port:
        nothing = look(port, now)
        accepted = look(port, now, credential=credential(mine, *CHAIN))
        expired = look(port, now, credential=credential(old, *CHAIN))
        stranger = look(port, now, credential=credential(self_signed(now)))
        odd = look(port, now, credential=credential(self_signed(now, "secp256k1"), key_kind="secp256k1"))
        servers = look(port, now, credential=credential(certificate(now, *LOCAL), *CHAIN))
    assert refusals(nothing) == {"client_certificate_not_sent"}
    assert set(nothing.probed.acceptable) == {cast.ca().root.subject, cast.ca().issuing.subject}
    assert refusals(accepted) == set()
    assert "client_certificate_accepted" in codes(accepted)
    assert refusals(expired) == {"client_certificate_expired"}
    assert refusals(stranger) == {"client_ca_unknown"}
    assert "client_certificate_not_acceptable" in codes(stranger)
    assert refusals(servers) == {"client_certificate_refused"}
    # Whatever is done with such a key in TLS 1.2, in TLS 1.3 it cannot even be shown.
    if version == "-tls1_3":
        assert refusals(odd) == {"client_certificate_not_sent"}
        assert "kind of key" in odd.inspection.refused[0].sentence
    assert all("chain_trusted" in codes(each) for each in (nothing, accepted, expired, stranger))


def test_a_server_that_names_the_root_alone_takes_what_leads_to_it(tmp_path, now, trusted):
    mine = certificate(now, usage=CLIENT)
    (tmp_path / "root.pem").write_bytes(pem(cast.ca().root))
    with serving(tmp_path, good(now), *WANTS, tmp_path / "root.pem") as port:
        whole = look(port, now, credential=credential(mine, *CHAIN))
        alone = look(port, now, credential=credential(mine))
    assert whole.probed.acceptable == (cast.ca().root.subject,)
    assert refusals(whole) == set()
    assert "client_certificate_not_acceptable" not in codes(whole)
    assert refusals(alone) == {"client_ca_unknown"}
    assert "client_certificate_not_acceptable" in codes(alone)


def test_a_client_certificate_that_a_crl_names(tmp_path, now, trusted):
    mine = certificate(now, usage=CLIENT)
    (tmp_path / "crl.pem").write_bytes(tls_servers.revocation_list(mine.serial_number, now))
    with serving(tmp_path, good(now), "-crl_check", "-CRL", tmp_path / "crl.pem", *WANTS, trusted) as port:
        assert refusals(look(port, now, credential=credential(mine, *CHAIN))) == {
            "client_certificate_revoked"
        }


def test_a_server_that_makes_do_without_one(tmp_path, now, trusted, monkeypatch):
    monkeypatch.setattr(probing, "QUIET", 0.2)
    for tickets in ("2", "0"):  # after a good handshake it says a word, or none
        options = ("-verify", "3", "-CAfile", trusted, "-num_tickets", tickets)
        with serving(tmp_path, good(now), *options) as port:
            looked = look(port, now)
        assert refusals(looked) == set()
        assert "client_certificate_optional" in codes(looked, Severity.NOTE)


def test_a_refusal_that_comes_late_is_heard(tmp_path, now, trusted, monkeypatch):
    monkeypatch.setattr(probing, "QUIET", 0.2)
    with serving(tmp_path, good(now), "-num_tickets", "0", *WANTS, trusted) as port:
        assert refusals(look(port, now)) == {"client_certificate_not_sent"}


# --- Stapled OCSP answers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "left", "code"),
    [
        (ocsp.OCSPCertStatus.GOOD, DAY / 2, "stapled_good"),
        (ocsp.OCSPCertStatus.GOOD, -DAY, "stapled_out_of_date"),
        (ocsp.OCSPCertStatus.REVOKED, DAY / 2, "stapled_revoked"),
        (ocsp.OCSPCertStatus.UNKNOWN, DAY / 2, "stapled_useless"),
    ],
    ids=lambda value: str(value),
)
def test_a_stapled_answer_is_read(tmp_path, now, status, left, code):
    leaf = certificate(now - DAY, *LOCAL)
    (tmp_path / "answer.der").write_bytes(tls_servers.ocsp_answer(leaf, status, now + left))
    with serving(tmp_path, pem(leaf, *CHAIN), "-status_file", tmp_path / "answer.der") as port:
        looked = look(port, now)
    assert {each for each in codes(looked) if each.startswith("stapled")} == {code}
    assert refusals(looked) == ({code} if code == "stapled_revoked" else set())


# --- What is no TLS server ------------------------------------------------------------------------


@contextmanager
def answering(answer):
    """The port of a server that gives each who knocks this answer; with None it is silent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve():
            connection, _ = listening.accept()
            with connection:
                if answer is None:
                    over.wait(20)
                    return
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            thread.join(20)


def test_plain_http_on_that_port(now):
    with HTTPServer(("127.0.0.1", 0), tls_servers.Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        looked = look(server.server_port, now)
        thread.join()
    assert refusals(looked) == {"plain_http"}


FOREIGN = {
    b"HTTP/1.1 400 Bad Request\r\n\r\n": "plain_http",
    b"SSH-2.0-OpenSSH_9.2\r\n": "not_tls",
    b"220 mail.example ESMTP\r\n": "not_tls",
    b"\0\xff\0\xff": "not_tls",
    b"": "handshake_failed",
    b"\x15\x03\x01\x00\x02\x02\x46": "tls_version_too_old",
    b"\x15\x03\x01\x00\x02\x02\x50": "handshake_failed",
    b"\x16\x03\x03\x00\x04\x02\x00\x00\x00": "handshake_failed",
    b"\x16": "handshake_failed",
}


@pytest.mark.parametrize("answer", FOREIGN, ids=repr)
def test_what_is_no_handshake_is_named_and_its_bytes_are_not_shown(now, answer):
    with answering(answer) as port:
        looked = look(port, now)
    assert refusals(looked) == {FOREIGN[answer]}
    said = " ".join(each.sentence for each in looked.inspection.all_findings)
    assert not any(word in said for word in ("OpenSSH_9.2", "mail.example", "Bad Request"))


def test_a_server_that_is_silent_is_left_in_time(now):
    with answering(None) as port:
        assert refusals(look(port, now, seconds=0.3)) == {"no_answer"}


def test_a_flood_is_not_listened_to(now):
    with answering(b"\x14\x03\x03\x00\x01\x01" * 200_000) as port:
        assert refusals(look(port, now)) == {"handshake_failed"}


def test_a_port_that_is_closed_and_a_name_that_is_none(now):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert refusals(look(port, now)) == {"port_closed"}
    nowhere = server_inspection.inspect(targets.parse("no-such-host.invalid:443"), now)
    assert refusals(nowhere) == {"name_not_resolved"}
