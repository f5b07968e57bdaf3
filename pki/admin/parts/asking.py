"""A question before anything is done: who asks what of what, and what will come of it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

from pki.admin.parts import matching, recent_login
from pki.admin.parts.objects import list_url
from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.services.audit import Actor
from pki.services.people.answers import AnsweredAlready

# Rows that one action takes: all of them are locked, changed and recorded in one transaction.
MOST_AT_ONCE = 1_000
_SHOWN = 20


class MessageForm(forms.Form):
    """What a device is told."""

    message = forms.CharField(
        max_length=500, widget=UnfoldAdminTextareaWidget, help_text="The device is shown this sentence."
    )


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
    items: Sequence[Model] | QuerySet[Any],
    button: str,
    act: Callable[[dict[str, Any]], str | HttpResponse],
    form_class: Callable[..., forms.Form] = forms.Form,
    impact: Callable[[Sequence[Any]], Iterable[str]] | None = None,
    destructive: bool = False,
    proved: bool = False,
    back: str | None = None,
) -> HttpResponse:
    """Ask before `act`, which gets the form's cleaned data and returns the message that it was done.

    Nothing is done on a GET, nor by the POST of a list's action menu: only by the POST of the page that
    asks, which carries the CSRF token. What a service refuses is shown as it says it, above the form as it
    was filled in; what was done already leads `back`. `impact` says in sentences what will stop working.
    What is `destructive`, or is to be `proved`, needs a recent login, or the password again.
    """
    all_that_match = matching.is_asked(page, request)
    back = request.get_full_path() if all_that_match else back or list_url(page)
    most = matching.MOST_MATCHED if all_that_match else MOST_AT_ONCE
    items = list(items[: most + 1])
    if len(items) > most:
        messages.error(request, f"Choose at most {most:,} at once.")
        return HttpResponseRedirect(back)
    confirmed = request.method == "POST" and "confirmed" in request.POST
    forms_asked: list[forms.Form] = [form_class(request.POST if confirmed else None)]
    if (destructive or proved) and not recent_login.is_recent(request):
        forms_asked.append(recent_login.prove_again_form(request, request.POST if confirmed else None))
    # Each is looked at, so that all their errors are shown.
    if confirmed and False not in [form.is_valid() for form in forms_asked]:
        try:
            outcome = act(forms_asked[0].cleaned_data)
        except AnsweredAlready as refusal:
            messages.error(request, refusal.detail)
            return HttpResponseRedirect(back)
        except Refusal as refusal:
            messages.error(request, refusal.detail)
        except KeystoreError as error:
            messages.error(request, str(error))
        else:
            if isinstance(outcome, HttpResponse):
                return outcome
            messages.success(request, outcome)
            return HttpResponseRedirect(back)
        del forms_asked[1:]  # it was proved, and the answer may be mended now
    return TemplateResponse(
        request,
        "console/ask_first.html",
        {
            **page.admin_site.each_context(request),
            "title": title,
            "question": question,
            "items": items[:1] if all_that_match else items,
            "chosen": ",".join(str(item.pk) for item in items) if all_that_match else "",
            "number": f"{len(items):,}",
            "shown": items[:_SHOWN],
            "more": f"{len(items) - _SHOWN:,}" if len(items) > _SHOWN else "",
            "impact": list(impact(items)) if impact else [],
            "button": button,
            "destructive": destructive,
            "forms": forms_asked,
            "opts": page.model._meta,
            "action": request.POST.get("action", ""),
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "back": back,
        },
    )
