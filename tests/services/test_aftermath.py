"""A database that was put back to an earlier day: nothing that was used up comes back, and no CRL number."""

from datetime import timedelta

import pytest
from cryptography import x509
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from pki.core import crls
from pki.core.errors import Refusal
from pki.models import AuditEvent, EnrollmentToken, Issuer, RevocationList
from pki.services.keeping import aftermath
from pki.services.keeping.manifest import Manifest
from pki.services.publishing import making, revocation_lists, serving
from tests.services import lists
from tests.services.cast import DAY, TESTER, Gadget, pattern_token, uses_of

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def restored(now):
    """A backup of a day ago, by its manifest."""
    return Manifest("0.1.0", now - DAY, "sqlite", (), (), {}, {})


def settle(restored, now, *, keep_tokens=False):
    return aftermath.settle(restored, TESTER, now, keep_tokens=keep_tokens)


def number_in(row):
    return crls.load(bytes(row.der)).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_no_number_comes_again_however_often_a_list_can_have_been_made_since(restored, now):
    lists.publish(now - DAY)
    most = lists.numbers()[lists.issuing().pk, 1] + DAY // timedelta(seconds=1)
    settle(restored, now)
    lists.publish(now)
    assert all(number > most for number in lists.numbers().values())
    assert all(number_in(row) == row.number for row in RevocationList.objects.all())


def test_lists_that_were_never_made_and_shards_that_are_opened_later_begin_above_it_too(restored, now):
    assert set(lists.numbers().values()) == {0}
    floor = settle(restored, now).crl_floor
    lists.publish(now)
    issuer = lists.issuing()
    revocation_lists._open_next(issuer, now)
    lists.publish(now + 2 * making.ONE_SECOND)
    assert lists.stored(issuer, issuer.open_shard).number == floor + 1
    assert min(lists.numbers().values()) > floor


def test_restored_again_later_it_is_further_than_what_was_published_in_between(restored, now):
    settle(restored, now)
    lists.publish(now)
    # Anew from the same backup: nothing of it is remembered.
    first = max(lists.numbers().values())
    Issuer.objects.update(crl_floor=0)
    later = now + timedelta(hours=1)
    assert settle(restored, later).crl_floor >= first + 3600 - 1


def test_numbers_that_were_further_already_stay_so(restored, now):
    Issuer.objects.update(crl_floor=2**40)
    lists.publish(now)
    settle(restored, now)
    assert set(Issuer.objects.values_list("crl_floor", flat=True)) == {2**40 + 1}


def test_a_list_that_is_stored_is_not_served_any_more_but_made_anew(restored, now):
    lists.publish(now)
    issuer = lists.issuing()
    before = lists.stored(issuer, 1)
    assert serving.current(issuer.key_identifier, 1, now).number == before.number
    floor = settle(restored, now).crl_floor
    served = serving.current(issuer.key_identifier, 1, now)
    assert served.number > floor
    assert served.next_update > now


def test_a_token_that_was_open_is_cancelled_and_one_that_was_used_stays_used(restored, now):
    opened, used = pattern_token("door-*", now), pattern_token("door-*", now)
    Gadget("door-1").enroll(used, now)
    assert settle(restored, now).tokens_cancelled == 1
    for secret in (opened, used):
        with pytest.raises(Refusal) as caught:
            Gadget("door-2").enroll(secret, now)
        assert caught.value.code == "token_invalid"
    assert (uses_of(opened), uses_of(used)) == (0, 1)


def test_tokens_are_kept_if_that_is_wanted(restored, now):
    secret = pattern_token("door-*", now)
    assert settle(restored, now, keep_tokens=True).tokens_cancelled == 0
    Gadget("door-1").enroll(secret, now)
    assert EnrollmentToken.objects.filter(cancelled_at=None).exists()


def test_everybody_is_logged_out_and_it_is_recorded(restored, now):
    SessionStore().save()
    assert Session.objects.exists()
    floor = settle(restored, now).crl_floor
    assert not Session.objects.exists()
    detail = AuditEvent.objects.get(kind="installation.restored").detail
    assert (detail["backup_of"], detail["crl_floor"]) == (
        (now - DAY).isoformat(timespec="seconds"),
        floor,
    )
