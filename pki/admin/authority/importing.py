"""An existing CA, imported in the browser: its files stay in memory, and nothing of them is shown again."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from pki.admin.authority import moved_in
from pki.admin.authority.inspecting import in_memory
from pki.admin.navigation import link
from pki.admin.parts.asking import administrator
from pki.admin.parts.objects import list_url, page_url
from pki.admin.parts.pages import ReadOnlyAdmin, on_page
from pki.admin.parts.proving import proving
from pki.core import authority_files
from pki.core.authority_files import Brought
from pki.core.errors import Refusal
from pki.core.recognition import LARGEST
from pki.keystore import KeystoreError
from pki.models import Issuer
from pki.services.moving import authority, bringing
from pki.services.moving.bringing import Arrived, Luggage
from pki.services.moving.issued import File

_SHOWN = 500  # remarks
# What a CA has issued makes devices and their profile, and revokes certificates and CAs below.
_FOR_WHAT_IT_ISSUED = ("pki.add_device", "pki.add_profile", "pki.add_revocation", "pki.change_issuer")
_CA_ALONE = (
    "What a CA has issued makes devices and a profile, and revokes, and you may not do all of that. Import "
    "the CA alone, or ask who may."
)


def _file(label: str, help_text: str) -> Any:
    return forms.FileField(
        label=label, required=False, widget=UnfoldAdminFileFieldWidget, help_text=help_text
    )


class ImportForm(forms.Form):
    """The files of a CA."""

    certificate = _file("The CA's certificate", "PEM or DER: ca.pem, ca.crt.")
    key = _file("Its key", "PEM or DER, encrypted or not. It is not needed again for a CA that is here.")
    p12 = _file("Or both as PKCS#12", "A .p12 or .pfx file, instead of the two above.")
    passphrase = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="What the key is encrypted with. Here it is encrypted anew, as all keys are.",
    )
    name = forms.CharField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text="What the issuer is called. Empty: the CN of its certificate.",
    )
    index = _file(
        "index.txt",
        "What openssl ca has kept of what it issued. Without it nothing that the CA has revoked is known "
        "here: its CRL names none of it, and those certificates count as good.",
    )
    certificates = _file(
        "The certificates that it issued",
        "All in one PEM file (cat newcerts/*.pem > all.pem). All files together have at most 1 MB; for more, "
        "use manage.py import_ca.",
    )
    profile = forms.SlugField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text="Of its devices; made if there is none of the name. Empty: called as the CA.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        files = [cleaned[name] for name in self.files if cleaned.get(name)]
        if sum(file.size or 0 for file in files) > LARGEST:
            raise forms.ValidationError("All files together have at most 1 MB; use manage.py import_ca.")
        if not self.errors and bool(cleaned.get("certificate")) == bool(cleaned.get("p12")):
            raise forms.ValidationError("Choose the CA: its certificate with its key, or a PKCS#12 file.")
        return cleaned


class ImportsAuthorities(ReadOnlyAdmin):
    """Of the list of issuers: the page that imports one."""

    actions_list = ("import_ca",)

    def get_urls(self) -> list[URLPattern]:
        view = in_memory(self.admin_site.admin_view(self.import_view))
        urls: list[URLPattern] = super().get_urls()
        return [path("import/", view, name="pki_issuer_import"), *urls]

    @on_page(description="Import an existing CA", url_path="import-ca", permissions=["add"])
    def import_ca(self, request: HttpRequest) -> HttpResponse:
        """Lead to the page itself, whose uploads stay in memory."""
        return HttpResponseRedirect(link("pki_issuer_import"))

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """The page itself."""
        return _page(request, self)


@sensitive_post_parameters()
@sensitive_variables()
def _page(request: HttpRequest, page: ModelAdmin) -> HttpResponse:
    """Ask for the files, and say what came of them. Raises PermissionDenied."""
    if not page.has_add_permission(request):
        raise PermissionDenied
    form_class = proving(ImportForm, request)
    asked = request.method == "POST"
    form = form_class(request.POST, request.FILES) if asked else form_class()
    arrived: Arrived | None = None
    may_bring_all = request.user.has_perms(_FOR_WHAT_IT_ISSUED)
    if asked and form.is_valid() and not may_bring_all:
        for field in ("index", "certificates"):
            if form.cleaned_data[field]:
                form.add_error(field, _CA_ALONE)
    if asked and form.is_valid():
        try:
            arrived = _imported(request, form.cleaned_data)
        except Refusal as refusal:
            form.add_error(None, refusal.detail)
        except KeystoreError as error:
            form.add_error(None, str(error))
    context = {
        **page.admin_site.each_context(request),
        "title": "Import an existing CA",
        "opts": page.model._meta,
        "form": form,
        "back": list_url(page),
        **(_said(request, page, arrived) if arrived else {}),
    }
    response = TemplateResponse(request, "console/import_ca.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _said(request: HttpRequest, page: ModelAdmin, arrived: Arrived) -> dict[str, Any]:
    remarks = arrived.outcome.remarks if arrived.outcome else []
    return {
        "arrived": arrived,
        "issuer_url": page_url(page, arrived.issuer),
        "steps": list(moved_in.steps(request, arrived)),
        "remarks": remarks[:_SHOWN],
        "more_remarks": max(0, len(remarks) - _SHOWN),
    }


@sensitive_variables()
def _imported(request: HttpRequest, cleaned: dict[str, Any]) -> Arrived:
    index, certificates = _content(cleaned["index"]), _content(cleaned["certificates"])
    luggage = Luggage(
        index=index.decode("utf-8", "replace") if index is not None else None,
        files=[File(cleaned["certificates"].name, certificates)] if certificates is not None else None,
        profile=cleaned["profile"],
        name=cleaned["name"].strip(),
    )
    return bringing.bring(_found(cleaned, luggage), luggage, administrator(request), timezone.now())


@sensitive_variables()
def _found(cleaned: dict[str, Any], luggage: Luggage) -> Brought | Issuer:
    """The CA of the files, or the issuer that it is already."""
    passphrase = cleaned["passphrase"] or None
    p12, key = _content(cleaned["p12"]), _content(cleaned["key"])
    if p12 is not None:
        return authority_files.from_p12(p12, passphrase)
    certificate = _content(cleaned["certificate"]) or b""
    if luggage.has_certificates:
        known = authority.find(authority_files.certificates(certificate, "certificate")[0])
        if known is not None:
            return known
    if key is None:
        raise authority_files.AuthorityRefused("Choose the CA's key too.")
    return authority_files.from_files(certificate, key, passphrase)


def _content(upload: Any) -> bytes | None:
    return upload.read() if upload else None
