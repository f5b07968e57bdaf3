"""Tokens in the console: found by whom they are for and by their life; shown as facts; cancelled."""

from datetime import timedelta

import pytest

from pki.admin.fleet.tokens import life_of
from pki.models import AuditEvent, EnrollmentToken
from tests.console.browser import changelist, page
from tests.services.cast import DAY, pattern_token, registered, token_for


def of(secret):
    from pki.services.enrolling import tokens

    return EnrollmentToken.objects.get(digest=tokens.digest(secret))


def cancel_url(token):
    return page(token).replace("/change/", "/cancel/")


def test_a_token_is_found_by_the_beginning_of_its_device_or_its_pattern(ada, ca, now):
    door, gate = registered("door-1", now), registered("gate-1", now)
    by_device, other = of(token_for(door, now)), of(token_for(gate, now))
    by_pattern = of(pattern_token("door-*", now))

    def found(words):
        return set(ada.get(changelist(EnrollmentToken), q=words).context["cl"].result_list)

    assert found("door-") == {by_device, by_pattern}
    assert found("gate") == {other}
    assert found("door-1") == {by_device}
    assert found("nobody") == set()


def test_the_usable_are_listed_by_their_end_and_the_others_by_their_beginning(ada, ca, now):
    door = registered("door-1", now)
    lives = [timedelta(hours=hours) for hours in (3, 1, 2)]
    three, one, two = (of(token_for(door, now, lifetime=life)) for life in lives)
    shown = ada.get(changelist(EnrollmentToken), life="usable").context["cl"].result_list
    assert list(shown) == [three, two, one]
    assert list(ada.get(changelist(EnrollmentToken)).context["cl"].result_list) == [two, one, three]


def test_a_tokens_page_says_what_it_allows_and_not_its_secret(ada, ca, now):
    secret = token_for(registered("door-1", now), now)
    html = ada.get(page(of(secret))).content.decode()
    assert "door-1" in html
    assert "0 of 1" in html
    assert secret not in html
    assert of(secret).digest not in html


def test_a_token_is_cancelled_from_its_page_after_a_question(ada, ca, now):
    token = of(token_for(registered("door-1", now), now))
    assert cancel_url(token) in ada.get(page(token)).content.decode()
    asked = ada.get(cancel_url(token))
    assert life_of(EnrollmentToken.objects.get(pk=token.pk)) == "usable", "a GET does nothing"
    assert ada.confirm(asked, cancel_url(token)).status_code == 302
    cancelled = EnrollmentToken.objects.get(pk=token.pk)
    assert life_of(cancelled) == "cancelled"
    assert AuditEvent.objects.filter(kind="token.cancelled").count() == 1
    assert cancel_url(token) not in ada.get(page(cancelled)).content.decode()


def test_who_may_only_look_cancels_nothing(viewer, ca, now):
    token = of(token_for(registered("door-1", now), now))
    assert cancel_url(token) not in viewer.get(page(token)).content.decode()
    assert viewer.get(cancel_url(token)).status_code == 403
    assert viewer.post(cancel_url(token), confirmed="yes").status_code == 403
    assert EnrollmentToken.objects.get(pk=token.pk).cancelled_at is None


@pytest.mark.parametrize("key", ["0", "999999", "nonsense", "9" * 30])
def test_a_token_that_is_not_there_is_not_found(ada, ca, key):
    url = f"{changelist(EnrollmentToken)}{key}"
    assert ada.get(f"{url}/change/").status_code == 404
    assert ada.get(f"{url}/cancel/").status_code == 404


def test_a_token_that_is_used_up_and_over_is_said_to_be_used_up(ca, now):
    token = of(pattern_token("door-*", now - 2 * DAY))
    assert life_of(token) == "expired"
    EnrollmentToken.objects.filter(pk=token.pk).update(uses=1)
    assert life_of(EnrollmentToken.objects.get(pk=token.pk)) == "used up"
