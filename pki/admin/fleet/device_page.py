"""A device's page: its whole story, of which each part is a bounded number of rows."""

from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from pki.admin.authority import issuer_loss
from pki.admin.fleet import device_renewal
from pki.admin.parts import sentences
from pki.admin.parts.sentences import Line
from pki.core import pins
from pki.models import Certificate, Device, EnrollmentToken, LastSeen, TrustBundle
from pki.services.looking import current_certificates, lost_issuers, standings
from pki.services.rotating import overrides

SHOWN = 50
_SHOWN_TOKENS = 20


def story(device: Device, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """What `console/device.html` shows of a device, as far as the user may see each part."""
    may = request.user.has_perm
    context: dict[str, Any] = {
        "device": device,
        "seen": LastSeen.objects.filter(device=device).select_related("certificate").first(),
        "newest_bundle": TrustBundle.objects.order_by("-version").values_list("version", flat=True).first(),
        "groups": list(device.groups.order_by("name")),
        "labels": list(device.labels.order_by("name")),
        "timeline": _timeline(device),
        "may_see_events": may("pki.view_auditevent"),
        "may_see_certificates": may("pki.view_certificate"),
    }
    if may("pki.view_certificate"):
        context |= _certificates(device, now)
        # With a certificate that is refused nothing can be renewed.
        renewable = None if context["refused"] else context["current"]
        context |= device_renewal.context(device, renewable, request, now)
    context |= _signed_by(device, request, now)
    if may("pki.view_enrollmenttoken"):
        context["tokens"] = _tokens(device, now)
    if may("pki.view_enrollmentrequest"):
        context["requests"] = list(device.requests.order_by("-created_at")[:_SHOWN_TOKENS])
    if device.rotation_requested_at is not None:
        context["renewed"] = (
            _of(device).filter(issued_at__gt=device.rotation_requested_at).order_by("-pk").first()
        )
    return context


def _signed_by(device: Device, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """Who signs instead of the profile's issuer, if a campaign decided so."""
    if device.issuer is None or device.issuer == device.profile.issuer:
        return {}
    may_see = request.user.has_perm("pki.view_campaign")
    return {
        "decided_issuer": device.issuer,
        "decides": device.issuer.can_sign(now),
        "decided_by": overrides.made_by(device) if may_see else None,
    }


def _of(device: Device) -> QuerySet[Certificate]:
    return Certificate.objects.filter(device=device).defer("der")


def _certificates(device: Device, now: datetime) -> dict[str, Any]:
    current = current_certificates.of(device, now)
    others = _of(device).exclude(pk=current.pk) if current else _of(device)
    with_standing = others.select_related("revocation__revoked_by", "issuer__parent")
    earlier = list(with_standing.order_by("-pk")[: SHOWN + 1])
    loss = lost_issuers.of(current.issuer, now) if current else None
    certificates = reverse("admin:pki_certificate_changelist")
    return {
        "current": current,
        "refused": issuer_loss.why(loss) if loss else "",
        "pin": pins.spki_pin(current.parsed.public_key()) if current else "",
        "earlier": [(each, _standing(each, device, now)) for each in earlier[:SHOWN]],
        "more_certificates": f"{certificates}?device__id__exact={device.pk}" if len(earlier) > SHOWN else "",
    }


def _standing(certificate: Certificate, device: Device, now: datetime) -> str:
    certificate.device = device
    standing = standings.of(certificate, now)
    if standing.word is standings.Word.REVOKED:
        return f"{standing.word}: {certificate.revocation.reason}"
    return standing.word


def _tokens(device: Device, now: datetime) -> list[tuple[EnrollmentToken, str]]:
    """The usable ones first, then the latest of the others."""
    living = device.tokens.filter(cancelled_at=None, expires_at__gt=now, uses__lt=F("uses_allowed"))
    usable = list(living.order_by("-pk")[:_SHOWN_TOKENS])
    over = device.tokens.exclude(pk__in=[token.pk for token in usable]).order_by("-pk")[:_SHOWN_TOKENS]
    return [(token, "usable") for token in usable] + [(token, _why_over(token, now)) for token in over]


def _why_over(token: EnrollmentToken, now: datetime) -> str:
    if token.cancelled_at is not None:
        return "cancelled"
    return "expired" if token.expires_at <= now else "used up"


def _timeline(device: Device) -> list[Line]:
    events = device.events.select_related("certificate").defer("certificate__der")
    return sentences.lines(events.order_by("-at", "-pk")[:SHOWN])
