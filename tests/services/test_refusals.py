"""Refusals are kept for the console, and nobody can fill the database by knocking."""

import pytest

from pki.core import csr
from pki.core.visitors import network
from pki.models import AuditEvent, EnrollmentRequest
from pki.services.enrolling import enrollment, refusals, tokens
from pki.services.enrolling.repeated import RepeatedLog
from pki.services.looking import tallies
from pki.services.proving.folding import WINDOW
from tests.services.cast import (
    ADDRESS,
    DAY,
    ELSEWHERE,
    Gadget,
    device_certificates,
    everything,
    pattern_token,
    refused,
    registered,
    token_for,
)

pytestmark = pytest.mark.usefixtures("ca")


def knock(gadget, now, address=ADDRESS, secret="hatch_never-made"):  # noqa: S107
    with pytest.raises(csr.Refusal):
        gadget.enroll(secret, now, address=address)


def test_a_refusal_is_kept_with_who_asked_for_what_and_why(now):
    door = registered("door-1", now)
    secret = token_for(door, now)
    gadget = Gadget("door-2")
    knock(gadget, now, secret=secret)
    (kept,) = refused()
    assert (kept.code, kept.address, kept.device) == ("name_mismatch", ADDRESS, door)
    assert kept.token == tokens.find(secret, now)
    assert csr.verify_der(bytes(kept.csr_der)).key == gadget.key.public_key()
    assert kept.reason
    assert AuditEvent.objects.get(kind="enrollment.refused").detail["code"] == "name_mismatch"


def test_a_refusal_stores_nothing_but_itself(now):
    before = everything()
    knock(Gadget("door-1"), now)
    after = everything()
    assert {label for label in after if after[label] != before[label]} == {
        "pki.EnrollmentRequest",
        "pki.AuditEvent",
        "pki.FailureCount",
    }
    assert device_certificates() == []


def on_record():
    """How often each event of a refused enrollment says that it was."""
    events = AuditEvent.objects.filter(kind="enrollment.refused").order_by("pk")
    return list(events.values_list("count", flat=True))


def test_what_comes_again_is_kept_once_and_is_on_record_each_time(now):
    gadget = Gadget("door-1")
    for hour in range(5):
        refusals.REPEATED.flush(now + hour * DAY / 24)
        knock(gadget, now + hour * DAY / 24)
    (kept,) = refused()
    assert kept.count == 5
    assert (kept.created_at, kept.last_at) == (now, now + 4 * DAY / 24)
    assert on_record() == [1] * 5


def test_what_comes_again_at_once_is_on_record_with_its_number(now):
    gadget = Gadget("door-1")
    for _ in range(50):
        knock(gadget, now)
    assert on_record() == [1, 1], "the first time, and that it comes again"
    refusals.REPEATED.flush(now + WINDOW)
    assert on_record() == [1, 1, 48]
    knock(gadget, now + 365 * DAY)
    assert on_record() == [1, 1, 48, 1], "also when nobody remembers the first one"
    event = AuditEvent.objects.filter(kind="enrollment.refused").last()
    assert (event.address, event.detail["code"], event.detail["name"]) == (ADDRESS, "token_invalid", "door-1")
    assert event.detail["reason"]


def test_what_comes_again_is_of_the_device_whose_token_was_shown(now):
    door = registered("door-1", now)
    gadget, secret = Gadget("door-2"), token_for(door, now)
    for _ in range(2):
        knock(gadget, now, secret=secret)
    assert door.events.filter(kind="enrollment.refused").count() == 2


def test_each_is_in_the_figures(now):
    gadget = Gadget("door-1")
    for _ in range(5):
        knock(gadget, now)
    refusals.REPEATED.flush(now, everything=True)
    days = tallies.by_day(now.date(), tallies.untallied())
    assert sum(days[tallies.REFUSED].values()) == 5


def test_another_address_is_told_apart(now):
    gadget = Gadget("door-1")
    knock(gadget, now)
    knock(gadget, now, address=ELSEWHERE)
    assert {kept.address for kept in refused()} == {ADDRESS, ELSEWHERE}


def test_another_reason_is_told_apart(now):
    gadget = Gadget("door-1")
    knock(gadget, now)
    knock(gadget, now, secret=None)
    assert {kept.code for kept in refused()} == {"token_invalid", "token_missing"}


@pytest.fixture(autouse=True)
def _nothing_is_folded(monkeypatch):
    """As in a process that has just started."""
    monkeypatch.setattr(refusals, "REPEATED", RepeatedLog())


def flood(now, monkeypatch, addresses):
    """As many different refusals from each address as make it nearly sure that every fold is met."""
    monkeypatch.setattr(refusals, "KEPT_APART", 4)
    for number in range(40):
        attempt = refusals.Attempt(addresses[number % len(addresses)], name=f"door-{number}")
        refusals.keep(attempt, tokens.TokenInvalid(), now)


def test_one_address_fills_no_more_than_its_share(now, monkeypatch):
    flood(now, monkeypatch, [ADDRESS])
    assert len(refused()) == refusals.KEPT_APART
    assert sum(kept.count for kept in refused()) == 40, "each is counted, folded or not"
    refusals.REPEATED.flush(now, everything=True)
    assert sum(on_record()) == 40
    assert len(on_record()) == refusals.KEPT_APART + 2, "those that come again are one a minute for all"


def test_one_ipv6_host_with_all_addresses_of_its_64_fills_no_more_than_its_share(now, monkeypatch):
    flood(now, monkeypatch, [f"2001:db8:0:1::{number:x}" for number in range(1, 41)])
    assert len(refused()) == refusals.KEPT_APART


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("2001:DB8:0:0::1", "2001:db8::1", True),
        # How IPv4 visitors look to a socket that is bound to :: (RFC 4291 2.5.5.2).
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7", True),
        ("::ffff:192.0.2.7", "::ffff:198.51.100.9", False),
        (None, None, True),
        (None, "192.0.2.7", False),
    ],
)
def test_a_visitor_is_an_ipv4_address_or_an_ipv6_64(one, other, same):
    assert (network(one) == network(other)) is same


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "fe80::1%eth0", None])
def test_a_refusal_is_kept_whatever_address_it_came_from(now, address):
    knock(Gadget("door-1"), now, address=address)
    assert len(refused()) == 1


@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("name", ["a\0b", "line\nbreak", "\x1b[31mred", "x" * 10_000, "\u202eevil"])
def test_a_name_that_no_console_should_show_is_kept_harmless(now, name):
    knock(Gadget(name), now)
    (kept,) = refused()
    assert kept.name
    assert kept.name.isprintable()
    assert len(kept.name) <= EnrollmentRequest._meta.get_field("name").max_length


def test_a_private_key_that_was_sent_is_nowhere_in_what_is_kept(now):
    pem = b"-----BEGIN PRIVATE KEY-----\nTm90IGEgcmVhbCBrZXk=\n-----END PRIVATE KEY-----\n"
    with pytest.raises(csr.PrivateKeySent):
        enrollment.enroll(pem, pattern_token("*", now), ADDRESS, now)
    assert [kept.code for kept in refused()] == ["private_key_sent"]
    assert "Tm90IGEgcmVhbCBrZXk" not in str(everything())


def test_a_body_that_was_refused_unread_is_kept_too(now):
    refusal = csr.CsrTooLarge("Too large.")
    assert enrollment.refuse(refusal, ADDRESS, now) is refusal
    assert [(kept.code, kept.csr_der) for kept in refused()] == [("csr_too_large", None)]
