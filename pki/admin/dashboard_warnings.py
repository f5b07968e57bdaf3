"""What should not stay as it is: said above the dashboard, with the page where it is changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest

from pki.admin.authority import issuer_loss
from pki.admin.navigation import link
from pki.models import Campaign
from pki.services.issuing.listener_certificates import SERVER_PROFILE
from pki.services.issuing.profiles import open_profiles
from pki.services.looking import (
    audit_standing,
    list_standings,
    lost_issuers,
    overview,
    responder_standings,
    shut_out,
    upkeep,
)
from pki.services.looking.overview import IssuerLife
from pki.services.people import logins


@dataclass(frozen=True)
class Warning:
    """Something that should not stay so, and where to change it."""

    level: str  # danger or warning
    sentence: str
    link: str
    action: str


def found(request: HttpRequest, issuers: Sequence[IssuerLife], now: datetime) -> list[Warning]:
    """What is dangerous or about to end, the worst first; each with the page where it is changed, for who
    may see that page.
    """
    may = request.user.has_perm
    listed = list(_open_profiles()) if may("pki.view_profile") else []
    if request.user.is_superuser and logins.default_password_in_use():
        listed.append(
            Warning(
                "warning",
                "The password that was made at the first start is still in use, and lies in a file.",
                link("password_change"),
                "Change the password",
            )
        )
    if may("pki.view_profile") and may("pki.view_issuer"):
        listed += _lost_issuers(request, now)
    if may("pki.view_device") and may("pki.view_issuer"):
        listed += _shut_out(now)
    listed += _ending(issuers)
    if may("pki.view_certificate"):
        listed += _overdue_listeners(now)
    if may("pki.view_revocationlist"):
        listed += _unpublished(now)
    if may("pki.view_responder"):
        listed += _unanswered(now)
    if may("pki.view_campaign"):
        listed += _stopped()
    if may("pki.view_delivery"):
        listed += _lost(now)
    if may("pki.view_webhook") and upkeep.nobody_is_told():
        listed.append(
            Warning(
                "warning",
                "Nobody is told when certificates are about to end: mail is not set up (EMAIL_URL and "
                "PORTAL_NOTICE_MAIL), and there is no webhook.",
                link("pki_webhook_changelist"),
                "Look at the webhooks",
            )
        )
    if may("pki.view_auditcheckpoint"):
        listed += _not_proven(now)
    if may("pki.view_notice"):
        listed += _not_kept_up(now)
    return listed


def _open_profiles() -> Iterator[Warning]:
    for name in open_profiles():
        yield Warning(
            "danger",
            f"The profile {name} signs for anybody who reaches the provisioning listener.",
            link("pki_profile_changelist", enrollment_policy__exact="open"),
            "Change its enrollment policy",
        )


def _lost_issuers(request: HttpRequest, now: datetime) -> Iterator[Warning]:
    profiles = lost_issuers.profiles(now)
    listeners = lost_issuers.listeners(now)
    for profile, loss in profiles:
        step = issuer_loss.of_profile(profile, loss, request, listeners)
        yield Warning("danger", step.sentence, step.link, step.action)
    if listeners and SERVER_PROFILE not in [profile.name for profile, _ in profiles]:
        yield Warning(
            "danger",
            f"The listeners {', '.join(listeners)} show certificates of an issuer that is compromised, or "
            "below one that is: clients refuse them. They should get new ones within a minute; else the log "
            "says why not.",
            link("pki_certificate_changelist", q=settings.PORTAL_HOSTNAMES[0]),
            "Look at their certificates",
        )


def _shut_out(now: datetime) -> Iterator[Warning]:
    for issuer in shut_out.by_issuer(now):
        yield Warning(
            "danger",
            f"{issuer} is compromised, and devices whose certificates hang on it are shut out until each was "
            "enrolled again.",
            link("pki_issuer_change", issuer.pk),
            "See what is to be done",
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
            f"The listener {listener} has no certificate on this node that is good for long. It should have "
            "been given one within a minute: the log says why it was not.",
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
            f"The OCSP responder certificate of {issuer} has ended, and no node has made a new one. "
            "Maintenance does, and the next question, on a node that has this issuer's key.",
            link("pki_responder_changelist", issuer__id__exact=str(issuer.pk)),
            "Look at its responders",
        )


def _stopped() -> Iterator[Warning]:
    for campaign in upkeep.campaigns():
        if campaign.state == Campaign.State.STOPPED:
            yield Warning(
                "danger",
                f"The campaign {campaign} stopped by itself. {campaign.reason}".rstrip(),
                link("pki_campaign_change", campaign.pk),
                "Look at who failed",
            )


def _lost(now: datetime) -> Iterator[Warning]:
    if number := upkeep.lost(now):
        yield Warning(
            "warning",
            f"{number} notice{'s' if number > 1 else ''} did not arrive in the last days, and will not.",
            link("pki_delivery_changelist", state__exact="given up"),
            "See why, and try again",
        )


def _not_proven(now: datetime) -> Iterator[Warning]:
    if event := audit_standing.cut_off(now):
        yield Warning(
            "danger",
            f"The end of the audit trail was missing at {event.at:%Y-%m-%d %H:%M} UTC: checkpoint "
            f"{event.detail.get('checkpoint')} was signed here, and the database had it no more. A database "
            "that was put back to an earlier day looks so, and one that somebody cut off.",
            link("pki_auditevent_change", event.pk),
            "See what is missing",
        )
    standing = audit_standing.now_is(now)
    if standing.is_overdue and standing.last is not None:
        yield Warning(
            "danger",
            f"The audit trail was signed last at {standing.last.at:%Y-%m-%d %H:%M} UTC: who can write to the "
            "database could change unnoticed what happened since.",
            link("pki_auditcheckpoint_changelist"),
            "See what is not signed",
        )


def _not_kept_up(now: datetime) -> Iterator[Warning]:
    kept = upkeep.maintenance(now)
    notices = link("pki_notice_changelist")
    if kept.rests_since is not None:
        yield Warning(
            "danger",
            f"Maintenance has not run since {kept.rests_since:%Y-%m-%d %H:%M} UTC: campaigns stand still, "
            "and nobody is told of anything. See whether a worker is running, or run manage.py maintain.",
            notices,
            "See what was told last",
        )
    if kept.ahead is not None:
        yield Warning(
            "danger",
            f"Maintenance ran at {kept.ahead:%Y-%m-%d %H:%M} UTC by the clock of a node, and here it is "
            f"{now:%Y-%m-%d %H:%M} UTC. Set the clocks right: certificates, lists and warnings go by them.",
            notices,
            "See what was told last",
        )
    for run in kept.failed:
        yield Warning("warning", f"Maintenance: {run.name} failed. {run.said}", notices, "See what was told")
