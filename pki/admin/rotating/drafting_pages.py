"""Drafting a campaign: a form, a look at whom it would reach, and the draft."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin

from pki.admin.parts import once
from pki.admin.parts.asking import administrator
from pki.admin.parts.objects import list_url, page_url
from pki.admin.rotating import campaign_words
from pki.admin.rotating.campaign_form import CampaignForm
from pki.core.errors import Refusal
from pki.models import Campaign
from pki.services.people.answers import AnsweredAlready
from pki.services.rotating import campaigns, selection

# Fields of the form that belong together: title, names.
_PARTS = (
    ("", ("once", "name", "kind", "to_issuer")),
    ("Which devices: all that is set must hold", ("from_issuer", "group", "label", "keys_before")),
    ("How", ("canary_percent", "canary_seconds", "window_seconds", "failures_percent")),
)


def draft(page: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """The form on a GET; what the button of a POST says, otherwise. Nothing is stored but by *Keep*."""
    if not page.has_add_permission(request):
        raise PermissionDenied
    if request.method != "POST":
        return _show(page, request, CampaignForm(initial=request.GET.dict()))
    form = CampaignForm(request.POST)
    if not form.is_valid():
        return _show(page, request, form)
    if request.POST.get("do") == "keep":
        return _keep(page, request, form)
    return _show(page, request, form, **_look(form))


def _look(form: CampaignForm) -> dict[str, Any]:
    look = selection.preview(form.selection, timezone.now())
    return {
        "look": look,
        "number": f"{look.count:,}{'+' if look.is_more else ''}",
        "course": list(campaign_words.course(form.plan, look)),
        "left_out": list(campaign_words.left_out(form.selection, look)),
    }


def _keep(page: ModelAdmin, request: HttpRequest, form: CampaignForm) -> HttpResponse:
    name = form.cleaned_data["name"]
    try:
        with once.answering(request, form.cleaned_data["once"]):
            kept = campaigns.draft(
                name, form.chosen_kind, form.selection, form.plan, administrator(request), timezone.now()
            )
    except AnsweredAlready:
        # The button was pressed twice: what the first press made is shown.
        before = Campaign.objects.filter(name=name.strip()).first()
        return HttpResponseRedirect(page_url(page, before) if before else list_url(page))
    except Refusal as refusal:
        form.add_error(None, refusal.detail)
        return _show(page, request, form)
    return HttpResponseRedirect(page_url(page, kept))


def _show(page: ModelAdmin, request: HttpRequest, form: CampaignForm, **more: Any) -> HttpResponse:
    context = {
        **page.admin_site.each_context(request),
        "title": "New campaign",
        "form": form,
        "parts": [(title, [form[name] for name in names]) for title, names in _PARTS],
        "opts": page.model._meta,
        "back": list_url(page),
        **more,
    }
    return TemplateResponse(request, "console/campaign_draft.html", context)
