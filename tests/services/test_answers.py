"""A form is answered once by a user, and what was refused was not answered."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from pki.core.errors import Refusal
from pki.models import FormAnswered
from pki.services.people.answers import AnsweredAlready, answering

KEPT = timedelta(seconds=2 * settings.SESSION_COOKIE_AGE)

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return User.objects.create_user("ada")


def answer(user, number, now):
    with answering(user, number, now):
        pass


def test_a_form_is_answered_once_and_its_number_is_not_kept(ada, now):
    answer(ada, "a-number", now)
    with pytest.raises(AnsweredAlready):
        answer(ada, "a-number", now)
    answer(ada, "another", now)
    assert "a-number" not in str(list(FormAnswered.objects.values()))


def test_what_somebody_else_answered_is_theirs(ada, now):
    answer(User.objects.create_user("bob"), "a-number", now)
    answer(ada, "a-number", now)


def test_what_was_refused_may_be_sent_again(ada, now):
    with pytest.raises(Refusal), answering(ada, "a-number", now):
        raise Refusal("Not so.")
    answer(ada, "a-number", now)


def test_answers_are_forgotten_when_no_session_is_as_old(ada, now):
    answer(ada, "old", now)
    answer(ada, "new", now + KEPT)
    with pytest.raises(AnsweredAlready):
        answer(ada, "old", now + KEPT)
    answer(ada, "newer", now + KEPT + timedelta(seconds=1))
    assert FormAnswered.objects.count() == 2
