"""`manage.py revoke` and `lift_hold`: by serial in any writing, or all of a device."""

import pytest

from pki.models import AuditEvent, Device, Revocation
from pki.services.proving import status
from tests.services.cast import change_state, everything, issue, registered
from tests.shell.words import fails, prints


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def certificate(door, now):
    return issue(door, now)


def reasons():
    return {each.certificate: each.reason for each in Revocation.objects.all()}


def test_by_serial_one_certificate_is_revoked_and_named(door, certificate, now):
    neighbour = issue(door, now)
    printed = prints("revoke", "--serial", certificate.serial)
    assert certificate.serial in printed
    assert "door-1" in printed
    assert reasons() == {certificate: "unspecified"}
    assert status.standing(neighbour.fingerprint, now)


@pytest.mark.parametrize(
    "write",
    [
        str.upper,
        lambda serial: f"0x{serial}",
        lambda serial: serial.zfill(40),
        lambda serial: str(int(serial, 16)),
        lambda serial: ":".join(map("".join, zip(*[iter(serial.upper().zfill(32))] * 2, strict=True))),
    ],
    ids=["capitals", "0x", "leading zeros", "decimal", "colons"],
)
def test_a_serial_is_understood_in_any_usual_writing(certificate, write):
    prints("revoke", "--serial", write(certificate.serial))
    assert reasons() == {certificate: "unspecified"}


def test_by_device_all_its_living_certificates_are_revoked(door, certificate, now):
    second = issue(door, now)
    others = issue(registered("door-2", now), now)
    printed = prints("revoke", "--device", "door-1", "--reason", "keyCompromise")
    assert reasons() == {certificate: "keyCompromise", second: "keyCompromise"}
    assert len(printed.splitlines()) == 2
    assert others.serial not in printed


@pytest.mark.parametrize("reason", Revocation.Reason.values)
def test_every_reason_may_be_given(certificate, reason):
    prints("revoke", "--serial", certificate.serial, "--reason", reason)
    assert reasons() == {certificate: reason}


def test_a_suspended_devices_certificates_may_be_revoked(door, certificate, now):
    change_state(door, Device.State.SUSPENDED, now)
    prints("revoke", "--device", "door-1")
    assert reasons() == {certificate: "unspecified"}


@pytest.mark.parametrize("what", [lambda c: ["--serial", c.serial], lambda c: ["--device", "door-1"]])
def test_twice_is_refused_and_changes_nothing(certificate, what):
    prints("revoke", *what(certificate), "--reason", "keyCompromise")
    before = everything()
    fails("revoke", *what(certificate), "--reason", "superseded")
    assert everything() == before


def test_what_is_on_hold_is_revoked_for_good_by_its_device(door, certificate, now):
    prints("revoke", "--device", "door-1", "--reason", "certificateHold")
    printed = prints("revoke", "--device", "door-1", "--reason", "keyCompromise")
    assert certificate.serial in printed
    assert reasons() == {certificate: "keyCompromise"}


@pytest.mark.parametrize("what", [lambda c: ["--serial", c.serial], lambda c: ["--device", "door-1"]])
@pytest.mark.parametrize(
    ("reason", "said"), [("certificateHold", "on hold already"), ("keyCompromise", "revoked already")]
)
def test_who_comes_second_is_told_what_it_is_already(certificate, what, reason, said):
    prints("revoke", *what(certificate), "--reason", reason)
    assert said in fails("revoke", *what(certificate), "--reason", reason)


@pytest.mark.parametrize("what", [lambda c: ["--serial", c.serial], lambda c: ["--device", "door-1"]])
def test_a_hold_is_lifted(certificate, what, now):
    prints("revoke", *what(certificate), "--reason", "certificateHold")
    assert certificate.serial in prints("lift_hold", *what(certificate), "--note", "It was found.")
    assert status.standing(certificate.fingerprint, now)
    assert AuditEvent.objects.get(kind="certificate.hold_lifted").detail["note"] == "It was found."


@pytest.mark.parametrize("what", [lambda c: ["--serial", c.serial], lambda c: ["--device", "door-1"]])
@pytest.mark.parametrize("reason", ["keyCompromise", None])
def test_what_is_not_on_hold_is_not_lifted(certificate, what, reason):
    if reason is not None:
        prints("revoke", *what(certificate), "--reason", reason)
    before = everything()
    assert "on hold" in fails("lift_hold", *what(certificate))
    assert everything() == before


def test_of_a_device_the_holds_alone_are_lifted(door, certificate, now):
    second = issue(door, now)
    prints("revoke", "--serial", certificate.serial, "--reason", "keyCompromise")
    prints("revoke", "--serial", second.serial, "--reason", "certificateHold")
    prints("lift_hold", "--device", "door-1")
    assert reasons() == {certificate: "keyCompromise"}


WRONG = {
    "neither": ([], "--serial"),
    "both": (["--serial", "1f", "--device", "door-1"], "not allowed with"),
    "a serial that nobody has": (["--serial", "1f"], "1f"),
    "a serial that is no number": (["--serial", "door-1"], "door-1"),
    "an empty serial": (["--serial", ""], "serial"),
    "a device that there is not": (["--device", "door-9"], "door-9"),
    "a device without a certificate": (["--device", "door-2"], "no living certificate"),
    "a reason that there is not": (["--device", "door-1", "--reason", "boredom"], "keyCompromise"),
    # RFC 5280 has it, but not for an end entity's certificate.
    "another's reason": (["--device", "door-1", "--reason", "cACompromise"], "keyCompromise"),
}


@pytest.mark.parametrize(("words", "named"), WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused_in_one_sentence_and_changes_nothing(certificate, now, words, named):
    registered("door-2", now)
    before = everything()
    assert named in fails("revoke", *words)
    assert everything() == before
