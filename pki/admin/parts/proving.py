"""Forms of the console that change what is dangerous: with an old login they ask for the password as well."""

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from pki.admin.parts import recent_login


def proving(form_class: Any, request: HttpRequest) -> Any:
    """`form_class` as it is after a recent login, else one that is valid only with the password again.

    Proving it is no change of what the form is about, and is not recorded as one.
    """
    if recent_login.is_recent(request):
        return form_class

    def changed_data(form: Any) -> list[str]:
        changed: list[str] = super(proved, form).changed_data
        return [name for name in changed if name not in fields]

    fields = dict(recent_login.prove_again_form(request).fields)
    checks = {f"clean_{name}": _check(name, request) for name in fields}
    own = {**fields, **checks, "changed_data": property(changed_data), "__module__": form_class.__module__}
    proved = type(form_class)(form_class.__name__, (form_class,), own)
    return proved


def _check(name: str, request: HttpRequest) -> Any:
    def clean(form: forms.Form) -> Any:
        return recent_login.prove(request, name, form.cleaned_data[name])

    return clean


class ProvedFirst(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Adding and changing here needs a recent login, or the password again in the same form."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        if self._asks(request, obj):
            options["form"] = proving(options.get("form", self.form), request)
        return super().get_form(request, obj, change, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.proved_fieldsets(request, obj, super().get_fieldsets(request, obj))

    def proved_fieldsets(self, request: HttpRequest, obj: Any, fieldsets: Any) -> Any:
        """`fieldsets`, and after them what asks for the password if it must be asked for."""
        if not self._asks(request, obj):
            return fieldsets
        asked = list(recent_login.prove_again_form(request).fields)
        # Where the fields are not listed, Django lists all that the form has.
        others = [
            (title, {**more, "fields": [name for name in more["fields"] if name not in asked]})
            for title, more in fieldsets
        ]
        return [*others, ("Is it you?", {"fields": asked})]

    def _asks(self, request: HttpRequest, obj: Any) -> bool:
        may = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        return may and not recent_login.is_recent(request)
