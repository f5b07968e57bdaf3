"""When the first of each kind ends: of what somebody can do something about, and of nothing else."""

from datetime import timedelta

import pytest

from pki.models import Issuer, Profile, RevocationList
from pki.services.issuing import authorities, succession
from pki.services.measuring import standing
from pki.services.publishing import publication
from pki.services.publishing.responders import LIFETIME, Responders
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import DAY, TESTER, responder_of

_STATE = Issuer.State


def ends(now):
    return standing.look(now).ends


def end(issuer, at):
    Issuer.objects.filter(pk=issuer.pk).update(not_before=at - 100 * DAY, not_after=at)


@pytest.fixture
def old(ca, now):
    """An issuing CA that ends soon, by which the profiles issue."""
    end(the_issuing(), now + 50 * DAY)
    return the_issuing()


# --- Issuers ------------------------------------------------------------------------------------------


def test_an_issuer_counts_until_there_is_a_next_one_and_profiles_issue_by_that(old, now):
    assert ends(now)["issuer"] == old.not_after
    following = succession.make_next(old, "P-256", TESTER, now)
    assert ends(now)["issuer"] == old.not_after, "whose end would stop the profiles"
    Profile.objects.update(issuer=following)
    assert ends(now)["issuer"] == following.not_after > old.not_after


@pytest.mark.parametrize("fate", [_STATE.RETIRED, _STATE.COMPROMISED])
def test_and_again_if_the_next_one_cannot_sign(old, now, fate):
    following = succession.make_next(old, "P-256", TESTER, now)
    Profile.objects.update(issuer=following)
    authorities.change_state(following, fate, TESTER, now, confirmed_name=following.name)
    assert ends(now)["issuer"] == old.not_after


def test_one_that_ended_is_told_as_long_as_a_profile_issues_by_it(old, now):
    another = authorities.make_subordinate("Another", the_root(), "P-256", TESTER, now)
    later = old.not_after + 30 * DAY
    assert ends(later)["issuer"] == old.not_after
    Profile.objects.update(issuer=another)
    assert ends(later)["issuer"] == another.not_after > later


def test_a_root_counts_though_no_profile_issues_by_it(old, now):
    end(the_root(), now + 40 * DAY)
    assert ends(now)["issuer"] == the_root().not_after
    succession.make_next(the_root(), "P-256", TESTER, now)
    assert ends(now)["issuer"] == old.not_after


# --- Lists --------------------------------------------------------------------------------------------


def test_lists_of_an_issuer_that_ended_do_not_count(old, now):
    publication.publish_first(now)
    end(old, now - 30 * DAY)
    kept = RevocationList.objects.filter(issuer=old)
    kept.update(renew_at=now - 31 * DAY, next_update=now - 30 * DAY)
    first = RevocationList.objects.filter(issuer=the_root()).earliest("next_update")
    assert ends(now)["crl"] == first.next_update > now
    end(old, now + DAY)
    assert ends(now)["crl"] == now - 30 * DAY


# --- OCSP responders ----------------------------------------------------------------------------------


def test_after_an_outage_that_was_longer_than_its_life_a_responder_is_made_unasked(old, now):
    last = responder_of(old, now).not_after
    later = last + 3 * DAY
    assert ends(later)["ocsp_responder"] == last
    assert Responders().renew_due(later) == 1
    assert ends(later)["ocsp_responder"] == later.replace(microsecond=0) + LIFETIME - timedelta(seconds=1)


def test_a_responder_that_ends_with_its_issuer_does_not_count(ca):
    """Nobody can renew it, and that its issuer ends was told long before."""
    issuer = the_issuing()
    late = issuer.not_after - 3 * DAY
    assert responder_of(issuer, late).not_after == issuer.not_after
    assert "ocsp_responder" not in ends(late)
