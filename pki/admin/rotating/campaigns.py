"""Campaigns in the console: all of them, and a page on which one sees a campaign at work."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from pki.admin.navigation import link
from pki.admin.parts.objects import found
from pki.admin.parts.shown import labelled, when
from pki.admin.parts.spans import IN_SECONDS, written
from pki.admin.rotating import campaign_words, drafting_pages
from pki.admin.rotating.campaign_deeds import CampaignDeeds
from pki.models import Campaign, CampaignMember
from pki.services.rotating import progress
from pki.templatetags.console import NOTHING

_LAGGARDS = 20


@admin.register(Campaign)
class CampaignAdmin(CampaignDeeds):
    list_display = (
        "name",
        "shown_state",
        "kind",
        "shown_whom",
        "shown_moved",
        "shown_failed",
        "made",
        "ended",
    )
    list_filter = ("state", "kind")
    list_select_related = ("from_issuer", "to_issuer", "group", "label")
    list_per_page = 20
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a campaign's name"
    ordering = ("-pk",)
    nothing_yet = (
        "No campaign yet. One leads many devices to another issuer or to new keys: a canary share first, the "
        "others over days, with a way back."
    )

    made = when("created_at", "made", ordering=False)
    ended = when("ended_at", "ended", ordering=False)

    @labelled(
        description="state",
        label={
            "draft": "info",
            "canary": "success",
            "open": "success",
            "paused": "warning",
            "stopped": "danger",
            "rolling back": "warning",
            "rolled back": "info",
            "finished": "info",
            "cancelled": "info",
        },
    )
    def shown_state(self, campaign: Campaign) -> str:
        return campaign.state

    @admin.display(description="devices")
    def shown_whom(self, campaign: Campaign) -> str:
        return campaign_words.whom(campaign)

    @admin.display(description="moved")
    def shown_moved(self, campaign: Any) -> str:
        if progress.is_turning(campaign):
            return "being turned round"
        counts = campaign.counts
        able = sum(counts.values()) - counts.get("left", 0)
        back = " back" if campaign.state in progress.BACK else ""
        return f"{counts.get('moved', 0):,} of {able:,}{back}" if counts else NOTHING

    @admin.display(description="failed")
    def shown_failed(self, campaign: Any) -> str:
        return f"{campaign.counts.get('failed', 0):,}" if campaign.counts else NOTHING

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        counts = _counted(changelist.result_list)
        for campaign in changelist.result_list:
            campaign.counts = counts.get(campaign.pk, {})
        return changelist

    # Whoever may change one presses its buttons; a draft is not rewritten but made anew.
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return drafting_pages.draft(self, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show it to who may see it; a POST has nothing to do here."""
        campaign: Campaign = found(self, request, object_id, may=self.has_view_permission)
        if request.method not in ("GET", "HEAD"):
            if not self.has_deed_permission(request, campaign):
                raise PermissionDenied
            return HttpResponseNotAllowed(["GET", "HEAD"])
        how_far = progress.of(campaign, timezone.now())
        may_see_members = request.user.has_perm("pki.view_campaignmember")
        behind = progress.laggards(campaign, _LAGGARDS + 1) if may_see_members else []
        context = {
            **self.admin_site.each_context(request),
            "title": campaign.name,
            "opts": self.model._meta,
            "original": campaign,
            "campaign": campaign,
            "lives": campaign.state not in (*Campaign.ENDED, Campaign.State.DRAFT),
            "sentence": campaign_words.STATES[Campaign.State(campaign.state)],
            "buttons": self.buttons(request, campaign),
            "not_theirs": self.not_theirs(request, campaign),
            "profiles": campaign_words.profiles(campaign),
            "how_far": how_far,
            "numbers": _numbers(campaign, how_far) if may_see_members else [],
            "laggards": behind[:_LAGGARDS],
            "more_laggards": len(behind) > _LAGGARDS,
            "all_members": link("pki_campaignmember_changelist", campaign__id__exact=str(campaign.pk)),
            "may_see_members": may_see_members,
            "may_see_issuers": request.user.has_perm("pki.view_issuer"),
            "may_see_devices": request.user.has_perm("pki.view_device"),
            "all_asked_by": progress.ends_at(campaign),
            "canaries": _canaries(campaign),
            "stops": campaign_words.too_many_failures(campaign.failures_percent),
            "window": written(campaign.window_seconds, IN_SECONDS),
        }
        return TemplateResponse(request, "console/campaign.html", context)

    def history_of(self, row: Campaign) -> dict[str, Any]:
        return {"about": f"campaign-{row.pk}"}


def _canaries(campaign: Campaign) -> str:
    if not campaign.canary_percent:
        return "none"
    return f"{campaign.canary_percent} %, {campaign_words.watched(campaign.canary_seconds)}"


def _counted(shown: Sequence[Campaign]) -> dict[int, dict[str, int]]:
    """How many members are in each state, of the campaigns that a list shows, with one query."""
    counts: dict[int, dict[str, int]] = {}
    members = CampaignMember.objects.filter(campaign__in=[campaign.pk for campaign in shown])
    for number, state, count in (
        members.order_by().values_list("campaign", "state").annotate(Count("pk")) if shown else ()
    ):
        counts.setdefault(number, {})[state] = count
    return counts


def _numbers(campaign: Campaign, how_far: progress.Progress) -> list[tuple[str, int, str]]:
    """What the page shows large: a word, the number, and the list behind it."""

    def members(state: str) -> str:
        return link("pki_campaignmember_changelist", campaign__id__exact=str(campaign.pk), state=state)

    return [
        (how_far.word, how_far.moved, members("moved")),
        ("asked", how_far.asked, members("asked")),
        ("not seen since", how_far.not_seen, members("asked")),
        ("renewed, not shown", how_far.renewed, members("renewed")),
        ("failed", how_far.failed, members("failed")),
        ("waiting", how_far.waiting, members("waiting")),
        ("cannot renew, must enroll", how_far.unable, members("unable")),
        ("nothing to move back" if how_far.is_back else "left out", how_far.left, members("left")),
    ]
