"""What the page of an enrollment request shows: what was asked, what would come of it, where to go."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.urls import reverse
from django.utils.http import urlencode

from pki.admin.inbox import advice
from pki.core import keys
from pki.core.errors import Refusal
from pki.core.profiles import Grant
from pki.models import Device, EnrollmentRequest
from pki.services.enrolling import prospects, waivers
from pki.services.enrolling.prospects import Prospect

_SIMILAR = 5


@dataclass(frozen=True)
class Asked:
    """A CSR in words, and what its profile makes of it today."""

    prospect: Prospect
    subject: str
    sans: tuple[str, ...]
    key: str
    granted: Grant | None
    refusal: str  # why the profile would not grant it; empty if it would


def asked_for(row: EnrollmentRequest) -> Asked | None:
    """What was asked, if a CSR was kept. A rule that may be waived is left out of what the profile says."""
    if row.csr_der is None:
        return None
    try:
        prospect = prospects.look(row, waived=row.code if waivers.may_be_allowed(row) else row.waived)
    except Refusal:
        return None
    granted, refusal = None, ""
    try:
        granted = prospect.granted()
    except Refusal as refused:
        refusal = refused.detail
    request = prospect.request
    return Asked(
        prospect=prospect,
        subject=", ".join(f"{short}={value}" for short, value in request.subject.items()),
        sans=tuple(str(san) for san in request.sans),
        key=keys.describe(request.key),
        granted=granted,
        refusal=refusal,
    )


def waiver_in_words(row: EnrollmentRequest) -> Iterator[str]:
    """What allowing a request once would do, in sentences."""
    if not waivers.may_be_allowed(row):
        yield "This request cannot be allowed: it is decided, holds no CSR, or its rule is never waived."
        return
    yield (
        f"The rule «{row.code}» is waived for this one CSR: {advice.on(row.code).rule} "
        "Every other rule is checked again now."
    )
    asked = asked_for(row)
    if asked is None or asked.prospect.name is None:
        yield "The device's name is not known: the CSR has no CN, and no token said which device it is."
        return
    name = asked.prospect.name
    if asked.prospect.device is None:
        yield f"{name} is not on record: it is registered under the profile {asked.prospect.profile}."
    yield f"The certificate is for {name}. The device gets it when it sends the same CSR again."
    if asked.refusal:
        yield f"It will be refused again, for another reason: {asked.refusal}"


def similar(row: EnrollmentRequest) -> list[tuple[EnrollmentRequest, str]]:
    """Other requests of the same key, name or address, the latest first, and what they share."""
    others = EnrollmentRequest.objects.exclude(pk=row.pk).defer("csr_der").order_by("-created_at")
    shared = {
        "the key": others.filter(spki_sha256=row.spki_sha256) if row.spki_sha256 else None,
        "the name": others.filter(name=row.name) if row.name else None,
        "the address": others.filter(address=row.address) if row.address else None,
    }
    known: dict[EnrollmentRequest, list[str]] = {}
    for what, requests in shared.items():
        for each in [] if requests is None else requests[:_SIMILAR]:
            known.setdefault(each, []).append(what)
    latest = sorted(known, key=lambda each: each.last_at, reverse=True)
    return [(each, " and ".join(known[each])) for each in latest]


def links(user: User | AnonymousUser, row: EnrollmentRequest) -> list[tuple[str, str]]:
    """Where an administrator can do something about a request, as far as they may: (words, URL)."""
    device = row.device
    if device is None and row.name:
        device = Device.objects.filter(name=row.name).first()
    wanted: list[tuple[str, str, str]] = []  # permission, words, URL
    if device is not None:
        wanted.append(("view_device", f"Device {device}", _url("device_change", device.pk)))
        if row.code in ("token_missing", "token_invalid", "device_exists", "already_enrolled"):
            wanted.append(
                ("add_enrollmenttoken", f"New token for {device}", _url("device_new_token", device.pk))
            )
    elif row.name:
        register = f"{_url('device_add')}?{urlencode({'name': row.name})}"
        wanted.append(("add_device", f"Register {row.name}", register))
    profile = device.profile if device else row.profile
    if profile is not None:
        wanted.append(("view_profile", f"Profile {profile}", _url("profile_change", profile.pk)))
    if row.certificate is not None:
        url = _url("certificate_change", row.certificate.pk)
        wanted.append(("view_certificate", f"Certificate {row.certificate}", url))
    if row.token is not None:
        url = _url("enrollmenttoken_change", row.token.pk)
        wanted.append(("view_enrollmenttoken", f"Its {row.token}", url))
    return [(words, url) for permission, words, url in wanted if user.has_perm(f"pki.{permission}")]


def _url(name: str, *args: int) -> str:
    return reverse(f"admin:pki_{name}", args=args)
