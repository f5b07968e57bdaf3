"""Cross-certificates: who trusts one root verifies what is under the other, in every program and for as long
as both stand, and no longer.
"""

from datetime import timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus

from pki.core import bundles, chains
from pki.models import CrossCertificate, Issuer, StaleList
from pki.services.issuing import authorities, succession
from pki.services.publishing import known_issuers, ocsp_answers, revocation_status
from pki.services.trusting import cross_certificates
from tests.clients import needs, run
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import DAY, SECOND, TESTER, issue, registered

_STATE = Issuer.State


@pytest.fixture(params=["P-256", "Ed25519", "RSA-2048"])
def roots(ca, now, request):
    """The old root and the new one, whose key is of each kind."""
    old = the_root()
    return old, succession.make_next(old, request.param, TESTER, now)


@pytest.fixture
def two(ca, now):
    old = the_root()
    return old, succession.make_next(old, "P-256", TESTER, now)


def of(subject, signer):
    return CrossCertificate.objects.filter(subject=subject, signer=signer).latest("pk")


def device_under(root, now, name="door-1"):
    """A certificate by the issuing CA below this root."""
    device = registered(name, now)
    device.issuer = root.subordinates.get()
    device.save()
    return issue(device, now)


def value(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def test_it_says_the_ones_name_and_key_and_is_signed_by_the_other(roots):
    for subject, signer in (roots, roots[::-1]):
        cross = of(subject, signer).certificate
        cross.verify_directly_issued_by(signer.certificate)
        assert cross.subject == subject.certificate.subject
        assert cross.public_key() == subject.certificate.public_key()
        identifiers = (value(each, x509.SubjectKeyIdentifier) for each in (cross, subject.certificate))
        assert len(set(identifiers)) == 1, "or its issuing CA would not name it"
        basic = value(cross, x509.BasicConstraints)
        assert (basic.ca, basic.path_length) == (True, 1)
        (point,) = value(cross, x509.CRLDistributionPoints)
        assert signer.key_identifier in point.full_name[0].value
        access = [each.access_location.value for each in value(cross, x509.AuthorityInformationAccess)]
        assert any(address.endswith(f"/ca/{signer.key_identifier}.crt") for address in access)
    serials = {of(*pair).serial for pair in (roots, roots[::-1])}
    assert len(serials) == 2


def test_it_lives_ninety_days_and_never_longer_than_either_root(ca, now):
    old = the_root()
    near_its_end = old.not_after - 30 * DAY
    root = succession.make_next(old, "P-256", TESTER, near_its_end)
    for pair in ((old, root), (root, old)):
        assert of(*pair).not_after == old.not_after
    young = succession.make_next(root, "P-256", TESTER, near_its_end)
    assert of(young, root).not_after == near_its_end.replace(microsecond=0) + 90 * DAY - SECOND


@pytest.mark.parametrize("trusts", ["old", "new", "both"])
@pytest.mark.parametrize("under", ["old", "new"])
def test_openssl_and_gnutls_verify_either_way_whichever_root_they_trust(roots, now, tmp_path, under, trusts):
    old, new = roots
    root = old if under == "old" else new
    certificate = device_under(root, now)
    chain = cross_certificates.chain(certificate.issuer, now)
    (tmp_path / "it.pem").write_bytes(bundles.pem([certificate.parsed]))
    (tmp_path / "chain.pem").write_bytes(bundles.pem(chain))
    (tmp_path / "shown.pem").write_bytes(bundles.pem([certificate.parsed, *chain]))
    anchors = {"old": [old], "new": [new], "both": [old, new]}[trusts]
    (tmp_path / "ca.pem").write_bytes(bundles.pem(each.certificate for each in anchors))
    done = run(
        *("openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-no-CApath", "-no-CAstore"),
        *("-CAfile", "ca.pem", "-untrusted", "chain.pem", "it.pem"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, b"it.pem: OK\n"), done.stderr
    certtool = needs("certtool", package="gnutls-bin")
    done = run(certtool, "--verify", "--load-ca-certificate", "ca.pem", "--infile", "shown.pem", cwd=tmp_path)
    assert b"Verified. The certificate is trusted." in done.stdout, done.stderr


def test_without_it_a_stranger_to_the_root_verifies_nothing(two, now, tmp_path):
    """So that the test above could fail."""
    old, new = two
    certificate = device_under(new, now)
    (tmp_path / "it.pem").write_bytes(bundles.pem([certificate.parsed]))
    (tmp_path / "chain.pem").write_bytes(bundles.pem(authorities.chain(certificate.issuer)))
    (tmp_path / "ca.pem").write_bytes(bundles.pem([old.certificate]))
    done = run("openssl", "verify", "-CAfile", "ca.pem", "-untrusted", "chain.pem", "it.pem", cwd=tmp_path)
    assert done.returncode != 0


def test_each_certificate_that_is_shown_is_signed_by_the_next_and_the_ways_have_no_circle(two, now):
    for root, other in (two, two[::-1]):
        chain = cross_certificates.chain(root.subordinates.get(), now)
        assert [each.subject for each in chain] == [
            root.subordinates.get().certificate.subject,
            root.certificate.subject,
        ]
        for lower, upper in pairwise([*chain, other.certificate]):
            lower.verify_directly_issued_by(upper)


def test_a_device_is_given_it_with_its_certificate(two, now):
    _, new = two
    device = registered("door-1", now)
    device.issuer = new.subordinates.get()
    device.save()
    assert len(cross_certificates.chain(device.next_issuer(now), now)) == 2


@pytest.mark.parametrize("which", ["subject", "signer"])
def test_it_is_shown_no_more_once_either_root_is_compromised(two, now, which):
    old, new = two
    lost = new if which == "subject" else old
    authorities.change_state(lost, _STATE.COMPROMISED, TESTER, now)
    assert len(cross_certificates.chain(new.subordinates.get(), now)) == 1


def test_it_is_shown_no_more_once_it_has_ended(two, now):
    _, new = two
    ended = now + cross_certificates.LIFETIME
    assert len(cross_certificates.chain(new.subordinates.get(), ended)) == 1


def test_it_is_made_anew_after_two_thirds_of_its_life_while_both_are_active(two, now):
    old, new = two
    assert cross_certificates.renew_due(now + 59 * DAY) == 0
    due = now + 61 * DAY
    assert cross_certificates.renew_due(due) == 2
    assert cross_certificates.renew_due(due) == 0
    assert CrossCertificate.objects.count() == 4
    shown = cross_certificates.chain(new.subordinates.get(), due)
    assert shown[1:] == [of(new, old).certificate]
    authorities.change_state(old, _STATE.RETIRED, TESTER, due, confirmed_name=old.name)
    assert cross_certificates.renew_due(due + 61 * DAY) == 0, "a retired root signs nothing"


def test_between_roots_that_have_nothing_to_do_with_one_another_there_is_none(ca, now):
    authorities.make_root("Clients' Root CA", "P-256", TESTER, now)
    assert cross_certificates.renew_due(now) == 0


def test_one_that_is_missing_is_made_once_a_root_is_taken_back(two, now):
    """As where a root was retired while its successor was made."""
    old, _ = two
    authorities.change_state(old, _STATE.RETIRED, TESTER, now, confirmed_name=old.name)
    later = now + 100 * DAY
    assert cross_certificates.renew_due(later) == 0
    authorities.change_state(old, _STATE.ACTIVE, TESTER, later)
    assert cross_certificates.renew_due(later) == 2


# --- What the world is told of it -----------------------------------------------------------------


def status_of(cross):
    known = {issuer.pk: issuer for issuer in known_issuers._read().values()}
    return revocation_status.of_serial(known[cross.signer_id], int(cross.serial, 16))


def entries(issuer):
    return {entry.serial: entry for entry in revocation_status.entries(issuer, 0, None)}


def test_it_is_good_by_ocsp_and_on_no_list_while_both_stand(two):
    for subject, signer in (two, two[::-1]):
        assert status_of(of(subject, signer)).of is OCSPCertStatus.GOOD
        assert entries(signer) == {}


@pytest.mark.parametrize("lost", ["old", "new"])
def test_the_other_root_revokes_it_if_its_key_is_in_wrong_hands(two, now, lost):
    subject, signer = two if lost == "old" else two[::-1]
    StaleList.objects.all().delete()
    later = now + timedelta(minutes=1)
    authorities.change_state(subject, _STATE.COMPROMISED, TESTER, later)
    cross = of(subject, signer)
    status = status_of(cross)
    assert status.of is OCSPCertStatus.REVOKED
    assert status.reason is x509.ReasonFlags.ca_compromise
    entry = entries(signer)[int(cross.serial, 16)]
    assert (entry.revoked_at, entry.reason) == (later, x509.ReasonFlags.ca_compromise)
    assert StaleList.objects.filter(issuer=signer, shard=0).exists(), "its list is made at once"


def test_what_a_compromised_root_certified_is_revoked_with_it(two, now):
    old, new = two
    authorities.change_state(old, _STATE.COMPROMISED, TESTER, now)
    assert status_of(of(new, old)).of is OCSPCertStatus.REVOKED
    assert status_of(of(old, new)).of is OCSPCertStatus.REVOKED


def test_who_asks_by_ocsp_is_told_of_one_that_was_made_since_the_issuers_were_read(two, now, monkeypatch):
    monkeypatch.setattr(known_issuers, "READ_AGAIN_SECONDS", 0.0)
    old, new = two

    def asked():
        builder = ocsp.OCSPRequestBuilder()
        request = builder.add_certificate(of(new, old).certificate, old.certificate, hashes.SHA256()).build()
        answer = ocsp_answers.answer(request.public_bytes(Encoding.DER), now)
        return ocsp.load_der_ocsp_response(answer.der).certificate_status

    assert asked() is OCSPCertStatus.GOOD
    cross_certificates.renew_due(now + 61 * DAY)
    assert asked() is OCSPCertStatus.GOOD
    authorities.change_state(new, _STATE.COMPROMISED, TESTER, now)
    assert asked() is OCSPCertStatus.REVOKED


def test_one_that_has_ended_leaves_the_list(two, now):
    old, new = two
    authorities.change_state(old, _STATE.COMPROMISED, TESTER, now)
    ended = now + cross_certificates.LIFETIME + DAY
    assert list(revocation_status.entries(new, 0, ended)) == []


def test_a_proxy_may_forward_a_certificate_under_either_root(two, now):
    for root in two:
        certificate = device_under(root, now, f"door-{root.pk}")
        path = authorities.path(certificate.issuer.pk, certificate.issuer.fingerprint)
        chains.verify_client(certificate.parsed, path, now)


def test_trust_stores_hold_both_roots_and_no_cross_certificate(two, now):
    trusted, _ = authorities.trusted(now)
    assert [each for each in trusted if each.is_root] == list(two)
    assert the_issuing() in trusted
