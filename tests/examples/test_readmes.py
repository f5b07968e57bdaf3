"""The READMEs of examples/ work as written, and what they show is refused when it should be."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
    serialize_key_and_certificates,
)

from pki.core import pins
from tests.examples.conftest import serve_as_localhost
from tests.examples.cutting import cutting
from tests.examples.folders import PROGRAMS, Example
from tests.examples.tunnels import tunnelling
from tests.proxies.impostor import Authority

CRASHES = ("Traceback", "Exception in thread", "    at ", "panic:")  # of Python, Java, Node and Java, Go
WRONG_PIN = f"sha256//{'A' * 43}="


@pytest.fixture(scope="module")
def mallory() -> Authority:
    return Authority("mallory")


def refused(example: Example, because: str, line: str, ports: object = None) -> None:
    """Type a line that must fail, say what the README says that it says, and show nothing else."""
    done = example.sh(line, ports)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode != 0, output
    assert example.says(because) in output
    assert "mutual trust" not in output
    assert not [each for each in CRASHES if each in output], output


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_line_of_the_readme_does_what_it_says(typed, name):
    example = typed(name)
    for heard in example.heard:
        assert heard.status == heard.step.status, heard
        assert all(line in heard.output for line in heard.step.prints), heard
    for part in ("/hello", "/sign-csr", "/secure", "/renew"):
        assert example.lines(part), f"nothing shows {part}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_key_is_for_its_owner_alone(typed, name):
    secret = [
        path
        for path in typed(name).folder.iterdir()
        if path.is_file()
        and (path.suffix == ".p12" or path.name == "password" or b"PRIVATE KEY-" in path.read_bytes())
    ]
    assert secret
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_server_of_another_ca_is_refused(example, mallory):
    trust(example, mallory)
    for line in example.lines("/hello") + example.lines("/sign-csr"):
        refused(example, "the server's certificate is not from the CA", line)


def trust(example: Example, authority: Authority) -> None:
    """Put a CA into the place of the one that the example trusts."""
    (example.folder / "ca.pem").write_bytes(authority.pem)
    if example.name == "java":
        anchor = PKCS12Certificate(authority.certificate, b"hatchery")
        store = serialize_java_truststore([anchor], _encryption(example))
        (example.folder / "trust.p12").write_bytes(store)


def _encryption(example: Example) -> BestAvailableEncryption:
    return BestAvailableEncryption((example.folder / "password").read_bytes().strip())


def test_a_server_of_another_name_is_refused_and_gets_no_request(example, recorder):
    """Neither a token nor anything else, by no line of the README."""
    recorder.answer(b"mutual trust")
    for line in example.lines("localhost:"):
        elsewhere = line.replace("localhost", "127.0.0.1")
        if "/hello" in line:
            refused(example, "the server has another name", elsewhere, recorder)
        else:
            example.sh(elsewhere, recorder)
    assert recorder.requests == []


def test_who_shows_no_certificate_is_refused(example):
    for line in example.lines("/hello"):
        secure = line.replace(":8443", ":8444").replace("/hello", "/secure")
        refused(example, "no certificate was shown", secure)


def test_who_shows_a_strangers_certificate_is_refused(example, mallory):
    show(example, Authority("stranger", mallory, ca=False))
    for line in set(example.lines("/secure")) - set(example.lines("/secure", "$pins")):
        refused(example, "the certificate is not from a CA that the listener knows", line)


def show(example: Example, authority: Authority) -> None:
    """Put a certificate and its key into the place of the device's."""
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (example.folder / "device.pem").write_bytes(key + authority.pem)
    if (example.folder / "device.p12").exists():
        store = serialize_key_and_certificates(
            b"device", authority.key, authority.certificate, None, _encryption(example)
        )
        (example.folder / "device.p12").write_bytes(store)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "openssl"])  # it pins nothing
def test_a_server_with_another_key_is_refused(typed, name):
    example = typed(name)
    (line,) = example.lines("/secure", "$pins")
    refused(example, "the server's key is not pinned", f"pins={WRONG_PIN}; {line}")


def test_java_pins_hold_for_the_connection_that_it_makes_by_itself(typed, server, tmp_path):
    """The first one, to a server whose key is pinned, is cut off, and Java makes another without a word."""
    example = typed("java")
    first, then = tmp_path / "first.pem", tmp_path / "then.pem"
    for pair in (first, then):
        serve_as_localhost(server, pair)
    key = x509.load_pem_x509_certificate(first.read_bytes()).public_key()
    (line,) = example.lines("/secure", "$pins")
    with cutting(first, then) as attacked:
        refused(
            example, "the server's key is not pinned", f"pins=sha256//{pins.spki_pin(key)}; {line}", attacked
        )
    assert attacked.connections == 2, "Java made no other connection"
    assert [heard[:11] for heard in attacked.heard] == [b"GET /secure"]


def test_the_pin_that_openssl_computes_is_in_the_trust_bundle(typed):
    (computed,) = (each.output for each in typed("openssl").heard if "dgst" in each.step.command)
    (told,) = (each.output for each in typed("curl").heard if each.step.command == 'echo "$pins"')
    assert f"sha256//{computed.strip()}" in told.strip().split(";")


# pinning.py itself stops at httpx, which it asks first.
OTHER_CLIENTS = """
import asyncio, sys, httpx, requests
from pinning import PinnedAdapter, pinned_context

def with_requests(url, context):
    with requests.Session() as session:
        session.mount("https://", PinnedAdapter(context))
        return session.get(url, verify="ca.pem", timeout=10).text

def with_asyncio(url, context):
    return asyncio.run(httpx.AsyncClient(verify=context).get(url)).text

client, url, pins = sys.argv[1:]
try:
    print(globals()[client](url, pinned_context(pins.split(";"))))
except (OSError, httpx.HTTPError) as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("client", ["with_requests", "with_asyncio"])
def test_python_pins_hold_with_each_kind_of_connection(typed, client):
    example = typed("python")
    (example.folder / "others.py").write_text(OTHER_CLIENTS)
    line = f"python3 others.py {client} https://localhost:8444/secure"
    (fetching,) = example.lines("pins=")
    assert b"mutual trust" in example.sh(f'{fetching}\n{line} "$pins"').stdout
    refused(example, "the server's key is not pinned", f"{line} {WRONG_PIN}")
    with tunnelling() as proxy:
        through = f"export no_proxy= NO_PROXY= https_proxy={proxy.url}; {line}"
        assert b"mutual trust" in example.sh(f'{fetching}\n{through} "$pins"').stdout
        refused(example, "the server's key is not pinned", f"{through} {WRONG_PIN}")
    assert proxy.made == 2


def test_a_wrong_token_is_refused_and_what_there_is_stays(example):
    (example.folder / "token").write_text("wrong\n")
    before = kept(example)
    (line,) = example.lines("/sign-csr")
    refused(example, "the token is wrong", line)
    assert kept(example) == before


def kept(example: Example) -> bytes:
    """What the device shows."""
    return (example.folder / ("device.p12" if example.name == "java" else "device.pem")).read_bytes()


def test_a_truststore_that_openssl_made_is_empty_for_java(typed, tmp_path):
    example = typed("java").copied(tmp_path)
    making = "openssl pkcs12 -export -nokeys -in ca.pem -out trust.p12 -passout file:password"
    assert example.sh(making).returncode == 0
    (line,) = example.lines("java Device hello")
    refused(example, "the truststore holds nobody", line)


def test_a_file_that_is_missing_is_named(example):
    trusted = "trust.p12" if example.name == "java" else "ca.pem"
    (example.folder / trusted).unlink()
    done = example.sh(example.lines("/hello")[0])
    output = (done.stdout + done.stderr).decode()
    assert done.returncode != 0
    assert trusted in output
    assert not [each for each in CRASHES if each in output], output


@pytest.mark.parametrize("path", ["/sign-csr", "/renew"])
def test_the_csr_is_sent_and_never_the_key(example, recorder, server, path):
    """And where the answer is cut off, what there is stays."""
    before = kept(example)
    whole = (server.demo / "client.pem").read_bytes()
    recorder.answer(whole[: len(whole) // 2], announced=len(whole))
    (line,) = (each for each in example.lines(path) if "-info" not in each)
    assert example.sh(line, recorder).returncode != 0
    assert kept(example) == before
    (request,) = recorder.requests
    assert request.path == path
    assert x509.load_pem_x509_csr(request.body).is_signature_valid
    assert b"PRIVATE" not in request.everything
    token = (example.folder / "token").read_text().strip()
    if path == "/sign-csr":
        assert (request.authorization, request.client) == (f"Bearer {token}", False)
    else:
        assert (request.authorization, request.client) == (None, True)


@pytest.mark.parametrize(
    "name", ["python", "go"]
)  # the others leave the key and the CSR to openssl and keytool
def test_a_lost_answer_is_asked_for_again_with_the_same_key(typed, recorder, tmp_path, name):
    example = typed(name).copied(tmp_path)
    (line,) = example.lines("/renew")
    recorder.answer(b"", announced=1)
    assert example.sh(line, recorder).returncode != 0
    (request,) = recorder.requests
    asked_for = x509.load_pem_x509_csr(request.body).public_key()
    # As a crash leaves it between the last two steps: what came is there, and not in its place.
    (example.folder / "next.pem").write_bytes((example.folder / "next.pem").read_bytes() + kept(example))
    done = example.sh(line)
    assert done.returncode == 0, done.stderr
    assert x509.load_pem_x509_certificate(kept(example)).public_key() == asked_for
    assert kept(example).count(b"PRIVATE KEY") == 2
    assert not (example.folder / "next.pem").exists()
