"""The first run makes what is missing, once; an interrupted one is completed."""

import stat
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from pki.core import pins
from pki.keystore import keystore
from pki.models import AuditEvent, AuditSigner, Certificate, Issuer, Profile, Revocation
from pki.services import audit
from pki.services.issuing import authorities, bootstrap, listener_certificates
from pki.services.revoking import revocation
from tests.services.cast import DAY, SECOND, TESTER, everything

LISTENERS = ["hello", "secure"]
HOSTS = ["localhost", "127.0.0.1"]


@pytest.fixture
def data(db, settings, tmp_path):
    """A data directory in which nothing was ever made."""
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    yield tmp_path
    keystore.cache_clear()


def run(data, now, *, hosts=HOSTS, password="a-password"):  # noqa: S107
    return bootstrap.bootstrap(data, LISTENERS, hosts, password, TESTER, now)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# --- Issuers and profiles -------------------------------------------------------------------------


def test_a_first_run_makes_a_root_and_an_issuing_ca_under_it(data, now):
    made = run(data, now)
    root, issuing = Issuer.objects.get(parent=None), Issuer.objects.get(parent__isnull=False)
    assert made.issuers == (root.name, issuing.name)
    assert issuing.parent == root
    issuing.certificate.verify_directly_issued_by(root.certificate)
    assert issuing.not_after <= root.not_after
    assert set(Profile.objects.values_list("name", "issuer")) == {
        ("device", issuing.pk),
        ("server", issuing.pk),
    }


def test_new_profiles_want_a_token(data, now):
    run(data, now)
    assert set(Profile.objects.values_list("enrollment_policy", flat=True)) == {Profile.Policy.TOKEN}


def test_a_second_run_changes_nothing(data, now):
    run(data, now)
    before, keys = everything(), sorted((data / "keys").iterdir())
    made = run(data, now + SECOND)
    assert made == bootstrap.Made()
    assert everything() == before
    assert sorted((data / "keys").iterdir()) == keys


def test_what_an_administrator_changed_is_left_alone(data, now):
    run(data, now)
    Profile.objects.filter(name="device").update(lifetime_seconds=3600)
    User.objects.get(username="admin").set_password("changed since")
    before = everything()
    run(data, now)
    assert everything() == before


def test_two_installations_have_issuers_of_different_names(data, now):
    with transaction.atomic():
        one = set(run(data, now).issuers)
        transaction.set_rollback(True)
    other = set(run(data, now).issuers)
    assert len(one | other) == 4


def test_the_keys_are_files_for_their_owner_alone(data, now):
    run(data, now)
    files = list((data / "keys").iterdir())
    of_listeners = len(LISTENERS) * len(["its own", "its next"])
    assert len(files) == Issuer.objects.count() + of_listeners + AuditSigner.objects.count()
    assert {mode(file) for file in files} == {0o600}
    assert mode(data / "keys") == 0o700
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in file.read_bytes() for file in files)


class Interrupted(Exception):
    """The power went."""


def interrupted(*_, **__):
    raise Interrupted


MOMENTS = {
    "the root is made": (authorities, "make_subordinate"),
    "the issuing CA is made": (bootstrap, "_profiles"),
    "the profiles are made": (listener_certificates, "ensure"),
    "the listeners' certificates are made": (bootstrap, "_administrator"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_run_that_was_interrupted_is_completed_by_the_next(data, now, monkeypatch, moment):
    monkeypatch.setattr(*moment, interrupted)
    with pytest.raises(Interrupted):
        run(data, now)
    roots = list(Issuer.objects.filter(parent=None))
    monkeypatch.undo()
    run(data, now)
    assert list(Issuer.objects.filter(parent=None)) == roots, "the root is not made twice"
    assert Issuer.objects.count() == 2
    assert Profile.objects.count() == 2
    assert User.objects.filter(is_superuser=True).count() == 1
    assert all(listener_certificates.current(listener, now) for listener in LISTENERS)


def test_a_run_that_lost_its_first_certificate_to_a_crash_makes_it_anew(data, now, monkeypatch):
    real = audit.record

    def record(kind, *args, **kwargs):
        if kind == "certificate.issued":
            raise Interrupted
        return real(kind, *args, **kwargs)

    monkeypatch.setattr(audit, "record", record)
    with pytest.raises(Interrupted):
        run(data, now)
    assert not Certificate.objects.exists()
    monkeypatch.undo()
    run(data, now)
    assert Certificate.objects.count() == len(LISTENERS)


# --- The administrator ----------------------------------------------------------------------------


def test_a_password_that_is_given_is_used_and_written_nowhere(data, now):
    run(data, now, password="correct horse battery staple")
    assert User.objects.get(username="admin").check_password("correct horse battery staple")
    assert not bootstrap.password_file(data).exists()
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert b"correct horse battery staple" not in written
    assert "correct horse battery staple" not in str(everything())


def test_a_password_that_is_generated_is_in_a_file_for_its_owner_alone(data, now):
    run(data, now, password="")
    file = bootstrap.password_file(data)
    password = file.read_text().strip()
    assert mode(file) == 0o600
    assert mode(file.parent) == 0o700
    assert len(password) >= 16
    assert User.objects.get(username="admin").check_password(password)
    assert password not in str(everything())


def test_a_generated_password_is_written_before_it_is_in_force(data, now, monkeypatch):
    monkeypatch.setattr(User.objects, "create_superuser", interrupted)
    with pytest.raises(Interrupted):
        run(data, now, password="")
    assert bootstrap.password_file(data).exists()
    monkeypatch.undo()
    run(data, now, password="")
    password = bootstrap.password_file(data).read_text().strip()
    assert User.objects.get(username="admin").check_password(password)


def test_an_administrator_of_another_name_is_administrator_enough(data, now):
    User.objects.create_superuser("ada", password="hers")
    assert not run(data, now).administrator
    assert not User.objects.filter(username="admin").exists()


# --- The listeners' certificates ------------------------------------------------------------------


@pytest.fixture
def first(data, now):
    run(data, now)
    return {listener: listener_certificates.current(listener, now) for listener in LISTENERS}


def test_each_listener_has_a_server_certificate_of_its_own_for_all_hostnames(first):
    assert len({certificate.spki_sha256 for certificate in first.values()}) == len(LISTENERS)
    for listener, certificate in first.items():
        assert certificate.sans == ["DNS:localhost", "IP:127.0.0.1"]
        assert (certificate.listener, certificate.device) == (listener, None)
        key = keystore().public_key(certificate.key_reference)
        assert pins.spki_sha256(key) == certificate.spki_sha256


CHANGES = {
    "one more": ["localhost", "127.0.0.1", "ca.example"],
    "one less": ["localhost"],
    "others": ["ca.example", "2001:db8::1"],
}


@pytest.mark.parametrize("hosts", CHANGES.values(), ids=CHANGES)
def test_a_listener_gets_a_new_certificate_when_the_hostnames_change(data, now, first, hosts):
    later = now + DAY
    run(data, later, hosts=hosts)
    for listener in LISTENERS:
        certificate = listener_certificates.current(listener, later)
        assert certificate != first[listener]
        assert [san.partition(":")[2] for san in certificate.sans] == hosts


def test_an_ipv6_hostname_in_another_writing_changes_nothing(data, now):
    run(data, now, hosts=["::1"])
    before = everything()
    run(data, now + DAY, hosts=["0:0:0:0:0:0:0:1"])
    assert everything() == before


def two_thirds_over(certificate):
    return certificate.not_before + (certificate.not_after - certificate.not_before) * 2 / 3


def test_a_listener_gets_a_new_certificate_after_two_thirds_of_its_life_and_not_before(data, now, first):
    turn = two_thirds_over(first["hello"])
    run(data, turn - SECOND)
    assert listener_certificates.current("hello", turn) == first["hello"]
    run(data, turn)
    renewed = listener_certificates.current("hello", turn)
    assert renewed != first["hello"]
    assert renewed.not_after > first["hello"].not_after
    assert renewed.key_reference != first["hello"].key_reference, "a new certificate has a new key"


def test_a_listener_whose_certificate_was_revoked_gets_another(data, now, first):
    revocation.revoke([first["hello"]], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    run(data, now)
    assert listener_certificates.current("hello", now) not in (None, first["hello"])


def test_a_listener_whose_key_is_not_on_this_node_gets_another_certificate(data, now, first):
    reference = first["hello"].key_reference
    (data / "keys" / f"{reference.removeprefix('file:')}.pem").unlink()
    assert listener_certificates.current("hello", now) is None
    run(data, now)
    assert listener_certificates.current("hello", now) is not None
    assert listener_certificates.current("secure", now) == first["secure"]


def test_the_new_hostnames_are_served_even_if_the_older_certificate_ends_later(data, now, first):
    Profile.objects.filter(name="server").update(lifetime_seconds=timedelta(days=7).total_seconds())
    run(data, now + SECOND, hosts=["ca.example"])
    assert listener_certificates.current("hello", now + SECOND).sans == ["DNS:ca.example"]


def test_a_shorter_profile_does_not_make_a_new_certificate_at_every_start(data, now, first):
    Profile.objects.filter(name="server").update(lifetime_seconds=timedelta(days=7).total_seconds())
    run(data, now + SECOND, hosts=["ca.example"])
    before = Certificate.objects.count()
    run(data, now + 2 * SECOND, hosts=["ca.example"])
    assert Certificate.objects.count() == before


def test_the_new_hostnames_are_served_in_the_last_days_of_the_issuer(data, now, first):
    """Its certificates then all end when it ends."""
    late = Issuer.objects.get(parent__isnull=False).not_after - DAY
    run(data, late, hosts=["old.example"])
    run(data, late + SECOND, hosts=["new.example"])
    assert listener_certificates.current("hello", late + SECOND).sans == ["DNS:new.example"]


def test_what_a_run_makes_is_in_the_audit_trail(data, now):
    run(data, now)
    kinds = list(AuditEvent.objects.values_list("kind", flat=True))
    assert kinds.count("issuer.made") == 2
    assert kinds.count("certificate.issued") == len(LISTENERS)
    assert kinds.count("administrator.made") == 1
    assert set(AuditEvent.objects.values_list("actor", flat=True)) == {TESTER.name}
