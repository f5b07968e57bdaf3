"""Which lists there are: for issuers from before, at another URL, and when a shard is full."""

import secrets
from datetime import timedelta

import pytest
from cryptography import x509
from django.db import connection

from pki.models import FULL, Certificate, Device, Issuer, Profile, Revocation, RevocationList, StaleList
from pki.models.immutable import make_triggers
from pki.services.publishing import publication, revocation_lists, serving
from tests.services.cast import DAY, SECOND, TESTER, at_once, everything, issue, registered
from tests.services.lists import extension, issuing, publish, revoke, root, said, signed, stored

pytestmark = pytest.mark.usefixtures("ca")
MEGABYTE = 1_000_000


def forget_lists():
    """As in a database from before there were any."""
    with connection.cursor() as cursor:
        table = " ON pki_revocationlist" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER pki_revocationlist_kept{table}")
    RevocationList.objects.all().delete()
    StaleList.objects.all().delete()
    make_triggers(using="default")


def shards(issuer):
    return list(issuer.revocation_lists.order_by("shard").values_list("shard", flat=True))


def named(certificate):
    points = certificate.parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return points[0].full_name[0].value


def test_issuers_from_before_are_given_their_lists(now):
    forget_lists()
    revocation_lists.ensure(now)
    assert publish(now) == 4
    assert shards(issuing()) == shards(root()) == [FULL, 1]


def test_a_second_start_changes_nothing(now):
    publish(now)
    before = everything()
    revocation_lists.ensure(now + DAY)
    assert everything() == before


def test_at_another_url_new_certificates_name_a_new_shard_and_old_lists_keep_theirs(now, settings):
    old = issue(registered("door-1", now), now)
    publish(now)
    settings.PORTAL_STATUS_URL = "http://elsewhere.example"
    revocation_lists.ensure(now)
    new = issue(registered("door-2", now), now)
    assert (old.crl_shard, new.crl_shard) == (1, 2)
    assert named(new) == f"http://elsewhere.example/crl/{issuing().key_identifier}/2.crl"
    for each in (old, new):
        revoke(each, "keyCompromise", now)
    publish(now)
    for each in (old, new):
        crl = signed(issuing(), each.crl_shard)
        assert extension(crl, x509.IssuingDistributionPoint).full_name[0].value == named(each)
        assert said(issuing(), each.crl_shard) == {each.serial: "keyCompromise"}
    assert stored(issuing(), 1).closed_at == now
    assert stored(issuing(), 2).closed_at is None


def test_at_another_url_the_full_list_names_its_delta_there(now, settings):
    publish(now)
    settings.PORTAL_STATUS_URL = "http://elsewhere.example"
    revocation_lists.ensure(now)
    publish(now)
    (point,) = extension(signed(issuing()), x509.FreshestCRL)
    assert point.full_name[0].value == f"http://elsewhere.example/crl/{issuing().key_identifier}/delta.crl"


def test_a_shard_that_is_full_is_closed_and_the_next_one_opened(now, monkeypatch):
    monkeypatch.setattr(revocation_lists, "SHARD_SIZE", 5)  # two are the listeners'
    first = [issue(registered(f"door-{number}", now), now) for number in range(2)]
    assert revocation_lists.roll(now) == 0
    first.append(issue(registered("door-2", now), now))
    assert revocation_lists.roll(now) == 1
    assert revocation_lists.roll(now) == 0
    after = issue(registered("door-3", now), now)
    assert {each.crl_shard for each in first} == {1}
    assert after.crl_shard == 2
    assert named(after) == stored(issuing(), 2).url
    assert (stored(issuing(), 1).closed_at, stored(issuing(), 2).closed_at) == (now, None)
    assert shards(root()) == [FULL, 1]


def test_no_more_than_a_shard_is_counted(now, monkeypatch, django_assert_num_queries):
    with django_assert_num_queries(3) as captured:  # the issuers, and a count for each
        revocation_lists.roll(now)
    assert all("LIMIT 10000" in query["sql"] for query in captured.captured_queries[1:])


@pytest.mark.django_db(transaction=True)
def test_many_who_open_a_shard_at_once_open_one(ca, now, monkeypatch):
    monkeypatch.setattr(revocation_lists, "SHARD_SIZE", 1)
    opened = at_once(*[lambda: revocation_lists.roll(now)] * 6)
    assert sum(opened) == 1
    assert shards(issuing()) == [FULL, 1, 2]


def fill(shard, now, number):
    """A shard of certificates that are all revoked, for reasons that take the most bytes."""
    profile, issuer = Profile.objects.get(name="device"), issuing()
    device = Device.objects.create(name="many", profile=profile, created_at=now)
    certificates = Certificate.objects.bulk_create(
        Certificate(
            issuer=issuer,
            serial=f"{secrets.randbits(128) | 1 << 127:x}",
            fingerprint=secrets.token_hex(32),
            profile=profile,
            device=device,
            common_name="many",
            spki_sha256="00",
            not_before=now,
            not_after=now + 30 * DAY,
            issued_at=now,
            crl_shard=shard,
            der=b"0",
        )
        for _ in range(number)
    )
    Revocation.objects.bulk_create(
        Revocation(certificate=each, reason="keyCompromise", revoked_at=now) for each in certificates
    )


def test_a_full_shard_all_of_which_is_revoked_is_less_than_a_megabyte(now):
    fill(1, now, revocation_lists.SHARD_SIZE)
    publish(now)
    assert stored(issuing(), 1).entries == len(signed(issuing(), 1)) == revocation_lists.SHARD_SIZE
    assert stored(issuing(), 1).size < MEGABYTE


# --- A shard's end ------------------------------------------------------------------------------------


def test_a_closed_shard_is_made_no_more_once_all_its_certificates_have_left(now, monkeypatch):
    certificate = issue(registered("door-1", now), now)
    publish(now)
    revoke(certificate, "keyCompromise", now)
    monkeypatch.setattr(revocation_lists, "SHARD_SIZE", 1)
    revocation_lists.roll(now)
    publish(now)
    last = max(Certificate.objects.filter(crl_shard=1).values_list("not_after", flat=True))
    at = last - DAY
    while stored(issuing(), 1).renew_at is not None:
        publish(at)
        at += timedelta(hours=12)
        assert at < last + 5 * DAY
    # It was on a list after its end; the last list has nothing more to say.
    assert at > last + DAY
    assert (said(issuing(), 1), stored(issuing(), 1).closed_at) == ({}, now)
    number = stored(issuing(), 1).number
    publish(at + 10 * DAY)
    assert stored(issuing(), 1).number == number
    served = serving.current(issuing().key_identifier, 1, at + 20 * DAY)
    assert (served.number, served.pk) == (number, stored(issuing(), 1).pk)


def test_an_open_shard_goes_on_though_it_is_empty(now):
    publish(now)
    later = now + 400 * DAY
    publish(later)
    publish(later + 2 * DAY)
    assert stored(issuing(), 1).renew_at is not None


def test_a_shard_that_was_closed_just_now_waits_for_what_is_being_issued(now, monkeypatch):
    monkeypatch.setattr(revocation_lists, "SHARD_SIZE", 1)
    late = max(Certificate.objects.values_list("not_after", flat=True)) + 5 * DAY
    publish(late)
    revocation_lists.roll(late)
    publication.publish_now([stored(issuing(), 1)], TESTER, late + 60 * SECOND)
    assert stored(issuing(), 1).renew_at is not None
    publication.publish_now([stored(issuing(), 1)], TESTER, late + timedelta(hours=2))
    assert stored(issuing(), 1).renew_at is None


def test_a_new_issuer_opens_with_its_lists(now):
    from pki.services.issuing import authorities

    made = authorities.make_subordinate("Another Issuing CA", root(), "P-256", TESTER, now)
    publish(now)
    assert shards(Issuer.objects.get(pk=made.pk)) == [FULL, 1]
    assert said(made, 1) == {}
