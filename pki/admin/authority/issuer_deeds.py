"""What a CA administrator does with issuers: make one, retire it, take it back, declare it compromised."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from pki.admin.authority import issuer_impact
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found, page_url
from pki.admin.parts.pages import ReadOnlyAdmin
from pki.core import keys
from pki.models import Issuer
from pki.services.issuing import authorities

_STATE = Issuer.State


@dataclass(frozen=True)
class Deed:
    """A change of an issuer's state."""

    name: str
    words: str
    style: str
    after: Issuer.State
    fits: Callable[[Issuer], bool]
    question: str


DEEDS = (
    Deed(
        "retire",
        "Retire",
        "button-danger",
        _STATE.RETIRED,
        lambda issuer: issuer.state == _STATE.ACTIVE,
        "It signs nothing more; what it signed stays good. It can be taken back.",
    ),
    Deed(
        "activate",
        "Take back into use",
        "button",
        _STATE.ACTIVE,
        lambda issuer: issuer.state == _STATE.RETIRED,
        "It signs again, under every profile that uses it.",
    ),
    Deed(
        "compromised",
        "Declare compromised",
        "button-danger",
        _STATE.COMPROMISED,
        lambda issuer: issuer.state != _STATE.COMPROMISED,
        "Its key is in wrong hands: every certificate of it is refused from the next request on, for good.",
    ),
)


class NewIssuerForm(forms.Form):
    """A new issuer: its name, what is above it, its key."""

    name = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget, help_text="The CN of its certificate."
    )
    parent = forms.ModelChoiceField(
        queryset=Issuer.objects.filter(parent=None, state=_STATE.ACTIVE).order_by("name"),
        required=False,
        empty_label="nothing: a root of its own",
        label="Above it",
        widget=UnfoldAdminSelectWidget,
        help_text="Below a root, it is trusted wherever the root is. It lives ten years, a root twenty.",
    )
    key = forms.ChoiceField(
        choices=[(spec, spec) for spec in keys.SPECS],
        initial="P-256",
        widget=UnfoldAdminSelectWidget,
        help_text="Made here, and kept in the keystore for good. P-256 unless you know why not.",
    )


class ConfirmedByNameForm(forms.Form):
    """What retiring an issuer that is in use asks for."""

    confirmed_name = forms.CharField(
        max_length=64,
        required=False,
        label="Its name",
        widget=UnfoldAdminTextInputWidget,
        help_text="Exactly as it is written above, to retire it nevertheless. Better move first what "
        "depends on it, by a campaign.",
    )


class IssuerDeeds(ReadOnlyAdmin):
    """The pages that make an issuer or change its state."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("pki.add_issuer")

    def has_deed_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.change_issuer")

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:pk>/{deed.name}/",
                self.admin_site.admin_view(partial(self.deed_view, deed=deed)),
                name=f"pki_issuer_{deed.name}",
            )
            for deed in DEEDS
        ]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Make an issuer, with a new key."""
        if not self.has_add_permission(request):
            raise PermissionDenied

        def act(cleaned: dict[str, Any]) -> str:
            actor, now = administrator(request), timezone.now()
            if cleaned["parent"] is None:
                made = authorities.make_root(cleaned["name"], cleaned["key"], actor, now)
            else:
                made = authorities.make_subordinate(
                    cleaned["name"], cleaned["parent"], cleaned["key"], actor, now
                )
            return f"Made {made}. {issuer_impact.of_making()}"

        return ask_first(
            self,
            request,
            title="New issuer",
            question="Make a CA certificate with a new key?",
            items=[],
            button="Make the issuer",
            act=act,
            form_class=NewIssuerForm,
            destructive=True,
        )

    def deed_view(self, request: HttpRequest, pk: int, deed: Deed) -> HttpResponse:
        """Change an issuer's state."""
        issuer: Issuer = found(self, request, str(pk), may=self.has_deed_permission)
        in_vain = issuer_impact.of_taking_back(issuer) if deed.after == _STATE.ACTIVE else ""

        def act(cleaned: dict[str, Any]) -> str:
            changed = authorities.change_state(
                issuer,
                deed.after,
                administrator(request),
                timezone.now(),
                confirmed_name=cleaned.get("confirmed_name", ""),
            )
            return f"{issuer} is now {deed.after}." if changed else f"{issuer} was {deed.after} already."

        return ask_first(
            self,
            request,
            title=f"{deed.words}: {issuer}",
            question=in_vain or deed.question,
            items=[issuer],
            button=deed.words,
            act=act,
            form_class=ConfirmedByNameForm if issuer_impact.must_be_named(issuer, deed.after) else forms.Form,
            impact=partial(issuer_impact.told, after=deed.after) if deed.after != _STATE.ACTIVE else None,
            destructive=True,
            back=page_url(self, issuer),
        )

    def buttons(self, request: HttpRequest, issuer: Issuer) -> list[dict[str, str]]:
        """What this user may do with this issuer now."""
        if not self.has_deed_permission(request, issuer):
            return []
        return [
            {"words": deed.words, "style": deed.style, "url": page_url(self, issuer, deed.name)}
            for deed in DEEDS
            if deed.fits(issuer)
        ]
