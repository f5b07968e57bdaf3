"""OCSP over real sockets, asked by programs that are not ours: curl, OpenSSL's ocsp, GnuTLS's ocsptool."""

import base64
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.clients import needs, run
from tests.core.ocsp_cast import NONCE, asked, single, told, whole
from tests.live.devices import Device
from tests.server import Server

LINTER = Path(sys.executable).parent / "lint_ocsp_response"
REQUEST = "Content-Type: application/ocsp-request"
VERIFIED = b"Response verify OK"


class Party:
    """A relying party: a folder with a device's certificate, its issuer's, and the root that it trusts."""

    def __init__(self, server: Server, folder: Path, name: str) -> None:
        self.server, self.folder, self.name = server, folder, name
        Device.enrolled(server, folder, name)
        self.certificate, self.issuer = x509.load_pem_x509_certificates((folder / f"{name}.pem").read_bytes())
        for file, certificate in (("it.pem", self.certificate), ("issuer.pem", self.issuer)):
            (folder / file).write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "root.pem").write_bytes((server.demo / "ca.pem").read_bytes())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.ports['status']}/ocsp"

    def openssl(self, *words: str, issuer: str = "issuer.pem", about: tuple[str, ...] = ("-cert", "it.pem")):
        """`openssl ocsp`, which trusts the root alone."""
        asking = ("-CAfile", "root.pem", "-issuer", issuer, *words, *about)
        return run("openssl", "ocsp", *asking, "-url", self.url, cwd=self.folder)

    def curl(self, *words: str):
        done = run("curl", "-sS", *words, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def path(self, der: bytes | None = None) -> str:
        der = der or asked(self.certificate, self.issuer)
        return f"{self.url}/{quote(base64.b64encode(der).decode(), safe='')}"

    def says(self) -> str:
        """What a GET says now."""
        return told(self.curl(self.path()))

    def revoke(self, reason: str = "keyCompromise") -> None:
        done = self.server.manage("revoke", "--device", self.name, "--reason", reason)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def party(server, tmp_path, request) -> Party:
    return Party(server, tmp_path, f"device-{abs(hash(request.node.nodeid)) % 10**9}")


# --- OpenSSL --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [(), ("-no_nonce",), ("-sha256",), ("-sha256", "-no_nonce")])
def test_openssl_takes_our_word_for_good_revoked_and_unknown(party, words):
    good = party.openssl(*words)
    assert good.stdout.startswith(b"it.pem: good"), good.stderr
    assert VERIFIED in good.stderr
    assert b"WARNING" not in good.stderr, "a nonce that was sent came back"

    unknown = party.openssl(*words, about=("-serial", "0x77"))
    assert unknown.stdout.startswith(b"0x77: unknown")
    assert VERIFIED in unknown.stderr

    party.revoke("superseded")
    revoked = party.openssl(*words)
    assert revoked.stdout.startswith(b"it.pem: revoked")
    assert b"Reason: superseded" in revoked.stdout
    assert b"Revocation Time: " in revoked.stdout
    assert VERIFIED in revoked.stderr


def test_openssl_asks_about_the_issuing_ca_as_well(party):
    done = party.openssl(issuer="root.pem", about=("-cert", "issuer.pem"))
    assert done.stdout.startswith(b"issuer.pem: good")
    assert VERIFIED in done.stderr


def test_openssl_is_told_of_several_certificates_that_they_are_too_many(party):
    done = party.openssl(about=("-cert", "it.pem", "-cert", "issuer.pem"))
    assert b"Responder Error: malformedrequest (1)" in done.stdout + done.stderr


def test_and_of_an_issuer_of_somebody_else_that_we_may_not_answer(party):
    done = party.openssl(issuer="it.pem")
    assert b"Responder Error: unauthorized (6)" in done.stdout + done.stderr


def test_openssl_may_sign_its_request(party):
    signer = ("-signer", f"{party.name}.pem", "-signkey", f"{party.name}.key")
    done = party.openssl(*signer)
    assert done.stdout.startswith(b"it.pem: good"), done.stderr
    assert VERIFIED in done.stderr


# --- GnuTLS ---------------------------------------------------------------------------------------


def test_gnutls_takes_our_word_with_and_without_a_nonce(party):
    needs("ocsptool", package="gnutls-bin")
    asking = ("--load-issuer", "issuer.pem", "--load-cert", "it.pem", "--load-trust", "issuer.pem")
    for words in ((), ("--nonce",)):
        done = run("ocsptool", f"--ask={party.url}", *words, *asking, cwd=party.folder)
        assert done.returncode == 0, done.stderr
        assert b"Certificate Status: good" in done.stdout
        assert b"Verifying OCSP Response: Success" in done.stdout


def test_gnutls_verifies_an_answer_from_a_file(party):
    needs("ocsptool", package="gnutls-bin")
    party.revoke()
    (party.folder / "answer.der").write_bytes(party.curl(party.path()))
    done = run(
        *("ocsptool", "--verify-response", "--load-response", "answer.der", "--load-trust", "issuer.pem"),
        cwd=party.folder,
    )
    assert done.returncode == 0, done.stderr
    assert b"Certificate Status: revoked" in done.stdout
    assert b"Verifying OCSP Response: Success" in done.stdout


# --- Issuers of every kind ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_roots(tmp_path_factory):
    """A server that may be given roots: other tests count those of theirs."""
    running = Server(tmp_path_factory.mktemp("many-roots")).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.mark.parametrize("spec", ["P-384", "Ed25519", "RSA-2048", "RSA-4096"])
def test_issuers_with_keys_of_every_kind_are_answered_for(many_roots, tmp_path, spec):
    party = Party(many_roots, tmp_path, f"device-{spec.lower()}")
    pem = party.server.inside("make_root", f"{spec} of {party.name}", spec)
    (party.folder / "root.pem").write_text(pem)
    done = party.openssl(issuer="root.pem", about=("-cert", "root.pem"))
    assert done.stdout.startswith(b"root.pem: good"), done.stderr
    assert VERIFIED in done.stderr
    [root] = x509.load_pem_x509_certificates(pem.encode())
    answer = party.folder / "answer.der"
    answer.write_bytes(party.curl(party.path(asked(root, root))))
    linted = run(LINTER, "lint", "-s", "WARNING", "-f", "JSON", "--document-format", "DER", answer)
    assert (linted.returncode, json.loads(linted.stdout)["results"]) == (0, [])


# --- HTTP -----------------------------------------------------------------------------------------


def test_curl_gets_it_once_and_is_told_then_that_it_has_it(party):
    party.curl("-o", "answer.der", "-D", "head", "--etag-save", "etag", party.path())
    head = (party.folder / "head").read_text()
    assert told((party.folder / "answer.der").read_bytes()) == "good"
    for line in ("HTTP/1.1 200", "Content-Type: application/ocsp-response", "Cache-Control: public,"):
        assert line in head
    # Each worker signs an answer of its own: one of them has this one.
    told_so = (
        party.curl(
            "--etag-compare", "etag", "-o", "again", "-w", "%{http_code} %{size_download}", party.path()
        )
        for _ in range(50)
    )
    assert b"304 0" in told_so
    party.revoke()
    again = party.curl("--etag-compare", "etag", "-w", " %{http_code}", party.path())
    assert told(again.removesuffix(b" 200")) == "revoked"


def test_head_and_get_on_one_connection_keep_in_step(party):
    """A body after a HEAD would be taken for the next answer."""
    connection = http.client.HTTPConnection("127.0.0.1", party.server.ports["status"], timeout=20)
    path = "/" + party.path().split("/", 3)[3]
    lengths = []
    for method in ("HEAD", "GET", "HEAD", "GET"):
        connection.request(method, path)
        response = connection.getresponse()
        lengths.append((response.status, response.getheader("Content-Length"), len(response.read())))
    size = lengths[1][2]
    assert lengths == [(200, str(size), 0), (200, str(size), size)] * 2
    connection.close()


@pytest.mark.parametrize(
    ("words", "status", "content_type"),
    [
        (("-H", REQUEST, "--data-binary", "@-"), "200", "application/ocsp-response"),
        (("-H", REQUEST, "--data-binary", "@huge"), "413", "application/problem+json"),
        (("-H", REQUEST, "--data-binary", "@large"), "413", "application/problem+json"),
        (
            ("-H", REQUEST, "-H", "Transfer-Encoding: chunked", "--data-binary", "@some"),
            "411",
            "application/problem+json",
        ),
        (("--data-binary", "@some"), "415", "application/problem+json"),
        (("-X", "PUT"), "405", "application/problem+json"),
        ((), "405", "application/problem+json"),
    ],
    ids=["nothing", "1 MB", "1,000 certificates", "chunked", "a form", "PUT", "GET without a path"],
)
def test_what_is_no_question_is_refused_and_never_with_a_page(party, words, status, content_type):
    (party.folder / "huge").write_bytes(b"\x30" * 1024 * 1024)
    (party.folder / "large").write_bytes(whole(*[single()] * 1000))
    (party.folder / "some").write_bytes(b"\x30\x00")
    said = party.curl(*words, "-o", "body", "-w", "%{http_code} %{content_type}", party.url)
    assert said.decode() == f"{status} {content_type}"


def test_it_is_served_on_no_other_port(party):
    for listener in ("hello", "provisioning", "console"):
        url = party.server.url(listener, "/ocsp")
        said = party.curl("-k", "-o", "body", "-w", "%{http_code}", "-H", REQUEST, "--data-binary", "x", url)
        assert said in (b"404", b"403")


# --- Revocation -----------------------------------------------------------------------------------


def test_the_next_answer_after_a_revocation_says_so_though_a_good_one_was_kept(party):
    assert [party.says() for _ in range(6)] == ["good"] * 6, "each worker has a signature now"
    party.revoke("certificateHold")
    assert [party.says() for _ in range(6)] == ["revoked"] * 6
    party.server.inside("lift_hold", party.name)
    assert [party.says() for _ in range(6)] == ["good"] * 6


def test_a_kept_alive_connection_is_told_at_its_next_request(party):
    connection = http.client.HTTPConnection("127.0.0.1", party.server.ports["status"], timeout=20)

    def ask(nonce=None) -> str:
        body = asked(party.certificate, party.issuer, nonce=nonce)
        connection.request("POST", "/ocsp", body, {"Content-Type": "application/ocsp-request"})
        return told(connection.getresponse().read())

    assert (ask(), ask(NONCE)) == ("good", "good")
    party.revoke()
    assert (ask(), ask(NONCE)) == ("revoked", "revoked")
    connection.close()


@pytest.fixture
def two_nodes(tmp_path_factory):
    """Two servers over one database."""
    data = tmp_path_factory.mktemp("two")
    first = Server(data).start()
    second = Server(data).start()
    yield first, second
    for server in (first, second):
        assert server.stop() == 0, server.output()


def test_a_revocation_on_one_server_is_the_next_answer_of_another(two_nodes, tmp_path):
    first, second = two_nodes
    party = Party(first, tmp_path, "door-1")
    party.server = second
    assert [party.says() for _ in range(4)] == ["good"] * 4
    party.server = first
    party.revoke()
    for party.server in (second, first):
        assert [party.says() for _ in range(4)] == ["revoked"] * 4


def test_what_a_compromised_issuer_signed_is_revoked_and_so_is_its_own_certificate(two_nodes, tmp_path):
    first, second = two_nodes
    party = Party(first, tmp_path, "door-1")
    assert party.says() == "good"
    name = party.issuer.subject.rfc4514_string().removeprefix("CN=")
    second.inside("declare_compromised", name)
    for asking in (party.openssl(), party.openssl(issuer="root.pem", about=("-cert", "issuer.pem"))):
        assert b"Reason: cACompromise" in asking.stdout
        assert VERIFIED in asking.stderr


def test_nothing_of_all_this_is_an_error_in_the_log(server):
    assert "hatchery.ocsp" not in server.output()


def test_a_responders_key_is_on_disk_encrypted_only(party):
    assert party.says() == "good"
    keys = list((party.server.data / "keys").glob("ocsp-*.pem"))
    assert keys
    for file in keys:
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
