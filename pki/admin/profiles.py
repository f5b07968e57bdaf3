from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from pki.admin.asking import administrator
from pki.admin.pages import ConsoleAdmin
from pki.admin.shown import labelled
from pki.core.keys import KeyKind
from pki.core.names import SUBJECT_ATTRIBUTES, SanKind
from pki.core.profiles import ExtendedKeyUsage
from pki.models import Profile
from pki.services import profiles

# Each list of a profile, and the words that may stand in it.
_WORDS = {
    "key_kinds": [kind.value for kind in KeyKind],
    "extended_key_usages": [usage.value for usage in ExtendedKeyUsage],
    "subject_from_request": [short for short in SUBJECT_ATTRIBUTES if short != "CN"],
    "sans_from_request": [kind.value for kind in SanKind],
}


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
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

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if self.initial.get("name") in profiles.GONE_BY_NAME and name != self.initial["name"]:
            raise forms.ValidationError("Hatchery goes by this profile's name; make another profile.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for field, words in _WORDS.items():
            if field not in cleaned:
                continue  # has its error already
            value = cleaned[field] = cleaned[field] or []
            if not isinstance(value, list) or not set(map(str, value)) <= set(words):
                self.add_error(field, f"A JSON list with words of: {', '.join(words)}.")
        for field in ("key_kinds", "extended_key_usages"):
            if cleaned.get(field) == []:
                self.add_error(field, "Choose at least one.")
        return cleaned


@admin.register(Profile)
class ProfileAdmin(ConsoleAdmin):
    form = ProfileForm
    list_display = ("name", "issuer", "policy", "lifetime", "extended_key_usages")
    list_filter = ("enrollment_policy", "issuer")
    list_select_related = ("issuer",)
    search_fields = ("name",)

    @labelled(
        description="enrollment",
        label={"token": "success", "approval": "info", "open": "danger"},
        ordering="name",
    )
    def policy(self, profile: Profile) -> str:
        return profile.enrollment_policy

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:
        profiles.save(obj, form.changed_data, administrator(request), timezone.now())
