from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.enums import ActionVariant

from pki.admin.asking import administrator, ask_first
from pki.admin.pages import on_page
from pki.admin.revoking import RevokesOfDevices
from pki.admin.shown import counted, labelled
from pki.core import names
from pki.models import Device
from pki.services import devices, tokens

T = TypeVar("T")
U = TypeVar("U")


def _checked(rule: Callable[[T], U], value: T) -> U:
    try:
        return rule(value)
    except names.NameRefused as refusal:
        raise ValidationError(refusal.detail) from refusal


class DeviceForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Device
        fields = ("name", "profile", "subject", "sans")

    def clean_name(self) -> str:
        return _checked(names.device_name, self.cleaned_data["name"])

    def clean_subject(self) -> dict[str, str]:
        value = self.cleaned_data["subject"] or {}
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise ValidationError('A JSON object of texts, as {"O": "Example"}.')
        if "CN" in value:
            raise ValidationError("The CN is the device's name; leave it out here.")
        return _checked(names.checked_subject, value)

    def clean_sans(self) -> list[str]:
        value = self.cleaned_data["sans"] or []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ValidationError('A JSON list of texts, as ["DNS:door.example"].')
        return [str(_checked(names.parse_san, each)) for each in value]


@admin.register(Device)
class DeviceAdmin(RevokesOfDevices):
    form = DeviceForm
    list_display = ("name", "shown_state", "profile", "created_at")
    list_filter = ("state", "profile")
    list_select_related = ("profile",)
    search_fields = ("name__startswith",)
    search_help_text = "The beginning of a device's name"
    ordering = ("-pk",)
    actions = ("suspend_selected", "resume_selected", "retire_selected", "revoke_selected")
    actions_detail = ("new_token",)

    @labelled(description="state", label={"active": "success", "suspended": "warning", "retired": "info"})
    def shown_state(self, device: Device) -> str:
        return device.state

    def get_readonly_fields(self, request: HttpRequest, obj: Device | None = None) -> tuple[str, ...]:
        # Its certificates carry the name; another name is another device.
        return ("name", "state", "created_at") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Device | None = None) -> tuple[str, ...]:
        editable = ("name", "profile", "subject", "sans")
        return (*editable, "state", "created_at") if obj else editable

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:
        actor, now = administrator(request), timezone.now()
        if change:
            devices.amend(obj, form.changed_data, actor, now)
        else:
            made = devices.register(obj.name, obj.profile, actor, now, subject=obj.subject, sans=obj.sans)
            obj.pk = made.pk

    def has_token_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm("pki.add_enrollmenttoken")

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
            changed = devices.change_states(queryset, state, administrator(request), timezone.now())
            return counted(f"Now {state}:", changed, "device")

        return ask_first(
            self,
            request,
            title=f"{verb} devices",
            question=f"{verb} these devices? It takes effect at their next request.",
            items=queryset,
            button=verb,
            act=act,
        )

    @on_page(
        description="New token",
        url_path="new-token",
        icon="key",
        variant=ActionVariant.PRIMARY,
        permissions=["token"],
    )
    def new_token(self, request: HttpRequest, object_id: str) -> HttpResponse:
        device = self.get_object(request, object_id)
        if device is None:
            raise Http404
        if not self.has_view_permission(request, device):
            raise PermissionDenied

        def act(_: dict[str, Any]) -> HttpResponse:
            secret, token = tokens.make(administrator(request), timezone.now(), device.profile, device=device)
            return self._show_token(request, device, secret, token.expires_at)

        return ask_first(
            self,
            request,
            title="New token",
            question="Make a token that lets this device enroll once within 24 hours?",
            items=[device],
            button="Make the token",
            act=act,
        )

    def _show_token(self, request: HttpRequest, device: Device, secret: str, expires_at: Any) -> HttpResponse:
        response = TemplateResponse(
            request,
            "console/token.html",
            {
                **self.admin_site.each_context(request),
                "title": f"Token for {device}",
                "device": device,
                "secret": secret,
                "expires_at": expires_at,
                "sign_csr_url": self._sign_csr_url(),
                "opts": self.model._meta,
            },
        )
        response["Cache-Control"] = "no-store"
        messages.success(request, "This token is shown once.")
        return response

    @staticmethod
    def _sign_csr_url() -> str:
        host = names.url_host(settings.PORTAL_HOSTNAMES[0])
        return f"https://{host}:{settings.PORTAL_PORT_PROVISIONING}/sign-csr"
