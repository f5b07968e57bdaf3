"""The forms of devices: their record, their tokens, and what many of them are given at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from pki.admin.parts.once import OnceForm
from pki.core import names
from pki.models import Device, DeviceGroup, Profile
from pki.services.fleet import devices, labels

T = TypeVar("T")
U = TypeVar("U")

SUBJECT_FIELDS = {
    "O": "Organization (O)",
    "OU": "Unit (OU)",
    "L": "Locality (L)",
    "ST": "State or province (ST)",
    "C": "Country (C)",
}
LIFETIMES = {"1": "1 hour", "24": "24 hours", "168": "7 days"}


def _checked(rule: Callable[[T], U], value: T) -> U:
    try:
        return rule(value)
    except names.NameRefused as refusal:
        raise ValidationError(refusal.detail) from refusal


def _subject_field(short: str) -> forms.CharField:
    longest = names.SUBJECT_ATTRIBUTES[short].longest
    return forms.CharField(
        label=SUBJECT_FIELDS[short], required=False, max_length=longest, widget=UnfoldAdminTextInputWidget
    )


class DeviceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A device's record, in plain fields."""

    O = _subject_field("O")  # noqa: E741  named as the attribute is
    OU = _subject_field("OU")
    L = _subject_field("L")
    ST = _subject_field("ST")
    C = _subject_field("C")
    sans = forms.CharField(
        label="SANs",
        required=False,
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="One a line: DNS:door.example, IP:10.0.0.7, email:door@example.com, URI:urn:door:1.",
    )
    groups = forms.ModelMultipleChoiceField(
        queryset=DeviceGroup.objects.order_by("name"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Groups are made under Groups; a device may be in several.",
    )
    labels = forms.CharField(
        required=False,
        max_length=10_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Words to find it by, separated by commas: site=berlin, beta.",
    )

    class Meta:
        model = Device
        fields = ("name", "profile", "groups")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = self.instance.subject, self.instance.sans
        if self.instance.pk is None and "profile" in self.fields:
            usual = Profile.objects.filter(name=devices.DEFAULT_PROFILE)
            self.fields["profile"].initial = usual.values_list("pk", flat=True).first()
        if self.instance.pk:
            self.initial.update({short: self.instance.subject.get(short, "") for short in SUBJECT_FIELDS})
            self.initial["sans"] = "\n".join(self.instance.sans)
            self.initial["labels"] = ", ".join(label.name for label in self.instance.labels.all())

    def clean_name(self) -> str:
        return _checked(names.device_name, self.cleaned_data["name"])

    def clean_sans(self) -> list[str]:
        lines = (line.strip() for line in self.cleaned_data["sans"].splitlines())
        return list(dict.fromkeys(str(_checked(names.parse_san, line)) for line in lines if line))

    def clean_labels(self) -> list[str]:
        return _checked(labels.parse, self.cleaned_data["labels"])

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        subject: dict[str, str] = {}
        for short in SUBJECT_FIELDS:
            if value := cleaned.get(short):
                try:
                    subject |= names.checked_subject({short: value})
                except names.NameRefused as refusal:
                    self.add_error(short, refusal.detail)
        cleaned["subject"] = subject
        return cleaned

    @property
    def changed_record(self) -> list[str]:
        """The columns of the record that were changed: the profile, the subject, the SANs."""
        changed = ["profile"] if "profile" in self.changed_data else []
        if self.cleaned_data["subject"] != self._before[0]:
            changed.append("subject")
        if self.cleaned_data["sans"] != self._before[1]:
            changed.append("sans")
        return changed


class TokenForm(OnceForm):
    """How long tokens are to live."""

    hours = forms.ChoiceField(
        label="Good for", choices=list(LIFETIMES.items()), initial="24", widget=UnfoldAdminSelectWidget
    )

    def clean_hours(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["hours"]))


class OneTokenForm(TokenForm):
    """How long a token is to live, and how often it may be used."""

    uses = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Each use is a certificate. One is enough: an answer that was lost is given again.",
    )


class GroupForm(forms.Form):
    """Which group."""

    group = forms.ModelChoiceField(
        DeviceGroup.objects.order_by("name"),
        empty_label="Choose a group",
        widget=UnfoldAdminSelectWidget,
        error_messages={"required": "Choose a group; if there is none, add one under Device groups."},
    )


class LabelsForm(forms.Form):
    """Which labels."""

    labels = forms.CharField(
        max_length=1_000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Separated by commas: site=berlin, beta.",
    )

    def clean_labels(self) -> list[str]:
        wanted = _checked(labels.parse, self.cleaned_data["labels"])
        if not wanted:
            raise ValidationError("Write at least one label.")
        return wanted
