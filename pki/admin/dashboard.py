"""The dashboard: is the fleet all right? Each number leads to the list behind it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from pki.admin.navigation import link
from pki.models import Device, EnrollmentRequest
from pki.services.issuing.profiles import open_profiles
from pki.services.looking import list_standings, overview, responder_standings, tallies
from pki.services.looking.overview import IssuerLife
from pki.services.people import logins

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
class Warning:
    """Something that should not stay so, and where to change it."""

    level: str  # danger or warning
    sentence: str
    link: str
    action: str


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
    context["warnings"] = warnings(request, issuers, now)
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
        context["charts"] = charts(request, rest, now)
    if may("pki.view_enrollmentrequest"):
        context["waiting"] = overview.waiting()
        context["waiting_link"] = link("pki_enrollmentrequest_changelist", state__exact="waiting")
        context["waiting_latest"] = overview.latest_requests(EnrollmentRequest.State.WAITING, _LATEST)
        context["refused_latest"] = overview.latest_requests(EnrollmentRequest.State.REFUSED, _LATEST)
        context["refused_link"] = link("pki_enrollmentrequest_changelist", state__exact="refused")
    if may("pki.view_issuer"):
        context["issuers"] = issuers
    return context


def warnings(request: HttpRequest, issuers: Sequence[IssuerLife], now: datetime) -> list[Warning]:
    """What is dangerous or about to end, the worst first; each with the page where it is changed, for who
    may see that page.
    """
    may = request.user.has_perm
    found = list(_open_profiles()) if may("pki.view_profile") else []
    if request.user.is_superuser and logins.default_password_in_use():
        found.append(
            Warning(
                "warning",
                "The password that was made at the first start is still in use, and lies in a file.",
                link("password_change"),
                "Change the password",
            )
        )
    found += _ending(issuers)
    if may("pki.view_certificate"):
        found += _overdue_listeners(now)
    if may("pki.view_revocationlist"):
        found += _unpublished(now)
    if may("pki.view_responder"):
        found += _unanswered(now)
    return found


def _open_profiles() -> Iterator[Warning]:
    for name in open_profiles():
        yield Warning(
            "danger",
            f"The profile {name} signs for anybody who reaches the provisioning listener.",
            link("pki_profile_changelist", enrollment_policy__exact="open"),
            "Change its enrollment policy",
        )


def _ending(issuers: Sequence[IssuerLife]) -> Iterator[Warning]:
    for life in issuers:
        if life.near_end:
            ended = life.days_left < 0
            yield Warning(
                "danger" if ended else "warning",
                f"The issuer {life.issuer} has ended."
                if ended
                else f"The issuer {life.issuer} ends in {life.days_left} days; certificates end with it.",
                link("pki_issuer_change", life.issuer.pk),
                "Look at the issuer",
            )


def _overdue_listeners(now: datetime) -> Iterator[Warning]:
    # One that proxies reach over plain HTTP needs none, and may have had some before.
    plain = "secure" if settings.PORTAL_SECURE_PROXY == "http" else ""
    listeners = [name for name in settings.PORTAL_LISTENERS if name != plain]
    for listener in overview.overdue_listeners(listeners, now):
        yield Warning(
            "danger",
            f"The listener {listener} has no certificate on this node that is good for long, and was not given "
            "one within a minute, as it should be: the log says why.",
            link("pki_certificate_changelist", q=settings.PORTAL_HOSTNAMES[0]),
            "Look at its certificates",
        )


def _unpublished(now: datetime) -> Iterator[Warning]:
    for each in list_standings.standing_still(now):
        yield Warning(
            "danger" if each.refused else "warning",
            f"A revocation list of {each.name} is out of date: relying parties refuse it."
            if each.refused
            else f"Revocation lists of {each.name} are not made anew since {each.since:%Y-%m-%d %H:%M} UTC: "
            "others do not see what was revoked since.",
            link("pki_revocationlist_changelist", issuer__id__exact=str(each.issuer_id), overdue="yes"),
            f"See whether a worker is running, whether its node has the key of {each.name}, and what its log "
            "says",
        )


def _unanswered(now: datetime) -> Iterator[Warning]:
    for issuer in responder_standings.unanswered(now):
        yield Warning(
            "warning",
            f"The OCSP responder certificate of {issuer} has ended: no node renewed it. The next question "
            "makes a new one, on a node that has this issuer's key.",
            link("pki_responder_changelist", issuer__id__exact=str(issuer.pk)),
            "Look at its responders",
        )


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
