"""A profile from an OpenSSL `.cnf`: paste or upload, look at what each line becomes, then the usual form."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from pki.admin.parts.objects import list_url, url_name
from pki.core import openssl_config
from pki.core.errors import Refusal
from pki.services.moving import drafts
from pki.services.moving.drafts import Draft

_LISTS = ("key_kinds", "extended_key_usages", "subject_from_request", "sans_from_request")


class ConfigForm(forms.Form):
    """The file."""

    text = forms.CharField(
        label="The .cnf",
        required=False,
        strip=False,
        max_length=openssl_config.LARGEST,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 16, "spellcheck": "false", "class": "mono"}),
        help_text="As for openssl req -config, openssl ca -config or openssl x509 -extfile.",
    )
    file = forms.FileField(
        label="Or choose a file",
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text="It takes the place of what is above.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        upload = cleaned.get("file")
        if upload:
            cleaned["text"] = self._uploaded(upload)
        elif not self.errors and not cleaned.get("text", "").strip():
            self.add_error("text", "Paste the file, or choose it.")
        # Shown in the box from now on, of a file too: a browser does not choose one again by itself.
        shown = openssl_config.without_passwords(cleaned.get("text") or self.data.get("text", ""))
        self.data = {**dict(self.data.items()), "text": shown}
        return cleaned

    def _uploaded(self, upload: Any) -> str:
        try:
            # One byte more than is read tells that it is too large.
            text: str = upload.read(openssl_config.LARGEST + 1).decode()
        except UnicodeDecodeError:
            self.add_error("file", "The file is not UTF-8 text.")
            return ""
        return text


def from_cnf(page: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask for the file, and below it show what its lines become. Nothing is stored."""
    asked = request.method == "POST"
    form = ConfigForm(request.POST, request.FILES) if asked else ConfigForm()
    drafted: Draft | None = None
    if asked and form.is_valid():
        try:
            drafted = drafts.draft(form.cleaned_data["text"])
        except Refusal as refusal:
            form.add_error("text", refusal.detail)
    context = {
        **page.admin_site.each_context(request),
        "title": "A profile from an OpenSSL .cnf",
        "opts": page.model._meta,
        "form": form,
        "told": drafted.told if drafted else [],
        "goes_on": _form_url(page, drafted) if drafted else "",
        "back": list_url(page),
    }
    response = TemplateResponse(request, "console/profile_from_cnf.html", context)
    response["Cache-Control"] = "no-store"  # the file may have a passphrase in it
    return response


def _form_url(page: ModelAdmin, drafted: Draft) -> str:
    """Where the form of a new profile is, filled in."""
    query = QueryDict(mutable=True)
    for name, value in drafted.fields.items():
        query[name] = ",".join(value) if name in _LISTS else str(value)
    return reverse(f"{page.admin_site.name}:{url_name(page, 'add')}", query=query)


def initial(request: HttpRequest) -> dict[str, Any]:
    """What the form of a new profile is filled in with, from its address; what is wrong there is left out."""
    found: dict[str, Any] = {
        name: [word for word in request.GET[name].split(",") if word]
        for name in _LISTS
        if name in request.GET
    }
    seconds = request.GET.get("lifetime_seconds", "")
    if seconds.isascii() and seconds.isdigit() and len(seconds) <= 9:
        found["lifetime_seconds"] = int(seconds)
    return found
