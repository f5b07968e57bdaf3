"""What sslscan sees of each TLS listener; `make scan-tls` asks testssl.sh, which takes longer."""

from xml.etree import ElementTree

import pytest

from tests.clients import needs, run

# sslscan does not know X25519MLKEM768.
GROUPS = {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)"}


@pytest.fixture(scope="module", params=["hello", "secure", "provisioning", "console"])
def scan(request, server):
    address = f"localhost:{server.ports[request.param]}"
    done = run(needs("sslscan", package="sslscan"), "--xml=-", "--ipv4", "--no-colour", address)
    found = ElementTree.fromstring(done.stdout).find("ssltest")  # noqa: S314 - of a program of ours
    assert found is not None, done
    return found


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(scan):
    spoken = {
        (each.get("type"), each.get("version"))
        for each in scan.iter("protocol")
        if each.get("enabled") == "1"
    }
    assert spoken == {("tls", "1.2"), ("tls", "1.3")}


def test_every_suite_is_forward_secret_and_aead(scan):
    suites = {each.get("cipher") for each in scan.iter("cipher")}
    assert suites
    for suite in suites:
        assert suite.startswith(("ECDHE-", "TLS_")), suite
        assert "GCM" in suite or "CHACHA20-POLY1305" in suite.replace("_", "-"), suite
    assert {each.get("strength") for each in scan.iter("cipher")} <= {"strong", "acceptable"}


def test_no_group_is_weak_or_slow_to_calculate(scan):
    groups = {each.get("name") for each in scan.iter("group")}
    assert groups == GROUPS


def test_nothing_is_renegotiated_or_bleeding(scan):
    assert scan.find("renegotiation").get("supported") == "0"
    assert {each.get("vulnerable") for each in scan.iter("heartbleed")} <= {"0"}
