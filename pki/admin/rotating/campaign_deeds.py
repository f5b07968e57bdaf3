"""The buttons of a campaign: each says first what will come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone

from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found, page_url, url_name
from pki.admin.parts.pages import ConsoleAdmin
from pki.admin.rotating import campaign_words
from pki.models import Campaign
from pki.services.audit import Actor
from pki.services.rotating import campaigns, progress


@dataclass(frozen=True)
class Deed:
    """A button on a campaign's page."""

    name: str  # of `campaigns.ALLOWED`
    words: str
    act: Callable[[Campaign, Actor, datetime], None]
    done: str
    style: str = ""
    destructive: bool = False  # needs a recent login

    @property
    def path(self) -> str:
        return self.name.replace("_", "-")


DEEDS = (
    Deed("start", "Start", campaigns.start, "It has started.", "button-primary"),
    Deed("go_on", "Go on", campaigns.go_on, "It goes on.", "button-primary"),
    Deed("pause", "Pause", campaigns.pause, "It is paused."),
    Deed("open_to_all", "Open to all", campaigns.open_to_all, "It is open to all.", destructive=True),
    Deed("finish", "Finish", campaigns.finish, "It is over.", destructive=True),
    Deed("roll_back", "Roll back", campaigns.roll_back, "It goes back.", "button-danger", destructive=True),
    Deed("cancel", "Cancel", campaigns.cancel, "It is cancelled.", "button-danger", destructive=True),
)


class CampaignDeeds(ConsoleAdmin):
    """The pages that ask before something is done with a campaign."""

    def has_deed_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.change_campaign") and self.has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path(
                f"<path:object_id>/{deed.path}/",
                wrap(partial(self.deed_view, deed=deed)),
                name=url_name(self, deed.name),
            )
            for deed in DEEDS
        ]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    def buttons(self, request: HttpRequest, campaign: Campaign) -> list[dict[str, str]]:
        """What this user may do with this campaign now."""
        if not self.has_deed_permission(request, campaign):
            return []
        return [
            {"words": deed.words, "style": deed.style, "url": page_url(self, campaign, deed.name)}
            for deed in DEEDS
            if campaigns.can(campaign, deed.name)
        ]

    def deed_view(self, request: HttpRequest, object_id: str, deed: Deed) -> HttpResponse:
        campaign: Campaign = found(self, request, object_id, may=self.has_deed_permission)
        back = page_url(self, campaign)
        if not campaigns.can(campaign, deed.name):
            # The button was pressed twice, or somebody else was quicker.
            messages.info(request, f"{campaign} is {campaign.state} now: there is nothing to do here.")
            return HttpResponseRedirect(back)

        def act(_: dict[str, Any]) -> str:
            deed.act(campaign, administrator(request), timezone.now())
            return f"{campaign}: {deed.done}"

        return ask_first(
            self,
            request,
            title=f"{deed.words}: {campaign}",
            question=f"{deed.words}?",
            items=[campaign],
            button=deed.words,
            act=act,
            impact=lambda _: campaign_words.WILL[deed.name](campaign, progress.of(campaign, timezone.now())),
            destructive=deed.destructive and campaign.state != Campaign.State.DRAFT,
            back=back,
        )
