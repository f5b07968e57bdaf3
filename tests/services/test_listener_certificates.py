"""The listeners' certificates are renewed in time, by one process of a node, with keys made ahead."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.models import AuditEvent, Certificate, Issuer, Profile, Revocation, StandbyKey
from pki.services import audit, node
from pki.services.audit import HATCHERY
from pki.services.issuing import authorities, listener_certificates
from pki.services.issuing.listener_certificates import current
from pki.services.revoking import revocation
from pki.services.trusting import standby_keys
from tests.services.cast import DAY, SECOND, TESTER, at_once, everything

LISTENERS = ["hello", "secure"]
HOSTS = ["localhost", "127.0.0.1"]


def renew(now, *, hosts=HOSTS, listeners=LISTENERS):
    return listener_certificates.renew_due(listeners, hosts, HATCHERY, now)


def due_at(certificate):
    return certificate.not_before + (certificate.not_after - certificate.not_before) * 2 / 3


def standby(listener):
    return standby_keys.waiting().filter(purpose=f"listener-{listener}").get()


def key_file(folder, reference):
    return folder / "keys" / f"{reference.removeprefix('file:')}.pem"


def another_issuer(now, name="Next Issuing CA"):
    root = Issuer.objects.get(parent=None)
    return authorities.make_subordinate(name, root, "P-256", TESTER, now)


# --- When -----------------------------------------------------------------------------------------


def test_nothing_is_renewed_before_its_time(ca, now):
    before = everything()
    assert renew(due_at(current("hello", now)) - SECOND) == 0
    assert everything() == before


def test_all_are_renewed_when_two_thirds_of_their_life_are_over(ca, now):
    due = due_at(current("hello", now))
    old = {name: current(name, due) for name in LISTENERS}
    assert renew(due) == 2
    for name in LISTENERS:
        assert current(name, due).not_after > old[name].not_after
        assert current(name, due).sans == old[name].sans
    assert renew(due + SECOND) == 0
    assert AuditEvent.objects.filter(kind="certificate.issued", actor=HATCHERY.name).count() == 2


def test_one_that_was_revoked_is_renewed_at_once_and_the_others_are_left(ca, now):
    secure, hello = current("secure", now), current("hello", now)
    revocation.revoke([hello], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert renew(now) == 1
    assert current("hello", now) not in (hello, None)
    assert current("secure", now) == secure


def test_all_are_renewed_when_the_names_change(ca, now):
    assert renew(now, hosts=["ca.example"]) == 2
    assert current("hello", now).sans == ["DNS:ca.example"]


def test_all_are_renewed_when_the_profile_names_another_issuer(ca, now):
    issuer = another_issuer(now)
    Profile.objects.filter(name="server").update(issuer=issuer)
    assert renew(now) == 2
    assert {current(name, now).issuer for name in LISTENERS} == {issuer}
    assert renew(now) == 0


def test_the_way_back_to_the_issuer_before_is_open(ca, now):
    before = Profile.objects.get(name="server").issuer
    for issuer in (another_issuer(now), before):
        Profile.objects.filter(name="server").update(issuer=issuer)
        assert renew(now) == 2
    assert current("hello", now).issuer == before


def test_one_that_ends_with_its_issuer_is_not_renewed_over_and_over(ca, now):
    issuer = Profile.objects.get(name="server").issuer
    late = issuer.not_after - DAY
    renew(late)
    made = Certificate.objects.count()
    assert current("hello", late).not_after == issuer.not_after
    assert renew(issuer.not_after - SECOND) == 0
    assert Certificate.objects.count() == made


def test_before_the_first_run_there_is_nothing_to_renew(db, now):
    assert renew(now) == 0


# --- With which key -------------------------------------------------------------------------------


def test_a_renewal_uses_the_key_that_was_made_ahead_and_makes_the_next(ca, now):
    ahead, due = standby("hello"), due_at(current("hello", now))
    renew(due)
    assert current("hello", due).key_reference == ahead.key_reference
    assert current("hello", due).spki_sha256 == ahead.spki_sha256, "the pin that was given out"
    assert standby("hello").pk != ahead.pk


def test_a_key_that_was_not_made_ahead_is_made_now(ca, now):
    """As for an installation from before there were such."""
    StandbyKey.objects.all().delete()
    before = Certificate.objects.count()
    assert renew(now) == 0
    assert {standby(name).used_at for name in LISTENERS} == {None}
    assert Certificate.objects.count() == before


class Killed(Exception):
    """The power went."""


def test_a_renewal_that_is_cut_off_leaves_its_key_for_the_next(ca, now, monkeypatch):
    ahead, due = standby("hello"), due_at(current("hello", now))

    def record(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(audit, "record", record)
    with pytest.raises(Killed):
        renew(due)
    monkeypatch.undo()
    assert standby("hello") == ahead
    assert renew(due) == 2
    assert current("hello", due).key_reference == ahead.key_reference


def test_each_node_renews_what_it_shows_with_its_own_keys(ca, now, settings, tmp_path_factory):
    """A second node that was given the issuers' keys, and never the listeners' next ones."""
    due = due_at(current("hello", now))
    second = tmp_path_factory.mktemp("second")
    (second / "keys").mkdir()
    kept = [*Issuer.objects.all(), *Certificate.objects.exclude(key_reference="")]
    for each in kept:
        reference = each.key_reference
        key_file(second, reference).write_bytes(key_file(ca, reference).read_bytes())
    renew(due)
    ours = current("hello", due)
    settings.PORTAL_DATA_DIR = second
    keystore.cache_clear()
    assert current("hello", due) not in (ours, None), "it shows the one before, whose key it has"
    assert renew(due) == 2
    theirs = current("hello", due)
    settings.PORTAL_DATA_DIR = ca
    keystore.cache_clear()
    assert current("hello", due) == ours != theirs
    assert renew(due) == 0


# --- By whom --------------------------------------------------------------------------------------


def test_when_nothing_is_due_no_lock_is_taken(ca, now):
    (ca / "bootstrap.lock").unlink()
    renew(now)
    assert not (ca / "bootstrap.lock").exists()
    renew(due_at(current("hello", now)))
    assert (ca / "bootstrap.lock").exists()


def test_while_another_process_of_the_node_is_at_it_nobody_waits(ca, now):
    due = due_at(current("hello", now))
    with node.alone(ca):
        assert renew(due) == 0
    assert renew(due) == 2


def test_few_questions_are_asked_when_nothing_is_due(ca, now):
    with CaptureQueriesContext(connection) as queries:
        renew(now)
    assert len(queries) <= 1 + 2 * len(LISTENERS)


def test_what_several_listeners_show_is_one_query(ca, now):
    with CaptureQueriesContext(connection) as queries:
        shown = listener_certificates.shown([*LISTENERS, "status"], now)
    assert len(queries) == 1
    assert set(shown) == set(LISTENERS)


@pytest.mark.django_db(transaction=True)
def test_processes_that_renew_at_once_make_one_certificate_each(transactional_db, ca, now):
    due = due_at(current("hello", now))
    before = Certificate.objects.count()
    assert sum(at_once(*[lambda: renew(due)] * 4)) == 2
    assert Certificate.objects.count() == before + 2
    references = Certificate.objects.exclude(key_reference="").values_list("key_reference", flat=True)
    assert len(set(references)) == len(references), "no two have one key"


# --- Trouble --------------------------------------------------------------------------------------


def test_an_issuer_that_may_not_sign_is_said_and_the_certificate_stays(ca, now):
    shown = current("hello", now)
    named = shown.issuer.name
    authorities.change_state(shown.issuer, Issuer.State.RETIRED, TESTER, now, confirmed_name=named)
    assert renew(now) == 0, "until it is due"
    with pytest.raises(Refusal, match="is retired"):
        renew(due_at(shown))
    assert current("hello", due_at(shown)) == shown
    assert standby("hello").used_at is None


def test_a_listener_that_cannot_be_renewed_does_not_keep_the_others_from_it(ca, now):
    due = due_at(current("hello", now))
    before = current("secure", due)
    key_file(ca, standby("hello").key_reference).write_bytes(b"damaged")
    keystore.cache_clear()
    with pytest.raises(KeystoreError, match="restore the file from a backup"):
        renew(due)
    assert current("secure", due) != before
    assert current("hello", due) is not None


def test_a_data_directory_that_is_gone_is_an_error_that_is_told(ca, now, settings, tmp_path):
    due = due_at(current("hello", now))
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    settings.PORTAL_DATA_DIR = blocked / "var"
    with pytest.raises(OSError, match="a-file"):
        renew(due)
