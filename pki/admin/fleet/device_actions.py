"""What is done with devices: with many that were chosen in their list, or with one by its page's buttons."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from pki.admin.authority.revoking import RevokesOfDevices
from pki.admin.fleet.device_forms import GroupForm, LabelsForm, OneTokenForm, TokenForm
from pki.admin.fleet.impact import followed, refused_from_now
from pki.admin.fleet.token_pages import handed_once, shown_once
from pki.admin.parts import once
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.matching import ActsOnAllThatMatch
from pki.admin.parts.shown import counted
from pki.models import Device
from pki.services.enrolling import tokens
from pki.services.fleet import devices, labels, rotation
from pki.services.issuing import issuance
from pki.services.rotating import overrides


class DeviceActions(RevokesOfDevices, ActsOnAllThatMatch):
    """Each asks first, checks on the server who may, and is on record."""

    def has_token_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("pki.add_enrollmenttoken")

    def has_follow_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and request.user.has_perm("pki.change_campaign")

    def has_rotate_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request) and self.has_token_permission(request)

    def _back(self, request: HttpRequest) -> str | None:
        """The page of the device whose button it was; the list, for an action of the list."""
        match = request.resolver_match
        object_id = match.kwargs.get("object_id") if match else None
        return reverse(f"{self.admin_site.name}:pki_device_change", args=[object_id]) if object_id else None

    # --- State ------------------------------------------------------------------------------------

    @admin.action(description="Suspend: refused until resumed", permissions=["change"])
    def suspend_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._change_states(request, queryset, Device.State.SUSPENDED, "Suspend")

    @admin.action(description="Resume: good again", permissions=["change"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._change_states(request, queryset, Device.State.ACTIVE, "Resume")

    @admin.action(description="Retire: gone for good", permissions=["change"])
    def retire_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._change_states(request, queryset, Device.State.RETIRED, "Retire")

    def _change_states(
        self, request: HttpRequest, queryset: QuerySet[Device], state: Device.State, verb: str
    ) -> HttpResponse:
        def act(_: dict[str, Any]) -> str:
            actor, now = administrator(request), timezone.now()
            changed = devices.in_batches(
                queryset, lambda some: devices.change_states(some, state, actor, now)
            )
            return counted(f"Now {state}:", changed, "device")

        resumes = state == Device.State.ACTIVE
        return ask_first(
            self,
            request,
            title=f"{verb} devices",
            question=f"{verb} these devices? It takes effect at their next request.",
            items=queryset,
            button=verb,
            act=act,
            impact=None if resumes else refused_from_now,
            destructive=not resumes,
            back=self._back(request),
        )

    # --- Tokens -----------------------------------------------------------------------------------

    def new_token(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        """One device's token, shown once."""

        def act(cleaned: dict[str, Any]) -> HttpResponse:
            device = queryset.get()
            issuance.require_active_device(device)
            with once.answering(request, cleaned["once"]):
                made = tokens.make(
                    administrator(request),
                    timezone.now(),
                    device.profile,
                    device=device,
                    uses=cleaned["uses"],
                    lifetime=cleaned["hours"],
                )
            return shown_once(self, request, device, made)

        return ask_first(
            self,
            request,
            title="New token",
            question="Make a token that lets this device enroll? It is shown once.",
            items=queryset,
            button="Make the token",
            act=act,
            form_class=OneTokenForm,
            back=self._back(request),
        )

    @admin.action(description="New tokens: one for each, as a CSV", permissions=["token"])
    def new_tokens_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        def act(cleaned: dict[str, Any]) -> HttpResponse:
            chosen = list(queryset.order_by("name"))
            with once.answering(request, cleaned["once"]):
                handed = tokens.make_each(chosen, administrator(request), timezone.now(), cleaned["hours"])
            return handed_once(self, request, handed, counted("Made", len(handed), "token"))

        return ask_first(
            self,
            request,
            title="New tokens",
            question="Make a token for each of these devices? They are shown once, as a CSV to download.",
            items=queryset,
            button="Make the tokens",
            act=act,
            form_class=TokenForm,
        )

    def rotate(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        """Ask for a new key, and make the token by which it gets its certificate."""

        def act(cleaned: dict[str, Any]) -> HttpResponse:
            device = queryset.get()
            with once.answering(request, cleaned["once"]):
                made = rotation.request_with_token(
                    device,
                    administrator(request),
                    timezone.now(),
                    uses=cleaned["uses"],
                    lifetime=cleaned["hours"],
                )
            return shown_once(self, request, device, made, rotating=True)

        return ask_first(
            self,
            request,
            title="Rotate now",
            question="Replace the key and the certificate of this device? You get a token for its new key. "
            "Its certificate stays good until the new one is first seen at work, and is superseded then.",
            items=queryset,
            button="Rotate now",
            act=act,
            form_class=OneTokenForm,
            back=self._back(request),
        )

    def cancel_rotation(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        """Let a device keep its certificate after all."""

        def act(_: dict[str, Any]) -> str:
            cancelled = rotation.cancel(queryset.get(), administrator(request), timezone.now())
            return "The rotation is called off." if cancelled else "There was no rotation to call off."

        return ask_first(
            self,
            request,
            title="Cancel the rotation",
            question="Let this device keep its certificates? Tokens that were made for it stay usable; "
            "cancel them under Enrollment tokens.",
            items=queryset,
            button="Cancel the rotation",
            act=act,
            back=self._back(request),
        )

    def follow_profile(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        """Have it signed for by its profile's issuer again, whatever a campaign decided."""

        def act(_: dict[str, Any]) -> str:
            cleared = overrides.clear(queryset.get(), administrator(request), timezone.now())
            return "It follows its profile again." if cleared else "It followed its profile already."

        return ask_first(
            self,
            request,
            title="Follow its profile",
            question="Let this device get its next certificate from its profile's issuer again?",
            items=queryset,
            button="Follow its profile",
            act=act,
            impact=followed,
            proved=True,
            back=self._back(request),
        )

    # --- Groups and labels ------------------------------------------------------------------------

    @admin.action(description="Add to a group", permissions=["change"])
    def join_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._sort(request, queryset, "Add to a group", GroupForm, "group", labels.join)

    @admin.action(description="Remove from a group", permissions=["change"])
    def leave_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._sort(request, queryset, "Remove from a group", GroupForm, "group", labels.leave)

    @admin.action(description="Add labels", permissions=["change"])
    def label_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._sort(request, queryset, "Add labels", LabelsForm, "labels", labels.add)

    @admin.action(description="Remove labels", permissions=["change"])
    def unlabel_selected(self, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse:
        return self._sort(request, queryset, "Remove labels", LabelsForm, "labels", labels.remove)

    def _sort(
        self,
        request: HttpRequest,
        queryset: QuerySet[Device],
        words: str,
        form_class: type[forms.Form],
        field: str,
        service: Callable[..., int],
    ) -> HttpResponse:
        def act(cleaned: dict[str, Any]) -> str:
            actor, now = administrator(request), timezone.now()
            changed = devices.in_batches(queryset, lambda some: service(some, cleaned[field], actor, now))
            return counted("Changed", changed, "device")

        return ask_first(
            self,
            request,
            title=words,
            question=f"{words}: these devices?",
            items=queryset,
            button=words,
            act=act,
            form_class=form_class,
        )
