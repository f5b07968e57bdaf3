"""What files say of whom to trust, with one root and two, through a rollover; and who signs profiles."""

import plistlib

import pytest
from cryptography import x509

from pki.core import bundles
from pki.keystore import keystore
from pki.models import Certificate, Issuer, Profile
from pki.services.exporting import making, profile_signing, subjects
from pki.services.exporting.files import Form, FormUnfit
from pki.services.exporting.profile_signing import NoProfileSigner
from pki.services.issuing import authorities, bootstrap, listener_certificates, succession
from pki.services.revoking import revocation
from pki.services.trusting import bundle
from tests.clients import run
from tests.services.bundles_cast import AT_ANY_DEPTH, VERIFY, the_root, verified
from tests.services.cast import DAY, SECOND, TESTER, issue, registered

LISTENERS = ["hello", "secure"]


def made(form, subject, now):
    return making.made(form, subject, now).content


def opened(folder, profile, trusted):
    """What openssl reads in a profile below these roots, None if it refuses it."""
    (folder / "ca.pem").write_bytes(bundles.pem(trusted))
    done = run(
        *("openssl", "cms", "-verify", "-inform", "DER", "-purpose", "sslserver"),
        *("-CAfile", "ca.pem", "-no-CApath", "-no-CAstore"),
        cwd=folder,
        stdin=profile,
    )
    return plistlib.loads(done.stdout) if done.returncode == 0 else None


def test_with_two_roots_a_device_trusts_the_servers_and_shows_what_leads_to_the_clients(
    db, settings, tmp_path, now
):
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    bootstrap.bootstrap(tmp_path, LISTENERS, ["localhost"], "a-password", TESTER, now, two_roots=True)
    clients, servers = (Profile.objects.get(name=name).issuer.parent for name in ("device", "server"))
    door = registered("door-1", now)
    issue(door, now)
    subject = subjects.of_device(door, now)
    assert x509.load_pem_x509_certificates(made(Form.ROOTS, subject, now)) == [servers.certificate]
    assert x509.load_pem_x509_certificates(made(Form.FULL_CHAIN, subject, now))[-1] == clients.certificate
    profile = made(Form.MOBILECONFIG, subject, now)
    assert opened(tmp_path, profile, [servers.certificate]) is not None
    assert opened(tmp_path, profile, [clients.certificate]) is None
    keystore.cache_clear()


@pytest.fixture
def rolled_over(ca, now):
    """The root has a successor, and the listeners have certificates below that."""
    new = succession.make_next(the_root(), "P-256", TESTER, now)
    bundle.publish_due(now)
    Profile.objects.filter(name="server").update(issuer=new.subordinates.get())
    for listener in LISTENERS:
        listener_certificates.ensure(listener, ["localhost", "127.0.0.1"], TESTER, now)
    return new


def test_through_a_rollover_who_trusts_either_root_is_given_both(rolled_over, now, tmp_path):
    old = the_root()
    roots = [old.certificate, rolled_over.certificate]
    assert x509.load_pem_x509_certificates(made(Form.ROOTS, subjects.of_roots(), now)) == roots
    with pytest.raises(FormUnfit, match="2 roots"):
        made(Form.ROOT_CER, subjects.of_roots(), now)
    profile = made(Form.MOBILECONFIG, subjects.of_roots(), now)
    for trusted in roots:
        payloads = opened(tmp_path, profile, [trusted])["PayloadContent"]
        assert [x509.load_der_x509_certificate(each["PayloadContent"]) for each in payloads] == roots


def test_a_profile_never_passes_for_a_trust_bundle(ca, now, tmp_path):
    profile = made(Form.MOBILECONFIG, subjects.of_roots(), now)
    trusted = [the_root().certificate]
    assert opened(tmp_path, profile, trusted) is not None
    for command in (VERIFY, AT_ANY_DEPTH):
        read, said = verified(tmp_path, profile, trusted, command)
        assert read is None, said


def test_a_profile_that_was_changed_is_refused(ca, now, tmp_path):
    profile = made(Form.MOBILECONFIG, subjects.of_roots(), now)
    changed = profile.replace(b"<key>PayloadOrganization</key>", b"<key>PayloadOrganizatioN</key>")
    assert changed != profile
    assert opened(tmp_path, changed, [the_root().certificate]) is None


def test_a_revoked_listeners_certificate_signs_no_profile(ca, now):
    first = profile_signing.signer(now)
    revocation.revoke([first], "keyCompromise", TESTER, now)
    second = profile_signing.signer(now)
    assert {first.listener, second.listener} == set(LISTENERS)
    revocation.revoke([second], "keyCompromise", TESTER, now)
    with pytest.raises(NoProfileSigner):
        profile_signing.signer(now)


def test_a_listener_under_a_compromised_issuer_signs_no_profile(ca, now):
    issuer = Profile.objects.get(name="server").issuer
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now + SECOND)
    with pytest.raises(NoProfileSigner):
        profile_signing.signer(now + DAY)


def test_a_devices_file_is_of_the_latest_of_its_certificates_that_are_good(ca, now):
    door = registered("door-1", now)
    first, second = issue(door, now), issue(door, now)
    assert subjects.current(door, now) == second
    revocation.revoke([second], "superseded", TESTER, now)
    assert subjects.current(door, now) == first
    revocation.revoke([first], "superseded", TESTER, now)
    with pytest.raises(subjects.NoCertificate):
        subjects.current(door, now)
    assert Certificate.objects.filter(device=door).count() == 2


def test_a_file_has_a_name_that_no_system_takes_for_anything_else(ca, now):
    door = registered("urn:dev@lab+1", now)
    certificate = issue(door, now)
    subject = subjects.of_certificate(certificate)
    assert making.made(Form.PEM, subject, now).name == f"urn_dev_lab_1-{certificate.serial[:12]}.pem"
    assert making.made(Form.TRUSTSTORE, subject, now).name == "urn_dev_lab_1-truststore.p12"
    assert 'name: "urn-dev-lab-1-ca"' in made(Form.KUBERNETES, subject, now).decode()
