"""The forms of the console: what they take, what they refuse at which field, and what is put on record."""

from datetime import timedelta
from html import unescape

import pytest

from pki.admin.fleet.device_forms import DeviceForm
from pki.models import AuditEvent, Device, DeviceGroup, Profile
from pki.services.enrolling import enrollment
from pki.services.fleet import devices
from pki.services.issuing import authorities
from pki.services.trusting import bundle, published_roots
from tests.clients import make_csr
from tests.console.browser import add, changelist, page
from tests.services.cast import ADDRESS, SECOND, TESTER, everything, registered


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


def profile():
    return devices.default_profile()


def events(kind):
    return AuditEvent.objects.filter(kind=kind, actor="administrator:admin")


# --- Devices --------------------------------------------------------------------------------------


def form(**fields):
    """The form of a device as a browser sends it."""
    empty = dict.fromkeys(("O", "OU", "L", "ST", "C", "sans", "labels"), "")
    return {"name": "lock-1", "profile": str(profile().pk), **empty, **fields}


def edit(device):
    return page(device, "edit")


def test_a_device_is_registered_with_its_names_and_on_record(ada, door):
    group = DeviceGroup.objects.create(name="berlin")
    posted = form(
        O="Example",
        C="DE",
        sans="dns:lock.example\r\n\r\n IP:10.0.0.7 ",
        labels="site=berlin, beta",
        groups=[str(group.pk)],
    )
    assert ada.post(add(Device), **posted).status_code == 302
    lock = Device.objects.get(name="lock-1")
    assert (lock.subject, lock.sans) == ({"O": "Example", "C": "DE"}, ["DNS:lock.example", "IP:10.0.0.7"])
    assert {label.name for label in lock.labels.all()} == {"site=berlin", "beta"}
    assert [each.name for each in lock.groups.all()] == ["berlin"]
    assert events("device.registered").get().device == lock
    assert events("device.labelled").get().detail == {"added": ["beta", "site=berlin"]}
    assert events("device.grouped").get().detail == {"added": ["berlin"]}


def test_a_device_needs_no_more_than_a_name(ada, door):
    assert ada.post(add(Device), name="lock-1", profile=str(profile().pk)).status_code == 302
    assert Device.objects.filter(name="lock-1").exists()


def test_who_has_registered_a_device_is_shown_its_page(ada, door):
    response = ada.post(add(Device), **form())
    assert response["Location"] == page(Device.objects.get(name="lock-1"))


BAD = {
    "a blank in its name": ("name", "lock 1"),
    "no name": ("name", ""),
    "a name that is too long": ("name", "l" * 65),
    "a name that is taken": ("name", "door-1"),
    "a name with a line break": ("name", "lock-1\nlock-2"),
    "a name with a NUL": ("name", "lock\0"),
    "a script": ("name", "<script>"),
    "no profile": ("profile", ""),
    "a profile that there is not": ("profile", "999999"),
    "a group that there is not": ("groups", "999999"),
    "a country of three letters": ("C", "DEU"),
    "a country in small letters": ("C", "de"),
    "an organization that is too long": ("O", "o" * 65),
    "a NUL in the subject": ("O", "a\0b"),
    "a bell in the subject": ("OU", "a\ab"),
    "a SAN without a kind": ("sans", "lock.example"),
    "a SAN that is no address": ("sans", "IP:300.0.0.1"),
    "a SAN that is no name": ("sans", "DNS:lock example"),
    "SANs on one line": ("sans", "DNS:lock.example, DNS:lock-2.example"),
    "a label with a blank": ("labels", "site berlin"),
    "a label that is too long": ("labels", "l" * 65),
    "a label that is no ASCII": ("labels", "straße"),
}


@pytest.mark.parametrize(("field", "value"), BAD.values(), ids=BAD)
def test_a_bad_device_shows_an_error_at_its_field_and_is_not_registered(ada, door, field, value):
    before = everything()
    response = ada.post(add(Device), **form(**{field: value}))
    assert response.status_code == 200
    assert set(response.context["adminform"].form.errors) == {field}
    assert everything() == before


def test_a_devices_names_are_amended_on_record(ada, door):
    response = ada.post(edit(door), **form(sans="DNS:door.example"))
    assert response.status_code == 302
    door.refresh_from_db()
    assert door.sans == ["DNS:door.example"]
    assert events("device.amended").get().detail["changed"] == ["sans"]


def test_an_amendment_takes_off_what_was_taken_off_on_record(ada, door, now):
    ada.post(edit(door), **form(labels="beta, site=berlin", O="Example"))
    ada.post(edit(door), **form(labels="beta"))
    door.refresh_from_db()
    assert (door.subject, [label.name for label in door.labels.all()]) == ({}, ["beta"])
    assert events("device.labelled").order_by("pk").last().detail == {"removed": ["site=berlin"]}
    assert events("device.amended").order_by("pk").last().detail == {"changed": ["subject"]}


def test_saving_a_device_unchanged_puts_nothing_on_record(ada, door):
    ada.post(edit(door), **form(O="Example", sans="DNS:a.example", labels="beta"))
    before = AuditEvent.objects.count()
    html = ada.get(edit(door)).content.decode()
    assert 'value="Example"' in html
    assert ada.post(edit(door), **form(O="Example", sans="DNS:a.example", labels="beta")).status_code == 302
    assert AuditEvent.objects.count() == before


def test_a_bad_amendment_shows_an_error(ada, door):
    before = everything()
    response = ada.post(edit(door), **form(sans="nonsense"))
    assert set(response.context["adminform"].form.errors) == {"sans"}
    assert everything() == before


def test_who_may_only_look_registers_and_amends_nothing(viewer, door):
    before = everything()
    assert viewer.get(add(Device)).status_code == 403
    assert viewer.get(edit(door)).status_code == 403
    assert viewer.post(add(Device), **form()).status_code == 403
    assert viewer.post(edit(door), **form(sans="DNS:x")).status_code == 403
    assert viewer.post(page(profile()), enrollment_policy="open").status_code == 403
    assert everything() == before


def test_a_page_of_somebody_else_registers_and_opens_nothing(unprotected, door):
    before = everything()
    assert unprotected.post(add(Device), **form()).status_code == 403
    assert unprotected.post(page(profile()), **profile_form(profile())).status_code == 403
    assert everything() == before


# --- Profiles -------------------------------------------------------------------------------------


def profile_form(profile, **fields):
    return {
        "name": profile.name,
        "issuer": str(profile.issuer_id),
        "enrollment_policy": "open",
        "knows_open": "on",
        "lifetime_seconds_number": "36",
        "lifetime_seconds_unit": "hours",
        "key_kinds": ["P-256"],
        "extended_key_usages": ["clientAuth"],
        "subject_from_request": [],
        "sans_from_request": [],
        "supersede_after_minutes_number": "",
        "supersede_after_minutes_unit": "minutes",
        "grace_hours_number": "0",
        "grace_hours_unit": "hours",
        "warn_days": "30, 7, 1",
        **fields,
    }


def test_a_profile_that_is_opened_is_on_record_and_said_at_once(ada, door):
    assert ada.post(page(profile()), **profile_form(profile())).status_code == 302
    event = events("profile.saved").get()
    assert event.detail["enrollment_policy"] == "open"
    assert "enrollment_policy" in event.detail["changed"]
    assert "OPEN ENROLLMENT: device" in ada.get(changelist(Profile)).content.decode()
    answer = enrollment.enroll(make_csr("kiosk-1"), None, ADDRESS, door.created_at)
    assert answer.certificate.device.name == "kiosk-1"


def test_a_profile_is_made_with_what_was_ticked(ada, door):
    posted = profile_form(
        profile(),
        name="gateway",
        enrollment_policy="approval",
        key_kinds=["P-256", "Ed25519"],
        extended_key_usages=["clientAuth", "serverAuth"],
        subject_from_request=["O"],
        sans_from_request=["DNS", "IP"],
    )
    assert ada.post(add(Profile), **posted).status_code == 302
    made = Profile.objects.get(name="gateway")
    assert made.lifetime == timedelta(hours=36)
    assert (made.key_kinds, made.extended_key_usages) == (["P-256", "Ed25519"], ["clientAuth", "serverAuth"])
    assert (made.subject_from_request, made.sans_from_request) == (["O"], ["DNS", "IP"])
    assert made.rules.lifetime == made.lifetime, "it is a profile that issuance understands"


SPANS = ("lifetime_seconds", "supersede_after_minutes", "grace_hours")


def spans(shown):
    """What a browser sends of the fields that are a number and a unit."""
    sent = {}
    for name in SPANS:
        number, unit = shown.fields[name].widget.decompress(shown.initial[name])
        sent |= {f"{name}_number": "" if number is None else str(number), f"{name}_unit": unit}
    return sent


@pytest.mark.parametrize("seconds", [86_400, 90_000, 2_592_000, 5_400, 305])
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(ada, door, seconds):
    Profile.objects.filter(pk=profile().pk).update(lifetime_seconds=seconds)
    before = Profile.objects.filter(pk=profile().pk).values().get()
    shown = ada.get(page(profile())).context["adminform"].form
    posted = profile_form(
        profile(),
        **{name: shown.initial[name] for name in shown.fields.keys() - {*SPANS, "knows_open", "warn_days"}},
        **spans(shown),
        warn_days=shown["warn_days"].value(),
    )
    assert ada.post(page(profile()), **posted).status_code == 302
    assert Profile.objects.filter(pk=profile().pk).values().get() == before
    assert events("profile.saved").get().detail.get("changed", []) == []


@pytest.mark.parametrize("field", ["subject_from_request", "sans_from_request"])
def test_a_csr_may_be_left_no_choice(ada, door, field):
    Profile.objects.filter(pk=profile().pk).update(**{field: ["O"] if "subject" in field else ["DNS"]})
    assert ada.post(page(profile()), **profile_form(profile())).status_code == 302
    assert getattr(Profile.objects.get(pk=profile().pk), field) == []


BAD_PROFILES = {
    "a key kind that is not certified": {"key_kinds": ["P-521"]},
    "no key kind": {"key_kinds": []},
    "a usage that there is not": {"extended_key_usages": ["codeSigning"]},
    "no usage": {"extended_key_usages": []},
    "a CN from the request": {"subject_from_request": ["CN"]},
    "a SAN kind that there is not": {"sans_from_request": ["FAX"]},
    "a policy that there is not": {"enrollment_policy": "nonsense"},
    "a life of a second": {"lifetime_seconds_number": "1", "lifetime_seconds_unit": "seconds"},
    "a life of nothing": {"lifetime_seconds_number": "0"},
    "a life of a century": {"lifetime_seconds_number": "36500", "lifetime_seconds_unit": "days"},
    "a life that no database holds": {"lifetime_seconds_number": "9" * 30},
    "a life in words": {"lifetime_seconds_number": "long"},
    "a life in a unit that there is not": {"lifetime_seconds_unit": "moons"},
    "no life": {"lifetime_seconds_number": ""},
    "a name with a blank": {"name": "my device"},
    "two years until it is superseded": {
        "supersede_after_minutes_number": "732",
        "supersede_after_minutes_unit": "days",
    },
    "less than no time until it is superseded": {"supersede_after_minutes_number": "-1"},
    "superseded after a number without a unit": {
        "supersede_after_minutes_number": "5",
        "supersede_after_minutes_unit": "",
    },
    "a grace in words": {"grace_hours_number": "a while"},
    "a grace in seconds": {"grace_hours_number": "1", "grace_hours_unit": "seconds"},
    "a grace of two years": {"grace_hours_number": "732", "grace_hours_unit": "days"},
    "warned in words": {"warn_days": "soon"},
    "warned after the end": {"warn_days": "30, -1"},
    "warned on the day itself": {"warn_days": "0"},
    "warned years ahead": {"warn_days": "367"},
    "warned every day": {"warn_days": ", ".join(map(str, range(1, 12)))},
    "warned in digits that are no numbers": {"warn_days": "²"},
}


@pytest.mark.parametrize("fields", BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_bad_profile_shows_an_error_at_its_field(ada, door, fields):
    before = Profile.objects.filter(pk=profile().pk).values().get()
    response = ada.post(page(profile()), **profile_form(profile(), **fields))
    (field,) = {name.replace("_number", "").replace("_unit", "") for name in fields}
    assert set(response.context["adminform"].form.errors) == {field}
    assert Profile.objects.filter(pk=profile().pk).values().get() == before


def test_how_a_profile_renews_is_stored_told_in_words_and_on_record(ada, door):
    renewal = {
        "renew_same_key": "on",
        "supersede_after_minutes_number": "2",
        "supersede_after_minutes_unit": "hours",
        "grace_hours_number": "3",
        "grace_hours_unit": "days",
        "warn_days": "1 14,5, 14",
    }
    posted = profile_form(profile(), enrollment_policy="token", **renewal)
    assert ada.post(page(profile()), **posted).status_code == 302
    stored = profile()
    assert (stored.renew_same_key, stored.supersede_after_minutes) == (True, 120)
    assert (stored.grace_hours, stored.warn_days) == (72, [14, 5, 1])
    html = ada.get(page(profile())).content.decode()
    for said in (
        "with a new key or with the one that it has",
        "superseded 2 hours after the new one is first seen",
        "it may still renew for 3 days",
        "warned 14, 5 and 1 days before",
        'value="14, 5, 1"',
    ):
        assert said in html, said
    detail = events("profile.saved").get().detail
    assert {*renewal} - {"warn_days"} != set(detail["changed"]), "fields, and not parts of them"
    assert "grace_hours: 0 → 72" in detail["values"]
    assert "supersede_after_minutes: None → 120" in detail["values"]
    assert "warn_days: [30, 7, 1] → [14, 5, 1]" in detail["values"]


def test_a_profile_whose_fields_of_renewal_are_left_empty_does_none_of_it(ada, door):
    Profile.objects.update(supersede_after_minutes=5, grace_hours=1, renew_same_key=True)
    empty = {"grace_hours_number": "", "warn_days": ""}
    assert ada.post(page(profile()), **profile_form(profile(), **empty)).status_code == 302
    stored = profile()
    assert (stored.supersede_after_minutes, stored.grace_hours, stored.warn_days) == (None, 0, [])
    assert stored.renew_same_key is False
    html = ada.get(page(profile())).content.decode()
    for said in ("it needs a new token", "Nobody is warned", "stays good until it ends"):
        assert said in html, said


def test_the_page_of_an_open_profile_warns_and_a_closed_one_does_not(ada, door):
    warning = "This profile is open"
    assert warning not in ada.get(page(profile())).content.decode()
    ada.post(page(profile()), **profile_form(profile()))
    assert warning in ada.get(page(profile())).content.decode()


@pytest.mark.parametrize("name", ["device", "server"])
def test_a_profile_that_hatchery_goes_by_keeps_its_name(ada, door, name):
    """Strangers' enrollment goes by `device` and the listeners' own certificates by `server`."""
    profile = Profile.objects.get(name=name)
    ada.post(page(profile), **profile_form(profile, name="renamed", enrollment_policy="token"))
    assert Profile.objects.filter(name=name).exists()


def test_a_name_that_is_taken_while_the_form_is_sent_is_told_at_its_field(ada, door, monkeypatch):
    """The form finds the name free, and then another administrator is quicker."""
    monkeypatch.setattr(DeviceForm, "validate_unique", lambda form: monkeypatch.undo())
    response = ada.post(add(Device), **form(name="door-1", O="Typed"))
    assert set(response.context["adminform"].form.errors) == {"name"}
    assert 'value="Typed"' in response.content.decode()


def test_the_listeners_profile_gets_no_issuer_of_which_devices_were_not_told(ada, now):
    later = authorities.make_root("Later Root", "P-256", TESTER, now)
    issuing = authorities.make_subordinate("Later Issuing", later, "P-256", TESTER, now)
    bundle.publish_due(now)
    server = Profile.objects.get(name="server")
    form = profile_form(
        server, issuer=str(issuing.pk), enrollment_policy="token", extended_key_usages=["serverAuth"]
    )
    said = ada.post(page(server), **form)
    assert "No trust bundle names Later Root yet" in unescape(said.content.decode())
    assert Profile.objects.get(name="server").issuer == server.issuer
    published_roots.publish(later, TESTER, now)
    bundle.publish_due(now + SECOND)
    assert ada.post(page(server), **form).status_code == 302
    assert Profile.objects.get(name="server").issuer == issuing
