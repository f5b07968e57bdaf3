"""OCSP responders make and renew themselves, one for each issuer and node."""

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pki.keystore import keystore
from pki.models import AuditEvent, Issuer, Responder
from pki.services.issuing import authorities
from pki.services.publishing import responders
from pki.services.publishing.known_issuers import KnownIssuer
from pki.services.publishing.responders import LIFETIME, Responders
from tests.services.cast import DAY, SECOND, TESTER, at_once

WEEK = timedelta(days=7)
TWO_THIRDS = WEEK * 2 / 3


@pytest.fixture
def issuer(ca) -> Issuer:
    return Issuer.objects.get(parent__isnull=False)


@pytest.fixture
def node(ca) -> Responders:
    """One process."""
    return Responders()


def known(issuer: Issuer) -> KnownIssuer:
    return KnownIssuer(issuer.pk, issuer.fingerprint, issuer.not_after)


def lose_keys(folder, label: str) -> None:
    """Make this a node that never had these keys."""
    for file in (folder / "keys").glob(f"{label}-*"):
        file.unlink()
    keystore.cache_clear()


def due_at(responder: Responder):
    return responder.not_before + (responder.not_after - responder.not_before) * 2 / 3


def test_the_first_question_makes_one_and_the_next_uses_it(node, issuer, now):
    made = node.of(known(issuer), now)
    assert node.of(known(issuer), now + SECOND) is made
    assert Responders().of(known(issuer), now + SECOND) == made
    assert list(Responder.objects.all()) == [made]
    assert made.not_after - now.replace(microsecond=0) == WEEK - SECOND == LIFETIME - SECOND
    assert made.serial == f"{made.certificate.serial_number:x}"
    assert keystore().public_key(made.key_reference) == made.certificate.public_key()


def test_it_is_on_record_that_one_was_made(node, issuer, now):
    made = node.of(known(issuer), now)
    event = AuditEvent.objects.get(kind="responder.made")
    assert (event.actor, event.detail["issuer"], event.detail["serial"]) == (
        "hatchery",
        issuer.name,
        made.serial,
    )


def test_using_one_asks_the_database_nothing(node, issuer, now):
    node.of(known(issuer), now)
    with CaptureQueriesContext(connection) as queries:
        node.of(known(issuer), now)
    assert len(queries) == 0


def test_it_is_renewed_when_two_thirds_of_its_life_are_over(node, issuer, now):
    with time_machine.travel(now, tick=False) as clock:
        first = node.of(known(issuer), timezone.now())
        clock.move_to(due_at(first) - SECOND)
        assert node.renew_due(timezone.now()) == 0
        clock.move_to(due_at(first) + SECOND)
        assert node.renew_due(timezone.now()) == 1
        second = node.of(known(issuer), timezone.now())
        assert second.not_after == timezone.now().replace(microsecond=0) + WEEK - SECOND
        assert node.renew_due(timezone.now()) == 0
    assert second.key_reference != first.key_reference
    assert set(Responder.objects.all()) == {first, second}


def test_another_process_of_the_node_takes_the_new_one_and_makes_none(node, issuer, now):
    other = Responders()
    first = node.of(known(issuer), now)
    assert other.of(known(issuer), now) == first
    due = due_at(first) + SECOND
    assert node.renew_due(due) == 1
    assert other.of(known(issuer), due) == first, "it stands still"
    assert other.renew_due(due) == 0
    assert other.of(known(issuer), due) == node.of(known(issuer), due) != first


def test_when_nothing_is_due_that_is_two_queries(node, issuer, now):
    node.of(known(issuer), now)
    node.of(known(issuer.parent), now)
    with CaptureQueriesContext(connection) as queries:
        assert node.renew_due(now) == 0
    assert len(queries) == 2


def test_nobody_makes_one_for_an_issuer_that_nobody_asks_about(node, issuer, now):
    assert node.renew_due(now + WEEK * 5) == 0
    assert not Responder.objects.exists()


def test_each_node_has_its_own_because_its_key_does_not_travel(node, issuer, ca, now):
    first = node.of(known(issuer), now)
    lose_keys(ca, "ocsp")
    second = Responders().of(known(issuer), now)
    assert second != first
    assert set(Responder.objects.all()) == {first, second}
    due = due_at(first) + SECOND
    assert Responders().renew_due(due) == 1, "the other node renews its own"


def test_a_node_with_a_responders_key_needs_no_key_of_the_issuers(node, issuer, ca, now):
    made = node.of(known(issuer), now)
    lose_keys(ca, "issuer")
    assert Responders().of(known(issuer), now) == made


def test_and_says_so_when_it_cannot_renew_it(node, issuer, ca, now, caplog):
    made = node.of(known(issuer), now)
    lose_keys(ca, "issuer")
    due = due_at(made) + SECOND
    assert node.renew_due(due) == 0
    assert node.of(known(issuer), due) == made
    assert issuer.name in caplog.text


def test_a_node_without_any_key_cannot_answer_and_does_not_fill_the_log(node, issuer, ca, now, caplog):
    lose_keys(ca, "issuer")
    for _ in range(5):
        with pytest.raises(responders.NoResponder):
            node.of(known(issuer), now)
    assert caplog.text.count(issuer.name) == 1
    assert not Responder.objects.exists()


def test_one_that_has_ended_is_not_used(node, issuer, now):
    first = node.of(known(issuer), now)
    assert node.of(known(issuer), first.not_after - SECOND) == first
    assert node.of(known(issuer), first.not_after) != first


def test_nor_is_one_whose_time_has_not_come_because_the_clock_stepped_back(node, issuer, now):
    first = node.of(known(issuer), now)
    earlier = first.not_before - SECOND
    assert node.of(known(issuer), earlier).not_before <= earlier


def test_one_that_ends_with_its_issuer_is_not_renewed_again_and_again(node, issuer, now):
    late = issuer.not_after - timedelta(days=3)
    last = node.of(known(issuer), late)
    assert last.not_after == issuer.not_after
    assert node.renew_due(issuer.not_after - SECOND) == 0
    with pytest.raises(responders.IssuerEnded):
        node.of(known(issuer), issuer.not_after)


def test_one_that_ended_while_nobody_renewed_it_is_made_anew_once(node, issuer, now):
    first = node.of(known(issuer), now)
    later = first.not_after + DAY
    assert [each.renew_due(later) for each in (node, Responders())] == [1, 0]
    second = Responder.objects.latest("pk")
    assert second.not_before <= later < second.not_after
    with CaptureQueriesContext(connection) as queries:
        assert node.of(known(issuer), later) == second
    assert len(queries) == 0


def test_who_has_made_one_a_moment_before_is_not_followed_by_another(node, issuer, now, monkeypatch):
    """Between the look at what is missing and the turn to make it."""
    later = node.of(known(issuer), now).not_after + DAY
    alone, another = responders.alone, Responders()

    def late(what):
        monkeypatch.setattr(responders, "alone", alone)
        assert another.renew_due(later) == 1
        return alone(what)

    monkeypatch.setattr(responders, "alone", late)
    assert node.renew_due(later) == 0
    assert Responder.objects.count() == 2


def test_none_is_made_anew_for_an_issuer_that_ended_or_is_compromised(node, issuer, now):
    later = node.of(known(issuer), now).not_after + DAY
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    assert node.renew_due(later) == 0
    Issuer.objects.filter(pk=issuer.pk).update(state=Issuer.State.RETIRED, not_after=later)
    assert node.renew_due(later) == 0
    assert node.renew_due(later - SECOND) == 1


def test_a_node_that_cannot_make_it_anew_says_so_and_leaves_it_to_another(node, issuer, ca, now, caplog):
    both = [issuer, issuer.parent]
    later = max(node.of(known(each), now).not_after for each in both) + DAY
    (path,) = (ca / "keys").glob(f"{issuer.key_reference.removeprefix('file:')}*")
    key = path.read_bytes()
    path.unlink()
    keystore.cache_clear()
    assert [Responders().renew_due(later), Responders().renew_due(later)] == [1, 0]
    assert caplog.text.count(f"No key of {issuer} is on this node") == 1
    path.write_bytes(key)
    assert node.renew_due(later) == 1, "the node that has it"


@pytest.mark.parametrize("state", [Issuer.State.RETIRED, Issuer.State.COMPROMISED])
def test_an_issuer_that_issues_no_more_still_has_its_responder_renewed(node, issuer, now, state):
    first = node.of(known(issuer), now)
    authorities.change_state(issuer, state, TESTER, now, confirmed_name=issuer.name)
    assert node.renew_due(due_at(first) + SECOND) == 1


def test_where_answers_are_relied_on_for_long_responders_live_longer(node, issuer, now, settings):
    settings.PORTAL_OCSP_SECONDS = 7 * 86400
    made = node.of(known(issuer), now)
    assert made.not_after - due_at(made) >= WEEK


@pytest.mark.parametrize("spec", ["RSA-3072", "RSA-4096"])
def test_a_large_rsa_issuer_has_a_responder_that_signs_quickly(node, ca, now, spec):
    large = authorities.make_root("Large", spec, TESTER, now)
    assert node.of(known(large), now).certificate.public_key().key_size == 2048


def test_its_certificate_is_kept_as_it_was_signed(node, issuer, now):
    made = node.of(known(issuer), now)
    assert bytes(made.certificate_der) == made.certificate.public_bytes(Encoding.DER)
    made.certificate.verify_directly_issued_by(issuer.certificate)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("spec", ["P-256", "RSA-2048"])
def test_many_that_ask_at_once_make_one(ca, now, spec):
    issuer = known(authorities.make_root("Another Root", spec, TESTER, now))
    # A process each: threads of one share what it has in memory.
    outcomes = at_once(*(partial(Responders().of, issuer, now) for _ in range(6)))
    assert len(set(outcomes)) == 1
    assert Responder.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_that_renew_at_once_make_one(ca, now):
    issuer = known(Issuer.objects.get(parent__isnull=False))
    nodes = [Responders() for _ in range(6)]
    first = nodes[0].of(issuer, now)
    assert sum(at_once(*(partial(node.renew_due, due_at(first) + SECOND) for node in nodes))) == 1
    assert Responder.objects.count() == 2
