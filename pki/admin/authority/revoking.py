"""Revoking in the console: of certificates, of devices, of groups; and lifting a hold."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextareaWidget

from pki.admin.parts import reaching
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.choices import ExplainedChoice
from pki.admin.parts.objects import found, list_url, page_url, url_name
from pki.admin.parts.pages import ConsoleAdmin
from pki.admin.parts.shown import ago, counted
from pki.models import Certificate, Device, DeviceGroup, Revocation
from pki.services.revoking import impact, revocation

Reason = Revocation.Reason

# Certificates that a page looks at before it says what revoking would do.
LOOKED_AT = 500

# RFC 5280 5.3.1, as an administrator thinks of it: what it means, when to choose it, what follows.
REASONS: dict[str, str] = {
    Reason.KEY_COMPROMISE: "The key, or the device that holds it, is in wrong hands, or may be: lost, "
    "stolen, broken into. This key is never certified again; the device needs a new one.",
    Reason.CESSATION_OF_OPERATION: "The device is gone for good: broken, sold or thrown away. Nothing is "
    "known against its key.",
    Reason.SUPERSEDED: "A newer certificate has taken its place. Choose it after a rotation, once the "
    "device uses the new one.",
    Reason.AFFILIATION_CHANGED: "What the certificate says is no longer true: the device has another name, "
    "owner or site, and gets a certificate that says so.",
    Reason.PRIVILEGE_WITHDRAWN: "The device is there and its key is safe, but it may no longer do what this "
    "certificate lets it do.",
    Reason.CERTIFICATE_HOLD: "Stopped for the time being, while you look into it. This alone can be lifted "
    "again; it can also become one of the others later.",
    Reason.UNSPECIFIED: "None of these, or you would rather not say: everybody can read the reason in the "
    "revocation list.",
}


class RevocationForm(forms.Form):
    """Why certificates are revoked."""

    reason = forms.ChoiceField(
        choices=[(str(reason), str(reason)) for reason in REASONS],
        widget=ExplainedChoice("Reason", REASONS),
        error_messages={"required": "Choose why: the reason goes into the revocation list."},
        help_text="The reason goes into the revocation lists, for everybody to read.",
    )
    note = forms.CharField(
        required=False,
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="For your colleagues: kept in the audit log, and nowhere else.",
    )


class LiftForm(forms.Form):
    """Why a hold is lifted."""

    note = RevocationForm.base_fields["note"]


class Revokes(ConsoleAdmin):
    """A page of things whose certificates can be revoked: each at `<number>/revoke/`, many by an action."""

    # Of one, and of several.
    questions: tuple[str, str]

    def certificates_of(self, rows: QuerySet[Any]) -> QuerySet[Certificate]:
        """What there is to revoke of `rows`."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/revoke/", view, name=url_name(self, "revoke")), *urls]

    def has_revoke_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.add_revocation") and self.has_view_permission(request, obj)

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_revoke_permission)
        return self._ask(request, self.model._default_manager.filter(pk=row.pk), back=page_url(self, row))

    @admin.action(description="Revoke certificates", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._ask(request, queryset, back=list_url(self))

    def _ask(self, request: HttpRequest, rows: QuerySet[Any], back: str) -> HttpResponse:
        if not all(self.has_revoke_permission(request, row) for row in rows):
            raise PermissionDenied
        certificates = self.certificates_of(rows)
        one, several = self.questions

        def act(cleaned: dict[str, Any]) -> str:
            reason, actor = Reason(cleaned["reason"]), administrator(request)
            revoked = revocation.revoke_all(certificates, reason, actor, timezone.now(), cleaned["note"])
            return f"{counted('Revoked', revoked, 'certificate')} {reaching.afterwards()}"

        return ask_first(
            self,
            request,
            title="Revoke certificates",
            question=f"{one if len(rows) == 1 else several} They are refused at their next request.",
            items=rows,
            button="Revoke",
            act=act,
            form_class=RevocationForm,
            impact=lambda _: [*consequences(certificates), *reaching.beforehand()],
            destructive=True,
            back=back,
        )


class LiftsHolds(ConsoleAdmin):
    """A list in which holds can be lifted."""

    def certificates_of(self, rows: QuerySet[Any]) -> QuerySet[Certificate]:
        """The certificates of `rows`."""
        raise NotImplementedError

    def has_lift_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.delete_revocation") and self.has_view_permission(request, obj)

    @admin.action(description="Lift the hold", permissions=["lift"])
    def lift_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._ask_to_lift(request, queryset, back=list_url(self))

    def _ask_to_lift(self, request: HttpRequest, rows: QuerySet[Any], back: str) -> HttpResponse:
        if not all(self.has_lift_permission(request, row) for row in rows):
            raise PermissionDenied
        certificates = revocation.in_short(self.certificates_of(rows))

        def act(cleaned: dict[str, Any]) -> str:
            lifted = revocation.lift(certificates, administrator(request), timezone.now(), cleaned["note"])
            return f"{counted('Lifted the hold of', lifted, 'certificate')} {reaching.afterwards()}"

        return ask_first(
            self,
            request,
            title="Lift the hold",
            question="Lift the hold? These certificates are good again at their next request.",
            items=rows,
            button="Lift the hold",
            act=act,
            form_class=LiftForm,
            impact=lambda _: reaching.beforehand(),
            # Who was shut out comes in again: not by a console that was left open.
            destructive=True,
            back=back,
        )


class RevokesCertificates(Revokes, LiftsHolds):
    """Of the page of certificates: revoking them, and lifting their holds."""

    questions = ("Revoke this certificate?", "Revoke these certificates?")

    def certificates_of(self, rows: QuerySet[Certificate]) -> QuerySet[Certificate]:
        return Certificate.objects.filter(pk__in=[row.pk for row in rows])

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.lift_view)
        return [
            path("<path:object_id>/lift-hold/", view, name=url_name(self, "lift_hold")),
            *super().get_urls(),
        ]

    def lift_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_lift_permission)
        rows = Certificate.objects.filter(pk=row.pk)
        return self._ask_to_lift(request, rows, back=page_url(self, row))


class RevokesOfDevices(Revokes):
    """Of the page of devices: revoking all that they have."""

    questions = (
        "Revoke all living certificates of this device?",
        "Revoke all living certificates of these devices?",
    )

    def certificates_of(self, rows: QuerySet[Device]) -> QuerySet[Certificate]:
        return revocation.revocable(rows, timezone.now())


class RevokesOfGroups(Revokes):
    """Of the page of groups: revoking all that their devices have."""

    questions = (
        "Revoke all living certificates of all devices in this group?",
        "Revoke all living certificates of all devices in these groups?",
    )

    def certificates_of(self, rows: QuerySet[DeviceGroup]) -> QuerySet[Certificate]:
        return revocation.revocable(Device.objects.filter(groups__in=rows.values("pk")), timezone.now())


class LiftsHoldsOfRevocations(LiftsHolds):
    """Of the list of revocations: lifting those that are holds."""

    def certificates_of(self, rows: QuerySet[Revocation]) -> QuerySet[Certificate]:
        return Certificate.objects.filter(revocation__in=rows.values("pk"))


def consequences(certificates: QuerySet[Certificate]) -> Iterator[str]:
    """What stops working, in sentences; of more than LOOKED_AT, what is known of so many."""
    now = timezone.now()
    looked_at = list(revocation.in_short(certificates)[: LOOKED_AT + 1])
    if len(looked_at) > LOOKED_AT:
        yield (
            f"There are more than {LOOKED_AT:,} certificates, and all of them are revoked. What follows is "
            f"about {LOOKED_AT:,} of them."
        )
    known = impact.of_revoking(looked_at[:LOOKED_AT], now)
    if not known.certificates:
        yield "There is nothing left to revoke: none of these has a certificate that lives."
        return
    what = (
        "This certificate belongs"
        if known.certificates == 1
        else f"These {known.certificates:,} certificates belong"
    )
    seen = {name: ago(at, now) for name, at in known.seen}
    if known.devices:
        whom = "1 device" if known.devices == 1 else f"{known.devices:,} devices"
        last = next(iter(seen.values()), None)
        yield f"{what} to {whom}, " + (f"last seen {last}." if last else "never seen so far.")
    if known.devices > 1 and seen:
        yield f"Seen last: {'; '.join(f'{name}, {when}' for name, when in seen.items())}."
    yield from _left(known)
    yield from _besides(known)


def _left(known: impact.Impact) -> Iterator[str]:
    """What the devices can still connect with."""
    if known.keep_another_key:
        who = _who_of(known.keep_another_key, known.devices)
        yield f"{who} another living certificate, for another key, and can still connect with that one."
    if known.keep_the_same_key:
        who = _who_of(known.keep_the_same_key, known.devices)
        yield (
            f"{who} another living certificate for the same key. If the key is in wrong hands, revoke "
            "that one too."
        )


def _besides(known: impact.Impact) -> Iterator[str]:
    """What else is to be known of the certificates."""
    if known.held:
        yield f"On hold: {known.held:,}. With any reason but certificateHold, that is then for good."
    if known.expired:
        yield f"Expired already: {known.expired:,}. Nothing stops working with those."
    if known.revoked:
        yield f"Revoked already: {known.revoked:,}. When and why stays as it is."
    if known.listeners:
        yield (
            f"This portal's own: {', '.join(known.listeners)}. Clients that ask about revocation refuse that "
            "listener until it has a new certificate, which it makes at its next start."
        )


def _who_of(some: int, devices: int) -> str:
    if devices == 1:
        return "The device has"
    return "1 of the devices has" if some == 1 else f"{some:,} of the devices have"
