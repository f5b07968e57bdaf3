"""The console's sidebar: what this user may see."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

# Group → entries: title, icon (Material Symbols), URL name, permission ("" is for everybody).
_ENTRIES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "Fleet": (
        ("Dashboard", "monitoring", "index", ""),
        ("Devices", "devices", "pki_device_changelist", "pki.view_device"),
        ("Groups", "workspaces", "pki_devicegroup_changelist", "pki.view_devicegroup"),
        ("Inbox", "inbox", "pki_enrollmentrequest_changelist", "pki.view_enrollmentrequest"),
        ("Tokens", "key", "pki_enrollmenttoken_changelist", "pki.view_enrollmenttoken"),
    ),
    "Certificates": (
        ("Certificates", "badge", "pki_certificate_changelist", "pki.view_certificate"),
        ("Issue by hand", "edit_document", "pki_certificate_issue", "pki.add_certificate"),
        ("What is this?", "search_insights", "pki_inspect", "pki.view_certificate"),
        ("Revocations", "block", "pki_revocation_changelist", "pki.view_revocation"),
    ),
    "Authority": (
        ("Issuers", "account_balance", "pki_issuer_changelist", "pki.view_issuer"),
        ("Profiles", "rule", "pki_profile_changelist", "pki.view_profile"),
        ("Audit log", "history", "pki_auditevent_changelist", "pki.view_auditevent"),
    ),
    "People": (
        ("Users", "person", "auth_user_changelist", "auth.view_user"),
        ("Roles", "group", "auth_group_changelist", "auth.view_group"),
    ),
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """For unfold's sidebar. The pages themselves check the permission again."""
    return [
        {
            "title": title,
            "items": [
                {"title": name, "icon": icon, "link": link(url)}
                for name, icon, url, permission in entries
                if not permission or request.user.has_perm(permission)
            ],
        }
        for title, entries in _ENTRIES.items()
    ]


def link(name: str, *arguments: Any, **query: str) -> str:
    """The address of a page of the console, by its URL name."""
    try:
        address = reverse(f"admin:{name}", args=arguments)
    except NoReverseMatch:
        return "#"
    return f"{address}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else address
