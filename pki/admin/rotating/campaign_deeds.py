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
from pki.services.rotating import campaigns, progress, switching


@dataclass(frozen=True)
class Deed:
    """A button on a campaign's page."""

    name: str  # of `campaigns.ALLOWED`
    words: str
    act: Callable[[Campaign, Actor, datetime], None]
    done: str
    style: str = ""
    destructive: bool = False  # needs a recent login
    proved: bool = False  # the same, and nothing is destroyed
    # Whether profiles get another issuer by it.
    switches: Callable[[Campaign, datetime], bool] = lambda campaign, now: False

    @property
    def path(self) -> str:
        return self.name.replace("_", "-")


def _will_switch(campaign: Campaign, now: datetime) -> bool:
    return switching.applies(campaign)


def _gives_back(campaign: Campaign, now: datetime) -> bool:
    return switching.to_give_back(campaign, now).exists()


DEEDS = (
    Deed(
        "start",
        "Start",
        campaigns.start,
        "It has started.",
        "button-primary",
        proved=True,
        switches=_will_switch,
    ),
    Deed("go_on", "Go on", campaigns.go_on, "It goes on.", "button-primary"),
    Deed("pause", "Pause", campaigns.pause, "It is paused."),
    Deed(
        "open_to_all",
        "Open to all",
        campaigns.open_to_all,
        "It is open to all.",
        destructive=True,
        switches=_will_switch,
    ),
    Deed("finish", "Finish", campaigns.finish, "It is over.", destructive=True),
    Deed(
        "roll_back",
        "Roll back",
        campaigns.roll_back,
        "It goes back.",
        "button-danger",
        destructive=True,
        switches=_gives_back,
    ),
    Deed(
        "cancel",
        "Cancel",
        campaigns.cancel,
        "It is cancelled.",
        "button-danger",
        destructive=True,
        switches=_gives_back,
    ),
)


class CampaignDeeds(ConsoleAdmin):
    """The pages that ask before something is done with a campaign."""

    def has_deed_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.change_campaign") and self.has_view_permission(request, obj)

    def may_do(self, request: HttpRequest, campaign: Campaign, deed: Deed) -> bool:
        """Whether this user may: who may not change profiles does not do it by a campaign either."""
        if not self.has_deed_permission(request, campaign):
            return False
        may_change_profiles = request.user.has_perm("pki.change_profile")
        return may_change_profiles or not deed.switches(campaign, timezone.now())

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
        return [
            {"words": deed.words, "style": deed.style, "url": page_url(self, campaign, deed.name)}
            for deed in DEEDS
            if campaigns.can(campaign, deed.name) and self.may_do(request, campaign, deed)
        ]

    def not_theirs(self, request: HttpRequest, campaign: Campaign) -> str:
        """What this user, who may lead campaigns, may not do with this one, in words; empty if nothing."""
        if not self.has_deed_permission(request, campaign):
            return ""
        can = [deed for deed in DEEDS if campaigns.can(campaign, deed.name)]
        kept = [deed.words for deed in can if not self.may_do(request, campaign, deed)]
        return campaign_words.not_theirs(kept) if kept else ""

    def deed_view(self, request: HttpRequest, object_id: str, deed: Deed) -> HttpResponse:
        campaign: Campaign = found(self, request, object_id, may=self.has_deed_permission)
        back = page_url(self, campaign)
        if not campaigns.can(campaign, deed.name):
            # The button was pressed twice, or somebody else was quicker.
            messages.info(request, f"{campaign} is {campaign.state} now: there is nothing to do here.")
            return HttpResponseRedirect(back)
        if not self.may_do(request, campaign, deed):
            messages.error(request, campaign_words.not_theirs([deed.words]))
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
            proved=deed.proved,
            back=back,
        )
