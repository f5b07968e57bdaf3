"""A root is published before listeners move below it; and how long one stays that they have left."""

from datetime import timedelta

import pytest
from cryptography import x509

from pki.core import pins
from pki.models import AuditEvent, Certificate, Issuer, Profile, TrustBundle
from pki.services.issuing import authorities, listener_certificates, profiles, succession
from pki.services.revoking import revocation
from pki.services.trusting import anchors, bundle, published_roots
from tests.services.bundles_cast import taken, the_issuing, the_root
from tests.services.cast import DAY, TESTER

LISTENERS, HOSTS = ["hello", "secure"], ["localhost", "127.0.0.1"]
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def later(ca, now):
    """A root of its own with an issuing CA below it, and a bundle that says nothing of them."""
    root = authorities.make_root("Later Root", "P-256", TESTER, now)
    authorities.make_subordinate("Later Issuing", root, "P-256", TESTER, now)
    bundle.publish_due(now)
    return root


def give_servers(issuer, now):
    profile = Profile.objects.get(name=listener_certificates.SERVER_PROFILE)
    profile.issuer = issuer
    profiles.save(profile, ["issuer"], TESTER, now)


def roots_told(now):
    found = x509.load_pem_x509_certificates(bundle.current(now).contents.encode())
    return [pins.fingerprint_of(each) for each in found]


def trusted(now):
    return [root.name for root in anchors.anchors(now).trusted]


# --- Publishing -----------------------------------------------------------------------------------


def test_devices_are_told_of_a_root_once_it_is_published_and_no_more_once_that_is_taken_back(later, now):
    assert published_roots.since(later) is None
    assert published_roots.publish(later, TESTER, now)
    assert not published_roots.publish(later, TESTER, now)
    assert published_roots.since(later) is None, "no bundle names it yet"
    assert bundle.publish_due(now + MINUTE)
    assert later.fingerprint in roots_told(now + MINUTE)
    assert published_roots.since(later) == now + MINUTE
    assert published_roots.withdraw(later, TESTER, now + HOUR)
    assert not published_roots.withdraw(later, TESTER, now + HOUR)
    assert bundle.publish_due(now + HOUR)
    assert later.fingerprint not in roots_told(now + HOUR)
    assert published_roots.since(later) is None
    kinds = AuditEvent.objects.filter(kind__in=["issuer.published", "issuer.withdrawn"]).order_by("pk")
    assert [(each.kind, each.detail["issuer"]) for each in kinds] == [
        ("issuer.published", "Later Root"),
        ("issuer.withdrawn", "Later Root"),
    ]


def test_since_when_is_counted_from_the_last_time_that_it_was_not_in_it(later, now):
    for days in (0, 2):
        published_roots.publish(later, TESTER, now + days * DAY)
        bundle.publish_due(now + days * DAY)
        assert published_roots.since(later) == now + days * DAY
        succession.make_next(later, "P-256", TESTER, now + days * DAY + HOUR)
        assert bundle.publish_due(now + days * DAY + HOUR)
        assert published_roots.since(later) == now + days * DAY, "another version is no other beginning"
        published_roots.withdraw(later, TESTER, now + (days + 1) * DAY)
        Issuer.objects.filter(predecessor=later).update(state=Issuer.State.RETIRED)
        bundle.publish_due(now + (days + 1) * DAY)


@pytest.mark.parametrize("state", [Issuer.State.RETIRED, Issuer.State.COMPROMISED])
def test_only_an_active_root_is_published(later, now, state):
    with pytest.raises(published_roots.RootUnfit):
        published_roots.publish(the_issuing(), TESTER, now)
    with pytest.raises(published_roots.RootUnfit):
        published_roots.publish(later, TESTER, later.not_after)
    authorities.change_state(later, state, TESTER, now, confirmed_name=later.name)
    with pytest.raises(published_roots.RootUnfit):
        published_roots.publish(later, TESTER, now)
    assert Issuer.objects.get(pk=later.pk).published_at is None


def test_a_published_root_that_is_compromised_is_told_to_nobody(later, now):
    published_roots.publish(later, TESTER, now)
    bundle.publish_due(now)
    authorities.change_state(later, Issuer.State.COMPROMISED, TESTER, now + MINUTE)
    assert later.fingerprint not in roots_told(now + 2 * MINUTE)


# --- Listeners move below it ----------------------------------------------------------------------


def test_listeners_get_no_issuer_of_which_devices_were_not_told(later, now):
    before = Certificate.objects.count()
    issuing = later.subordinates.get()
    with pytest.raises(published_roots.RootNotPublished, match="Publish it on its page first"):
        give_servers(issuing, now)
    published_roots.publish(later, TESTER, now)
    with pytest.raises(published_roots.RootNotPublished, match="The next one will"):
        give_servers(issuing, now)
    assert listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now) == 0
    assert Certificate.objects.count() == before
    bundle.publish_due(now)
    give_servers(issuing, now)
    assert listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now) == len(LISTENERS)


def test_another_issuer_below_the_same_root_needs_no_bundle(ca, now):
    other = authorities.make_subordinate("Other Issuing", the_root(), "P-256", TESTER, now)
    assert not TrustBundle.objects.exists()
    give_servers(other, now)


@pytest.mark.parametrize("how", ["compromised", "ended"])
def test_when_the_root_of_before_stands_no_more_nobody_waits_for_a_bundle(later, now, how):
    """Listeners that nobody should believe lock nobody out: the sooner they have others the better."""
    if how == "compromised":
        authorities.change_state(the_root(), Issuer.State.COMPROMISED, TESTER, now)
    else:
        Issuer.objects.filter(pk=the_root().pk).update(not_after=now)
    give_servers(later.subordinates.get(), now)
    assert trusted(now) == [later.name]


def test_profiles_of_devices_may_have_any(later, now):
    profile = Profile.objects.get(name="device")
    profile.issuer = later.subordinates.get()
    profiles.save(profile, ["issuer"], TESTER, now)


def test_other_changes_of_the_profile_ask_nothing(later, now):
    """As in an installation whose servers had moved before this was asked."""
    issuing = later.subordinates.get()
    Profile.objects.filter(name="server").update(issuer=issuing)
    profile = Profile.objects.get(name="server")
    profile.lifetime_seconds += 1
    profiles.save(profile, ["lifetime_seconds"], TESTER, now)


def test_a_root_by_which_listeners_are_checked_is_not_taken_out(later, now):
    published_roots.publish(later, TESTER, now)
    bundle.publish_due(now)
    give_servers(later.subordinates.get(), now)
    with pytest.raises(published_roots.RootInUse):
        published_roots.withdraw(later, TESTER, now)
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now)
    give_servers(the_issuing(), now)
    with pytest.raises(published_roots.RootInUse):
        published_roots.withdraw(later, TESTER, now)
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now + MINUTE)
    assert published_roots.withdraw(later, TESTER, now + 2 * HOUR)


def test_a_device_on_the_old_root_follows_to_the_new_one(later, now, tmp_path):
    old = the_root()
    published_roots.publish(later, TESTER, now)
    bundle.publish_due(now)
    made = bundle.current(now)
    read, said = taken(tmp_path, made, [old.certificate])
    assert read == made.contents, said
    both = x509.load_pem_x509_certificates(read.encode())
    assert [pins.fingerprint_of(each) for each in both] == [old.fingerprint, later.fingerprint]


# --- How long a root stays that listeners have left -----------------------------------------------


@pytest.fixture
def left(later, now):
    """The old root, retired, of which the listeners have certificates still, and others since a MINUTE."""
    published_roots.publish(later, TESTER, now)
    bundle.publish_due(now)
    give_servers(later.subordinates.get(), now)
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now + MINUTE)
    for issuer in (the_issuing(), the_root()):
        authorities.change_state(issuer, Issuer.State.RETIRED, TESTER, now, confirmed_name=issuer.name)
    return the_root()


def test_a_retired_root_leaves_when_each_node_has_followed_though_its_certificates_live(left, now):
    assert trusted(now + 2 * MINUTE) == [left.name, "Later Root"]
    followed = now + MINUTE + anchors.REPLACED_EVERYWHERE
    assert trusted(followed) == ["Later Root"]
    assert Certificate.objects.filter(listener="hello", issuer=the_issuing(), not_after__gt=now).exists()
    assert bundle.publish_due(followed)
    assert left.fingerprint not in roots_told(followed)


def test_it_does_not_come_back_when_the_new_certificates_are_renewed(left, now):
    renewed_at = now + 61 * DAY
    assert listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, renewed_at) == len(LISTENERS)
    assert trusted(renewed_at + MINUTE) == ["Later Root"]


def test_it_stays_as_long_as_one_listener_has_only_its_certificate(left, now):
    moved = Certificate.objects.filter(listener="secure").latest("pk")
    revocation.revoke([moved], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    assert trusted(now + 2 * HOUR) == [left.name, "Later Root"]


def test_after_the_way_back_it_is_the_root_again_and_the_other_one_was_left(left, now):
    for issuer in (left, the_issuing()):
        authorities.change_state(issuer, Issuer.State.ACTIVE, TESTER, now)
    give_servers(the_issuing(), now + HOUR)
    listener_certificates.renew_due(LISTENERS, HOSTS, TESTER, now + HOUR)
    later = Issuer.objects.get(name="Later Root")
    authorities.change_state(later, Issuer.State.RETIRED, TESTER, now + HOUR, confirmed_name=later.name)
    assert trusted(now + HOUR + MINUTE) == [left.name, later.name]
    assert trusted(now + 2 * HOUR) == [left.name]


def test_certificates_of_a_compromised_issuing_ca_keep_no_retired_root(ca, now):
    root = the_root()
    other = authorities.make_root("Other Root", "P-256", TESTER, now)
    published_roots.publish(other, TESTER, now)
    authorities.change_state(root, Issuer.State.RETIRED, TESTER, now, confirmed_name=root.name)
    assert trusted(now) == [root.name, other.name]
    authorities.change_state(the_issuing(), Issuer.State.COMPROMISED, TESTER, now)
    assert trusted(now) == [other.name]
