"""The form in which a campaign is drafted: which devices, whereto, and how."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from pki.admin.parts.choices import ExplainedChoice
from pki.admin.parts.once import OnceForm
from pki.admin.parts.spans import IN_SECONDS, SpanField
from pki.models import Campaign, DeviceGroup, Issuer, Label
from pki.services.rotating import drafting
from pki.services.rotating.drafting import MOST, Plan
from pki.services.rotating.judging import FEWEST_FAILURES
from pki.services.rotating.selection import Selection

_KINDS = {
    Campaign.Kind.ISSUER.value: "Each device gets its next certificate from another issuer: because the one "
    "of now ends, is to be retired, or is not trusted any more.",
    Campaign.Kind.KEY.value: "Each device makes a new key, and gets its next certificate for that one from "
    "the issuer that it has.",
}
_SPANS = {unit: length for unit, length in IN_SECONDS.items() if unit != "seconds"}


def _percent(label: str, most: int, initial: int, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=0,
        max_value=most,
        initial=initial,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=help_text,
    )


class CampaignForm(OnceForm):
    """Everything that a draft says."""

    name = forms.CharField(
        max_length=drafting.LONGEST_NAME,
        widget=UnfoldAdminTextInputWidget,
        help_text="How you speak of it: “Berlin to the 2027 issuer”.",
    )
    kind = forms.ChoiceField(
        label="What for",
        choices=[(Campaign.Kind.ISSUER.value, "Another issuer"), (Campaign.Kind.KEY.value, "New keys")],
        initial=Campaign.Kind.ISSUER.value,
        widget=ExplainedChoice("What for", _KINDS),
    )
    to_issuer = forms.ModelChoiceField(
        Issuer.objects.filter(state=Issuer.State.ACTIVE, parent__isnull=False).order_by("-created_at", "-pk"),
        label="To the issuer",
        required=False,
        empty_label="Choose an issuer",
        widget=UnfoldAdminSelectWidget,
        help_text="Who signs from now on. The next issuer is made on the page of the one of now.",
    )
    from_issuer = forms.ModelChoiceField(
        Issuer.objects.order_by("name"),
        label="From the issuer",
        required=False,
        empty_label="any",
        widget=UnfoldAdminSelectWidget,
        help_text="Devices with a living certificate of this issuer.",
    )
    group = forms.ModelChoiceField(
        DeviceGroup.objects.order_by("name"),
        required=False,
        empty_label="any, or none",
        widget=UnfoldAdminSelectWidget,
    )
    label = forms.CharField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text="One label, as it is written on the devices.",
    )
    keys_before = forms.DateField(
        label="With keys from before",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "field"}),
        help_text="A day, from its midnight on (UTC): devices whose newest key was certified before it. "
        "Choose tomorrow for every key there is.",
    )
    canary_percent = _percent(
        "Canaries, in percent",
        MOST["canary_percent"],
        Plan.canary_percent,
        "So many of a hundred are asked first, at least one, taken from the whole fleet by chance. "
        "0: none, and all are asked from the start.",
    )
    canary_seconds = SpanField(
        _SPANS,
        label="Canaries are watched for",
        most=MOST["canary_seconds"],
        initial=Plan.canary_seconds,
        help_text="At least so long; then, if they did well, the others are asked.",
    )
    window_seconds = SpanField(
        _SPANS,
        label="The others are asked over",
        most=MOST["window_seconds"],
        initial=Plan.window_seconds,
        help_text="A few at a time, spread evenly. 0: all at once, as after a compromise.",
    )
    failures_percent = _percent(
        "Stop at failures, in percent",
        MOST["failures_percent"],
        Plan.failures_percent,
        "It stops by itself when more than so many of a hundred that were asked have failed, and at least "
        f"{FEWEST_FAILURES} devices.",
    )

    def clean_label(self) -> Label | None:
        name = self.cleaned_data["label"].strip()
        if not name:
            return None
        try:
            return Label.objects.get(name=name)
        except Label.DoesNotExist as none:
            raise ValidationError(f"No device has the label {name!r}.") from none

    def clean_keys_before(self) -> datetime | None:
        day: date | None = self.cleaned_data["keys_before"]
        if day is None:
            return None
        before = datetime.combine(day, time.min, UTC)
        if before > timezone.now() + timedelta(days=1):
            raise ValidationError("Choose tomorrow at the latest: later keys do not exist yet.")
        return before

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("kind") == Campaign.Kind.KEY:
            cleaned["to_issuer"] = None  # the page hides it then
            self.errors.pop("to_issuer", None)
        elif cleaned.get("kind") == Campaign.Kind.ISSUER and "to_issuer" in cleaned:
            self._check_target(cleaned["to_issuer"], cleaned.get("from_issuer"))
        conditions = ("from_issuer", "group", "label", "keys_before")
        if not any(cleaned.get(each) for each in conditions) and not self.errors.keys() & set(conditions):
            self.add_error(
                None, "Say which devices: by their issuer, a group, a label, or the age of their keys."
            )
        return cleaned

    def _check_target(self, to_issuer: Issuer | None, from_issuer: Issuer | None) -> None:
        if to_issuer is None:
            self.add_error("to_issuer", "Choose the issuer that the devices move to.")
        elif to_issuer == from_issuer:
            self.add_error("to_issuer", "This is the issuer that they move away from; choose another one.")
        else:
            try:
                drafting.require_fit_target(to_issuer, timezone.now())
            except drafting.TargetUnfit as refusal:
                self.add_error("to_issuer", refusal.detail)

    @property
    def chosen_kind(self) -> Campaign.Kind:
        return Campaign.Kind(self.cleaned_data["kind"])

    @property
    def selection(self) -> Selection:
        """Which devices, of a form that is valid."""
        names = ("from_issuer", "group", "label", "keys_before")
        return Selection(**{name: self.cleaned_data[name] for name in names})

    @property
    def plan(self) -> Plan:
        """How, of a form that is valid."""
        return Plan(**{name: self.cleaned_data[name] for name in ("to_issuer", *MOST)})
