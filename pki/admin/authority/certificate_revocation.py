"""What a certificate's page tells of its revocation status: where others ask, and what they are told."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from pki.admin.navigation import link
from pki.core import extensions
from pki.models import Certificate, RevocationList
from pki.services.looking import list_standings
from pki.services.looking.list_standings import Word


def context(request: HttpRequest, certificate: Certificate) -> dict[str, Any]:
    """What the panel is given."""
    row = list_standings.named_by(certificate)
    may_see = row is not None and request.user.has_perm("pki.view_revocationlist")
    return {
        "crl_addresses": extensions.crl_addresses(certificate.parsed),
        "ocsp_addresses": extensions.ocsp_addresses(certificate.parsed),
        "list": row,
        "list_url": link("pki_revocationlist_change", row.pk) if row is not None and may_see else "",
        "listed": _listed(certificate, row) if row is not None and hasattr(certificate, "revocation") else "",
    }


def _listed(certificate: Certificate, row: RevocationList) -> str:
    """Whether the list that a revoked certificate names says so by now."""
    if row.this_update is not None and certificate.not_after < row.this_update:
        return "It has ended by itself, and lists name it no more, or not for long."
    now = timezone.now()
    waiting = list_standings.waiting(now)
    noted = waiting.get((row.issuer_id, row.shard))
    # Whoever signs a list deletes what was noted before: what is left was noted afterwards.
    if noted is None or noted > certificate.revocation.revoked_at:
        return f"Its revocation is in this list, number {row.number:,}."
    if list_standings.of(row, waiting, now).word is Word.WAITING:
        return "Its revocation is in the next list, which is made within seconds."
    return "Its revocation waits for the next list, which is not made as it should be."
