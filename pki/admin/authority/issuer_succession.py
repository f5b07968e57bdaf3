"""The next issuer: made from the page of the one that it is to replace, and what stands beside an issuer."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from pki.admin.authority import issuer_impact, issuer_loss
from pki.admin.navigation import link
from pki.admin.parts import once
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found, page_url, url_name
from pki.admin.parts.once import OnceForm
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.core import keys
from pki.models import Campaign, CrossCertificate, Issuer
from pki.services.issuing import succession
from pki.services.looking import lost_issuers


class NextIssuerForm(OnceForm):
    """The key and the name of the next issuer."""

    key = forms.ChoiceField(
        choices=[(spec, spec) for spec in keys.SPECS],
        widget=UnfoldAdminSelectWidget,
        help_text="Made here, and kept in the keystore. It may be of another kind than the one of now.",
    )
    name = forms.CharField(
        max_length=64,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The CN of its certificate. Empty: as the one before, with the next number, as in “… G2”.",
    )


class Succeeds(ReadOnlyAdmin):
    """Of the page of an issuer: making the next one, and what stands beside it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.next_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/next/", view, name=url_name(self, "next")), *urls]

    def may_make_next(self, request: HttpRequest, issuer: Issuer) -> bool:
        """Whether this user may, and there is none yet."""
        # Below a compromised one nothing is made: that one is to be replaced, and what is below with it.
        above_stands = issuer.parent is None or issuer.parent.state == Issuer.State.ACTIVE
        fits = issuer.state != Issuer.State.RETIRED and above_stands
        return self.has_add_permission(request) and fits and not _next_of(issuer)

    def next_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make the issuer that is to replace this one."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        issuer: Issuer = found(self, request, object_id, may=self.has_view_permission)

        def act(cleaned: dict[str, Any]) -> HttpResponse:
            actor, now = administrator(request), timezone.now()
            with once.answering(request, cleaned["once"]):
                made = succession.make_next(issuer, cleaned["key"], actor, now, cleaned["name"].strip())
            messages.success(request, f"Made {made}. {issuer_impact.of_making()}")
            return HttpResponseRedirect(page_url(self, made))

        return ask_first(
            self,
            request,
            title=f"The next issuer after {issuer}",
            question="Make a CA that is to replace this one, with a new key? "
            + ("This one stays refused." if _is_compromised(issuer) else "Both stand then."),
            items=[issuer],
            button="Make the next issuer",
            act=act,
            form_class=NextIssuerForm,
            impact=lambda _: _what_comes(issuer),
            proved=True,
            back=page_url(self, issuer),
        )

    def beside(self, request: HttpRequest, issuer: Issuer) -> dict[str, Any]:
        """What the template is given of what stands beside an issuer."""
        may, now = request.user.has_perm, timezone.now()
        successor = _next_of(issuer)
        loss = lost_issuers.of(issuer, now)
        to_do = issuer_loss.steps(loss, issuer.profiles.order_by("name"), request) if loss else ()
        moves = may("pki.add_campaign") and loss is None
        return {
            "lost": issuer_loss.why(loss) if loss else "",
            "steps": list(to_do),
            "predecessor": issuer.predecessor,
            "successors": issuer.successors.order_by("pk"),
            "crossed": _crossed(issuer) if may("pki.view_crosscertificate") else [],
            "make_next": page_url(self, issuer, "next") if self.may_make_next(request, issuer) else "",
            "start_campaign": _draft_link(issuer, successor) if moves else "",
            "bundle": link("pki_trustbundle_changelist") if may("pki.view_trustbundle") else "",
        }


def _next_of(issuer: Issuer) -> Issuer | None:
    return lost_issuers.replacement(issuer, timezone.now())


def _is_compromised(issuer: Issuer) -> bool:
    return issuer.state == Issuer.State.COMPROMISED


def _crossed(issuer: Issuer) -> list[CrossCertificate]:
    """Certificates of its key by others, and by its key of others."""
    known = CrossCertificate.objects.select_related("subject", "signer").order_by("pk")
    return [*known.filter(subject=issuer), *known.filter(signer=issuer)]


def _draft_link(issuer: Issuer, successor: Issuer | None) -> str:
    if issuer.is_root:  # it signs for no devices: those of the CAs below it move
        below = issuer.subordinates.exists()
        return link("pki_issuer_changelist", parent__id__exact=str(issuer.pk)) if below else ""
    query = {"kind": str(Campaign.Kind.ISSUER), "from_issuer": str(issuer.pk)}
    if successor is not None:
        query["to_issuer"] = str(successor.pk)
    return link("pki_campaign_add", **query)


def _what_comes(issuer: Issuer) -> list[str]:
    if not issuer.is_root:
        return [
            "It is made below the same root, so that whoever trusts that trusts it at once.",
            "It signs for nobody yet: this page says then which profiles are to have it, and that devices "
            "enroll again."
            if _is_compromised(issuer)
            else "It signs for nobody yet: start a campaign then, from this page, to move the devices to it.",
        ]
    names = ", ".join(map(str, succession.to_be_replaced_below(issuer, timezone.now())))
    which = "was not retired" if _is_compromised(issuer) else "is active"
    made_below = (
        [f"A new CA is made below it for each that {which} below this one: {names}."] if names else []
    )
    if _is_compromised(issuer):
        return [
            "A root of its own: no certificate leads from the compromised one to it or back, for whoever has "
            "that key could make such certificates too.",
            *made_below,
            "Nobody trusts it yet. It signs for nobody either: this page says then what else is to be done.",
        ]
    return [
        "A root: each of the two certifies the other's key, so that who trusts one of them can verify what "
        "is under both.",
        *made_below,
        "Devices learn of it by the trust bundle. Give them time to fetch it before you start a campaign.",
    ]
