"""The README's walk, as printed, with the machine's own curl and OpenSSL."""

import json
import re
import shlex

import pytest

from tests.clients import make_csr, run
from tests.server import ROOT

NOT_TRUSTED = 60  # curl: the peer's certificate cannot be verified
HTTP_ERROR = 22  # curl: the status was 400 or above
RECEIVE_FAILED = 56  # curl: the server ended the handshake


@pytest.fixture(scope="module")
def walk(server):
    """The commands that `make serve` printed, in their order."""
    return [
        re.split(r"\s+# ", line)[0].strip()
        for line in server.output().splitlines()
        if line.startswith(("  curl", "  openssl"))
    ]


def step(walk, server, number):
    """Run one printed command as a shell would."""
    return run("sh", "-c", walk[number], cwd=server.demo)


def test_the_printed_walk_is_the_one_of_the_readme(walk, server):
    readme = (ROOT / "README.md").read_text()
    ports = dict(zip(map(str, server.ports.values()), ("8443", "8444", "8445", "8446", "8080"), strict=True))
    for command in walk:
        shown = re.sub(r"(?<=:)\d{4,5}\b", lambda match: ports.get(match[0], match[0]), command)
        assert shown in readme


def test_the_walk_works_as_printed(walk, server):
    """From the first hello to a device of one's own, each command as it stands on the screen."""
    hello = step(walk, server, 0)
    assert json.loads(hello.stdout) == {
        "message": "Hello from TLS server",
        "auth": "server-only (one-way TLS)",
    }
    assert step(walk, server, 1).returncode == NOT_TRUSTED
    assert step(walk, server, 2).returncode == RECEIVE_FAILED
    greeting = {
        "message": "Hello demo-iphone, mutual trust established",
        "auth": "mutual TLS (both sides verified)",
        "client": "demo-iphone",
    }
    assert json.loads(step(walk, server, 3).stdout).items() >= greeting.items()
    assert json.loads(step(walk, server, 4).stdout).items() >= greeting.items()

    assert b"Verify return code: 0 (ok)" in step(walk, server, 5).stdout
    mutual = step(walk, server, 6).stdout
    assert b"Verify return code: 0 (ok)" in mutual
    names = mutual.split(b"Acceptable client certificate CA names\n")[1]
    assert re.match(rb"CN = Hatchery Root CA .*\nCN = Hatchery Issuing CA ", names)

    for number in (7, 8, 9):
        done = step(walk, server, number)
        assert done.returncode == 0, done.stderr
    mine = json.loads(step(walk, server, 10).stdout)
    assert mine["message"] == "Hello my-device, mutual trust established"
    assert len(walk) == 11


def test_the_certificate_comes_with_its_chain_and_verifies_strictly(walk, server):
    folder = server.demo
    token = server.token("--device", "strict-device")
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", "strict.key", cwd=folder)
    run(
        *shlex.split('openssl req -new -key strict.key -out strict.csr -subj "/CN=strict-device"'), cwd=folder
    )
    done = run(
        *("curl", "-sS", "--cacert", "ca.pem", "-H", f"Authorization: Bearer {token}"),
        *("--data-binary", "@strict.csr", server.url("provisioning", "/sign-csr"), "-o", "strict.pem"),
        *("-w", "%{http_code} %{content_type}"),
        cwd=folder,
    )
    assert done.stdout == b"200 application/x-pem-file"
    assert (folder / "strict.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
    verified = run(
        *("openssl", "verify", "-x509_strict", "-purpose", "sslclient"),
        *("-CAfile", "ca.pem", "-untrusted", "strict.pem", "strict.pem"),
        cwd=folder,
    )
    assert verified.stdout == b"strict.pem: OK\n", verified.stderr


def test_whoami_tells_a_device_all_that_is_known_of_it(server):
    folder = server.demo
    done = run(
        *("curl", "-sS", "--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"),
        *("-H", "X-Forwarded-For: 192.0.2.1", server.url("secure", "/whoami")),
        cwd=folder,
    )
    told = json.loads(done.stdout)
    shown = run(
        "openssl", "x509", "-in", "client.pem", "-noout", "-serial", "-fingerprint", "-sha256", cwd=folder
    )
    serial, fingerprint = re.findall(r"=(\S+)", shown.stdout.decode())
    assert told["client"] == "demo-iphone"
    assert told["subject"] == "CN=demo-iphone"
    assert told["serial"] == serial.lower().lstrip("0")
    assert told["fingerprint_sha256"] == fingerprint.replace(":", "").lower()
    assert told["issuer"].startswith("CN=Hatchery Issuing CA")
    assert told["tls_version"] == "TLSv1.3"
    assert told["cipher_suite"].startswith("TLS_")
    assert told["resumed"] is False
    assert told["not_before"] < told["renew_at"] < told["not_after"]
    assert told["headers"]["X-Forwarded-For"] == "192.0.2.1"
    assert {"organization", "sans", "spki_pin_sha256"} <= told.keys()


def test_a_refused_enrollment_of_the_walk_does_not_look_like_success(walk, server, tmp_path):
    """Anybody who types it a second time has used the token up, or enrolls what is enrolled."""
    (command,) = (each for each in walk if "/sign-csr" in each)
    (tmp_path / "ca.pem").write_bytes((server.demo / "ca.pem").read_bytes())
    (tmp_path / "token").write_text("wrong")
    (tmp_path / "my.csr").write_bytes(make_csr("my-device"))
    done = run("sh", "-c", command, cwd=tmp_path)
    assert done.returncode == HTTP_ERROR
    assert json.loads((tmp_path / "my.pem").read_text())["code"] == "token_invalid"
