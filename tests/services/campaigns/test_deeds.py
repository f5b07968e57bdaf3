"""What can be done with a campaign in which state; drafting one; that only the selected are found."""

from datetime import timedelta

import pytest

from pki.core.errors import Refusal
from pki.models import AuditEvent, Campaign, CampaignMember, Device, DeviceGroup, Issuer, Label, Revocation
from pki.services.revoking import revocation
from pki.services.rotating import campaigns, drafting, selection
from pki.services.rotating.campaigns import Plan
from pki.services.rotating.selection import Selection
from tests.services.campaigns.cast import Fleet, condemn, drafted, old_issuer, state_of, whole
from tests.services.cast import DAY, TESTER, at_once, change_state, everything

S = Campaign.State
ISSUER, KEY = Campaign.Kind.ISSUER, Campaign.Kind.KEY

# Each state and each deed: what it leads to, or the code of the refusal.
NO = "campaign_state"
DEEDS = ("start", "open_to_all", "pause", "go_on", "roll_back", "finish", "cancel")
TABLE = {
    S.DRAFT: (S.CANARY, NO, NO, NO, NO, NO, S.CANCELLED),
    S.CANARY: (NO, S.OPEN, S.PAUSED, NO, S.ROLLING_BACK, NO, S.CANCELLED),
    S.OPEN: (NO, NO, S.PAUSED, NO, S.ROLLING_BACK, S.FINISHED, S.CANCELLED),
    S.PAUSED: (NO, NO, NO, S.OPEN, S.ROLLING_BACK, S.FINISHED, S.CANCELLED),
    S.STOPPED: (NO, NO, NO, S.OPEN, S.ROLLING_BACK, S.FINISHED, S.CANCELLED),
    S.ROLLING_BACK: (NO, NO, NO, NO, NO, S.ROLLED_BACK, NO),
    S.ROLLED_BACK: (NO,) * 7,
    S.FINISHED: (NO,) * 7,
    S.CANCELLED: (NO,) * 7,
}
CASES = [
    (state, deed, outcome)
    for state, outcomes in TABLE.items()
    for deed, outcome in zip(DEEDS, outcomes, strict=True)
]
KINDS = {
    "start": "started",
    "open_to_all": "opened",
    "pause": "paused",
    "go_on": "resumed",
    "roll_back": "rolling_back",
    "cancel": "cancelled",
}


@pytest.fixture
def fleet(ca, now):
    return Fleet.of(3, now)


@pytest.fixture
def campaign(fleet, target):
    return drafted(fleet, Selection(from_issuer=old_issuer()), target, canary_percent=5)


def put(campaign, state, now):
    """A campaign as it is in a state."""
    began = None if state == S.DRAFT else now
    Campaign.objects.filter(pk=campaign.pk).update(
        state=state,
        started_at=began,
        stepped_at=began,
        window_from=began,
        resume_state=S.OPEN if state in (S.PAUSED, S.STOPPED) else "",
    )
    campaign.refresh_from_db()


def test_the_table_is_complete():
    assert set(TABLE) == set(S.values)
    assert set(DEEDS) == set(campaigns.ALLOWED)


@pytest.mark.parametrize(("state", "deed", "outcome"), CASES, ids=[f"{s}-{d}" for s, d, _ in CASES])
def test_a_deed_is_done_or_refused_by_the_state(campaign, now, state, deed, outcome):
    put(campaign, state, now)
    assert campaigns.can(campaign, deed) == (outcome != NO)
    before = everything()
    if outcome == NO:
        with pytest.raises(campaigns.WrongState) as refused:
            getattr(campaigns, deed)(campaign, TESTER, now)
        assert refused.value.code == NO
        assert str(state) in refused.value.detail
        assert everything() == before
        return
    getattr(campaigns, deed)(campaign, TESTER, now)
    assert campaign.state == outcome == state_of(campaign)
    kind = KINDS.get(deed) or ("rolled_back" if outcome == S.ROLLED_BACK else "finished")
    event = AuditEvent.objects.latest("pk")
    assert (event.kind, event.actor, event.detail["campaign"]) == (f"campaign.{kind}", TESTER.name, "spring")


@pytest.mark.django_db(transaction=True)
def test_of_many_who_press_the_same_button_one_does_it(campaign, now):
    outcomes = at_once(*[lambda: campaigns.start(Campaign.objects.get(), TESTER, now)] * 6)
    assert sorted(isinstance(each, campaigns.WrongState) for each in outcomes) == [False] + [True] * 5
    assert AuditEvent.objects.filter(kind="campaign.started").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_deeds_at_once_each_is_done_in_turn_or_refused(campaign, now):
    campaigns.start(campaign, TESTER, now)
    deeds = [campaigns.pause, campaigns.roll_back, campaigns.cancel, campaigns.open_to_all]
    at_once(*[lambda deed=deed: deed(Campaign.objects.get(), TESTER, now) for deed in deeds])
    state = state_of(campaign)
    assert state in (S.PAUSED, S.ROLLING_BACK, S.CANCELLED)
    last = AuditEvent.objects.filter(kind__startswith="campaign.").latest("pk").kind
    assert last.removeprefix("campaign.").replace("_", " ") == state


# --- Drafting -------------------------------------------------------------------------------------

UNFIT = {
    "no name": (drafting.CampaignUnfit, {"name": "  "}),
    "a long name": (drafting.CampaignUnfit, {"name": "n" * 65}),
    "a name with a line break": (drafting.CampaignUnfit, {"name": "a\nb"}),
    "a name twice": (drafting.CampaignExists, {"name": "taken"}),
    "no condition": (drafting.CampaignUnfit, {"chosen": lambda: Selection()}),
    "too many canaries": (drafting.CampaignUnfit, {"canary_percent": 51}),
    "canaries below 0": (drafting.CampaignUnfit, {"canary_percent": -1}),
    "too long a watch": (drafting.CampaignUnfit, {"canary_seconds": 30 * 86_400 + 1}),
    "too long a window": (drafting.CampaignUnfit, {"window_seconds": 366 * 86_400 + 1}),
    "a window below 0": (drafting.CampaignUnfit, {"window_seconds": -1}),
    "a share above all": (drafting.CampaignUnfit, {"failures_percent": 101}),
    "no target": (drafting.TargetUnfit, {"to_issuer": lambda: None}),
    "the same issuer": (drafting.TargetUnfit, {"to_issuer": old_issuer}),
    "a root": (drafting.TargetUnfit, {"to_issuer": lambda: old_issuer().parent}),
    "a target for keys": (drafting.TargetUnfit, {"kind": KEY}),
    "nobody in it": (
        drafting.NothingSelected,
        {"chosen": lambda: Selection(group=DeviceGroup.objects.get())},
    ),
}


def draft(fleet, target, **changes):
    to = changes.pop("to_issuer", lambda: target)()
    chosen = changes.pop("chosen", lambda: Selection(from_issuer=old_issuer()))()
    name, kind = changes.pop("name", "autumn"), changes.pop("kind", ISSUER)
    return campaigns.draft(name, kind, chosen, Plan(to_issuer=to, **whole(**changes)), TESTER, fleet.now)


@pytest.mark.parametrize(("refusal", "changes"), UNFIT.values(), ids=UNFIT)
def test_what_is_unfit_is_refused_and_nothing_is_stored(fleet, target, refusal, changes):
    DeviceGroup.objects.create(name="empty")
    draft(fleet, target, name="taken")
    before = everything()
    with pytest.raises(refusal) as refused:
        draft(fleet, target, **dict(changes))
    assert everything() == before
    assert refused.value.detail.endswith(".")


@pytest.mark.parametrize("state", [Issuer.State.RETIRED, Issuer.State.COMPROMISED])
@pytest.mark.parametrize("whose", ["its own", "its root's"])
def test_a_target_that_cannot_sign_for_a_fleet_is_refused(fleet, target, state, whose):
    condemn(target if whose == "its own" else target.parent, state, fleet.now)
    if (whose, state) == ("its root's", Issuer.State.RETIRED):
        assert draft(fleet, target)  # a retired root signs no new CA; what it signed stands
        return
    with pytest.raises(drafting.TargetUnfit):
        draft(fleet, target)


def test_a_target_that_ends_within_a_day_is_refused(fleet, target):
    fleet.now = target.not_after - timedelta(hours=23)
    with pytest.raises(drafting.TargetUnfit):
        drafting.require_fit_target(target, fleet.now)
    drafting.require_fit_target(target, target.not_after - timedelta(hours=25))


def test_a_draft_whose_target_was_retired_meanwhile_does_not_start(fleet, target, campaign):
    condemn(target, Issuer.State.RETIRED, fleet.now)
    before = everything()
    with pytest.raises(drafting.TargetUnfit):
        campaigns.start(campaign, TESTER, fleet.now)
    assert everything() == before


def test_a_selection_that_another_campaign_leads_as_a_whole_is_refused(fleet, target, campaign):
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step()
    with pytest.raises(drafting.NothingSelected, match="Another campaign"):
        draft(fleet, target)


def test_the_edges_of_all_ranges_are_allowed(fleet, target):
    most = {**drafting.MOST}
    assert draft(fleet, target, **most)
    least = dict.fromkeys(drafting.MOST, 0)
    assert draft(fleet, target, name="least", **least)


def test_every_refusal_has_a_code_of_its_own():
    refusals = [
        campaigns.WrongState,
        campaigns.RollBackImpossible,
        drafting.CampaignUnfit,
        drafting.CampaignExists,
        drafting.TargetUnfit,
        drafting.NothingSelected,
    ]
    codes = [each.code for each in refusals]
    assert len(set(codes)) == len(codes)
    assert Refusal.code not in codes


# --- Selecting ------------------------------------------------------------------------------------


def found(fleet, **conditions):
    return set(selection.matching(Selection(**conditions), fleet.now).values_list("name", flat=True))


def test_all_conditions_that_are_set_must_hold(fleet):
    hall, beta = DeviceGroup.objects.create(name="hall"), Label.objects.create(name="beta")
    hall.devices.set(Device.objects.filter(name__in=["door-0", "door-1"]))
    beta.devices.set(Device.objects.filter(name__in=["door-1", "door-2"]))
    everyone = {"door-0", "door-1", "door-2"}
    assert found(fleet, from_issuer=old_issuer()) == everyone
    assert found(fleet, group=hall) == {"door-0", "door-1"}
    assert found(fleet, label=beta) == {"door-1", "door-2"}
    assert found(fleet, group=hall, label=beta, from_issuer=old_issuer()) == {"door-1"}
    assert found(fleet, keys_before=fleet.now) == everyone
    assert found(fleet, keys_before=fleet.now - 3 * DAY) == set()
    assert found(fleet) == set()


NOT_LIVING = {
    "revoked": lambda fleet: revocation.revoke(
        [fleet.shown["door-0"]], Revocation.Reason.UNSPECIFIED, TESTER, fleet.now
    ),
    "retired": lambda fleet: change_state(Device.objects.get(name="door-0"), Device.State.RETIRED, fleet.now),
}


@pytest.mark.parametrize("scene", NOT_LIVING.values(), ids=NOT_LIVING)
def test_a_device_without_a_living_certificate_is_not_found(fleet, scene):
    scene(fleet)
    assert found(fleet, from_issuer=old_issuer()) == {"door-1", "door-2"}


def test_an_expired_certificate_does_not_live(fleet):
    fleet.now += 60 * DAY
    assert found(fleet, from_issuer=old_issuer()) == set()


def test_a_suspended_device_is_found(fleet):
    change_state(Device.objects.get(name="door-0"), Device.State.SUSPENDED, fleet.now)
    assert "door-0" in found(fleet, from_issuer=old_issuer())


def test_a_preview_is_bounded_and_names_the_first(fleet, monkeypatch, django_assert_num_queries):
    chosen = Selection(from_issuer=old_issuer())
    with django_assert_num_queries(11):
        look = selection.preview(chosen, fleet.now)
    assert (look.count, look.is_more, look.elsewhere, look.unable) == (3, False, 0, 0)
    assert [device.name for device in look.sample] == ["door-0", "door-1", "door-2"]
    monkeypatch.setattr(selection, "MOST_COUNTED", 2)
    monkeypatch.setattr(selection, "SAMPLE", 1)
    look = selection.preview(Selection(from_issuer=old_issuer()), fleet.now)
    assert (look.count, look.is_more) == (2, True)
    assert [device.name for device in look.sample] == ["door-0"]


def test_a_preview_counts_who_is_led_elsewhere(fleet, target, campaign):
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step()
    CampaignMember.objects.filter(device__name="door-0").update(living=False)
    assert selection.preview(Selection(from_issuer=old_issuer()), fleet.now).elsewhere == 2
