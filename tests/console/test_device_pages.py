"""A device's page tells its whole story, and offers exactly what this user may do in this state."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import segno
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from pki.admin.fleet import token_pages
from pki.admin.fleet.device_filters import LabelFilter
from pki.core import pins
from pki.core.errors import Refusal
from pki.models import (
    AuditEvent,
    Certificate,
    Device,
    DeviceGroup,
    EnrollmentToken,
    Issuer,
    LastSeen,
    TrustBundle,
)
from pki.services.enrolling import tokens
from pki.services.fleet import devices, labels, rotation
from pki.services.fleet.sightings import Sighting
from pki.services.issuing import succession
from pki.services.looking import standings
from pki.services.proving import status
from pki.services.renewing import refusals, renewal
from pki.services.revoking import revocation
from pki.templatetags.console import colons
from tests.console.browser import ONE_TOKEN, add, changelist, page
from tests.console.conftest import browser, staff
from tests.console.test_deeds import events, state_of, told
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.campaigns.cast import condemn
from tests.services.cast import TESTER, Gadget, change_state, everything, issue, registered, token_for
from tests.upkeep import bundled


def seen(device, certificate, at, address="192.0.2.7", **more):
    LastSeen.objects.create(
        device=device, certificate=certificate, at=at, address=address, tls_version="TLSv1.3", **more
    )


def refuse(secret, now):
    """Another device tries with this token."""
    with pytest.raises(Refusal):
        Gadget("gate-1").enroll(secret, now)


def text(response):
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


# --- What it tells --------------------------------------------------------------------------------


def test_the_page_shows_the_certificate_by_its_fingerprint_and_its_pin(ada, world):
    shown = ada.get(page(world.door)).content.decode()
    fingerprint = world.certificate.fingerprint.upper()
    assert ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)) in shown
    assert pins.spki_pin(world.certificate.parsed.public_key()) in shown
    assert world.certificate.spki_sha256 in shown


@pytest.mark.parametrize(
    ("behind", "words"),
    [
        (None, "never fetched on the secure listener"),
        (0, "version {}"),
        (1, "version {} not the current one"),
    ],
)
def test_the_page_shows_which_trust_bundle_the_device_has(ada, world, now, behind, words):
    newest = bundled(now, version=5).version
    has = newest - behind if behind is not None else None
    seen(world.door, world.certificate, now, bundle_version=has)
    shown = text(ada.get(page(world.door)))
    assert f"Trust bundle {words.format(has)}" in shown
    assert ("Trust bundle version" in shown) is (has is not None)
    assert ("not the current one" in shown) is (behind == 1)


@pytest.mark.parametrize("which", [the_root, the_issuing], ids=["root", "issuing CA"])
def test_the_page_says_that_its_certificate_is_refused_and_leads_to_a_new_token(ada, ca, now, which):
    door = registered("door-1", now)
    first = issue(door, now)
    issue(door, now)
    shown = text(ada.get(page(door)))
    assert "Renews between" in shown
    assert "Its certificate is refused" not in shown
    condemn(which(), Issuer.State.COMPROMISED, now)
    response = ada.get(page(door))
    shown = text(response)
    assert "Its certificate is refused: " in shown
    assert f"{which()}" in response.context["refused"]
    assert response.context["refused"].endswith("is compromised")
    assert f'<a href="{page(door, "new_token")}">new token</a>' in response.content.decode()
    assert "Renews between" not in shown
    assert response.context["earlier"] == [
        (first, standings.of(Certificate.objects.get(pk=first.pk), now).word)
    ]


def test_of_a_device_with_a_good_certificate_that_one_is_shown_and_the_refused_one_below(ada, ca, now):
    door = registered("door-1", now)
    good = issue(door, now)
    spare = succession.make_next(the_issuing(), "P-256", TESTER, now)
    Device.objects.update(issuer=spare)
    refused = issue(Device.objects.get(), now)
    condemn(spare, Issuer.State.COMPROMISED, now)
    response = ada.get(page(door))
    assert response.context["current"] == good
    assert response.context["earlier"] == [(refused, "issuer compromised")]
    assert "Its certificate is refused" not in text(response)


def test_who_makes_no_tokens_is_told_that_it_needs_one_without_a_link(viewer, ca, now):
    door = registered("door-1", now)
    issue(door, now)
    condemn(the_issuing(), Issuer.State.COMPROMISED, now)
    response = viewer.get(page(door))
    assert "It needs a new token, and enrolls again." in text(response)
    assert page(door, "new_token") not in response.content.decode()


def test_the_page_of_the_newest_trust_bundle_says_how_many_have_it(ada, world, now):
    newest = TrustBundle.objects.latest("version")
    assert "Have it 0 active devices" in text(ada.get(page(newest)))
    seen(world.door, world.certificate, now, bundle_version=newest.version)
    seen(world.gate, world.other, now)
    shown = text(ada.get(page(newest)))
    assert "Have it 1 active device Have an older one 0 Fetched none yet 1" in shown


def test_the_page_shows_earlier_certificates_tokens_requests_groups_and_labels(ada, world, now):
    refuse(world.secret, now)
    context = ada.get(page(world.door)).context
    assert context["current"] == world.certificate
    assert {standing for _, standing in context["earlier"]} == {"revoked: superseded", "expired"}
    assert [(token, life) for token, life in context["tokens"]] == [(world.token, "usable")]
    assert [request.state for request in context["requests"]] == ["refused"]
    shown = text(ada.get(page(world.door)))
    for words in ("group berlin", "site=berlin", "active"):
        assert words in shown


def test_a_device_that_was_seen_is_shown_with_when_where_and_how(ada, world, now):
    seen(world.door, world.doomed, now)
    shown = text(ada.get(page(world.door)))
    for words in ("192.0.2.7", "TLSv1.3", f"{now:%Y-%m-%d %H:%M} UTC", "not the current one"):
        assert words in shown


def test_what_happened_is_told_in_words_the_newest_first(ada, world, now):
    refuse(world.secret, now)
    told = [f"{each.words} {each.by}" for each in ada.get(page(world.door)).context["timeline"]]
    registered = told.index("Registered with the profile device by shell:test")
    assert told.index("Certificate revoked (superseded) by shell:test") < registered
    assert told[-1].startswith("Certificate issued"), "sixty days ago, though it was recorded later"
    assert any(words.startswith("Enrollment refused (") and "from 192.0.2.7" in words for words in told)


def test_a_refused_renewal_is_told_with_its_code_and_why(ada, world, now, monkeypatch):
    monkeypatch.setattr(refusals, "REFUSED_RENEWALS", refusals.RefusedRenewalLog())
    shown = status.standing(world.certificate.fingerprint, now)
    refusal = renewal.SameKeyRefused("The key was certified before; make a new one.")
    refusals.note(shown, refusal, "192.0.2.7", now)
    told = [each for each in ada.get(page(world.door)).context["timeline"] if "Renewal" in each.words]
    assert [(each.words, each.tone) for each in told] == [
        ("Renewal refused (same_key_refused): The key was certified before; make a new one.", "bad")
    ]


def test_an_event_tells_who_did_it_from_where(ada, world, now):
    ada.confirm(ada.get(page(world.door, "suspend")), page(world.door, "suspend"))
    first = ada.get(page(world.door)).context["timeline"][0]
    assert (first.words, first.by) == (
        "Suspended: refused until resumed",
        "by administrator:admin from 127.0.0.1",
    )


def test_every_kind_of_event_of_a_device_has_words_of_its_own(ada, world):
    for event in AuditEvent.objects.exclude(device=None):
        (line,) = [
            each for each in ada.get(page(event.device)).context["timeline"] if each.event.pk == event.pk
        ]
        assert event.kind not in line.words, event.kind


EMPTY = {
    "a new device": (lambda now: registered("new", now), "make a token"),
    "a suspended one": (
        lambda now: change_state(registered("new", now), "suspended", now),
        "resume it before",
    ),
    "a retired one": (lambda now: change_state(registered("new", now), "retired", now), "it is retired"),
    "one with a revoked certificate": (
        lambda now: revocation.revoke([issue(registered("new", now), now)], "superseded", TESTER, now),
        "and enroll it again",
    ),
}


@pytest.mark.parametrize(("scene", "words"), EMPTY.values(), ids=EMPTY)
def test_a_device_without_a_certificate_is_told_what_to_do_next(ada, now, scene, words):
    scene(now)
    assert words in text(ada.get(page(devices.find("new")))).lower()


def test_a_page_costs_the_same_number_of_queries_however_long_the_story(ada, world, now):
    def queries(device):
        with CaptureQueriesContext(connection) as asked:
            ada.get(page(device))
        return len(asked)

    few = queries(world.door)
    for number in range(60):
        issue(world.door, now - timedelta(seconds=number))
        token_for(world.door, now)
    labels.set_labels(world.door, [f"l{number}" for number in range(60)], TESTER, now)
    assert queries(world.door) == few
    context = ada.get(page(world.door)).context
    assert len(context["earlier"]) == len(context["timeline"]) == 50
    assert f"device__id__exact={world.door.pk}" in context["more_certificates"]
    assert ada.get(context["more_certificates"]).status_code == 200


def test_somebody_who_may_see_devices_alone_sees_nothing_else_of_them(world):
    shown = browser(staff("bob", "view_device")).get(page(world.door))
    assert shown.status_code == 200
    for part in ("current", "earlier", "tokens", "requests"):
        assert part not in shown.context
    assert colons(world.certificate.fingerprint) not in shown.content.decode()


# --- Its buttons ----------------------------------------------------------------------------------

# Path → who may, by the permission besides view_device; what came of it; its kind of event.
DEEDS = {
    "new-token": (["add_enrollmenttoken"], ONE_TOKEN, lambda door: door.tokens.count() == 2, "token.made"),
    "rotate": (
        ["add_enrollmenttoken", "change_device"],
        ONE_TOKEN,
        lambda door: door.rotation_requested_at is not None,
        "rotation.requested",
    ),
    "suspend": (["change_device"], {}, lambda door: door.state == "suspended", "device.suspended"),
    "retire": (["change_device"], {}, lambda door: door.state == "retired", "device.retired"),
    "revoke": (
        ["add_revocation"],
        {"reason": "superseded"},
        lambda door: not revocation.living(door, door.created_at).exists(),
        "certificate.revoked",
    ),
}
of_each_deed = pytest.mark.parametrize(
    ("path", "permissions", "filled", "done", "kind"),
    [(path, *deed) for path, deed in DEEDS.items()],
    ids=DEEDS,
)


@of_each_deed
def test_a_button_asks_first_and_then_does_it_and_it_is_on_record(
    ada, world, path, permissions, filled, done, kind
):
    url = page(world.door, path)
    assert url in ada.get(page(world.door)).content.decode()
    before = everything()
    asked = ada.get(url)
    assert asked.status_code == 200
    assert everything() == before
    ada.confirm(asked, url, **filled)
    assert done(Device.objects.get(pk=world.door.pk))
    assert events(kind).filter(device=world.door).exists()


@of_each_deed
def test_a_button_is_for_those_who_may_by_url_as_well(world, path, permissions, filled, done, kind):
    url = page(world.door, path)
    for number, missing in enumerate(permissions):
        rest = [each for each in permissions if each != missing]
        person = browser(staff(f"bob-{number}", "view_device", *rest))
        assert url not in person.get(page(world.door)).content.decode()
        before = everything()
        assert person.get(url).status_code == 403
        assert person.post(url, confirmed="yes", once="one", **filled).status_code == 403
        assert everything() == before
    person = browser(staff("alice", "view_device", *permissions))
    assert url in person.get(page(world.door)).content.decode()
    assert person.get(url).status_code == 200


@of_each_deed
def test_a_button_does_nothing_by_get_nor_for_a_page_of_somebody_else(
    ada, unprotected, stranger, world, path, permissions, filled, done, kind
):
    url = page(world.door, path)
    before = everything()
    ada.get(url, confirmed="yes", once="one", **filled)
    assert unprotected.post(url, confirmed="yes", once="one", **filled).status_code == 403
    assert stranger.post(url, confirmed="yes", once="one", **filled).status_code == 302
    assert everything() == before
    missing = page(Device(pk=999999), path)
    assert ada.post(missing, confirmed="yes", once="one", **filled).status_code == 404


def buttons(person, device):
    return {button["words"] for button in person.get(page(device)).context["buttons"]}


def test_the_buttons_fit_the_state(ada, world, now):
    assert buttons(ada, world.door) == {
        "New token",
        "Rotate now",
        "Suspend",
        "Retire",
        "Revoke all",
        "Edit",
    }
    assert buttons(ada, devices.find("suspended-1")) == {"Resume", "Retire", "Revoke all", "Edit"}
    assert buttons(ada, devices.find("retired-1")) == {"Revoke all", "Edit"}
    rotation.request(world.door, TESTER, now)
    assert "Cancel the rotation" in buttons(ada, world.door)
    assert "Rotate now" not in buttons(ada, world.door)


def test_who_may_only_look_has_no_button(viewer, world):
    assert buttons(viewer, world.door) == set()


def test_a_suspended_device_is_resumed_by_its_button(ada, world):
    idle = devices.find("suspended-1")
    answered = ada.confirm(ada.get(page(idle, "resume")), page(idle, "resume"))
    assert answered["Location"] == page(idle)
    assert state_of(idle) == "active"


def test_who_suspends_is_told_what_will_stop(ada, world, now):
    seen(world.door, world.certificate, now - timedelta(minutes=2))
    assert "It was last seen 2 minutes ago" in text(ada.get(page(world.door, "suspend")))
    many = ada.act(Device, "retire_selected", world.door, world.gate)
    assert "1 of these 2 devices were seen within a day, the last of them door-1" in text(many)
    assert "never seen" in text(ada.get(page(world.gate, "suspend")))


@pytest.mark.parametrize("path", ["suspend", "retire", "revoke"])
def test_what_destroys_asks_for_the_password_again_when_the_login_is_old(ada, world, path):
    session = ada.client.session
    session["proved_at"] = 0
    session.save()
    url = page(world.door, path)
    before = everything()
    again = ada.confirm(ada.get(url), url, reason="superseded", password_again="wrong")
    assert "This is not your password" in text(again)
    unchanged = everything()
    assert unchanged["pki.Device"] == before["pki.Device"]
    assert unchanged["pki.Revocation"] == before["pki.Revocation"]


# --- Tokens ---------------------------------------------------------------------------------------


def make_token(person, device, **filled):
    url = page(device, "new-token")
    return person.confirm(person.get(url), url, **{**ONE_TOKEN, **filled})


@pytest.mark.parametrize(("hours", "uses"), [("1", "1"), ("24", "2"), ("168", "1000")])
def test_a_token_lives_and_is_used_as_was_chosen(ada, world, hours, uses):
    token = make_token(ada, world.gate, hours=hours, uses=uses).context["token"]
    assert token.expires_at - token.created_at == timedelta(hours=int(hours))
    assert token.uses_allowed == int(uses)


@pytest.mark.parametrize(
    "filled", [{"hours": "8760"}, {"hours": ""}, {"uses": "0"}, {"uses": "x"}, {"once": ""}]
)
def test_a_token_that_cannot_be_is_asked_for_again(ada, world, filled):
    before = EnrollmentToken.objects.count()
    assert make_token(ada, world.gate, **filled).status_code == 200
    assert EnrollmentToken.objects.count() == before


def test_a_reload_neither_shows_a_token_again_nor_makes_another(ada, world):
    url = page(world.gate, "new-token")
    asked = ada.get(url)
    secret = ada.confirm(asked, url, **ONE_TOKEN).context["secret"]
    before = EnrollmentToken.objects.count()
    again = ada.confirm(asked, url, **ONE_TOKEN)
    assert again.status_code == 302
    assert "done already" in told(again)
    assert secret not in again.content.decode()
    assert EnrollmentToken.objects.count() == before


def test_a_device_that_may_not_enroll_gets_no_token(ada, world):
    for name in ("suspended-1", "retired-1"):
        refused = make_token(ada, devices.find(name), uses="47")
        assert refused.status_code == 200
        assert f"is {name.removesuffix('-1')}" in refused.content.decode()
        assert 'value="47"' in refused.content.decode(), "and the form is as it was filled in"
    assert not EnrollmentToken.objects.filter(device__state__in=["suspended", "retired"]).exists()


def test_a_form_that_was_refused_may_be_sent_again_when_the_reason_is_gone(ada, world, now):
    device = devices.find("suspended-1")
    url = page(device, "new-token")
    refused = ada.confirm(ada.get(url), url, **ONE_TOKEN)
    assert not EnrollmentToken.objects.filter(device=device).exists()
    change_state(device, "active", now)
    assert ada.confirm(refused, url, **ONE_TOKEN).context["secret"]
    assert EnrollmentToken.objects.filter(device=device).count() == 1


def test_the_qr_code_holds_what_a_device_needs(ada, world, now, monkeypatch, settings):
    drawn, make = [], segno.make
    monkeypatch.setattr(segno, "make", lambda content, **how: drawn.append(content) or make(content, **how))
    shown = make_token(ada, world.gate)
    (content,) = map(json.loads, drawn)
    assert content["hatchery"] == 1
    assert content["device"] == "gate-1"
    assert content["token"] == shown.context["secret"]
    assert content["url"].endswith(f":{settings.PORTAL_PORT_PROVISIONING}/sign-csr")
    root = world.issuer.parent
    assert content["ca_sha256"] == root.fingerprint
    assert content["ca_url"].endswith(f"/ca/{root.key_identifier}.crt")
    drawing = shown.content.decode().partition("<svg")[2].partition("</svg>")[0]
    assert drawing
    assert "style=" not in drawing
    assert "<script" not in drawing


def test_the_page_of_a_new_token_has_the_agents_settings_to_copy(ada, world, settings):
    settings.PORTAL_HOSTNAMES = ["hatchery.example"]
    settings.PORTAL_PORT_SECURE, settings.PORTAL_PORT_PROVISIONING = 9444, 9445
    shown = make_token(ada, world.gate).content.decode()
    lines = re.search(r'<pre [^>]*id="agent-conf">(.*?)</pre>', shown, re.DOTALL)[1]
    conf = dict(line.split("=", 1) for line in lines.splitlines())
    example = (Path(__file__).parents[2] / "examples" / "agent" / "agent.conf").read_text()
    defaults = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert conf.keys() == defaults.keys()
    assert all(conf[name] == defaults[name] for name in ("folder", "token_file"))
    root = world.issuer.parent
    assert conf["name"] == "gate-1"
    assert (conf["url"], conf["enroll_url"]) == (
        "https://hatchery.example:9444",
        "https://hatchery.example:9445",
    )
    assert conf["ca_url"].endswith(f"/ca/{root.key_identifier}.crt")
    assert conf["ca_sha256"] == root.fingerprint


def test_the_ready_lines_name_a_device_with_a_plus_as_openssl_wants_it(ada, world, now):
    shown = make_token(ada, registered("a+b", now)).content.decode()
    assert "/CN=a\\+b&quot;" in shown or '/CN=a\\+b"' in shown


def test_many_devices_get_new_tokens_as_a_csv_once(ada, world, now):
    idle = registered("lamp-9", now)
    asked = ada.act(Device, "new_tokens_selected", idle, world.gate)
    shown = ada.confirm(asked, changelist(Device), hours="1")
    assert "no-store" in shown["Cache-Control"]
    lines = shown.context["sheet"].split("\r\n")
    assert lines[0] == "name,token,expires"
    assert [line.split(",")[0] for line in lines[1:-1]] == ["gate-1", "lamp-9"]
    secret = lines[2].split(",")[1]
    assert Gadget("lamp-9").enroll(secret, now).certificate.device == idle
    before = EnrollmentToken.objects.count()
    assert ada.confirm(asked, changelist(Device), hours="1").status_code == 302
    assert EnrollmentToken.objects.count() == before
    assert secret not in str(everything())


def test_new_tokens_of_a_retired_device_are_refused_and_of_all_chosen_with_it(ada, world):
    asked = ada.act(Device, "new_tokens_selected", world.gate, devices.find("retired-1"))
    before = EnrollmentToken.objects.count()
    assert "retired-1 is retired" in told(ada.confirm(asked, changelist(Device), hours="1"))
    assert EnrollmentToken.objects.count() == before


# --- What is refused ------------------------------------------------------------------------------

WORDS = {
    "active": ("Let it call /secure", None),
    "suspended": ("refused until it is resumed", "until the device is resumed"),
    "retired": ("never will be", "for good: the device is retired"),
}


@pytest.mark.parametrize(("state", "words"), WORDS.items(), ids=WORDS)
def test_a_device_that_is_refused_is_shown_so(ada, world, now, state, words):
    never_seen, of_its_certificate = words
    if state != "active":
        change_state(world.door, state, now)
    shown = text(ada.get(page(world.door)))
    assert never_seen in shown
    assert ("Refused wherever it is shown" in shown) == (of_its_certificate is not None)
    assert of_its_certificate is None or of_its_certificate in shown
    assert ("/secure" in shown) == (state == "active")


# --- Rotation -------------------------------------------------------------------------------------


def test_a_rotation_shows_its_progress_until_the_new_certificate_is_seen(ada, world, now):
    url = page(world.gate, "rotate")
    shown = ada.confirm(ada.get(url), url, **ONE_TOKEN)
    assert "stays good" in text(shown)
    assert "Waiting for the device to ask" in text(ada.get(page(world.gate)))
    world.gate.refresh_from_db()
    later = world.gate.rotation_requested_at + timedelta(seconds=1)
    new = Gadget("gate-1").enroll(shown.context["secret"], later).certificate
    assert "Waiting to be seen with it" in text(ada.get(page(world.gate)))
    rotation.complete([Sighting(world.gate.pk, new.pk, later, None, "TLSv1.3")])
    done = text(ada.get(page(world.gate)))
    assert "Rotation under way" not in done
    assert "Rotation done" in done


def test_a_rotation_is_called_off_by_its_button(ada, world, now):
    rotation.request(world.door, TESTER, now)
    url = page(world.door, "cancel-rotation")
    assert "called off" in told(ada.confirm(ada.get(url), url))
    assert Device.objects.get(pk=world.door.pk).rotation_requested_at is None


def test_a_device_without_a_certificate_cannot_rotate_and_gets_no_token(ada, world, now):
    bare = registered("bare", now)
    url = page(bare, "rotate")
    assert "no certificate that stands" in told(ada.confirm(ada.get(url), url, **ONE_TOKEN))
    assert not bare.tokens.exists()


# --- The list -------------------------------------------------------------------------------------


def listed(person, **query):
    return {device.name for device in person.get(changelist(Device), **query).context["cl"].result_list}


def test_the_list_is_narrowed_by_every_filter(ada, world, now):
    seen(world.door, world.certificate, now - timedelta(days=8))
    rotation.request(world.gate, TESTER, now)
    everyone = set(Device.objects.values_list("name", flat=True))
    for query, expected in {
        ("group", "berlin"): {"door-1"},
        ("group", "unknown"): set(),
        ("label", "site=berlin"): {"door-1"},
        ("label", "site"): set(),
        ("seen", "never"): everyone - {"door-1"},
        ("seen", "7"): {"door-1"},
        ("seen", "30"): set(),
        ("rotating", "yes"): {"gate-1"},
        ("state__exact", "retired"): {"retired-1"},
        ("q", "door"): {"door-1"},
        ("q", "site=b"): {"door-1"},
        ("q", "site=b gate"): set(),
        ("q", "oor"): set(),
    }.items():
        assert listed(ada, **dict([query])) == expected, query


def test_a_list_costs_the_same_number_of_queries_however_many_rows(ada, world, now):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            ada.get(changelist(Device))
        return len(asked), [each["sql"] for each in asked if "COUNT(" in each["sql"].upper()]

    few = queries()
    for number in range(40):
        device = registered(f"bulb-{number}", now)
        labels.set_labels(device, [f"l{number}"], TESTER, now)
        labels.join(Device.objects.filter(pk=device.pk), world.group, TESTER, now)
    assert queries() == few
    assert few[1] == []


def test_of_many_labels_fifty_are_offered_and_the_others_are_typed(ada, world, now):
    labels.set_labels(world.gate, [f"l{number:03}" for number in range(80)], TESTER, now)
    shown = ada.get(changelist(Device), label="l079", state__exact="active")
    html = shown.content.decode()
    (spec,) = [spec for spec in shown.context["cl"].filter_specs if isinstance(spec, LabelFilter)]
    assert len(spec.lookup_choices) == 51
    assert 'id="filter-label"' in html
    assert '<input type="hidden" name="state__exact" value="active">' in html
    assert {device.name for device in shown.context["cl"].result_list} == {"gate-1"}


SORTED = {
    "label_selected": {"labels": "beta, site=x"},
    "unlabel_selected": {"labels": "site=berlin"},
    "join_selected": {},
    "leave_selected": {},
}


@pytest.mark.parametrize(("action", "filled"), SORTED.items(), ids=SORTED)
def test_many_are_sorted_by_who_may_change_them_and_on_record(ada, viewer, world, action, filled):
    filled = filled or {"group": str(world.group.pk)}
    rows = [world.door, world.gate]
    before = everything()
    viewer.act(Device, action, *rows, confirmed="yes", **filled)
    ada.act(Device, action, *rows)
    assert everything() == before
    ada.confirm(ada.act(Device, action, *rows), changelist(Device), **filled)
    kind = "device.labelled" if "label" in action else "device.grouped"
    assert events(kind).exists()
    assert everything() != before


@pytest.mark.parametrize("bad", ["", ",", "a b", "<b>", "ä"])
def test_bad_labels_ask_again(ada, world, bad):
    before = everything()
    asked = ada.act(Device, "label_selected", world.door)
    assert ada.confirm(asked, changelist(Device), labels=bad).status_code == 200
    assert everything() == before


def test_a_name_of_a_device_is_never_a_token(world, now):
    """What a token page's CSV holds beside the name is nothing that was stored."""
    handed = tokens.make_each([world.gate], TESTER, now)
    assert token_pages.sheet_of(handed)["sheet"].splitlines()[1].startswith("gate-1,hatch_")


# --- The roles ------------------------------------------------------------------------------------

OPERATES = {"Viewer": False, "Auditor": False, "Operator": True, "CA administrator": True}


@pytest.mark.parametrize(("role", "may"), OPERATES.items(), ids=OPERATES)
def test_operators_work_with_devices_and_others_look(world, role, may):
    person = staff("bob")
    person.groups.add(Group.objects.get(name=role))
    bob = browser(person)
    assert bool(buttons(bob, world.door)) is may
    urls = [page(world.door, path) for path in (*DEEDS, "edit")]
    urls += [page(world.group, path) for path in ("suspend", "resume", "retire", "new-tokens", "edit")]
    urls += [reverse("admin:pki_device_register_many"), add(Device), add(DeviceGroup)]
    for url in urls:
        assert bob.get(url).status_code == (200 if may else 403), url
    for url in (page(world.door), page(world.group), changelist(Device), changelist(DeviceGroup)):
        assert bob.get(url).status_code == 200, url
