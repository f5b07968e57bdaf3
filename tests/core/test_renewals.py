"""When certificates are to be renewed, and with which names."""

import hashlib
from collections import Counter
from datetime import timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pki.core import certificates, names, renewals
from tests.core.cast import DAY, MOMENT, SECOND, ca, issued, record, verified

SHORTEST, LONGEST = timedelta(seconds=300), 10 * 366 * DAY  # what a profile may say
LIVES = st.timedeltas(SHORTEST, LONGEST)
FINGERPRINTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


def hint_of(life, fingerprint, *, asked=False):
    """Of a certificate that is made at MOMENT, and its validity."""
    validity = certificates.validity(life, MOMENT)
    return renewals.hint(*validity, fingerprint, asked=asked), *validity


@given(life=LIVES, fingerprint=FINGERPRINTS)
def test_a_window_lies_in_the_part_of_the_life_that_is_for_renewing(life, fingerprint):
    hint, _, not_after = hint_of(life, fingerprint)
    lived = not_after - MOMENT + SECOND  # which belongs to it
    earliest, latest = (2 / 3, 5 / 6) if lived >= 10 * DAY else (1 / 2, 2 / 3)
    assert MOMENT + lived * earliest <= hint.window.start + SECOND / 1000
    assert hint.window.start < hint.window.end <= MOMENT + lived * latest + SECOND / 1000
    assert hint.window.end < not_after


@pytest.mark.parametrize(
    ("life", "part"), [(timedelta(hours=24), 1 / 2), (10 * DAY - SECOND, 1 / 2), (10 * DAY, 2 / 3)]
)
def test_short_lives_are_renewed_early_so_that_an_outage_of_hours_is_survived(life, part):
    """The earliest window there is: that of a fingerprint which begins with naughts."""
    hint, *_ = hint_of(life, "0" * 64)
    assert abs(hint.window.start - (MOMENT + life * part)) < SECOND / 1000


@given(life=LIVES, fingerprint=FINGERPRINTS)
def test_a_certificate_has_one_window_however_often_it_is_asked_for(life, fingerprint):
    assert hint_of(life, fingerprint) == hint_of(life, fingerprint)


@given(life=LIVES, fingerprint=FINGERPRINTS)
def test_whoever_is_asked_is_late_from_the_first_moment_on(life, fingerprint):
    """So that whatever moment it chooses in the window, RFC 9773 4.2 has it renew at once."""
    hint, not_before, _ = hint_of(life, fingerprint, asked=True)
    assert hint.asked
    assert not_before <= hint.window.start < hint.window.end <= MOMENT


@given(life=LIVES, fingerprint=FINGERPRINTS)
def test_a_device_asks_again_after_a_24th_of_a_life_of_a_minute_to_six_hours_an_eighth_less_or_more(
    life, fingerprint
):
    hint, *_ = hint_of(life, fingerprint)
    usual = min(life.total_seconds() / 24, 6 * 3600)
    assert hint.ask_again_in >= 60
    assert usual * 7 / 8 - 1 <= hint.ask_again_in <= max(usual * 9 / 8, 60)


@pytest.mark.parametrize("life", [DAY, 30 * DAY])
def test_devices_that_asked_in_one_moment_do_not_ask_again_in_one(life):
    """Each eighth of a quarter of what is usual gets its part, give or take a fifth."""
    fleet, usual = 8_000, min(life / 24, timedelta(hours=6)).total_seconds()
    hints = [hint_of(life, hashlib.sha256(b"%d" % each).hexdigest())[0] for each in range(fleet)]
    places = ((hint.ask_again_in / usual - 7 / 8) * 4 for hint in hints)
    met = Counter(int(place * 8) for place in places)
    assert all(0.8 < met[eighth] / (fleet / 8) < 1.2 for eighth in range(8)), met


@given(life=st.timedeltas(timedelta(hours=1), LONGEST), fingerprint=FINGERPRINTS)
def test_who_looks_only_as_often_as_it_must_still_renews_before_the_end(life, fingerprint):
    """It misses the window's end by one look at most, and has a sixth of its life left then at least."""
    hint, _, not_after = hint_of(life, fingerprint)
    assert hint.window.end + timedelta(seconds=hint.ask_again_in) < not_after - (not_after - MOMENT) / 8


@pytest.mark.parametrize("life", [timedelta(hours=1), DAY, 9 * DAY, 30 * DAY, 365 * DAY])
@pytest.mark.parametrize("chosen", ["start", "end"])
def test_a_fleet_that_enrolled_in_one_moment_comes_evenly(life, chosen):
    """Even if none of its devices uses dice. Each twelfth gets its part, give or take a fifth."""
    fleet, parts = 6_000, 12
    windows = [hint_of(life, hashlib.sha256(b"%d" % each).hexdigest())[0].window for each in range(fleet)]
    moments = sorted(getattr(window, chosen) for window in windows)
    width = (moments[-1] - moments[0]) / parts
    met = Counter(min(int((moment - moments[0]) / width), parts - 1) for moment in moments)
    assert len(met) == parts
    assert all(0.8 < number / (fleet / parts) < 1.2 for number in met.values()), met
    # The whole of the sixth is used.
    assert life / 6 * 0.98 < windows_spread(windows) <= life / 6 + SECOND / 1000


def windows_spread(windows):
    return max(window.end for window in windows) - min(window.start for window in windows)


NUMBERS = st.none() | st.integers(1, 3)
MOMENTS = st.none() | st.integers(-2, 2).map(lambda seconds: MOMENT + seconds * SECOND)


@given(issuer=st.integers(1, 3), next_issuer=NUMBERS, rotation=MOMENTS)
def test_a_device_is_asked_if_its_issuer_or_its_key_is_not_the_one_that_is_wished_for(
    issuer, next_issuer, rotation
):
    asked = renewals.is_asked(MOMENT, issuer, next_issuer, rotation)
    wrong_issuer = next_issuer in {1, 2, 3} - {issuer}
    old_key = rotation is not None and rotation >= MOMENT
    assert asked == (wrong_issuer or old_key)


def certificate_of(*sans, **subject):
    return issued(ca(), record("door-1", *sans, **subject))


def test_a_renewal_wishes_what_the_certificate_has_and_nothing_that_its_csr_says():
    shown = certificate_of("DNS:door.example", "IP:10.0.0.7", O="Example", OU="Line 3")
    request = verified(
        "door-1",
        subject=[(x509.NameOID.ORGANIZATION_NAME, "Other"), (x509.NameOID.LOCALITY_NAME, "Berlin")],
        sans=[x509.DNSName("other.example"), x509.DNSName("door.example")],
    )
    wishes = renewals.wishes_again(request, shown, record())
    assert wishes.subject == {"CN": "door-1", "O": "Example", "OU": "Line 3"}
    assert list(map(str, wishes.sans)) == ["DNS:door.example", "IP:10.0.0.7"]
    assert wishes.ignored == ("subject O", "subject L", "SAN DNS:other.example")
    assert (wishes.key, wishes.spki_sha256, wishes.der) == (request.key, request.spki_sha256, request.der)


def test_what_the_record_says_by_now_is_not_called_ignored():
    request = verified(subject=[(x509.NameOID.ORGANIZATION_NAME, "New")], sans=[x509.DNSName("new.example")])
    wishes = renewals.wishes_again(
        request, certificate_of(O="Old"), record("door-1", "DNS:new.example", O="New")
    )
    assert wishes.ignored == ()


@pytest.mark.parametrize("common_name", [None, "door-1", "gate-1"])
def test_a_requests_cn_stays_to_be_held_against_the_record(common_name):
    wishes = renewals.wishes_again(verified(common_name), certificate_of(), record())
    assert wishes.common_name == common_name


def test_a_certificate_without_names_but_its_own_is_renewed_as_one():
    wishes = renewals.wishes_again(verified(), certificate_of(), record())
    assert (wishes.subject, wishes.sans, wishes.ignored) == ({}, (), ())
    assert names.subject({**wishes.subject, "CN": "door-1"}) == certificate_of().subject
