"""Who is left with a root alone: devices that no trust bundle has told of another one."""

import pytest

from pki.models import Device, LastSeen
from pki.services.issuing import authorities
from pki.services.trusting import bundle, followers, published_roots
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import DAY, SECOND, TESTER, change_state, issue, registered
from tests.services.renewing_cast import shows


def fielded(name, now, version=None):
    """A device that was seen, and fetched this version of the trust bundle."""
    device = registered(name, now)
    shows(issue(device, now), now)
    LastSeen.objects.filter(device=device).update(bundle_version=version)
    return device


def alone(root, now):
    return followers.knowing_no_other(root, now).number


@pytest.fixture
def first(ca, now):
    """The version of the trust bundle that names the first root alone."""
    return bundle.current(now).version


def another(now):
    """Another root, that devices are told of, and the first version that names it."""
    root = authorities.make_root("Another Root", "P-256", TESTER, now)
    published_roots.publish(root, TESTER, now)
    bundle.publish_due(now + SECOND)
    return root, bundle.current(now + SECOND).version


def test_with_one_root_all_devices_that_were_enrolled_have_it_alone(first, now):
    fielded("seen", now, first)
    issue(registered("never-seen", now), now)
    registered("never-enrolled", now)
    change_state(fielded("retired", now), Device.State.RETIRED, now)
    change_state(fielded("suspended", now), Device.State.SUSPENDED, now)
    assert alone(the_root(), now) == 2


def test_who_has_fetched_a_bundle_with_another_root_is_not_left_alone(first, now):
    fielded("older", now, first)
    fielded("none", now)
    _, version = another(now)
    assert version > first
    fielded("has-both", now, version)
    fielded("later", now, version + 1)
    issue(registered("never-seen", now), now)
    assert alone(the_root(), now + SECOND) == 3


def test_who_enrolled_before_a_root_was_made_was_not_given_that_one_alone(first, now):
    fielded("before", now)
    later = now + DAY
    root, version = another(later)
    fielded("after", later)
    fielded("has-both", later, version)
    assert alone(root, later + SECOND) == 1
    assert alone(the_root(), later + SECOND) == 2
    authorities.change_state(the_root(), root.State.COMPROMISED, TESTER, later)
    assert alone(root, later + SECOND) == 3, "the older one is lost: some were given this one since"


def test_a_root_that_stands_no_more_or_that_no_bundle_names_yet_saves_nobody(first, now):
    root, version = another(now)
    fielded("has-both", now, version)
    assert alone(the_root(), now + SECOND) == 0
    third = authorities.make_root("Third Root", "P-256", TESTER, now)
    published_roots.publish(third, TESTER, now)
    authorities.change_state(root, root.State.COMPROMISED, TESTER, now)
    assert alone(the_root(), now + SECOND) == 1


def test_a_root_that_devices_are_not_told_of_and_an_issuing_ca_leave_nobody_alone(first, now):
    fielded("seen", now, first)
    private = authorities.make_root("For Clients", "P-256", TESTER, now)
    assert alone(private, now) == 0
    assert alone(the_issuing(), now) == 0
    assert alone(the_root(), the_root().not_after + DAY) == 0


def test_it_takes_few_queries(first, now, django_assert_max_num_queries):
    another(now)
    with django_assert_max_num_queries(7):
        alone(the_root(), now + SECOND)
