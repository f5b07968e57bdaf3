"""Webhooks: what may be one, and that its secret is nowhere to be read."""

import json

import pytest

from pki.core import destinations
from pki.core.destinations import DestinationRefused
from pki.models import AuditEvent, Delivery, Notice, Webhook
from pki.services.telling import notices, webhooks
from pki.services.telling.webhooks import WebhookExists, WebhookRefused, WebhookUnknown
from tests.services.cast import TESTER, at_once, everything

pytestmark = pytest.mark.django_db

URL = "https://hooks.example/services/T0/secret-path"


@pytest.fixture
def hook(now):
    return webhooks.add("ops", URL, ["certificate.revoked"], TESTER, now)


def test_it_is_kept_as_it_was_given(hook, now):
    kept = Webhook.objects.get()
    assert (kept.name, kept.url, kept.kinds, kept.enabled) == ("ops", URL, ["certificate.revoked"], True)
    assert (kept.created_by, kept.created_at) == (TESTER.name, now)


def test_every_change_is_in_the_audit_trail_without_what_may_be_secret(hook, now, caplog):
    webhooks.change(hook, TESTER, now, url=f"{URL}-2", enabled=False)
    webhooks.renew_secret(hook, TESTER, now)
    secret = webhooks.show_secret(hook, TESTER, now)
    webhooks.remove(hook, TESTER, now)
    events = list(AuditEvent.objects.order_by("pk"))
    deeds = ["added", "changed", "secret_renewed", "secret_shown", "removed"]
    assert [event.kind for event in events] == [f"webhook.{deed}" for deed in deeds]
    assert {event.detail["number"] for event in events} == {hook.pk}
    assert {(event.actor, event.detail["name"]) for event in events} == {(TESTER.name, "ops")}
    assert secret.removeprefix("whsec_") not in str(everything()) + caplog.text
    trail = json.dumps(list(AuditEvent.objects.values_list("detail", flat=True)))
    assert "hooks.example" in trail
    assert "secret-path" not in trail + caplog.text
    assert hook.secret_salt not in trail + caplog.text


def test_its_secret_is_stored_nowhere(hook):
    secret = webhooks.secret_of(hook)
    assert secret.startswith("whsec_")
    assert secret.removeprefix("whsec_") not in str(everything())


def test_two_have_two_secrets_and_one_has_always_the_same(hook, now):
    other = webhooks.add("other", URL, [], TESTER, now)
    assert webhooks.secret_of(hook) != webhooks.secret_of(other)
    assert webhooks.secret_of(hook) == webhooks.secret_of(Webhook.objects.get(pk=hook.pk))


def test_a_renewed_secret_is_another(hook, now):
    before = webhooks.secret_of(hook)
    assert webhooks.secret_of(webhooks.renew_secret(hook, TESTER, now)) != before
    assert webhooks.secret_of(Webhook.objects.get()) != before


def test_another_secret_key_gives_another_secret(hook, settings):
    before = webhooks.secret_of(hook)
    settings.SECRET_KEY = "another-one" * 8
    assert webhooks.secret_of(hook) != before


def test_a_name_is_given_once(hook, now):
    with pytest.raises(WebhookExists):
        webhooks.add("ops", URL, [], TESTER, now)


@pytest.mark.django_db(transaction=True)
def test_a_change_to_a_name_that_is_taken_changes_nothing(now):
    one = webhooks.add("one", URL, [], TESTER, now)
    webhooks.add("two", URL, [], TESTER, now)
    before = everything()
    with pytest.raises(WebhookExists):
        webhooks.change(one, TESTER, now, name="two", enabled=False)
    assert everything() == before


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x00b"])
def test_a_name_that_is_none_is_refused(name, now):
    with pytest.raises(WebhookRefused):
        webhooks.add(name, URL, [], TESTER, now)


def test_a_kind_that_is_none_is_refused(now):
    with pytest.raises(WebhookRefused, match=r"nothing\.happened"):
        webhooks.add("ops", URL, ["nothing.happened"], TESTER, now)


@pytest.mark.parametrize(
    "url", ["http://hooks.example/", "https://10.0.0.1/", "https://[::1]/", "https://u:p@hooks.example/", "x"]
)
def test_a_url_that_leads_nowhere_good_is_refused_at_once(url, now):
    with pytest.raises(DestinationRefused):
        webhooks.add("ops", url, [], TESTER, now)
    assert not Webhook.objects.exists()


def test_allowed_networks_may_be_named_without_tls(now, settings):
    settings.PORTAL_WEBHOOK_NETWORKS = destinations.networks("10.0.0.0/8")
    assert webhooks.add("ops", "http://10.0.0.1/", [], TESTER, now).pk
    with pytest.raises(DestinationRefused):
        webhooks.add("other", "http://192.168.0.1/", [], TESTER, now)


def test_one_that_is_removed_takes_its_log_with_it(hook, now):
    notice = notices.tell("certificate.revoked", "Something happened.", now)
    webhooks.remove(hook, TESTER, now)
    assert not Delivery.objects.exists()
    assert AuditEvent.objects.get(kind="webhook.removed").detail["unsent"] == 1
    notice.refresh_from_db()  # it happened all the same


@pytest.mark.django_db(transaction=True)
def test_one_that_is_removed_while_somebody_tells_it_leaves_nothing_behind(now):
    hook = webhooks.add("ops", URL, [], TESTER, now)

    def tell():
        return notices.tell("certificate.revoked", "Something happened.", now)

    at_once(tell, tell, lambda: webhooks.remove(hook, TESTER, now), tell, tell)
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert Notice.objects.count() == 4


def test_one_that_is_gone_cannot_be_changed(hook, now):
    webhooks.remove(hook, TESTER, now)
    hook.pk = 1
    for deed in (webhooks.change, webhooks.remove, webhooks.renew_secret, webhooks.send_test):
        with pytest.raises(WebhookUnknown):
            deed(hook, TESTER, now)
