"""Pages that show tokens, once: nothing keeps the secrets, and no cache may."""

import json
from collections.abc import Sequence
from typing import Any

import segno
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin

from pki.admin.parts.listeners import provisioning_url, secure_url
from pki.core import sheets
from pki.models import FULL, Device, EnrollmentToken
from pki.services.enrolling.tokens import Handed
from pki.services.issuing import authorities, listener_certificates

_SHEET = ("name", "token", "expires")


def shown_once(
    page: ModelAdmin,
    request: HttpRequest,
    device: Device,
    made: tuple[str, EnrollmentToken],
    *,
    rotating: bool = False,
) -> HttpResponse:
    """The page of a device's new token, with all that the device needs."""
    secret, token = made
    root = listener_certificates.root()
    ca_url = authorities.pointers(root, FULL).ca
    response = TemplateResponse(
        request,
        "console/token.html",
        {
            **page.admin_site.each_context(request),
            "title": f"{'Rotate' if rotating else 'Token for'} {device}",
            "device": device,
            # OpenSSL reads a bare + as the beginning of a second attribute.
            "common_name": device.name.replace("+", "\\+"),
            "secret": secret,
            "token": token,
            "rotating": rotating,
            "sign_csr_url": sign_csr_url(),
            "ca_url": ca_url,
            "ca_fingerprint": root.fingerprint,
            "agent_conf": _agent_conf(device, ca_url, root.fingerprint),
            "qr_code": qr_code(_payload(device, secret, token, ca_url, root.fingerprint)),
            "opts": page.model._meta,
        },
    )
    response["Cache-Control"] = "no-store"
    return response


def handed_once(page: ModelAdmin, request: HttpRequest, handed: Sequence[Handed], title: str) -> HttpResponse:
    """The page of many devices' new tokens: a CSV to download, held by this page alone."""
    response = TemplateResponse(
        request,
        "console/tokens.html",
        {
            **page.admin_site.each_context(request),
            "title": title,
            **sheet_of(handed),
            "opts": page.model._meta,
        },
    )
    response["Cache-Control"] = "no-store"
    return response


def sheet_of(handed: Sequence[Handed]) -> dict[str, Any]:
    """What `console/tokens_panel.html` shows of tokens."""
    rows = ((each.name, each.secret, each.expires_at.isoformat(timespec="seconds")) for each in handed)
    return {
        "sheet": sheets.written(_SHEET, rows),
        "number": len(handed),
        "expires_at": handed[0].expires_at if handed else None,
        "sign_csr_url": sign_csr_url(),
    }


def sign_csr_url() -> str:
    """Where devices enroll."""
    return f"{provisioning_url()}/sign-csr"


def _agent_conf(device: Device, ca_url: str, ca_sha256: str) -> str:
    """The settings of the agent: what only Hatchery knows, and the folders of examples/agent/agent.conf."""
    values = {
        "name": device.name,
        "url": secure_url(),
        "enroll_url": provisioning_url(),
        "folder": "/var/lib/hatchery-agent",
        "token_file": "/etc/hatchery/token",
        "ca_url": ca_url,
        "ca_sha256": ca_sha256,
    }
    return "\n".join(f"{name}={value}" for name, value in values.items())


def qr_code(text: str) -> SafeString:
    """A QR code as an SVG, black on white in the dark mode too: scanners want it so."""
    drawn: str = segno.make(text, error="m", micro=False).svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, title="QR code of the token"
    )
    return mark_safe(drawn)  # noqa: S308  numbers and our own title: the text is in the modules


def _payload(device: Device, secret: str, token: EnrollmentToken, ca_url: str, ca_sha256: str) -> str:
    # JSON and no URL: a phone's camera would open that, and keep the token in its browser's history.
    return json.dumps(
        {
            "hatchery": 1,
            "url": sign_csr_url(),
            "device": device.name,
            "token": secret,
            "expires": token.expires_at.isoformat(timespec="seconds"),
            "ca_url": ca_url,
            "ca_sha256": ca_sha256,
        },
        separators=(",", ":"),
    )
