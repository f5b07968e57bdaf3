"""The form of a profile."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from pki.admin.parts.spans import IN_HOURS, IN_MINUTES, IN_SECONDS, SpanField
from pki.core.errors import Refusal
from pki.core.keys import KeyKind
from pki.core.names import SUBJECT_ATTRIBUTES, SanKind
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Issuer, Profile
from pki.services.issuing import profiles

_USAGES = {
    ExtendedKeyUsage.CLIENT_AUTH: "clientAuth: proves itself to servers",
    ExtendedKeyUsage.SERVER_AUTH: "serverAuth: proves itself to clients; needs a SAN",
}
# Each warning is looked for among all certificates at every turn of maintenance.
_MOST_WARNINGS = 10
_FARTHEST_WARNING = 366


def _checkboxes(choices: list[tuple[str, str]], help_text: str, *, required: bool = False) -> Any:
    return forms.MultipleChoiceField(
        choices=choices,
        required=required,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=help_text,
        error_messages={"required": "Choose at least one."},
    )


class WarnDaysField(forms.CharField):
    """Days before an end, as `30, 7, 1`: a list of whole numbers, the largest first."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = str(super().to_python(value) or "").replace(",", " ").split()
        wrong = [word for word in words if not (word.isascii() and word.isdigit() and len(word) <= 6)]
        if wrong:
            raise ValidationError(f"Write whole numbers of days with commas between them, not {wrong[0]!r}.")
        days = sorted({int(word) for word in words}, reverse=True)
        if any(not 1 <= each <= _FARTHEST_WARNING for each in days):
            raise ValidationError(f"Each is a number of days from 1 to {_FARTHEST_WARNING}.")
        if len(days) > _MOST_WARNINGS:
            raise ValidationError(f"At most {_MOST_WARNINGS}: who is told too often reads none of it.")
        return days

    def run_validators(self, value: Any) -> None:
        """Those of texts say nothing of a list."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except ValidationError:
            return True


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    lifetime_seconds = SpanField(
        IN_SECONDS,
        label="Lifetime",
        least=300,
        most=10 * 366 * 86_400,
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
    renew_same_key = forms.BooleanField(
        label="A device may renew with the key that it has",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="For devices that cannot make another one. Without it each renewal brings a new key, so "
        "that a key that leaked unseen is of no use after the next renewal.",
    )
    supersede_after_minutes = SpanField(
        IN_MINUTES,
        label="Supersede the one before after",
        required=False,
        most=366 * 1_440,
        help_text="Counted from when a renewed certificate is first seen at work; then the one before is "
        "revoked as superseded. Empty: it stays good until it ends, in case the device goes back to it.",
    )
    grace_hours = SpanField(
        IN_HOURS,
        label="Grace after the end",
        required=False,
        most=366 * 24,
        help_text="How long a device that slept past its certificate's end may still renew with it, and do "
        "nothing else. Never with one that was revoked. 0: not at all; then it needs a new token.",
    )
    warn_days = WarnDaysField(
        label="Warn of an end so many days ahead",
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="By mail, by webhook and on the dashboard, once for each certificate and number, if it was "
        "not renewed by then: 30, 7, 1. Empty: nobody is told.",
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
            "renew_same_key",
            "supersede_after_minutes",
            "grace_hours",
            "warn_days",
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

    def clean_grace_hours(self) -> int:
        return self.cleaned_data["grace_hours"] or 0

    def clean_knows_open(self) -> bool:
        knows: bool = self.cleaned_data["knows_open"]
        becomes = self.cleaned_data.get("enrollment_policy")
        if becomes == Profile.Policy.OPEN != self.initial.get("enrollment_policy") and not knows:
            raise forms.ValidationError(
                "Open, it signs for anybody who reaches the provisioning listener: tick that you know it, "
                "or choose token or approval."
            )
        return knows

    def clean_issuer(self) -> Issuer:
        issuer: Issuer = self.cleaned_data["issuer"]
        try:
            profiles.require_known_root(self.instance, issuer, timezone.now())
        except Refusal as refusal:
            raise forms.ValidationError(refusal.detail) from None
        return issuer

    @property
    def changed_data(self) -> list[str]:
        """As Django's, of what is stored."""
        return [name for name in super().changed_data if name != "knows_open"]
