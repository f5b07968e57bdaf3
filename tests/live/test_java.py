"""Java's PKIX validator, which asks for the revocation of each certificate below the root."""

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.clients import needs, run
from tests.live.devices import Device
from tests.server import ROOT, seen_within

NUMBERS = itertools.count()
PROGRAM = ROOT / "examples" / "java" / "Validate.java"
SOON = 20.0  # seconds, generous: the benchmark measures how soon lists have a revocation


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The example, compiled: the words that start it."""
    java, javac = (needs(program, package="default-jdk-headless") for program in ("java", "javac"))
    folder = tmp_path_factory.mktemp("java")
    compiled = run(javac, "-d", folder, PROGRAM)
    assert compiled.returncode == 0, compiled.stderr
    return java, "-cp", folder, PROGRAM.stem


@pytest.fixture(scope="module")
def validate(program, server):
    """Asks Java about a device's certificate, "ocsp" or "crl"; what it prints."""

    java, *rest = program

    def asked(how: str, chain: Path) -> str:
        words = (*rest, how, server.demo / "ca.pem", chain)
        done = run(java, *words)
        assert done.returncode == 0, done.stderr
        said = done.stdout.decode().strip()
        if said.startswith("UNDETERMINED"):  # which Java gives no reason for but in its trace
            print(run(java, "-Djava.security.debug=certpath", *words).stderr.decode())
        return said

    return asked


@pytest.fixture
def device(server, tmp_path):
    return Device.enrolled(server, tmp_path, f"javanese-{next(NUMBERS)}")


@pytest.fixture(params=["ocsp", "crl"])
def how(request):
    return request.param


def test_a_certificate_that_stands_is_good(validate, device, how):
    assert validate(how, device.certificate) == "good"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("keyCompromise", "KEY_COMPROMISE"),
        ("cessationOfOperation", "CESSATION_OF_OPERATION"),
        ("certificateHold", "CERTIFICATE_HOLD"),
        ("unspecified", "UNSPECIFIED"),
    ],
)
def test_a_revoked_one_is_revoked_for_its_reason_and_since_its_time(
    validate, server, device, how, reason, shown
):
    before = datetime.now(UTC).replace(microsecond=0)
    server.revoke(device.name, reason)
    after = datetime.now(UTC)
    assert seen_within(SOON, lambda: validate(how, device.certificate) != "good")
    word, found, when = validate(how, device.certificate).split()
    assert (word, found) == ("revoked", shown)
    assert before <= datetime.fromisoformat(when) <= after


def test_a_hold_that_is_lifted_is_good_again(validate, server, device, how):
    server.revoke(device.name, "certificateHold")
    assert seen_within(SOON, lambda: validate(how, device.certificate).startswith("revoked"))
    server.inside("lift_hold", device.name)
    assert seen_within(SOON, lambda: validate(how, device.certificate) == "good")


def test_a_certificate_that_is_not_on_record_has_no_status(validate, server, tmp_path):
    """Signed by our issuer's key, and not by us: only OCSP can tell."""
    stranger = Device.made(server, tmp_path, "not-on-record")
    csr = (tmp_path / "not-on-record.csr").read_bytes()
    stranger.certificate.write_text(server.inside("sign_off_the_record", stranger.name, stdin=csr))
    assert validate("ocsp", stranger.certificate).startswith("UNDETERMINED_REVOCATION_STATUS")


@pytest.mark.parametrize("words", [(), ("ocsp",), ("both", "a", "b"), ("crl", "missing.pem", "missing.pem")])
def test_who_asks_wrongly_is_told_how_to(program, words):
    done = run(*program, *words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"usage: " in done.stderr
    assert b"Exception" not in done.stderr


def test_lists_alone_are_asked_for_in_their_mode_whatever_the_property(program, server, device):
    """By Java's own trace: with or without enableCRLDP it fetches lists, and asks no responder."""
    for options in ((), ("-Dcom.sun.security.enableCRLDP=true",)):
        java, *rest = program
        trace = ("-Djava.security.debug=certpath", *options)
        done = run(java, *trace, *rest, "crl", server.demo / "ca.pem", device.certificate)
        assert done.stdout.decode().strip() == "good"
        assert b"Trying to fetch CRL from DP" in done.stderr
        assert b"OCSP response" not in done.stderr
