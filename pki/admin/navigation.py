"""The console's sidebar: what this user may see."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

# Group → entries: title, icon (Material Symbols), URL name, permission ("" is for everybody).
_ENTRIES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "Fleet": (
        ("Dashboard", "monitoring", "index", ""),
        ("Devices", "devices", "pki_device_changelist", "pki.view_device"),
        ("Groups", "workspaces", "pki_devicegroup_changelist", "pki.view_devicegroup"),
        ("Campaigns", "sync_alt", "pki_campaign_changelist", "pki.view_campaign"),
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
        (
            "Revocation lists",
            "playlist_remove",
            "pki_revocationlist_changelist",
            "pki.view_revocationlist",
        ),
        ("OCSP responders", "contact_support", "pki_responder_changelist", "pki.view_responder"),
        ("Trust bundle", "verified_user", "pki_trustbundle_changelist", "pki.view_trustbundle"),
        (
            "Cross-certificates",
            "compare_arrows",
            "pki_crosscertificate_changelist",
            "pki.view_crosscertificate",
        ),
        ("Profiles", "rule", "pki_profile_changelist", "pki.view_profile"),
        ("Audit log", "history", "pki_auditevent_changelist", "pki.view_auditevent"),
        ("Audit checkpoints", "lock_clock", "pki_auditcheckpoint_changelist", "pki.view_auditcheckpoint"),
    ),
    "Notices": (
        ("Notices", "notifications", "pki_notice_changelist", "pki.view_notice"),
        ("Deliveries", "outgoing_mail", "pki_delivery_changelist", "pki.view_delivery"),
        ("Webhooks", "webhook", "pki_webhook_changelist", "pki.view_webhook"),
    ),
    "People": (
        ("Users", "person", "auth_user_changelist", "auth.view_user"),
        ("Roles", "group", "auth_group_changelist", "auth.view_group"),
        ("Login keys", "passkey", "pki_loginkey_changelist", "pki.view_loginkey"),
    ),
}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """For unfold's sidebar. The pages themselves check the permission again."""
    groups: list[dict[str, Any]] = [
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
    shown = [item for group in groups for item in group["items"]]
    # The entry whose address the page's own begins with; of several, the longest.
    here = [item["link"] for item in shown if request.path.startswith(item["link"])]
    for item in shown:
        item["active"] = item["link"] == max(here, key=len, default="")
    return [group for group in groups if group["items"]]


def link(name: str, *arguments: Any, **query: str) -> str:
    """The address of a page of the console, by its URL name."""
    return reverse(f"admin:{name}", args=arguments, query=query or None)
