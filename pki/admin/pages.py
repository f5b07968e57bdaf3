"""What the console's pages have in common: read-only tables, and a question before anything is done."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import Revocation
from pki.services.audit import Actor

View = TypeVar("View", bound=Callable[..., Any])


def labelled(description: str, label: dict[str, str], ordering: str | None = None) -> Callable[[View], View]:
    """A column whose words are coloured: unfold's `display`, with a type."""
    decorate: Callable[[View], View] = display(description=description, label=label, ordering=ordering)
    return decorate


def pem_block(certificate: x509.Certificate) -> SafeString:
    """A certificate's PEM, to copy."""
    return format_html("<pre>{}</pre>", certificate.public_bytes(Encoding.PEM).decode())


def on_page(**options: Any) -> Callable[[View], View]:
    """A button on an object's page: unfold's `action`, with a type."""
    decorate: Callable[[View], View] = action(**options)
    return decorate


class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Every list of the console: nothing is ever deleted, and no list counts a whole table twice."""

    show_full_result_count = False
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ConsoleAdmin):
    """A table that is only looked at: what is in it was signed or recorded."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReasonForm(forms.Form):
    """Why a certificate is revoked."""

    reason = forms.ChoiceField(
        choices=Revocation.Reason.choices,
        widget=UnfoldAdminSelectWidget,
        help_text="Goes into the revocation lists, for everybody to read.",
    )


class MessageForm(forms.Form):
    """What a device is told."""

    message = forms.CharField(
        max_length=500, widget=UnfoldAdminTextareaWidget, help_text="The device is shown this sentence."
    )


def counted(verb: str, number: int, noun: str) -> str:
    """`Revoked 2 certificates.`"""
    return f"{verb} {number} {noun}{pluralize(number)}."


def administrator(request: HttpRequest) -> Actor:
    """Who is logged in, as services know them."""
    if not isinstance(request.user, User):
        raise TypeError("The console has no anonymous pages.")
    return Actor.administrator(request.user, request.META.get("REMOTE_ADDR"))


def ask_first(
    page: ModelAdmin,
    request: HttpRequest,
    *,
    title: str,
    question: str,
    items: Iterable[Model],
    button: str,
    act: Callable[[dict[str, Any]], str | HttpResponse],
    form_class: type[forms.Form] = forms.Form,
) -> HttpResponse:
    """Ask before `act`, which gets the form's cleaned data and returns the message that it was done.

    Nothing is done on a GET, nor by the POST of a list's action menu: only by the POST of the page that
    asks, which carries the CSRF token. What a service refuses is shown as it says it.
    """
    items = list(items)
    confirmed = request.method == "POST" and "confirmed" in request.POST
    form = form_class(request.POST if confirmed else None)
    if confirmed and form.is_valid():
        try:
            outcome = act(form.cleaned_data)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
        except KeystoreError as error:
            messages.error(request, str(error))
        else:
            if isinstance(outcome, HttpResponse):
                return outcome
            messages.success(request, outcome)
        return HttpResponseRedirect(_list_url(page))
    return TemplateResponse(
        request,
        "console/ask_first.html",
        {
            **page.admin_site.each_context(request),
            "title": title,
            "question": question,
            "items": items,
            "button": button,
            "form": form,
            "opts": page.model._meta,
            "action": request.POST.get("action", ""),
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "back": _list_url(page),
        },
    )


def _list_url(page: ModelAdmin) -> str:
    meta = page.model._meta
    return reverse(f"{page.admin_site.name}:{meta.app_label}_{meta.model_name}_changelist")
