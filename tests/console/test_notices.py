"""Webhooks, notices and deliveries in the console: who may, what is said, and that no secret is shown."""

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.messages import get_messages

from pki.core import destinations
from pki.models import AuditEvent, Delivery, Notice, Webhook
from pki.services.telling import moments, notices, webhooks
from tests.console.browser import add, changelist, page
from tests.console.conftest import browser
from tests.services.cast import DAY, TESTER, everything
from tests.services.receivers import Receiver

DEEDS = ("edit", "test", "secret", "new_secret", "remove")


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings):
    settings.PORTAL_WEBHOOK_NETWORKS = destinations.networks("127.0.0.1")


@pytest.fixture
def receiver():
    with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def hook(ca, receiver, now):
    return webhooks.add("pager", receiver.url(path="/hook/secret-path"), [], TESTER, now)


def of_role(role):
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    return browser(user)


def filled(**fields):
    return {"name": "chat", "url": "https://chat.example/hook", "enabled": "on", "confirmed": "yes", **fields}


def told(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


# --- Their record ---------------------------------------------------------------------------------


def test_a_webhook_is_added_asked_first_and_on_record(ada, ca):
    assert ada.get(add(Webhook)).status_code == 200
    assert not Webhook.objects.exists()
    assert ada.post(add(Webhook), **filled(kinds=["campaign.stopped"])).status_code == 302
    made = Webhook.objects.get()
    assert (made.name, made.kinds, made.enabled) == ("chat", ["campaign.stopped"], True)
    assert AuditEvent.objects.get(kind="webhook.added").actor == "administrator:admin"


BAD = {
    "no name": {"name": ""},
    "a name that is too long": {"name": "x" * 65},
    "no URL": {"url": ""},
    "a URL of another scheme": {"url": "ftp://chat.example/"},
    "no URL at all": {"url": "chat"},
    "a script": {"url": "javascript:alert(1)"},
    "an address of the machine's own": {"url": "http://127.0.0.2/"},
    "a kind that there is not": {"kinds": ["nonsense"]},
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_a_bad_webhook_is_refused_in_words_and_not_stored(ada, ca, wrong):
    before = everything()
    assert ada.post(add(Webhook), **filled(**wrong)).status_code == 200
    assert everything() == before


def test_a_webhook_is_changed_and_disabled_and_the_form_shows_what_it_has(ada, hook):
    html = ada.get(page(hook, "edit")).content.decode()
    assert f'value="{hook.url}"' in html
    changed = filled(name="night pager", url=hook.url, enabled="")
    assert ada.post(page(hook, "edit"), **changed).status_code == 302
    hook.refresh_from_db()
    assert (hook.name, hook.enabled) == ("night pager", False)
    assert AuditEvent.objects.filter(kind="webhook.changed").exists()


def test_a_webhook_is_removed_with_its_deliveries_and_the_notices_stay(ada, hook, now):
    notices.tell("campaign.stopped", "It stopped.", now)
    assert ada.get(page(hook, "remove")).status_code == 200
    assert Webhook.objects.exists(), "asked first"
    gone = ada.post(page(hook, "remove"), confirmed="yes")
    assert gone["Location"] == changelist(Webhook)
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert Notice.objects.exists()
    assert ada.post(page(hook, "remove"), confirmed="yes").status_code < 500, "the second press"


# --- Its secret and its test ----------------------------------------------------------------------


def test_the_secret_is_shown_once_it_was_asked_for_and_no_cache_keeps_it(ada, hook):
    secret = webhooks.secret_of(hook)
    asked = ada.get(page(hook, "secret"))
    assert secret not in asked.content.decode()
    shown = ada.confirm(asked, page(hook, "secret"))
    assert secret in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    for url in (page(hook), page(hook, "edit"), changelist(Webhook)):
        assert secret not in ada.get(url).content.decode()
    seen = AuditEvent.objects.get(kind="webhook.secret_shown")
    assert (seen.actor, seen.detail["name"]) == ("administrator:admin", "pager")


def test_the_history_of_a_webhook_is_its_own_whatever_it_was_called(ada, hook, now):
    other = webhooks.add("chat", "https://chat.example/", [], TESTER, now)
    webhooks.change(other, TESTER, now, name="night chat")
    webhooks.change(hook, TESTER, now, name="chat")
    webhooks.show_secret(hook, TESTER, now)
    AuditEvent.objects.create(kind="campaign.started", at=now, actor="a", detail={"number": hook.pk})
    history = ada.get(page(hook, "history"))["Location"]
    shown = ada.get(history).context["cl"].result_list
    assert [(event.kind, event.detail["number"]) for event in shown] == [
        ("webhook.secret_shown", hook.pk),
        ("webhook.changed", hook.pk),
        ("webhook.added", hook.pk),
    ]


@pytest.mark.parametrize(
    "about", ["webhook-", "webhook", "webhook-x", "nothing-1", "-1", "webhook-" + "9" * 500]
)
def test_a_history_of_nothing_is_empty(ada, hook, about):
    answer = ada.get(changelist(AuditEvent), about=about)
    assert answer.status_code == 200
    assert not list(answer.context["cl"].result_list)


def test_a_new_secret_takes_the_place_of_the_one_before(ada, hook):
    before = webhooks.secret_of(hook)
    ada.post(page(hook, "new_secret"), confirmed="yes")
    assert webhooks.secret_of(Webhook.objects.get()) != before


@pytest.mark.parametrize("deed", ["edit", "secret", "new_secret", "remove"])
def test_what_tells_or_destroys_needs_a_recent_login(ada, hook, settings, deed):
    settings.PORTAL_RECENT_LOGIN_SECONDS = -1
    before = everything()
    asked = ada.post(page(hook, deed), **filled())
    assert "password_again" in asked.content.decode()
    assert webhooks.secret_of(hook) not in asked.content.decode()
    assert everything() == before


def test_a_test_says_whether_it_arrived(ada, hook, receiver):
    assert "It arrived: the answer was 2" in told(ada.post(page(hook, "test"), confirmed="yes"))
    assert Delivery.objects.get().state == "delivered"


def test_a_test_that_does_not_arrive_says_why(ada, ca, now):
    hook = webhooks.add("nobody", "http://127.0.0.1:9/", [], TESTER, now)
    assert "It did not arrive" in told(ada.post(page(hook, "test"), confirmed="yes"))


# --- Deliveries -----------------------------------------------------------------------------------


@pytest.fixture
def lost(hook, now):
    """A notice that was given up."""
    notice = notices.tell("campaign.stopped", "<script>alert(1)</script> stopped.", now, names=["a & b"])
    Delivery.objects.update(state="given up", attempts=7, error="It cannot be reached.", next_at=None)
    return notice.deliveries.get()


def test_a_delivery_is_tried_again_from_its_page_and_from_the_list(ada, lost):
    assert ada.get(page(lost, "try_again")).status_code == 200
    assert Delivery.objects.get().state == "given up", "asked first"
    assert "it arrived" in told(ada.post(page(lost, "try_again"), confirmed="yes"))
    assert Delivery.objects.get().state == "delivered"
    assert page(lost, "try_again") not in ada.get(page(lost)).content.decode()
    asked = ada.act(Delivery, "try_again_selected", lost)
    assert "arrived already" in told(ada.confirm(asked, changelist(Delivery)))


def test_the_pages_of_a_notice_and_its_delivery_tell_all_of_it_and_escape_it(ada, lost):
    for url in (page(lost.notice), page(lost), changelist(Notice), changelist(Delivery), page(lost.webhook)):
        html = ada.get(url).content.decode()
        assert "&lt;script&gt;alert(1)" in html, url
        assert "<script>alert(1)" not in html, url
    assert "a &amp; b" in ada.get(page(lost.notice)).content.decode()
    assert "It cannot be reached." in ada.get(page(lost)).content.decode()


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "webhook", "delivery"),
    [
        ("Viewer", 403, 403),
        ("Auditor", 403, 403),
        ("Operator", 403, 200),
        ("CA administrator", 200, 200),
    ],
)
def test_each_role_does_what_is_its_own_and_nothing_else(lost, role, webhook, delivery):
    person, hook = of_role(role), lost.webhook
    before = everything()
    shown = person.get(page(hook)).content.decode()
    for deed in DEEDS:
        assert (page(hook, deed) in shown) is (webhook == 200), deed
        assert person.get(page(hook, deed)).status_code == webhook, deed
        if webhook == 403:
            assert person.post(page(hook, deed), **filled()).status_code == 403, deed
    assert person.get(add(Webhook)).status_code == webhook
    assert (page(lost, "try_again") in person.get(page(lost)).content.decode()) is (delivery == 200)
    assert person.get(page(lost, "try_again")).status_code == delivery
    if delivery == 403:
        assert person.post(page(lost, "try_again"), confirmed="yes").status_code == 403
    # A receiver's path is a secret of many services.
    assert ("secret-path" in shown) is (webhook == 200)
    assert "secret-path" not in person.get(changelist(Webhook)).content.decode()
    assert everything() == before


def test_no_get_does_anything_and_neither_does_a_page_of_somebody_else(ada, unprotected, lost):
    before = everything()
    urls = [page(lost.webhook, deed) for deed in DEEDS] + [page(lost, "try_again"), add(Webhook)]
    for url in urls:
        assert ada.get(url, **filled()).status_code == 200, url
        assert unprotected.post(url, **filled()).status_code == 403, url
    assert everything() == before


def test_the_page_of_a_notice_says_when_it_happened_and_when_it_was_told(ada, ca, now):
    first, last = now - DAY, now - DAY / 2
    spoken = {"first_at": moments.written(first), "last_at": moments.written(last)}
    html = ada.get(page(notices.tell("certificate.revoked", "Revoked.", now, 2, **spoken))).content.decode()
    for at in (first, last, now):
        assert f'<time datetime="{moments.written(at)}"' in html
    assert "First at" not in html
    assert "<dt>Told</dt>" in html
    html = ada.get(page(notices.tell("certificate.expiring", "Ends.", now))).content.decode()
    assert html.count(f'<time datetime="{moments.written(now)}"') == 1
    assert "<dt>Told</dt>" not in html
