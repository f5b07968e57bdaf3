"""Spans of time in forms: a number and its unit, stored as a whole number of the smallest unit."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

# Unit → how many of the smallest unit it is; the largest first.
IN_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
IN_MINUTES = {"days": 1_440, "hours": 60, "minutes": 1}
IN_HOURS = {"days": 24, "hours": 1}


def in_units(span: int, units: dict[str, int]) -> tuple[int, str]:
    """A span in the largest unit that divides it."""
    unit = next(unit for unit, length in units.items() if span % length == 0)
    return span // units[unit], unit


def written(span: int, units: dict[str, int]) -> str:
    """`1 day`, `36 hours`"""
    number, unit = in_units(span, units)
    return f"{number:,} {unit if number != 1 else unit.removesuffix('s')}"


class SpanWidget(forms.MultiWidget):
    """A number and its unit."""

    def __init__(self, what: str, units: dict[str, int]) -> None:
        self._span_units = units
        super().__init__(
            {
                "number": UnfoldAdminIntegerFieldWidget(attrs={"min": 0, "aria-label": f"{what}, a number"}),
                "unit": UnfoldAdminSelectWidget(
                    attrs={"aria-label": f"Unit: {what}"}, choices=[(unit, unit) for unit in units]
                ),
            }
        )

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return format_html('<div class="span">{}</div>', super().render(name, value, attrs, renderer))

    def decompress(self, value: Any) -> list[Any]:
        if isinstance(value, int) and value >= 0:
            return list(in_units(value, self._span_units))
        return [value, next(iter(self._span_units))]


class SpanField(forms.MultiValueField):
    """A whole number of the smallest of `units`; None if it is not required and left empty."""

    def __init__(
        self, units: dict[str, int], *, label: str, most: int, least: int = 0, **options: Any
    ) -> None:
        self._units, self._least, self._most = units, least, most
        number = forms.IntegerField(min_value=0)
        unit = forms.ChoiceField(choices=[(unit, unit) for unit in units])
        super().__init__((number, unit), widget=SpanWidget(label, units), label=label, **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        # A unit beside no number says nothing.
        return bool(super().has_changed(self.widget.decompress(initial), data))

    def compress(self, values: list[Any]) -> int | None:
        number, unit = values or (None, None)
        if number is None:
            return None
        if unit not in self._units:
            raise ValidationError("Choose a unit.")
        span: int = number * self._units[unit]
        if not self._least <= span <= self._most:
            asked = written(span, self._units)
            raise ValidationError(f"Choose {_range(self._least, self._most, self._units)}, not {asked}.")
        return span


def _range(least: int, most: int, units: dict[str, int]) -> str:
    longest = f"{written(most, units)}"
    return f"from {written(least, units)} to {longest}" if least else f"at most {longest}"
