"""The dashboard: is the fleet all right? Each number leads to the list behind it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from pki.admin import dashboard_warnings
from pki.admin.authority.certificate_filters import UNRENEWED
from pki.admin.navigation import link
from pki.admin.rotating.campaign_words import whom
from pki.models import Device, EnrollmentRequest
from pki.services.looking import overview, tallies, upkeep

DAYS = 30
_LATEST = 5
# In a chart: the width of a day's column, and the height of the highest.
_COLUMN, _HEIGHT = 10, 48
# Deed → its chart's title, and the list behind it: URL name, permission, query.
_DEEDS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    tallies.ENROLLED: (
        "Enrollments",
        "pki_certificate_changelist",
        "pki.view_certificate",
        {"issued": "30d"},
    ),
    tallies.RENEWED: ("Renewals", "pki_certificate_changelist", "pki.view_certificate", {"issued": "30d"}),
    tallies.REVOKED: ("Revocations", "pki_revocation_changelist", "pki.view_revocation", {"revoked": "30d"}),
    tallies.REFUSED: (
        "Enrollments refused",
        "pki_enrollmentrequest_changelist",
        "pki.view_enrollmentrequest",
        {"state__exact": "refused"},
    ),
    tallies.TURNED_AWAY: (
        "Handshakes refused",
        "pki_auditevent_changelist",
        "pki.view_auditevent",
        {"kind": "handshake.refused"},
    ),
}
_EXPIRING = {"24h": "in 24 hours", "7d": "in 7 days", "30d": "in 30 days"}


@dataclass(frozen=True)
class Column:
    """A day of a chart, in the chart's own units."""

    x: int
    y: int
    height: int
    title: str


@dataclass(frozen=True)
class Chart:
    """How often something was done a day, over the last DAYS days."""

    title: str
    total: int
    link: str
    columns: list[Column]
    width: int = DAYS * _COLUMN
    height: int = _HEIGHT
    column: int = _COLUMN - 2


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the dashboard shows, as far as this user may see it."""
    now, may = timezone.now(), request.user.has_perm
    context["title"] = "Dashboard"
    issuers = overview.issuers(now) if may("pki.view_issuer") else []
    context["warnings"] = dashboard_warnings.found(request, issuers, now)
    rest = tallies.untallied()
    if may("pki.view_device"):
        context["devices"] = [
            (state, number, link("pki_device_changelist", state__exact=state))
            for state, number in tallies.devices_by_state(rest).items()
        ]
        context["rotating"] = overview.rotating()
        context["no_devices"] = not Device.objects.exists()
        context["register"] = link("pki_device_add") if may("pki.add_device") else ""
        context["register_many"] = link("pki_device_register_many") if may("pki.add_device") else ""
    if may("pki.view_certificate"):
        context["expiring"] = [
            (words, number, link("pki_certificate_changelist", expires=span))
            for (span, number), words in zip(overview.expiring(now).items(), _EXPIRING.values(), strict=True)
        ]
        context["unrenewed"] = upkeep.number_unrenewed(now)
        context["unrenewed_link"] = link("pki_certificate_changelist", expires=UNRENEWED)
        context["charts"] = charts(request, rest, now)
    if may("pki.view_enrollmentrequest"):
        context["waiting"] = overview.waiting()
        context["waiting_link"] = link("pki_enrollmentrequest_changelist", state__exact="waiting")
        context["waiting_latest"] = overview.latest_requests(EnrollmentRequest.State.WAITING, _LATEST)
        context["refused_latest"] = overview.latest_requests(EnrollmentRequest.State.REFUSED, _LATEST)
        context["refused_link"] = link("pki_enrollmentrequest_changelist", state__exact="refused")
    if may("pki.view_issuer"):
        context["issuers"] = issuers
    if may("pki.view_campaign"):
        context["campaigns"] = [(each, whom(each)) for each in upkeep.campaigns()]
        context["campaigns_link"] = link("pki_campaign_changelist")
    return context


def charts(request: HttpRequest, rest: tallies.Counts, now: datetime) -> list[Chart]:
    """A chart for each deed that this user may see the list of."""
    first = now.date() - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    drawn = []
    for deed, by_day in tallies.by_day(first, rest).items():
        title, url, permission, query = _DEEDS[deed]
        if not request.user.has_perm(permission):
            continue
        counts = [by_day.get(day, 0) for day in days]
        highest = max([*counts, 1])
        columns = [
            Column(
                x=number * _COLUMN + 1,
                y=_HEIGHT - _bar(count, highest),
                height=_bar(count, highest),
                title=f"{day:%Y-%m-%d}: {count:,}",
            )
            for number, (day, count) in enumerate(zip(days, counts, strict=True))
        ]
        drawn.append(Chart(title, sum(counts), link(url, **query), columns))
    return drawn


def _bar(count: int, highest: int) -> int:
    # What happened once is seen, however often something else did.
    return max(2, round(_HEIGHT * count / highest)) if count else 0
