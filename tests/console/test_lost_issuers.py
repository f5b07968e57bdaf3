"""After an issuer was declared compromised: what the dashboard and its page say, and where that leads."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse

from pki.models import CrossCertificate, Device, Issuer, Profile
from pki.services.issuing import listener_certificates, succession
from pki.services.looking import lost_issuers, shut_out
from pki.services.revoking import revocation
from tests.console.browser import page
from tests.console.conftest import browser, staff
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.campaigns.cast import condemn
from tests.services.cast import DAY, SECOND, TESTER, change_state, everything, issue, registered

LOST = Issuer.State.COMPROMISED
ROLES = ("Viewer", "Operator", "CA administrator", "Auditor")
NEXT = {"key": "P-256", "name": "", "once": "one", "confirmed": "yes"}


@pytest.fixture(autouse=True)
def _somebody_is_told(settings):
    settings.PORTAL_MAIL_IS_SET_UP = True


def text_of(response):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def of_role(role):
    user = staff(f"a-{role}")
    user.groups.add(Group.objects.get(name=role))
    return browser(user)


def lost_warnings(person):
    """Those of the dashboard that tell of a lost issuer: sentence, address, its words."""
    warnings = person.get(reverse("admin:index")).context["warnings"]
    told = [each for each in warnings if "compromised" in each.sentence]
    assert all(each.level == "danger" for each in told)
    return [(each.sentence, each.link, each.action) for each in told]


def give(profile, issuer):
    Profile.objects.filter(name=profile).update(issuer=issuer)


def test_as_long_as_nothing_is_lost_nothing_is_said(ada, ca):
    assert lost_warnings(ada) == []
    html = ada.get(page(the_issuing())).content.decode()
    assert "What is to be done" not in html


@pytest.mark.parametrize("which", [the_root, the_issuing], ids=["root", "issuing CA"])
def test_the_dashboard_names_the_profiles_and_the_listeners_and_leads_to_the_deed(ada, ca, now, which):
    lost = which()
    condemn(lost, LOST, now)
    device, server = lost_warnings(ada)
    assert device[0].startswith(f"The profile device signs with {the_issuing()}. ")
    assert "Our own listeners (hello, secure) get their certificates" in server[0]
    for sentence, link, words in (device, server):
        assert f"{lost}" in sentence
        assert (link, words) == (page(lost, "next"), f"Make the next issuer after {lost}")
    made = succession.make_next(lost, "P-256", TESTER, now)
    able = made.subordinates.get() if made.is_root else made
    for profile, (_, link, words) in zip(("device", "server"), lost_warnings(ada), strict=True):
        assert link == page(Profile.objects.get(name=profile))
        assert words == f"Give the profile {profile} {able}"
        assert ada.get(link).status_code == 200


def test_listeners_are_named_until_they_show_others(ada, ca, now, settings):
    condemn(the_issuing(), LOST, now)
    made = succession.make_next(the_issuing(), "P-256", TESTER, now)
    give("device", made)
    give("server", made)
    ((sentence, link, _),) = lost_warnings(ada)
    assert "The listeners hello, secure show certificates" in sentence
    assert ada.get(link).status_code == 200
    listener_certificates.renew_due(["hello", "secure"], ["localhost"], TESTER, now + SECOND)
    assert lost_warnings(ada) == []


@pytest.mark.parametrize("which", [the_root, the_issuing], ids=["root", "issuing CA"])
def test_the_dashboard_is_red_until_the_last_device_is_enrolled_again(ada, ca, now, which):
    lost = which()
    again, spent = registered("again", now), registered("spent", now)
    issue(again, now)
    revocation.revoke([issue(spent, now)], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    condemn(lost, LOST, now)
    made = succession.make_next(lost, "P-256", TESTER, now)
    able = made.subordinates.get() if made.is_root else made
    give("device", able)
    give("server", able)
    listener_certificates.renew_due(["hello", "secure"], ["localhost"], TESTER, now + SECOND)
    ((sentence, link, words),) = lost_warnings(ada)
    assert sentence.startswith(
        f"{lost} is compromised, and devices whose certificates hang on it are shut out"
    )
    assert (link, words) == (page(lost), "See what is to be done")
    issue(Device.objects.get(pk=again.pk), now + SECOND)
    assert lost_warnings(ada) == []


def test_of_two_that_are_compromised_in_a_line_the_upper_one_is_named(ca, now):
    issue(registered("door-1", now), now)
    assert list(shut_out.by_issuer(now)) == []
    condemn(the_issuing(), LOST, now)
    assert list(shut_out.by_issuer(now)) == [the_issuing()]
    condemn(the_root(), LOST, now)
    assert list(shut_out.by_issuer(now)) == [the_root()]


def test_the_last_step_leads_to_the_devices_that_are_left(ada, ca, now):
    for name in ("left", "again", "never-enrolled"):
        registered(name, now)
    for name in ("left", "again"):
        issue(Device.objects.get(name=name), now)
    condemn(the_issuing(), LOST, now)
    made = succession.make_next(the_issuing(), "P-256", TESTER, now)
    give("device", made)
    issue(Device.objects.get(name="again"), now)
    step = ada.get(page(the_issuing())).context["steps"][-1]
    listed = ada.get(step.link).context["cl"].result_list
    assert [device.name for device in listed] == ["left"]


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_who_is_not_active_is_not_shut_out_by_a_compromise(ca, now, state):
    device = registered("door-1", now)
    certificate = issue(device, now)
    condemn(the_issuing(), LOST, now)
    assert list(shut_out.devices(now)) == [device]
    assert list(shut_out.devices(certificate.not_after + SECOND)) == []
    change_state(device, state, now)
    assert list(shut_out.devices(now)) == []


def test_as_long_as_nothing_is_lost_no_device_is_asked_after(ca, now, django_assert_num_queries):
    with django_assert_num_queries(1) as asked:
        assert list(shut_out.devices(now)) == []
    assert "pki_device" not in asked.captured_queries[0]["sql"]
    with django_assert_num_queries(1) as asked:
        assert list(shut_out.by_issuer(now)) == []
    assert "pki_device" not in asked.captured_queries[0]["sql"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_warned_and_led_to_a_page_that_it_may_see(ca, now, role):
    condemn(the_root(), LOST, now)
    person = of_role(role)
    for _, link, _ in lost_warnings(person):
        assert person.get(link).status_code == 200
    condemned = page(the_root())
    steps = person.get(condemned).context["steps"]
    assert steps
    for step in steps:
        assert person.get(step.link).status_code == 200
    assert (page(the_root(), "next") in person.get(condemned).content.decode()) is (
        role == "CA administrator"
    )


def test_a_lost_roots_page_says_all_that_is_left_to_do(ada, ca, now):
    root = the_root()
    condemn(root, LOST, now)
    said = text_of(ada.get(page(root)))
    assert f"{root} is compromised: all that it signed is refused." in said
    assert "Nothing takes its place yet." in said
    assert "Move its devices" not in said, "a campaign cannot help"
    made = succession.make_next(root, "P-256", TESTER, now)
    said = text_of(ada.get(page(root)))
    assert "Nothing takes its place yet." not in said
    assert f"need the root {made}" in said
    assert "each needs a new token" in said


def test_a_ca_below_a_lost_root_says_whose_fault_it_is_and_has_no_next_of_its_own(ada, ca, now):
    root, issuing = the_root(), the_issuing()
    condemn(root, LOST, now)
    response = ada.get(page(issuing))
    assert f"{root}, above {issuing}, is compromised: all that it signed is refused." in text_of(response)
    html = response.content.decode()
    assert page(issuing, "next") not in html
    assert page(root, "next") in html
    before = everything()
    assert ada.post(page(issuing, "next"), **NEXT).status_code == 200
    assert everything() == before


def test_a_next_root_after_a_compromise_is_made_with_no_way_from_or_to_the_lost_one(ada, ca, now):
    root = the_root()
    condemn(root, LOST, now)
    asked = text_of(ada.get(page(root, "next")))
    assert "This one stays refused." in asked
    assert "no certificate leads from the compromised one to it or back" in asked
    assert "certifies the other" not in asked
    assert (
        f"A new CA is made below it for each that was not retired below this one: {the_issuing()}." in asked
    )
    ada.post(page(root, "next"), **NEXT)
    made = Issuer.objects.get(predecessor=root)
    assert made.is_root
    assert not CrossCertificate.objects.exists()
    assert made.subordinates.get().predecessor == the_issuing()


def test_a_next_issuing_ca_after_a_compromise_says_that_devices_enroll_again(ada, ca, now):
    condemn(the_issuing(), LOST, now)
    asked = text_of(ada.get(page(the_issuing(), "next")))
    assert "devices enroll again" in asked
    assert "start a campaign" not in asked
    ada.post(page(the_issuing(), "next"), **NEXT)
    assert Issuer.objects.get(predecessor=the_issuing()).parent == the_root()


def test_a_retired_issuer_has_no_next_one_and_can_be_taken_back(ada, ca, now):
    condemn(the_issuing(), Issuer.State.RETIRED, now)
    assert page(the_issuing(), "next") not in ada.get(page(the_issuing())).content.decode()


def test_who_declares_it_is_told_what_is_known_and_what_is_a_guess(ada, ca, now):
    asked = text_of(ada.get(page(the_issuing(), "compromised")))
    assert "No device has good certificates of it alone." in asked
    assert "that show a certificate of it on this node: hello, secure." in asked
    assert "Its page says then what is to be done" in asked


def test_who_declares_a_root_is_told_who_refuses_our_servers_then(ada, ca, now):
    door = registered("door-1", now)
    issue(door, now)
    asked = text_of(ada.get(page(the_root(), "compromised")))
    assert "As far as known: 1 device has not fetched a trust bundle with another root." in asked
    assert "refuse our servers until" in asked
    assert "As far as known" not in text_of(ada.get(page(the_issuing(), "compromised")))


def test_nobody_is_told_to_hand_out_a_lost_root(ada, ca, now):
    assert "Give the PEM to those who are to trust" in text_of(ada.get(page(the_root())))
    condemn(the_root(), LOST, now)
    assert "Give the PEM" not in text_of(ada.get(page(the_root())))


def test_who_takes_back_a_ca_below_a_lost_root_is_told_that_it_stays_refused(ada, ca, now):
    issuing = the_issuing()
    condemn(issuing, Issuer.State.RETIRED, now)
    assert "It signs again, under every profile" in text_of(ada.get(page(issuing, "activate")))
    condemn(the_root(), LOST, now)
    asked = text_of(ada.get(page(issuing, "activate")))
    assert f"{the_root()}, above {issuing}, is compromised: it can be taken back, and stays refused" in asked
    assert "It signs again" not in asked


# --- What takes its place -------------------------------------------------------------------------


def test_what_replaces_a_replacement_replaces_what_was_before(ca, now):
    root = the_root()
    condemn(root, LOST, now)
    second = succession.make_next(root, "P-256", TESTER, now)
    condemn(second, LOST, now)
    assert lost_issuers.replacement(root, now) is None
    third = succession.make_next(second, "P-256", TESTER, now)
    assert lost_issuers.replacement(root, now) == third
    ((profile, loss), _) = lost_issuers.profiles(now)
    assert (profile.name, loss.by, loss.next) == ("device", root, third.subordinates.get())


def test_a_ca_that_was_compromised_before_its_root_is_replaced_with_it(ca, now):
    condemn(the_issuing(), LOST, now)
    condemn(the_root(), LOST, now)
    made = succession.make_next(the_root(), "P-256", TESTER, now)
    assert made.subordinates.get().predecessor == the_issuing()


def test_a_ca_whose_replacement_is_lost_gets_another_one(ca, now):
    root, issuing = the_root(), the_issuing()
    second = succession.make_next(root, "P-256", TESTER, now)
    assert succession.to_be_replaced_below(root, now) == [], "it has one"
    condemn(second, LOST, now)
    third = succession.make_next(root, "P-256", TESTER, now)
    assert third.subordinates.get().predecessor == issuing


def test_one_that_ended_or_was_retired_takes_nobodys_place(ca, now):
    condemn(the_issuing(), LOST, now)
    made = succession.make_next(the_issuing(), "P-256", TESTER, now)
    assert lost_issuers.replacement(the_issuing(), now) == made
    assert lost_issuers.replacement(the_issuing(), made.not_after + DAY) is None
    condemn(made, Issuer.State.RETIRED, now)
    assert lost_issuers.replacement(the_issuing(), now) is None
    assert lost_issuers.of(made, now) is None
