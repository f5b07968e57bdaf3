"""The trust bundle: versions that only grow, signatures that every device can check, and no lie.

What a device does is what docs/rollover.md says, with openssl.
"""

import re
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.core import bundles, certificates, keys, names, pins, trust_bundles
from pki.core.profiles import ExtendedKeyUsage
from pki.keystore import KeystoreError, folder, keystore
from pki.models import AuditEvent, BundleSigner, Certificate, Issuer, Profile, TrustBundle
from pki.services.issuing import authorities, listener_certificates, succession
from pki.services.revoking import revocation
from pki.services.trusting import (
    anchors,
    bundle,
    bundle_signatures,
    bundle_signers,
    cross_certificates,
    standby_keys,
)
from tests.clients import run
from tests.services.bundles_cast import (
    AT_ANY_DEPTH,
    VERIFY,
    forged,
    lines_of_the_page,
    taken,
    the_issuing,
    the_root,
    verified,
)
from tests.services.cast import DAY, SECOND, TESTER, Gadget, at_once, everything, registered, token_for

_STATE = Issuer.State
LISTENERS, HOSTS = ["hello", "secure"], ["localhost", "127.0.0.1"]


@pytest.fixture
def roots(ca, now):
    """The old root and the new one, with the listeners still under the old."""
    old = the_root()
    return old, succession.make_next(old, "P-256", TESTER, now)


def move_listeners(issuer, now):
    Profile.objects.filter(name=listener_certificates.SERVER_PROFILE).update(issuer=issuer)
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now)


def lose(issuer, now):
    authorities.change_state(issuer, _STATE.COMPROMISED, TESTER, now)


def file_of(reference):
    return folder() / f"{reference.split(':')[1]}.pem"


def damage(reference):
    file_of(reference).write_bytes(b"damaged")
    keystore.cache_clear()


def roots_in(text):
    return [pins.fingerprint_of(each) for each in x509.load_pem_x509_certificates(text.encode())]


def fingerprints(issuers):
    return [issuer.fingerprint for issuer in issuers]


def pinned(text):
    """Role and word → pins."""
    found = {}
    for role, word, pin in re.findall(r"^# pin (\S+) (current|backup) sha256//(\S+)", text, re.MULTILINE):
        found.setdefault((role, word), set()).add(pin)
    return found


def pin(certificate):
    return pins.spki_pin(certificate.public_key())


# --- What it says ---------------------------------------------------------------------------------


def test_it_names_its_version_its_roots_and_the_pins_of_each_role(roots, now):
    standby_keys.prepare(standby_keys.ROOT, "P-256", now)
    text = bundle.current(now).contents
    assert re.match(r"# Hatchery trust bundle\n# version: [0-9]+\n# made-at: \S+Z\n#\n", text)
    assert roots_in(text) == fingerprints(roots)
    found = pinned(text)
    assert found["root", "current"] == {pin(root.certificate) for root in roots}
    below = Issuer.objects.exclude(parent=None)
    assert found["issuer", "current"] == {pin(issuer.certificate) for issuer in below}
    (waiting,) = standby_keys.waiting().filter(purpose=standby_keys.ROOT)
    assert found["root", "backup"] == {pins.as_base64(waiting.spki_sha256)}
    for listener in LISTENERS:
        shown = listener_certificates.current(listener, now)
        assert found[f"listener-{listener}", "current"] == {pin(shown.parsed)}
        (next_key,) = standby_keys.waiting().filter(purpose=f"listener-{listener}")
        assert found[f"listener-{listener}", "backup"] == {pins.as_base64(next_key.spki_sha256)}


def test_the_backup_pin_is_the_current_one_after_the_listeners_renewal(ca, now):
    before = pinned(bundle.current(now).contents)
    later = now + 61 * DAY
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, later)
    assert bundle.publish_due(later)
    after = pinned(bundle.current(later).contents)
    for listener in LISTENERS:
        role = f"listener-{listener}"
        assert before[role, "backup"] < after[role, "current"]
        assert before[role, "current"] < after[role, "current"], "nodes may show the old one for a while"
        assert not before[role, "backup"] & after[role, "backup"]


@pytest.mark.parametrize("kind", ["P-384", "RSA-2048"])
def test_the_pin_of_the_next_root_is_in_it_before_there_is_one(ca, now, kind):
    root = authorities.make_root("Other Root", kind, TESTER, now)
    issuing = authorities.make_subordinate("Other Issuing", root, "P-256", TESTER, now)
    move_listeners(issuing, now)
    lose(the_root(), now)
    bundle.publish_due(now)
    (promised,) = pinned(bundle.current(now).contents)["root", "backup"]
    made = succession.make_next(root, kind, TESTER, now)
    assert pin(made.certificate) == promised
    bundle.publish_due(now)
    after = pinned(bundle.current(now).contents)
    assert promised in after["root", "current"]
    assert promised not in after["root", "backup"]
    assert len(after["root", "backup"]) == 1, "the one after that"


def test_a_cross_certificate_is_never_among_the_roots(roots, now):
    found = x509.load_pem_x509_certificates(bundle.current(now).contents.encode())
    assert all(each.subject == each.issuer for each in found)


def test_a_name_cannot_write_lines_of_its_own(ca, now):
    """No name with a line break is taken today; a database may hold one that was."""
    authorities.make_root("Good", "P-256", TESTER, now)
    text = bundle.trust_bundles.body(
        [],
        [bundle.Root("Evil\n# version: 999999999\u2028x", "active", the_root().certificate)],
    )
    assert "# root: Evil?# version: 999999999?x\n" in text


def test_roots_for_clients_alone_are_not_told_to_devices(ca, now):
    authorities.make_root("Clients' Root CA", "P-256", TESTER, now)
    assert roots_in(bundle.current(now).contents) == [the_root().fingerprint]


def test_every_program_that_reads_pem_reads_it_as_trusted_roots(roots, now, tmp_path):
    (tmp_path / "ca.pem").write_text(bundle.current(now).contents)
    for root in roots:
        (tmp_path / "it.pem").write_bytes(bundles.pem([root.subordinates.get().certificate]))
        assert run("openssl", "verify", "-CAfile", "ca.pem", "it.pem", cwd=tmp_path).returncode == 0


# --- Versions -------------------------------------------------------------------------------------


def test_a_version_is_made_when_what_it_says_changes_and_only_then(ca, now):
    assert bundle.publish_due(now)
    assert not bundle.publish_due(now)
    assert not bundle.publish_due(now + DAY)
    first = TrustBundle.objects.get()
    root = succession.make_next(the_root(), "P-256", TESTER, now + DAY)
    assert bundle.publish_due(now + DAY)
    assert not bundle.publish_due(now + DAY)
    second = bundle.current(now + DAY)
    assert second.version > first.version
    assert root.fingerprint in roots_in(second.contents)
    assert second.contents != first.contents
    assert TrustBundle.objects.count() == 2
    assert AuditEvent.objects.filter(kind="trust_bundle.made").count() == 2


def test_versions_grow_within_a_minute_and_after_the_database_was_put_back():
    at = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    first = bundle.trust_bundles.version_at(at, 0)
    second = bundle.trust_bundles.version_at(at + SECOND, first)
    assert first < second
    restored = bundle.trust_bundles.version_at(at + DAY, 0)  # the database remembers none of them
    assert second < restored
    assert bundle.trust_bundles.version_at(at - 400 * DAY, second) == second + 1, "and with a clock put back"


def test_after_a_restore_there_is_one_new_version_though_it_says_the_same(ca, now):
    bundle.publish_due(now)
    before = bundle.current(now)
    restored_at, later = now + timedelta(hours=1), now + timedelta(hours=2)
    Issuer.objects.update(crl_floor=int(restored_at.timestamp()))
    after = bundle.current(later)
    assert after.version > before.version
    assert trust_bundles.body_of(after.contents) == trust_bundles.body_of(before.contents)
    assert bundle.current(later + timedelta(minutes=1)).version == after.version
    assert bundle.publish_due(later + timedelta(minutes=1)) is False


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=30), 4000 * DAY])
def test_after_a_restore_by_any_clock_there_is_one_new_version_and_no_more(ca, now, ahead):
    """A version for each request would be a write for each, and no way back for the numbers."""
    bundle.publish_due(now)
    before = bundle.current(now)
    clock = now + ahead
    Issuer.objects.update(crl_floor=int(clock.timestamp()))
    seen = {bundle.current(now + seconds * SECOND).version for seconds in (5, 6, 7, 60, 61, 3600)}
    (after,) = seen
    assert after > before.version, "devices may have any that was made until then"
    assert after > int(clock.timestamp()) // 60
    assert not bundle.publish_due(now + timedelta(hours=2))
    succession.make_next(the_root(), "P-256", TESTER, now)
    assert bundle.current(now + timedelta(hours=3)).version == after, "as it is stored"
    assert bundle.publish_due(now + timedelta(hours=3))
    assert bundle.current(now + timedelta(hours=3)).version > after


def test_an_issuer_that_is_declared_compromised_by_a_clock_that_is_ahead_costs_a_signature_a_minute(ca, now):
    lost = authorities.make_root("Clients' Root CA", "P-256", TESTER, now)
    bundle.current(now)
    lose(lost, now + DAY)
    signed = {bundle.current(now + seconds * SECOND).signed_at for seconds in range(0, 180, 10)}
    assert len(signed) == 3


@pytest.mark.django_db(transaction=True)
def test_nodes_that_publish_at_once_make_one_version(ca, now):
    standby_keys.prepare(standby_keys.ROOT, "P-256", now)  # or the second of them would have more to say
    jobs = [lambda: bundle.publish_due(now)] * 4 + [lambda: bundle.current(now)] * 4
    outcomes = at_once(*jobs)
    assert TrustBundle.objects.count() == 1
    version = TrustBundle.objects.get().version
    for outcome in outcomes[4:]:
        assert isinstance(outcome, bundle.BundleBusy) or outcome.version == version


def test_before_there_is_an_issuer_nothing_is_due(db, now):
    assert not bundle.publish_due(now)


def test_a_look_at_it_writes_nothing(ca, now, django_assert_num_queries):
    bundle.current(now)
    before = everything()
    with django_assert_num_queries(2):
        bundle.current(now + SECOND)
    assert everything() == before


# --- Its signature --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
@pytest.mark.parametrize("trusts", ["old", "new", "both"])
@pytest.mark.parametrize("moved", [False, True], ids=["listeners under the old", "listeners under the new"])
def test_a_device_verifies_it_whichever_root_it_trusts(ca, now, tmp_path, kind, trusts, moved):
    old = the_root()
    new = succession.make_next(old, kind, TESTER, now)
    if moved:
        move_listeners(new.subordinates.get(), now)
    made = bundle.current(now)
    anchored = {"old": [old], "new": [new], "both": [old, new]}[trusts]
    read, said = taken(tmp_path, made, [root.certificate for root in anchored])
    assert read == made.contents, said


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_under_a_root_of_any_kind_and_without_a_rollover_it_verifies(ca, now, tmp_path, kind):
    root = authorities.make_root("Other Root", kind, TESTER, now)
    issuing = authorities.make_subordinate("Other Issuing", root, kind, TESTER, now)
    move_listeners(issuing, now)
    lose(the_root(), now)
    made = bundle.current(now)
    assert roots_in(made.contents) == [root.fingerprint]
    read, said = verified(tmp_path, bytes(made.signed), [root.certificate])
    assert read == made.contents, said


def test_a_device_that_trusts_neither_root_refuses_it(roots, now, tmp_path):
    stranger = authorities.make_root("Stranger", "P-256", TESTER, now)
    assert verified(tmp_path, bytes(bundle.current(now).signed), [stranger.certificate])[0] is None


def test_once_the_old_root_is_retired_the_new_one_signs_and_who_trusts_only_the_old_one_still_takes_it(
    roots, now, tmp_path
):
    old, new = roots
    move_listeners(new.subordinates.get(), now)
    revocation.revoke(
        Certificate.objects.filter(issuer=the_issuing()), revocation.Revocation.Reason.SUPERSEDED, TESTER, now
    )
    for issuer in (the_issuing(), old):
        authorities.change_state(issuer, _STATE.RETIRED, TESTER, now, confirmed_name=issuer.name)
    made = bundle.current(now)
    assert roots_in(made.contents) == [new.fingerprint]
    for root in roots:
        assert taken(tmp_path, made, [root.certificate])[0] == made.contents
    assert verified(tmp_path, bytes(made.signed), [new.certificate])[0] == made.contents, "for everybody"


def test_a_retired_root_stays_while_a_listener_shows_a_certificate_under_it(ca, now):
    root = the_root()
    authorities.change_state(root, _STATE.RETIRED, TESTER, now, confirmed_name=root.name)
    assert roots_in(bundle.current(now).contents) == [root.fingerprint]


def test_it_is_signed_anew_in_time_by_a_new_signer_under_the_same_version(ca, now):
    bundle.publish_due(now)
    first = bundle.current(now)
    signer = BundleSigner.objects.get()
    lasts = signer.not_after - signer.not_before
    assert first.sign_again_at == signer.not_before + lasts * 2 / 3
    assert not bundle.publish_due(first.sign_again_at - SECOND)
    assert bundle.publish_due(first.sign_again_at)
    again = bundle.current(first.sign_again_at)
    assert (again.version, again.contents) == (first.version, first.contents)
    assert bytes(again.signed) != bytes(first.signed)
    assert BundleSigner.objects.count() == 2
    assert not bundle.publish_due(first.sign_again_at)


def test_whoever_asks_late_gets_it_signed_anew(ca, now):
    first = bundle.current(now)
    late = now + 29 * DAY
    again = bundle.current(late)
    assert again.version == first.version
    assert BundleSigner.objects.latest("pk").not_after > late


def test_a_node_without_keys_serves_what_is_stored_and_makes_nothing(ca, now, settings, tmp_path):
    first = bundle.current(now)
    settings.PORTAL_DATA_DIR = tmp_path / "elsewhere"
    keystore.cache_clear()
    assert bundle.current(now) == first
    assert bundle.current(first.sign_again_at).signed_at == first.signed_at
    with pytest.raises(bundle_signatures.NoBundleSigner):
        bundle.publish_due(first.sign_again_at)


def test_the_key_of_a_signer_signs_nothing_as_a_ca_and_a_cas_key_no_message(ca, now):
    bundle.current(now)
    signer = BundleSigner.objects.get()
    certificate = certificates.parsed(bytes(signer.certificate_der))
    issuing = the_issuing()
    with pytest.raises(ValueError, match="no messages"):
        keystore().sign_message(issuing.key_reference, b"x", issuing.certificate)
    with pytest.raises(ValueError, match="another key"):
        keystore().sign_message(issuing.key_reference, b"x", certificate)
    ed25519 = keystore().create("bundle", "Ed25519")
    with pytest.raises(ValueError, match="EC and RSA"):
        keystore().sign_message(ed25519, b"x", certificate)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign


def test_each_signature_has_one_certificate_and_a_root_made_it(roots, now):
    made = bundle.current(now)
    for root in roots:
        (signer,) = pkcs7.load_der_pkcs7_certificates(bundle_signatures.of(made, root.fingerprint))
        signer.verify_directly_issued_by(root.certificate)


def test_signatures_below_all_roots_are_made_anew_together_and_none_is_left_over(roots, now, tmp_path):
    first = bundle.current(now)
    again = bundle.current(first.sign_again_at)
    assert again.version == first.version
    assert set(again.signatures.values_list("root", flat=True)) == {root.pk for root in roots}
    late = (*VERIFY, "-attime", str(int((now + bundle_signers.LIFETIME).timestamp())))
    for root in roots:
        signed = bundle_signatures.of(again, root.fingerprint)
        assert verified(tmp_path, signed, [root.certificate], late)[0] == again.contents


@pytest.mark.parametrize("whose", ["root", "signer"])
def test_a_key_that_cannot_be_read_stops_the_signature_below_its_own_root_alone(
    roots, now, tmp_path, caplog, whose
):
    old, new = roots
    bundle.publish_due(now)
    authorities.change_state(old, _STATE.RETIRED, TESTER, now, confirmed_name=old.name)
    bundle.publish_due(now)
    again_at = bundle.current(now).sign_again_at if whose == "root" else now + SECOND
    TrustBundle.objects.update(sign_again_at=again_at)
    damage(old.key_reference if whose == "root" else old.bundle_signers.get().key_reference)
    before = len(list(folder().glob("bundle-*")))
    assert bundle.publish_due(again_at)
    again = bundle.current(again_at)
    assert again.signed_at == again_at
    then = (*VERIFY, "-attime", str(int(again_at.timestamp()) + 1))
    assert verified(tmp_path, bytes(again.signed), [new.certificate], then)[0] == again.contents
    assert f"The trust bundle is not signed under {old}: The key file" in caplog.text
    made = BundleSigner.objects.filter(created_at=again_at).count()
    assert len(list(folder().glob("bundle-*"))) == before + made, "no key is left behind"


def test_if_no_key_can_be_read_it_says_so(ca, now):
    damage(the_root().key_reference)
    with pytest.raises(KeystoreError, match="does not open"):
        bundle.current(now)


def test_a_root_whose_key_comes_late_gets_its_signature_then_beside_those_that_there_are(
    roots, now, tmp_path
):
    old, new = roots
    kept = file_of(old.key_reference).rename(tmp_path / "kept.pem")
    keystore.cache_clear()
    bundle.publish_due(now)
    made = bundle.current(now)
    assert bundle_signatures.of(made, old.fingerprint) is None
    assert not bundle.publish_due(now + SECOND)
    kept.rename(file_of(old.key_reference))
    # Another node with one root's key alone: what is there is not taken away.
    away = file_of(new.key_reference).rename(tmp_path / "away.pem")
    assert bundle.publish_due(now + SECOND)
    away.rename(file_of(new.key_reference))
    later = bundle.current(now + SECOND)
    assert (later.version, bytes(later.signed)) == (made.version, bytes(made.signed))
    for root in roots:
        assert taken(tmp_path, later, [root.certificate])[0] == later.contents
    assert not bundle.publish_due(now + 2 * SECOND)


def test_a_key_that_still_cannot_be_read_makes_no_new_signature_each_minute(roots, now):
    damage(roots[0].key_reference)
    bundle.publish_due(now)
    made = bundle.current(now)
    keys_then = len(list(folder().iterdir()))
    for minutes in (1, 2, 3):
        assert not bundle.publish_due(now + timedelta(minutes=minutes))
    again = bundle.current(now + timedelta(minutes=4))
    assert (bytes(again.signed), again.sign_again_at) == (bytes(made.signed), made.sign_again_at)
    assert len(list(folder().iterdir())) == keys_then


def test_the_signature_for_everybody_is_that_below_the_oldest_active_root(roots, now, tmp_path):
    old, new = roots
    for asked in ("", old.fingerprint):
        assert bundle_signatures.of(bundle.current(now), asked) == bytes(bundle.current(now).signed)
    authorities.change_state(old, _STATE.RETIRED, TESTER, now, confirmed_name=old.name)
    bundle.publish_due(now)
    (signer,) = pkcs7.load_der_pkcs7_certificates(bytes(bundle.current(now).signed))
    signer.verify_directly_issued_by(new.certificate)


def test_a_signer_that_an_issuing_ca_made_before_the_upgrade_is_used_no_more(ca, now, tmp_path):
    """As a database had it in which issuing CAs made the signers."""
    issuing = the_issuing()
    reference = keystore().create("bundle", "P-256")
    unsigned = certificates.bundle_signer(
        keystore().public_key(reference), bundle_signers.LIFETIME, issuing.certificate, now
    )
    signer = keystore().sign(issuing.key_reference, unsigned)
    BundleSigner.objects.create(
        issuer=issuing,
        key_reference=reference,
        serial=f"{signer.serial_number:x}",
        certificate_der=signer.public_bytes(Encoding.DER),
        not_before=signer.not_valid_before_utc,
        not_after=signer.not_valid_after_utc,
        created_at=now,
    )
    made = bundle.current(now)
    assert verified(tmp_path, bytes(made.signed), ours())[0] == made.contents
    assert BundleSigner.objects.latest("pk").issuer == the_root()


# --- Forgeries ------------------------------------------------------------------------------------


@pytest.fixture
def evil(ca, now):
    """What a forger wants devices to trust."""
    key = keys.generate("P-256")
    subject = names.subject({"CN": "Evil Root"})
    root = certificates.root(subject, key.public_key(), 1000 * DAY, now).sign(key, keys.signature_hash(key))
    return key, root, f"# version: 999999999\n{bundles.pem([root]).decode()}".encode()


def ours():
    return [the_root().certificate]


def chain_of(issuer, now):
    return cross_certificates.chain(issuer, now)


def test_a_device_cannot_sign_one(ca, now, tmp_path, evil):
    gadget = Gadget("door-1")
    issued = gadget.enroll(token_for(registered("door-1", now), now), now)
    signed = forged(evil[2], issued.certificate.parsed, gadget.key, issued.chain)
    assert verified(tmp_path, signed, ours())[0] is None
    read, said = verified(tmp_path, signed, ours(), AT_ANY_DEPTH)
    assert read is None
    assert "unsuitable certificate purpose" in said


def test_without_that_check_it_could(ca, now, tmp_path, evil):
    """What makes the difference is that the documented command names no other purpose."""
    gadget = Gadget("door-1")
    issued = gadget.enroll(token_for(registered("door-1", now), now), now)
    verified(tmp_path, forged(evil[2], issued.certificate.parsed, gadget.key, issued.chain), ours())
    assert run(*AT_ANY_DEPTH, "-purpose", "any", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("usages", [[each] for each in ExtendedKeyUsage] + [list(ExtendedKeyUsage)], ids=str)
def test_no_profile_gives_a_certificate_that_could(ca, now, tmp_path, evil, usages):
    assert ExtendedKeyUsageOID.EMAIL_PROTECTION not in [usage.oid for usage in ExtendedKeyUsage]
    Profile.objects.filter(name="device").update(extended_key_usages=usages)
    gadget = Gadget("door-1")
    device = registered("door-1", now)
    device.sans = ["DNS:door.example"]
    device.save()
    issued = gadget.enroll(token_for(device, now), now)
    signed = forged(evil[2], issued.certificate.parsed, gadget.key, issued.chain)
    assert verified(tmp_path, signed, ours(), AT_ANY_DEPTH)[0] is None


def test_neither_a_listeners_key_nor_a_cas_signs_one_that_passes(ca, now, tmp_path, evil):
    for certificate, reference in (
        (listener_certificates.current("secure", now).parsed, None),
        (the_issuing().certificate, the_issuing().key_reference),
        (the_root().certificate, the_root().key_reference),
    ):
        reference = reference or listener_certificates.current("secure", now).key_reference
        key = keystore()._open(reference)
        signed = forged(evil[2], certificate, key, chain_of(the_issuing(), now))
        assert verified(tmp_path, signed, ours())[0] is None
        assert verified(tmp_path, signed, ours(), AT_ANY_DEPTH)[0] is None


def test_a_signer_of_another_ca_is_refused(ca, now, tmp_path, evil):
    key, root, content = evil
    signer_key = keys.generate("P-256")
    signer = certificates.bundle_signer(signer_key.public_key(), DAY, root, now).sign(
        key, keys.signature_hash(key)
    )
    signed = forged(content, signer, signer_key, [root])
    assert verified(tmp_path, signed, ours(), AT_ANY_DEPTH)[0] is None
    read, said = verified(tmp_path, forged(content, signer, signer_key), ours())
    assert read is None
    assert "unable to get local issuer certificate" in said or "self-signed certificate in" in said
    # Even where the forger's root stands among the system's, as a public CA for mail does.
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "evil.pem").write_bytes(bundles.pem([root]))
    assert run("openssl", "rehash", folder).returncode == 0
    with_system = ("env", f"SSL_CERT_DIR={folder}", *VERIFY)
    assert run(*with_system, cwd=tmp_path).returncode != 0
    careless = [word for word in with_system if word not in ("-no-CApath", "-no-CAstore")]
    assert run(*careless, cwd=tmp_path).returncode == 0, "and that is why they are not to be left out"


def test_an_issuing_ca_that_is_made_by_a_device_is_none(ca, now, tmp_path, evil):
    """A device's certificate is no CA: what it signs as one leads nowhere."""
    gadget = Gadget("door-1")
    issued = gadget.enroll(token_for(registered("door-1", now), now), now)
    signer_key = keys.generate("P-256")
    signer = certificates.bundle_signer(signer_key.public_key(), DAY, issued.certificate.parsed, now).sign(
        gadget.key, keys.signature_hash(gadget.key)
    )
    others = [issued.certificate.parsed, *issued.chain]
    assert verified(tmp_path, forged(evil[2], signer, signer_key, others), ours())[0] is None


def as_the_page_says(folder, fetch="true"):
    """docs/rollover.md, "What a device does", with another command to fetch `ca-bundle`."""
    lines, curls = re.subn(r"^ +curl .*&&$", f"    {fetch} &&", lines_of_the_page(), flags=re.MULTILINE)
    assert curls == 1
    return run("sh", "-c", lines, cwd=folder)


def test_who_has_an_issuing_cas_key_makes_no_signer_that_a_device_takes(ca, now, tmp_path, evil):
    """Declared compromised or not: nothing that a device could ask says so."""
    issuing, content = the_issuing(), evil[2]
    key = keys.generate("P-256")
    unsigned = certificates.bundle_signer(key.public_key(), 400 * DAY, issuing.certificate, now)
    signer = keystore().sign(issuing.key_reference, unsigned)
    trusted = bundles.pem(ours())
    signed = forged(content, signer, key, [issuing.certificate, *ours()])
    (tmp_path / "ca-bundle").write_bytes(signed)
    (tmp_path / "ca.pem").write_bytes(trusted)
    assert as_the_page_says(tmp_path).returncode != 0
    assert (tmp_path / "ca.pem").read_bytes() == trusted
    read, said = verified(tmp_path, signed, ours())
    assert read is None
    assert "certificate chain too long" in said
    assert run(*AT_ANY_DEPTH, cwd=tmp_path).returncode == 0, "and that is why the depth is not to be left out"
    # LibreSSL's way.
    (tmp_path / "signer.pem").write_bytes(bundles.pem([signer]))
    assert run("openssl", "verify", "-CAfile", "ca.pem", "signer.pem", cwd=tmp_path).returncode != 0


def test_the_lines_of_the_page_take_a_bundle_and_leave_all_as_it_was_for_an_altered_or_older_one(
    ca, now, tmp_path
):
    made = bundle.current(now)
    signed, trusted = bytes(made.signed), bundles.pem([the_root().certificate])
    (tmp_path / "ca.pem").write_bytes(trusted)
    altered = signed.replace(b"# version: ", b"# version: 9", 1)
    assert altered != signed
    for wrong in (altered, signed[:-1]):
        (tmp_path / "ca-bundle").write_bytes(wrong)
        assert as_the_page_says(tmp_path).returncode != 0
        assert (tmp_path / "ca.pem").read_bytes() == trusted
    (tmp_path / "ca-bundle").write_bytes(signed)
    assert as_the_page_says(tmp_path).returncode == 0
    assert (tmp_path / "ca.pem").read_text() == made.contents
    newer = made.contents.replace(f"# version: {made.version}", f"# version: {made.version + 1}")
    (tmp_path / "ca.pem").write_text(newer)
    assert as_the_page_says(tmp_path).returncode != 0
    assert (tmp_path / "ca.pem").read_text() == newer


@pytest.mark.parametrize("first", ["its own", "ours"])
def test_a_device_with_a_root_more_takes_it_by_whichever_has_signed(roots, now, tmp_path, first):
    """A root of the clients signs none; asked for that, it is the active root's that comes."""
    old, _ = roots
    clients = authorities.make_root("Clients' Root CA", "P-256", TESTER, now)
    authorities.change_state(old, _STATE.RETIRED, TESTER, now, confirmed_name=old.name)
    made = bundle.current(now)
    trusted = [each.certificate for each in ((clients, old) if first == "its own" else (old, clients))]
    assert verified(tmp_path, bytes(made.signed), trusted)[0] is None
    (tmp_path / "ca.pem").write_bytes(bundles.pem(trusted))
    (tmp_path / pins.fingerprint_of(clients.certificate)).write_bytes(bytes(made.signed))
    (tmp_path / old.fingerprint).write_bytes(bundle_signatures.of(made, old.fingerprint))
    fetch = 'cp "$(echo "$root" | tr -d : | tr A-F a-f)" ca-bundle'
    assert as_the_page_says(tmp_path, fetch).returncode == 0
    assert (tmp_path / "ca.pem").read_text() == made.contents


def test_changed_contents_and_a_cut_file_are_refused(ca, now, tmp_path):
    signed = bytes(bundle.current(now).signed)
    digits = re.search(rb"# version: ([0-9]+)", signed)
    higher = signed.replace(digits[0], b"# version: 9" + digits[1][1:])
    assert len(higher) == len(signed)
    for wrong in (higher, signed[:-1], signed[: len(signed) // 2], b"", b"# version: 9\n"):
        assert verified(tmp_path, wrong, ours())[0] is None


def test_an_old_version_is_told_by_its_number(ca, now, tmp_path):
    """Its signature is good for days: the device compares what it has with what it reads."""
    old = bundle.current(now)
    succession.make_next(the_root(), "P-256", TESTER, now)
    bundle.publish_due(now)
    new = bundle.current(now)
    read, _ = verified(tmp_path, bytes(old.signed), ours())
    (tmp_path / "ca.pem").write_text(new.contents)
    (tmp_path / "ca.pem.new").write_text(read)
    read, had = (
        int(run("sed", "-n", "s/^# version: //p", name, cwd=tmp_path).stdout)
        for name in ("ca.pem.new", "ca.pem")
    )
    assert read < had


def test_a_signature_that_has_ended_is_refused(ca, now, tmp_path):
    signed = bytes(bundle.current(now).signed)
    (tmp_path / "ca.pem").write_bytes(bundles.pem(ours()))
    (tmp_path / "ca-bundle").write_bytes(signed)
    late = int((now + bundle_signers.LIFETIME + DAY).timestamp())
    assert run(*VERIFY, "-attime", str(late), cwd=tmp_path).returncode != 0


# --- Compromise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["old", "new"])
def test_a_compromised_root_is_out_at_once_in_a_version_that_the_other_one_signs(roots, now, tmp_path, lost):
    old, new = roots
    first = bundle.current(now)
    gone, left = (old, new) if lost == "old" else (new, old)
    lose(gone, now + SECOND)
    made = bundle.current(now + 2 * SECOND)
    assert made.version > first.version
    assert roots_in(made.contents) == [left.fingerprint]
    assert pin(gone.certificate) not in made.contents
    assert verified(tmp_path, bytes(made.signed), [left.certificate])[0] == made.contents
    assert verified(tmp_path, bytes(made.signed), [gone.certificate])[0] is None
    assert taken(tmp_path, made, [gone.certificate])[0] is None
    signers = pkcs7.load_der_pkcs7_certificates(bytes(made.signed))
    assert [each.issuer for each in signers] == [left.certificate.subject]
    assert [each.root for each in made.signatures.all()] == [left]


def test_a_compromised_issuing_ca_is_named_no_more_and_its_root_goes_on_signing(roots, now, tmp_path):
    old, _ = roots
    first = bundle.current(now)
    lose(the_issuing(), now + SECOND)
    made = bundle.current(now + 2 * SECOND)
    assert made.version > first.version
    assert pin(the_issuing().certificate) not in made.contents
    assert verified(tmp_path, bytes(made.signed), [old.certificate])[0] == made.contents


def test_if_no_root_stands_it_says_so_and_serves_nothing(ca, now):
    bundle.current(now)
    lose(the_root(), now + SECOND)
    for ask in (bundle.current, bundle.publish_due):
        with pytest.raises(bundle.NoTrustBundle):
            ask(now + 2 * SECOND)
    assert TrustBundle.objects.count() == 1


def test_if_the_keys_are_elsewhere_when_a_root_is_lost_the_old_bundle_is_not_served(
    roots, now, settings, tmp_path
):
    bundle.current(now)
    lose(roots[0], now + SECOND)
    settings.PORTAL_DATA_DIR = tmp_path / "elsewhere"
    keystore.cache_clear()
    with pytest.raises((bundle_signatures.NoBundleSigner, KeystoreError)):
        bundle.current(now + 2 * SECOND)


def test_a_root_that_is_lost_and_was_not_in_it_costs_one_more_signature_and_no_version(ca, now):
    other = authorities.make_root("Clients' Root CA", "P-256", TESTER, now)
    first = bundle.current(now)
    lose(other, now + SECOND)
    again = bundle.current(now + 2 * SECOND)
    assert (again.version, again.signed_at) == (first.version, now + 2 * SECOND)
    assert bundle.current(now + 3 * SECOND).signed_at == again.signed_at


def test_an_ended_root_is_no_anchor(ca, now):
    root = the_root()
    assert anchors.anchors(root.not_after) == anchors.Anchors([], [])
    assert anchors.anchors(root.not_after - SECOND) == anchors.Anchors([root], [root])


def test_the_signer_is_one_by_its_certificate(ca, now):
    bundle.current(now)
    certificate = certificates.parsed(bytes(BundleSigner.objects.get().certificate_der))
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert certificate.subject.rfc4514_string() == "CN=Trust bundle signer"
    assert names.DEVICE_NAME.fullmatch("Trust bundle signer") is None, "no device is called so"
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
