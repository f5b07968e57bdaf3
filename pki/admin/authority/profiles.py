from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldBooleanWidget,
)

from pki.admin.parts.asking import administrator
from pki.admin.parts.pages import ConsoleAdmin
from pki.admin.parts.proving import ProvedFirst
from pki.admin.parts.shown import labelled
from pki.core.keys import KeyKind
from pki.core.names import SUBJECT_ATTRIBUTES, SanKind
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Issuer, Profile
from pki.services.issuing import profiles

_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_USAGES = {
    ExtendedKeyUsage.CLIENT_AUTH: "clientAuth: proves itself to servers",
    ExtendedKeyUsage.SERVER_AUTH: "serverAuth: proves itself to clients; needs a SAN",
}


def _checkboxes(choices: list[tuple[str, str]], help_text: str, *, required: bool = False) -> Any:
    return forms.MultipleChoiceField(
        choices=choices,
        required=required,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=help_text,
        error_messages={"required": "Choose at least one."},
    )


def in_units(seconds: int) -> tuple[int, str]:
    """A number of seconds in the largest unit that divides it."""
    unit = next(unit for unit, length in _UNITS.items() if seconds % length == 0)
    return seconds // _UNITS[unit], unit


class LifetimeWidget(forms.MultiWidget):
    """A number and its unit."""

    def __init__(self) -> None:
        units = [(unit, unit) for unit in _UNITS]
        super().__init__(
            {
                "number": UnfoldAdminIntegerFieldWidget(attrs={"min": 1, "aria-label": "Lifetime, a number"}),
                "unit": UnfoldAdminSelectWidget(attrs={"aria-label": "Unit of the lifetime"}, choices=units),
            }
        )

    def decompress(self, value: Any) -> list[Any]:
        return list(in_units(value)) if isinstance(value, int) and value > 0 else [value, "days"]


class LifetimeField(forms.MultiValueField):
    """Seconds, written as a number of minutes, hours or days."""

    def __init__(self, **options: Any) -> None:
        number = forms.IntegerField(min_value=1)
        unit = forms.ChoiceField(choices=[(unit, unit) for unit in _UNITS])
        super().__init__((number, unit), widget=LifetimeWidget(), **options)

    def compress(self, values: list[Any]) -> int | None:
        return values[0] * _UNITS[values[1]] if values else None


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    lifetime_seconds = LifetimeField(
        label="Lifetime",
        help_text="How long its certificates live: from five minutes to ten years.",
    )
    key_kinds = _checkboxes(
        [(kind.value, kind.value) for kind in KeyKind], "Keys that devices may have.", required=True
    )
    extended_key_usages = _checkboxes(
        [(usage.value, words) for usage, words in _USAGES.items()],
        "What the certificates are good for.",
        required=True,
    )
    subject_from_request = _checkboxes(
        [(short, short) for short in SUBJECT_ATTRIBUTES if short != "CN"],
        "Subject attributes that a CSR may choose where the device's record does not say them.",
    )
    sans_from_request = _checkboxes(
        [(kind.value, kind.value) for kind in SanKind],
        "Kinds of SAN that a CSR may choose. Others will believe them: choose none if in doubt.",
    )

    knows_open = forms.BooleanField(
        label="I know that it signs for anybody who reaches the provisioning listener",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="Needed when the enrollment policy becomes open: nobody is asked then who they are.",
    )

    class Meta:
        model = Profile
        fields = (
            "name",
            "issuer",
            "enrollment_policy",
            "lifetime_seconds",
            "key_kinds",
            "extended_key_usages",
            "subject_from_request",
            "sans_from_request",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sans_from_request"].label = "SANs from request"
        if self.instance.pk is None and "issuer" in self.fields:
            issuing = Issuer.objects.filter(parent__isnull=False, state=Issuer.State.ACTIVE)
            self.fields["issuer"].initial = issuing.order_by("pk").values_list("pk", flat=True).first()

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if self.initial.get("name") in profiles.GONE_BY_NAME and name != self.initial["name"]:
            raise forms.ValidationError("Hatchery goes by this profile's name; make another profile.")
        return name

    def clean_knows_open(self) -> bool:
        knows: bool = self.cleaned_data["knows_open"]
        becomes = self.cleaned_data.get("enrollment_policy")
        if becomes == Profile.Policy.OPEN != self.initial.get("enrollment_policy") and not knows:
            raise forms.ValidationError(
                "Open, it signs for anybody who reaches the provisioning listener: tick that you know it, "
                "or choose token or approval."
            )
        return knows

    @property
    def changed_data(self) -> list[str]:
        """As Django's, of what is stored."""
        return [name for name in super().changed_data if name != "knows_open"]


@admin.register(Profile)
class ProfileAdmin(ProvedFirst, ConsoleAdmin):
    form = ProfileForm
    change_form_template = "console/profile.html"
    list_display = ("name", "issuer", "policy", "lives", "usages", "keys")
    list_filter = ("enrollment_policy", "issuer")
    list_select_related = ("issuer",)
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a profile's name"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "issuer", "enrollment_policy")}),
        ("Certificates", {"fields": ("lifetime_seconds", "key_kinds", "extended_key_usages")}),
        ("What a CSR may choose", {"fields": ("subject_from_request", "sans_from_request")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        names, *others = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            names = (None, {"fields": (*names[1]["fields"], "knows_open")})
        return [names, *others]

    @labelled(description="enrollment", label={"token": "success", "approval": "info", "open": "danger"})
    def policy(self, profile: Profile) -> str:
        return profile.enrollment_policy

    @admin.display(description="lifetime")
    def lives(self, profile: Profile) -> str:
        number, unit = in_units(profile.lifetime_seconds)
        return f"{number:,} {unit if number > 1 else unit.removesuffix('s')}"

    @admin.display(description="good for")
    def usages(self, profile: Profile) -> str:
        return ", ".join(profile.extended_key_usages)

    @admin.display(description="keys")
    def keys(self, profile: Profile) -> str:
        return ", ".join(profile.key_kinds)

    def history_of(self, row: Profile) -> dict[str, Any]:
        return {"kind": "profile.saved"}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        profile: Profile | None = options.get("obj")
        context["links"] = list(_links(request, profile)) if profile is not None else []
        context["is_open"] = profile is not None and profile.enrollment_policy == Profile.Policy.OPEN
        return super().render_change_form(request, context, *args, **options)

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:
        profiles.save(obj, form.changed_data, administrator(request), timezone.now())


def _links(request: HttpRequest, profile: Profile) -> Any:
    """The lists of what belongs to a profile, as far as the user may see them."""
    if request.user.has_perm("pki.view_issuer"):
        yield f"Issuer: {profile.issuer}", reverse("admin:pki_issuer_change", args=[profile.issuer_id])
    for model, words in (("device", "Its devices"), ("certificate", "Its certificates")):
        if request.user.has_perm(f"pki.view_{model}"):
            address = reverse(f"admin:pki_{model}_changelist")
            yield words, f"{address}?profile__id__exact={profile.pk}"
