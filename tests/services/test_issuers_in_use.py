"""An issuer that something depends on is retired only by who gives its name; and what a compromise stops."""

import pytest

from pki.models import AuditEvent, Device, Issuer, Profile
from pki.services import counting
from pki.services.issuing import authorities, dependence, listener_certificates, succession
from pki.services.revoking import impact, revocation
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import DAY, SECOND, TESTER, everything, issue, registered
from tests.services.renewing_cast import shows

_STATE = Issuer.State


@pytest.fixture
def spare(ca, now):
    """An issuing CA that nothing depends on."""
    return succession.make_next(the_issuing(), "P-256", TESTER, now)


def retire(issuer, now, name=""):
    return authorities.change_state(issuer, _STATE.RETIRED, TESTER, now, confirmed_name=name)


def compromise(issuer, now):
    authorities.change_state(issuer, _STATE.COMPROMISED, TESTER, now)


def moved(name, issuer, now):
    device = registered(name, now)
    device.issuer = issuer
    device.save()
    return device


def test_one_that_nothing_depends_on_is_retired_unasked(spare, now):
    assert not succession.dependents(spare, now)
    assert str(succession.dependents(spare, now)) == "nothing depends on it"
    assert retire(spare, now)


def test_a_living_certificate_keeps_it_and_one_that_ended_or_was_revoked_does_not(spare, now):
    device = moved("door-1", spare, now)
    certificate = issue(device, now)
    Device.objects.update(issuer=None)
    with pytest.raises(authorities.IssuerInUse, match="1 certificate of it is good"):
        retire(spare, now)
    assert retire(spare, certificate.not_after + DAY)
    authorities.change_state(spare, _STATE.ACTIVE, TESTER, now)
    revocation.revoke([certificate], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    assert retire(spare, now)


def test_a_device_that_would_get_its_next_one_from_it_keeps_it_and_a_retired_one_does_not(spare, now):
    device = moved("door-1", spare, now)
    with pytest.raises(authorities.IssuerInUse, match="1 device would get its next one"):
        retire(spare, now)
    Device.objects.filter(pk=device.pk).update(state=Device.State.RETIRED)
    assert retire(spare, now)


def test_a_device_of_a_profile_that_was_moved_elsewhere_does_not_count(ca, now, spare):
    moved("door-1", spare, now)
    assert succession.dependents(the_issuing(), now).devices.number == 0
    registered("door-2", now)
    assert succession.dependents(the_issuing(), now).devices.number == 1


def test_a_profile_keeps_it(spare, now):
    Profile.objects.filter(name="device").update(issuer=spare)
    with pytest.raises(authorities.IssuerInUse, match="profiles that use it: device"):
        retire(spare, now)


def test_what_depends_on_those_below_it_keeps_a_root(ca, now):
    depending = succession.dependents(the_root(), now)
    assert depending.certificates.number == 2, "the listeners'"
    assert depending.profiles == ("device", "server")
    with pytest.raises(authorities.IssuerInUse):
        retire(the_root(), now)


@pytest.mark.parametrize("name", ["", "yes", "hatchery", " "])
def test_another_name_confirms_nothing(ca, now, name):
    before = everything()
    for wrong in (name, the_issuing().name.lower(), the_issuing().name + " "):
        with pytest.raises(authorities.IssuerInUse):
            retire(the_issuing(), now, wrong)
    assert everything() == before


def test_its_name_confirms_and_the_trail_has_it(ca, now):
    assert retire(the_issuing(), now, the_issuing().name)
    assert AuditEvent.objects.filter(kind="issuer.retired").count() == 1


def test_a_compromise_waits_for_no_name(ca, now):
    assert authorities.change_state(the_issuing(), _STATE.COMPROMISED, TESTER, now)


def test_very_many_are_counted_up_to_a_bound(ca, now, monkeypatch):
    monkeypatch.setattr(counting, "MOST_COUNTED", 3)
    for number in range(5):
        issue(registered(f"door-{number}", now), now)
    depending = succession.dependents(the_issuing(), now)
    assert (str(depending.certificates), str(depending.devices)) == ("3+", "3+")


def test_it_takes_few_queries(ca, now, django_assert_max_num_queries):
    root = the_root()
    with django_assert_max_num_queries(6):
        succession.dependents(root, now)


def test_what_hangs_on_a_compromised_ca_is_not_good_and_keeps_no_root(spare, now):
    certificate = issue(moved("door-1", spare, now), now)
    assert succession.dependents(the_root(), now).certificates.number == 3
    authorities.change_state(spare, _STATE.COMPROMISED, TESTER, now)
    depending = succession.dependents(the_root(), now)
    assert depending.certificates.number == 2, "the listeners'"
    assert not succession.dependents(spare, now).certificates
    authorities.change_state(the_root(), _STATE.COMPROMISED, TESTER, now)
    assert not succession.dependents(the_issuing(), now).certificates
    assert certificate.not_after > now


FATES = {
    "nothing": lambda issuer, now: None,
    "retired": retire,
    "compromised": lambda issuer, now: compromise(issuer, now),
    "its root retired": lambda issuer, now: retire(issuer.parent, now, issuer.parent.name),
    "its root compromised": lambda issuer, now: compromise(issuer.parent, now),
}


@pytest.mark.parametrize("fate", FATES)
def test_who_can_sign_is_told_alike_of_one_and_of_all(spare, now, fate):
    FATES[fate](spare, now)
    spare = Issuer.objects.get(pk=spare.pk)
    able = fate in ("nothing", "its root retired")
    assert spare.can_sign(now) is (spare in dependence.able_to_sign(now)) is able
    assert spare.is_lost is (spare.pk in dependence.lost())
    assert bool(dependence.why_unable(spare, now)) is not able
    assert not spare.can_sign(spare.not_after)
    assert spare not in dependence.able_to_sign(spare.not_after)
    assert dependence.why_unable(spare, spare.not_after)


# --- Compromise -----------------------------------------------------------------------------------


def told_of(issuer, now):
    told = impact.of_compromise(issuer, now)
    return told.devices.number, told.unsure.number, told.keep_another.number


@pytest.fixture
def both(spare, now):
    """A device with a certificate of the issuing CA, and a later one of the spare."""
    device = registered("both", now)
    old = issue(device, now)
    device.issuer = spare
    device.save()
    return old, issue(device, now)


def test_a_compromise_stops_the_devices_that_have_no_certificate_from_elsewhere(spare, both, now):
    stops = registered("stops", now)
    issue(stops, now)
    issue(stops, now)
    registered("never-enrolled", now)
    _, new = both
    shows(new, now)
    assert told_of(the_issuing(), now) == (1, 0, 1)
    assert told_of(the_root(), now) == (2, 0, 0), "both hang on it"
    assert told_of(spare, now) == (0, 1, 0), "it was given another one, and shows this one"


def test_that_a_device_was_given_another_one_says_nothing_of_what_it_uses(spare, both, now):
    """A campaign was rolled back: the devices have good certificates of the issuer that they left."""
    old, new = both
    shows(new, now)
    shows(old, now + SECOND)
    assert told_of(the_issuing(), now) == (0, 1, 0)
    assert told_of(spare, now) == (0, 0, 1)


def test_who_was_never_seen_is_not_known_to_have_another_one(spare, both, now):
    assert told_of(the_issuing(), now) == (0, 1, 0)
    assert told_of(spare, now) == (0, 1, 0)


@pytest.mark.parametrize("trouble", ["revoked", "ended", "compromised"])
def test_another_one_that_was_shown_and_does_not_stand_is_none(spare, both, now, trouble):
    _, new = both
    shows(new, now)
    if trouble == "revoked":
        revocation.revoke([new], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    elif trouble == "compromised":
        authorities.change_state(spare, _STATE.COMPROMISED, TESTER, now)
    else:
        now = new.not_after + DAY
        Device.objects.update(issuer=None)
        issue(Device.objects.get(), now)
    assert told_of(the_issuing(), now) == (1, 0, 0)


def test_of_our_own_listeners_those_count_that_show_a_certificate_of_it(spare, now):
    assert impact.of_compromise(the_issuing(), now).listeners == ("hello", "secure")
    assert impact.of_compromise(the_root(), now).listeners == ("hello", "secure")
    assert impact.of_compromise(spare, now).listeners == ()
    Profile.objects.filter(name="server").update(issuer=spare)
    listener_certificates.renew_due(["hello"], ["localhost"], TESTER, now + SECOND)
    assert impact.of_compromise(the_issuing(), now + SECOND).listeners == ("secure",)
    assert impact.of_compromise(spare, now + SECOND).listeners == ("hello",)


def test_ended_revoked_and_retired_ones_are_not_stopped_by_it(spare, now):
    ended = issue(registered("ended", now), now)
    revoked = issue(registered("revoked", now), now)
    issue(registered("retired", now), now)
    revocation.revoke([revoked], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    Device.objects.filter(name="retired").update(state=Device.State.RETIRED)
    assert impact.of_compromise(the_issuing(), now).devices.number == 1
    assert impact.of_compromise(the_issuing(), ended.not_after + DAY).devices.number == 0
