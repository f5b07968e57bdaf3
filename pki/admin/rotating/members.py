"""The devices of campaigns, each with how far it is: the laggards among them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from pki.admin.parts import searching
from pki.admin.parts.objects import looked_at
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.admin.parts.shown import labelled, when
from pki.models import CampaignMember
from pki.templatetags.console import NOTHING, moment

_OF_CAMPAIGN = "campaign__id__exact"


class StateFilter(admin.SimpleListFilter):
    """By how far they are, of one campaign: there the index has them."""

    title = "how far"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(CampaignMember.State.choices) if _OF_CAMPAIGN in request.GET else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[CampaignMember]) -> QuerySet[CampaignMember]:
        known = self.value() in CampaignMember.State.values and _OF_CAMPAIGN in request.GET
        return queryset.filter(state=self.value()) if known else queryset


@admin.register(CampaignMember)
class CampaignMemberAdmin(ReadOnlyAdmin):
    list_display = ("name", "of", "shown_state", "shown_canary", "asked", "seen", "shown_reason")
    list_filter = ("campaign", StateFilter)
    list_select_related = ("campaign", "device__last_seen")
    search_fields = ("device__name",)  # shows the box; get_search_results searches
    search_help_text = "The beginning of a device's name"
    nothing_yet = "No device is in a campaign yet: they are gathered when one is started."

    asked = when("asked_at", "asked", ordering=False)

    @property
    def plural(self) -> str:
        return "devices of campaigns"

    @admin.display(description="device")
    def name(self, member: CampaignMember) -> str:
        return str(member.device)

    @admin.display(description="campaign")
    def of(self, member: CampaignMember) -> str:
        return str(member.campaign)

    @labelled(
        description="how far",
        label={
            "waiting": "info",
            "asked": "warning",
            "renewed": "warning",
            "moved": "success",
            "failed": "danger",
            "unable": "danger",
            "left": "info",
        },
    )
    def shown_state(self, member: CampaignMember) -> str:
        return member.state

    @admin.display(description="canary")
    def shown_canary(self, member: CampaignMember) -> str:
        return "yes" if member.canary else NOTHING

    @admin.display(description="last seen")
    def seen(self, member: CampaignMember) -> str:
        found = getattr(member.device, "last_seen", None)
        return moment(found.at) if found else "never"

    @admin.display(description="why")
    def shown_reason(self, member: CampaignMember) -> str:
        return member.reason or member.code or NOTHING

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        # In the order of the index that finds them: the longest asked come first.
        return ("state", "place") if _OF_CAMPAIGN in request.GET else ("-pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[CampaignMember], search_term: str
    ) -> tuple[QuerySet[CampaignMember], bool]:
        words = search_term.strip()
        return (queryset.filter(device__in=searching.devices_named(words)) if words else queryset), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        member: CampaignMember = looked_at(self, request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{member.device} in {member.campaign}",
            "opts": self.model._meta,
            "original": member,
            "member": member,
            "seen": getattr(member.device, "last_seen", None),
            "may_see_devices": request.user.has_perm("pki.view_device"),
            "may_see_campaigns": request.user.has_perm("pki.view_campaign"),
            "may_see_certificates": request.user.has_perm("pki.view_certificate"),
        }
        return TemplateResponse(request, "console/campaign_member.html", context)

    def history_of(self, row: CampaignMember) -> dict[str, Any]:
        return {"device__id__exact": row.device_id}
