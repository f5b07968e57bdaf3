"""Revoking: once, for good, all named or none, in any writing of a serial."""

import pytest

from pki.models import AuditEvent, Certificate, Revocation
from pki.services.revoking import revocation
from tests.services.cast import DAY, TESTER, issue, registered

KEY_COMPROMISE, SUPERSEDED = Revocation.Reason.KEY_COMPROMISE, Revocation.Reason.SUPERSEDED


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def certificate(door, now):
    return issue(door, now)


def test_a_revocation_is_kept_with_its_time_its_reason_and_its_event(certificate, now):
    (revoked,) = revocation.revoke([certificate], KEY_COMPROMISE, TESTER, now)
    assert (revoked.certificate, revoked.reason, revoked.revoked_at) == (certificate, KEY_COMPROMISE, now)
    event = AuditEvent.objects.get(kind="certificate.revoked")
    assert (event.certificate, event.device, event.actor) == (certificate, certificate.device, TESTER.name)


def test_what_is_revoked_stays_revoked_as_it_was(certificate, now):
    revocation.revoke([certificate], KEY_COMPROMISE, TESTER, now)
    with pytest.raises(revocation.AlreadyRevoked):
        revocation.revoke([certificate], SUPERSEDED, TESTER, now + DAY)
    kept = Revocation.objects.get()
    assert (kept.reason, kept.revoked_at) == (KEY_COMPROMISE, now)
    assert AuditEvent.objects.filter(kind="certificate.revoked").count() == 1


def test_of_several_those_that_are_revoked_already_are_passed_over(door, certificate, now):
    other = issue(door, now)
    revocation.revoke([certificate], KEY_COMPROMISE, TESTER, now)
    revoked = revocation.revoke([certificate, other], SUPERSEDED, TESTER, now)
    assert [each.certificate for each in revoked] == [other]


def test_nothing_to_revoke_is_said(ca, now):
    with pytest.raises(revocation.AlreadyRevoked):
        revocation.revoke([], SUPERSEDED, TESTER, now)


def test_an_expired_certificate_may_still_be_revoked(certificate):
    late = certificate.not_after + DAY
    assert revocation.revoke([certificate], KEY_COMPROMISE, TESTER, late)


def test_living_are_those_that_are_neither_revoked_nor_expired(door, certificate, now):
    other = issue(door, now)
    issue(registered("door-2", now), now)
    assert set(revocation.living(door, now)) == {certificate, other}
    revocation.revoke([other], SUPERSEDED, TESTER, now)
    assert set(revocation.living(door, now)) == {certificate}
    assert not revocation.living(door, certificate.not_after + DAY).exists()


def pairs(serial):
    padded = serial.zfill(len(serial) + len(serial) % 2)
    return [padded[at : at + 2] for at in range(0, len(padded), 2)]


WRITINGS = {
    "as it is stored": lambda serial: serial,
    "in capitals": str.upper,
    "with 0x": lambda serial: f"0x{serial}",
    "with 0X": lambda serial: f"0X{serial.upper()}",
    "with leading zeros": lambda serial: serial.zfill(40),
    "with colons, as OpenSSL prints it": lambda serial: ":".join(pairs(serial)),
    "with spaces, as browsers print it": lambda serial: " ".join(pairs(serial.upper())),
    "with blanks around it": lambda serial: f"  {serial}\n",
}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
def test_a_serial_is_found_in_any_usual_writing(certificate, write):
    assert revocation.find_by_serial(write(certificate.serial)) == certificate


@pytest.mark.parametrize("text", ["", "0", "0x", "zz", "1234", "%", "*", "-1", "1" * 5000])
def test_a_serial_that_nobody_has_is_unknown(certificate, text):
    with pytest.raises(revocation.CertificateUnknown):
        revocation.find_by_serial(text)


def test_a_part_of_a_serial_finds_nothing(certificate):
    with pytest.raises(revocation.CertificateUnknown):
        revocation.find_by_serial(certificate.serial[:-1])


def test_a_serial_that_two_issuers_gave_is_not_guessed(certificate, now):
    root = certificate.issuer.parent
    twin = Certificate.objects.get(pk=certificate.pk)
    twin.pk, twin.issuer, twin.fingerprint = None, root, "0" * 64
    twin.save(force_insert=True)
    with pytest.raises(revocation.CertificateUnknown):
        revocation.find_by_serial(certificate.serial)
