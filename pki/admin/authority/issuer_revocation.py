"""What an issuer's page shows of its revocation lists and its OCSP responder."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from pki.admin.authority import publishing
from pki.admin.authority.publishing import Publishes
from pki.admin.navigation import link
from pki.admin.parts.objects import found, page_url, url_name
from pki.models import Issuer
from pki.services.looking import list_standings, responder_standings

_COMPROMISED = (
    "Its key is in wrong hands: whoever has it can sign lists and answers of their own. Nobody should rely "
    "on these any more; {above}"
)
_ABOVE = "the list of {parent} and OCSP say that this CA is revoked (cACompromise)."
_A_ROOT = "take this root out of every trust store, for no list can revoke a root."
_RETIRED = (
    "It issues nothing more. Its lists and its OCSP answers are made until it ends, for what it issued."
)
_ENDED = "It has ended, and so has everything that it issued: its lists are made no more."
_NO_RESPONDER = (
    "None yet, because nobody has asked: a node that has this CA's key makes one by itself at the first OCSP "
    "question. If it was asked, and there still is none, see what that node's log says."
)
_ELSEWHERE = (
    "Its key is not on this node, which therefore signs neither its lists nor its OCSP answers: a node that "
    "has the key does. If there is none, restore the key's file from a backup."
)


class ShowsRevocation(Publishes):
    """Of the page of an issuer: its lists, its responder, and the button that publishes."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.publish_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/publish/", view, name=url_name(self, "publish")), *urls]

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        issuer: Issuer = found(self, request, object_id, may=self.has_publish_permission)
        return self.ask_to_publish(request, publishing.lists_of(issuer), back=page_url(self, issuer))

    def revocation_context(self, request: HttpRequest, issuer: Issuer) -> dict[str, Any]:
        """What the template is given, as far as this user may see it."""
        may, now = request.user.has_perm, timezone.now()
        context: dict[str, Any] = {"revocation_note": _note(issuer)}
        if may("pki.view_revocationlist"):
            waiting = list_standings.waiting(now)
            lists = list_standings.shown_of(issuer)
            context["lists"] = [(row, list_standings.of(row, waiting, now)) for row in lists]
            context["all_lists"] = link("pki_revocationlist_changelist", issuer__id__exact=str(issuer.pk))
            context["publish"] = (
                page_url(self, issuer, "publish") if self.has_publish_permission(request, issuer) else ""
            )
        if may("pki.view_responder"):
            context["ocsp_url"] = f"{settings.PORTAL_STATUS_URL}/ocsp"
            context["no_responder"] = _NO_RESPONDER
            context["responders"] = responder_standings.shown_of(issuer, now)
            context["all_responders"] = link("pki_responder_changelist", issuer__id__exact=str(issuer.pk))
        return context


def _note(issuer: Issuer) -> str:
    """What an issuer's state, or where its key is, means for its lists; empty if nothing."""
    if issuer.state == Issuer.State.COMPROMISED:
        above = _ABOVE.format(parent=issuer.parent) if issuer.parent else _A_ROOT
        return _COMPROMISED.format(above=above)
    if issuer.not_after <= timezone.now():
        return _ENDED
    if not responder_standings.is_here(issuer.key_reference):
        return _ELSEWHERE
    return _RETIRED if issuer.state == Issuer.State.RETIRED else ""
