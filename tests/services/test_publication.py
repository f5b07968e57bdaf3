"""Lists are made when they must be, once, with numbers that only grow."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, connection, transaction

from pki.keystore import KeystoreError, keystore
from pki.models import FULL, AuditEvent, Certificate, Issuer, RevocationList, StaleList
from pki.models.immutable import make_triggers
from pki.services.issuing import authorities
from pki.services.looking import list_standings
from pki.services.publishing import making, publication, revocation_lists, serving
from pki.services.revoking import revocation
from pki.services.transactions import alone
from tests.services.cast import DAY, SECOND, TESTER, issue, registered
from tests.services.lists import extension, issuing, numbers, publish, revoke, root, said, signed, stored

pytestmark = pytest.mark.usefixtures("ca")
VALIDITY = DAY


@pytest.fixture
def certificate(ca, now):
    return issue(registered("door-1", now), now)


def made_anew(act):
    """The lists, as (issuer, shard), that `act` made."""
    before = numbers()
    act()
    return {key for key, number in numbers().items() if number != before.get(key, 0)}


# --- When ---------------------------------------------------------------------------------------------


def test_every_issuer_has_both_its_lists_after_the_start(now):
    assert publish(now) == 4
    for issuer in (root(), issuing()):
        assert (said(issuer), said(issuer, 1)) == ({}, {})


def test_nothing_is_made_while_nothing_changes(now):
    publish(now)
    assert publish(now + 60 * SECOND) == 0


def test_a_revocation_makes_its_shard_and_the_full_list_and_no_other(certificate, now):
    publish(now)
    revoke(certificate, "keyCompromise", now)
    issuer = issuing().pk
    assert made_anew(lambda: publish(now)) == {(issuer, FULL), (issuer, 1)}
    assert said(issuing()) == said(issuing(), 1) == {certificate.serial: "keyCompromise"}


def test_a_certificate_from_before_the_shards_is_on_the_full_list_alone(certificate, now):
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER pki_certificate_immutable{_of_table()}")
    Certificate.objects.filter(pk=certificate.pk).update(crl_shard=FULL)
    make_triggers(using="default")
    publish(now)
    revoke(Certificate.objects.get(pk=certificate.pk), "keyCompromise", now)
    assert made_anew(lambda: publish(now)) == {(issuing().pk, FULL)}
    assert (said(issuing()), said(issuing(), 1)) == ({certificate.serial: "keyCompromise"}, {})


def _of_table():
    return " ON pki_certificate" if connection.vendor == "postgresql" else ""


def test_a_hold_comes_and_goes(certificate, now):
    publish(now)
    revoke(certificate, "certificateHold", now)
    publish(now)
    assert said(issuing(), 1) == {certificate.serial: "certificateHold"}
    revocation.lift([certificate], TESTER, now)
    publish(now)
    assert (said(issuing()), said(issuing(), 1)) == ({}, {})


def test_what_is_revoked_for_good_after_a_hold_is_so_since_the_hold_began(certificate, now):
    revoke(certificate, "certificateHold", now - 60 * SECOND)
    revoke(certificate, "keyCompromise", now)
    publish(now)
    (revoked,) = signed(issuing(), 1)
    assert revoked.revocation_date_utc == (now - 60 * SECOND).replace(microsecond=0)
    assert said(issuing(), 1) == {certificate.serial: "keyCompromise"}


def test_a_list_is_made_anew_at_half_of_its_life(now):
    publish(now)
    assert publish(now + VALIDITY / 2 - SECOND) == 0
    assert publish(now + VALIDITY / 2) == 4


def test_a_list_is_valid_for_what_the_setting_says(settings, now):
    settings.PORTAL_CRL_SECONDS = 600
    publish(now)
    crl = signed(issuing())
    assert crl.last_update_utc <= now
    assert crl.next_update_utc == now.replace(microsecond=0) + timedelta(seconds=600)


def test_a_list_never_outlives_its_issuer(now):
    issuer = issuing()
    late = issuer.not_after - 60 * SECOND
    publish(late)
    assert signed(issuer).next_update_utc == issuer.not_after


def test_an_issuer_that_has_ended_gets_no_list_and_no_error(now):
    assert publish(issuing().not_after) == 2  # the root lives longer
    assert stored(issuing()).number == 0
    assert publish(root().not_after) == 0


def test_a_retired_issuer_goes_on_to_say_what_it_revoked(certificate, now):
    publish(now)
    authorities.change_state(issuing(), Issuer.State.RETIRED, TESTER, now, confirmed_name=issuing().name)
    revoke(certificate, "superseded", now)
    publish(now)
    assert said(issuing()) == {certificate.serial: "superseded"}


def test_a_compromised_issuer_is_on_the_list_of_the_one_above(now):
    publish(now)
    authorities.change_state(issuing(), Issuer.State.COMPROMISED, TESTER, now)
    assert (root().pk, FULL) in made_anew(lambda: publish(now))
    (revoked,) = signed(root())
    assert revoked.serial_number == issuing().certificate.serial_number
    assert revoked.revocation_date_utc == now.replace(microsecond=0)
    assert list(said(root()).values()) == ["cACompromise"]
    assert said(root(), 1) == {}


def test_a_retired_issuer_is_not_on_the_list_of_the_one_above(now):
    authorities.change_state(issuing(), Issuer.State.RETIRED, TESTER, now, confirmed_name=issuing().name)
    publish(now)
    assert said(root()) == {}


# --- Entries leave ------------------------------------------------------------------------------------


def test_an_entry_stays_until_it_stood_on_a_list_made_after_the_end(certificate, now):
    """RFC 5280 3.3."""
    revoke(certificate, "keyCompromise", now)
    publish(now)
    publish(certificate.not_after - SECOND)
    assert said(issuing(), 1)
    # Nobody made a list for long: this is the first after the certificate's end.
    publish(certificate.not_after + 10 * DAY)
    assert said(issuing(), 1)
    assert said(issuing())
    publish(certificate.not_after + 11 * DAY)
    assert (said(issuing(), 1), said(issuing())) == ({}, {})


def test_an_entry_stays_for_as_long_as_a_list_is_valid(certificate, now):
    """So that who fetches one list a validity has seen it, however many are made between."""
    revoke(certificate, "keyCompromise", now)
    end = certificate.not_after
    for after in (SECOND, 60 * SECOND, VALIDITY - SECOND):
        publication.publish_now([stored(issuing(), 1)], TESTER, end + after)
        assert said(issuing(), 1), after
    publication.publish_now([stored(issuing(), 1)], TESTER, end + VALIDITY + SECOND)
    assert said(issuing(), 1) == {}


def test_a_compromised_issuer_leaves_the_list_above_in_the_same_way(now):
    end = issuing().not_after
    authorities.change_state(issuing(), Issuer.State.COMPROMISED, TESTER, now)
    publish(end + DAY)
    assert said(root())
    publish(end + 3 * DAY)
    assert said(root()) == {}


# --- Numbers and dates --------------------------------------------------------------------------------


def dates():
    return {
        (each.issuer_id, each.shard): (each.number, each.this_update) for each in RevocationList.objects.all()
    }


@pytest.mark.parametrize("step", [timedelta(0), -SECOND, -DAY, -400 * DAY, timedelta(milliseconds=1), DAY])
def test_numbers_grow_whatever_the_clock_does_and_dates_unless_they_were_wrong(certificate, now, step):
    publish(now)
    before = dates()
    publication.publish_now(RevocationList.objects.all(), TESTER, now + step)
    for key, (number, this_update) in dates().items():
        assert number == before[key][0] + 1
        assert this_update > before[key][1] or step < timedelta(0)
        assert this_update <= now + step or this_update == before[key][1] + SECOND
        crl = signed(Issuer.objects.get(pk=key[0]), key[1])
        assert extension(crl, x509.CRLNumber).crl_number == number
        assert crl.last_update_utc == this_update < crl.next_update_utc


def test_a_revocation_is_published_though_the_clock_was_set_back(certificate, now):
    publish(now)
    revoke(certificate, "keyCompromise", now - DAY)
    assert publish(now - DAY) == 4
    assert said(issuing(), 1) == {certificate.serial: "keyCompromise"}


@pytest.mark.parametrize("ahead", [timedelta(hours=1), DAY, 400 * DAY])
def test_lists_of_a_clock_that_was_ahead_are_made_anew_by_themselves_and_count_at_once(ca, now, ahead):
    publish(now + ahead)
    assert list_standings.of(stored(issuing()), {}, now).word == "from the future"
    assert publish(now) == 4
    for row in RevocationList.objects.all():
        assert list_standings.of(row, {}, now).word == "current"
        assert (row.number, row.this_update <= now < row.next_update) == (2, True)
    assert publish(now) == 0


def test_a_clock_that_is_set_back_a_little_gives_no_date_twice(certificate, now):
    publish(now)
    publication.publish_now([stored(issuing(), 1)], TESTER, now - making.AHEAD / 2)
    assert stored(issuing(), 1).this_update == (now - making.BACKDATED + SECOND).replace(microsecond=0)


def test_many_revocations_in_a_second_do_not_date_a_list_into_the_future(ca, now):
    certificates = [issue(registered(f"door-{number}", now), now) for number in range(12)]
    publish(now)
    for each in certificates:
        revoke(each, "superseded", now)
        publish(now)
    assert stored(issuing(), 1).this_update <= now
    assert StaleList.objects.exists()  # what was not made yet is not forgotten
    assert publish(now + 2 * SECOND) == 2
    assert len(said(issuing(), 1)) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0, "der": None},
        {"number": 1},
        {"fingerprint": "0" * 64},
    ],
    ids=["forgotten", "lower", "another of this number"],
)
def test_the_database_refuses_what_does_not_grow(now, change):
    publish(now)
    publication.publish_now([stored(issuing())], TESTER, now)
    with pytest.raises(IntegrityError, match="only grow"), transaction.atomic():
        RevocationList.objects.filter(pk=stored(issuing()).pk).update(**change)


def test_the_database_refuses_to_delete_a_list(now):
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic():
        stored(issuing()).delete()


def test_who_was_overtaken_stores_nothing_and_forgets_no_note(certificate, now):
    """As when a session was lost with its lock while it signed."""
    publish(now)
    slow = making.find(stored(issuing(), 1).pk)
    publication.publish_now([stored(issuing(), 1)], TESTER, now)
    revoke(certificate, "keyCompromise", now)
    before = bytes(stored(issuing(), 1).der)
    assert making.make(slow, now) is False
    assert bytes(stored(issuing(), 1).der) == before
    assert publish(now) == 2
    assert said(issuing(), 1) == {certificate.serial: "keyCompromise"}


def test_a_note_that_comes_while_a_list_is_made_is_kept(certificate, now, monkeypatch):
    publish(now)
    StaleList.objects.create(issuer=issuing(), shard=1, at=now)
    entries = making.revocation_status.entries

    def revoked_meanwhile(*args):
        found = list(entries(*args))
        if not StaleList.objects.filter(shard=FULL).exists():
            revoke(certificate, "keyCompromise", now)
        return found

    monkeypatch.setattr(making.revocation_status, "entries", revoked_meanwhile)
    publish(now)
    monkeypatch.undo()
    assert said(issuing(), 1) == {}
    publish(now)
    assert said(issuing(), 1) == {certificate.serial: "keyCompromise"}


def test_who_is_stopped_in_the_middle_has_forgotten_no_note(certificate, now, monkeypatch):
    publish(now)
    revoke(certificate, "keyCompromise", now)
    before = dates()

    def killed(*args):
        raise SystemExit

    for step in ("pki.services.publishing.revocation_status.entries", "pki.core.pins.fingerprint"):
        monkeypatch.setattr(step, killed)
        with pytest.raises(SystemExit):
            publish(now)
        monkeypatch.undo()
    assert dates() == before
    assert publish(now) == 2
    assert said(issuing(), 1) == {certificate.serial: "keyCompromise"}


# --- Who ----------------------------------------------------------------------------------------------


def hide_key(issuer, tmp_path):
    """As on another node: its key is not there."""
    name = issuer.key_reference.removeprefix("file:")
    (tmp_path / "keys" / f"{name}.pem").rename(tmp_path / "keys" / "elsewhere")


def test_a_key_that_is_nowhere_is_said_once_and_not_before_another_node_had_its_time(
    certificate, ca, now, caplog
):
    publish(now)
    (ca / "keys").rename(ca / "keys.away")
    revoke(certificate, "keyCompromise", now)
    publish(now + publication.LEFT_LYING)
    assert caplog.text == ""
    for _ in range(3):
        assert publish(now + publication.LEFT_LYING + SECOND) == 0
    (line,) = [each.getMessage() for each in caplog.records]
    assert issuing().name in line
    assert "restore the key folder" in line
    (ca / "keys.away").rename(ca / "keys")
    assert publish(now + publication.LEFT_LYING + SECOND) == 2


def test_before_anything_listens_only_lists_that_never_were_are_made(certificate, now):
    assert publication.publish_first(now) == 4
    revoke(certificate, "keyCompromise", now)
    assert publication.publish_first(now + DAY) == 0
    assert publish(now + DAY) == 4
    keystore.cache_clear()


def test_lists_of_an_issuer_whose_key_is_elsewhere_are_left_to_that_node(ca, certificate, now):
    hide_key(root(), ca)
    assert publish(now) == 2
    assert stored(root()).number == 0
    assert publish(now) == 0
    assert StaleList.objects.filter(issuer=root()).count() == 2


def test_a_key_that_does_not_open_keeps_no_other_list_back(ca, now):
    key = ca / "keys" / f"{root().key_reference.removeprefix('file:')}.pem"
    key.write_bytes(b"damaged")
    keystore.cache_clear()
    with pytest.raises(KeystoreError, match="damaged"):
        publish(now)
    assert stored(issuing()).number == stored(issuing(), 1).number == 1


def test_an_administrator_publishes_now_and_it_is_on_record(certificate, now):
    publish(now)
    assert publication.publish_now([stored(issuing(), 1), stored(root())], TESTER, now) == 2
    assert stored(issuing(), 1).number == stored(root()).number == 2
    told = [event.detail for event in AuditEvent.objects.filter(kind="crl.published").order_by("pk")]
    assert told == [
        {"issuer": issuing().name, "shard": 1, "number": 2},
        {"issuer": root().name, "shard": 0, "number": 2},
    ]


def test_who_presses_many_times_a_second_does_not_date_a_list_into_the_future(certificate, now):
    publish(now)
    for _ in range(20):
        publication.publish_now([stored(issuing())], TESTER, now)
    assert stored(issuing()).this_update <= now
    assert stored(issuing()).number > 1


def test_what_is_made_by_itself_is_not_on_record(certificate, now):
    publish(now)
    assert not AuditEvent.objects.filter(kind="crl.published").exists()


def test_nobody_publishes_now_what_this_node_cannot(ca, now):
    hide_key(root(), ca)
    with pytest.raises(publication.NotPublishable, match="another node"):
        publication.publish_now([stored(root())], TESTER, now)
    with pytest.raises(publication.NotPublishable, match="has ended"):
        publication.publish_now([stored(issuing())], TESTER, issuing().not_after)


# --- What a GET asks for ------------------------------------------------------------------------------


def test_a_list_that_was_never_made_is_made_once_when_it_is_asked_for(now):
    key_identifier = issuing().key_identifier
    for _ in range(3):
        assert serving.current(key_identifier, 1, now).number == 1
    assert stored(issuing()).number == 0


def test_a_list_past_its_time_is_made_when_it_is_asked_for(now):
    publish(now)
    key_identifier = issuing().key_identifier
    assert serving.current(key_identifier, 1, now + VALIDITY - SECOND).number == 1
    assert serving.current(key_identifier, 1, now + VALIDITY).number == 2


def test_there_is_no_list_of_what_there_is_not(now):
    assert serving.current(issuing().key_identifier, 2, now) is None
    assert serving.current("00" * 20, FULL, now) is None


def test_what_is_past_its_time_and_cannot_be_made_is_given_as_it_is(ca, now):
    publish(now)
    hide_key(issuing(), ca)
    assert serving.current(issuing().key_identifier, 1, now + 2 * VALIDITY).number == 1


def test_what_was_never_made_and_cannot_be_is_refused(ca, now):
    hide_key(issuing(), ca)
    with pytest.raises(publication.NotPublishable):
        serving.current(issuing().key_identifier, 1, now)


def test_an_issuer_that_has_no_list_yet_keeps_the_lists_of_the_others_from_nobody(ca, now):
    hide_key(issuing(), ca)
    publish(now)
    assert [each.issuer for each in serving.current_full_lists(now)] == [root()]


# --- Deltas -------------------------------------------------------------------------------------------


def test_a_delta_is_numbered_as_its_full_list_and_names_its_base(certificate, now):
    publish(now)
    revoke(certificate, "keyCompromise", now)
    publish(now)
    delta = signed(issuing(), column="delta_der")
    assert extension(delta, x509.CRLNumber).crl_number == 2
    assert extension(delta, x509.DeltaCRLIndicator).crl_number == 1
    assert said(issuing(), column="delta_der") == {certificate.serial: "keyCompromise"}
    base = x509.load_der_x509_crl(bytes(stored(issuing()).base_der))
    assert extension(base, x509.CRLNumber).crl_number == stored(issuing()).base_number == 1


def test_the_first_full_list_has_an_empty_delta(now):
    publish(now)
    assert said(issuing(), column="delta_der") == {}


def test_a_hold_that_was_lifted_is_removed_by_the_delta(certificate, now):
    revoke(certificate, "certificateHold", now)
    publish(now)
    revocation.lift([certificate], TESTER, now)
    publish(now)
    assert said(issuing(), column="delta_der") == {certificate.serial: "removeFromCRL"}


def test_a_hold_that_began_and_ended_since_the_base_is_removed_as_well(certificate, now):
    publish(now)
    revoke(certificate, "certificateHold", now)
    publish(now)
    revocation.lift([certificate], TESTER, now)
    for _ in range(2):
        publication.publish_now([stored(issuing())], TESTER, now)
        assert said(issuing(), column="delta_der") == {certificate.serial: "removeFromCRL"}


def test_a_changed_reason_is_in_the_delta(certificate, now):
    revoke(certificate, "certificateHold", now)
    publish(now)
    revoke(certificate, "keyCompromise", now)
    publish(now)
    assert said(issuing(), column="delta_der") == {certificate.serial: "keyCompromise"}


def test_the_base_is_replaced_once_it_is_no_longer_valid(certificate, now):
    publish(now)
    revoke(certificate, "keyCompromise", now)
    publish(now + VALIDITY / 2)
    assert stored(issuing()).base_number == 1
    publish(now + VALIDITY)
    assert stored(issuing()).base_number == 2
    assert said(issuing(), column="delta_der") == {}
    assert said(issuing()) == {certificate.serial: "keyCompromise"}


def test_shards_have_no_delta(now):
    publish(now)
    assert (stored(issuing(), 1).delta_der, stored(issuing(), 1).base_der) == (None, None)


# --- Large lists --------------------------------------------------------------------------------------


def test_a_full_list_that_takes_long_rests_as_long_and_its_shards_do_not(certificate, now):
    publish(now)
    RevocationList.objects.filter(issuer=issuing()).update(milliseconds=8_000)
    revoke(certificate, "keyCompromise", now)
    assert made_anew(lambda: publish(now + 4 * SECOND)) == {(issuing().pk, 1)}
    assert made_anew(lambda: publish(now + 7 * SECOND)) == set()
    assert made_anew(lambda: publish(now + 8 * SECOND)) == {(issuing().pk, FULL)}
    assert said(issuing()) == {certificate.serial: "keyCompromise"}


# --- One at a time ------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_while_one_makes_lists_nobody_else_does(self, ca, now):
        from tests.services.cast import at_once

        with alone("shards") as free:
            assert free
            key = issuing().key_identifier
            made, refused = at_once(lambda: publish(now), lambda: serving.current(key, 1, now))
        assert made == 2  # the full lists
        assert isinstance(refused, publication.PublicationBusy)
        assert publish(now) == 2

    def test_while_a_full_list_is_made_shards_are_and_the_other_issuers_full_lists(self, ca, now):
        with alone(f"full-list-{issuing().key_identifier}") as free:
            assert free
            assert publication.publish_shards(now) == 2
            assert publication.publish_full_lists(now) == 1
        assert (stored(issuing()).number, stored(root()).number) == (0, 1)
        assert publication.publish_full_lists(now) == 1

    def test_many_who_publish_at_once_make_each_list_once(self, ca, now):
        from tests.services.cast import at_once

        certificate = issue(registered("door-1", now), now)
        publish(now)
        revoke(certificate, "keyCompromise", now)
        made = at_once(*[lambda: publish(now)] * 8)
        assert sum(made) == 2
        assert stored(issuing()).number == stored(issuing(), 1).number == 2

    def test_many_who_ask_at_once_see_one_list(self, ca, now):
        from tests.services.cast import at_once

        key = issuing().key_identifier
        answers = at_once(*[lambda: serving.current(key, 1, now)] * 8)
        seen = {each.fingerprint for each in answers if isinstance(each, RevocationList)}
        assert seen == {stored(issuing(), 1).fingerprint}
        assert stored(issuing(), 1).number == 1

    def test_many_administrators_at_once_make_as_many_lists_with_as_many_numbers(self, ca, now):
        from tests.services.cast import at_once

        publish(now)
        lists = [stored(issuing(), 1)]
        at_once(*[lambda: publication.publish_now(lists, TESTER, now)] * 4)
        told = AuditEvent.objects.filter(kind="crl.published").values_list("detail", flat=True)
        assert sorted(detail["number"] for detail in told) == [2, 3, 4, 5]

    def test_an_administrator_is_told_who_waits_in_vain(self, ca, now, monkeypatch):
        from tests.services.cast import at_once

        monkeypatch.setattr(publication, "PATIENCE", 0.2)
        with alone("shards"):
            (refused,) = at_once(lambda: publication.publish_now([stored(issuing(), 1)], TESTER, now))
        assert isinstance(refused, publication.PublicationBusy)


def test_what_is_stored_is_what_its_row_says(certificate, now):
    revoke(certificate, "keyCompromise", now)
    publish(now)
    row = stored(issuing(), 1)
    crl = signed(issuing(), 1)
    assert row.size == len(bytes(row.der)) == len(crl.public_bytes(Encoding.DER))
    assert (row.entries, row.this_update, row.next_update) == (
        1,
        crl.last_update_utc,
        crl.next_update_utc,
    )
    assert extension(crl, x509.IssuingDistributionPoint).full_name[0].value == row.url
    certificate_names = certificate.parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert certificate_names.value[0].full_name[0].value == row.url == revocation_lists.url(issuing(), 1)
