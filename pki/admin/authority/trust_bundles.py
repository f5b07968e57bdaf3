"""The signed trust bundle in the console: its versions, and what is in each."""

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloads
from pki.admin.parts.listeners import provisioning_url
from pki.admin.parts.objects import list_url, looked_at, page_url
from pki.admin.parts.shown import when
from pki.core import reading
from pki.models import TrustBundle
from pki.services.exporting import subjects
from pki.services.exporting.files import Of, file_name
from pki.services.trusting import followers

# RFC 8551 3.2.1 has .p7m for CMS with its content in it.
_FORMS = {
    "signed": ("Signed: CMS, DER", ".p7m", "application/pkcs7-mime"),
    "contents": ("What is signed: PEM", ".pem", "application/x-pem-file"),
}


@admin.register(TrustBundle)
class TrustBundleAdmin(Downloads):
    list_display = ("name", "made", "signed_", "again", "shown_fingerprint")
    ordering = ("-version",)
    search_fields = ("fingerprint__begins",)
    search_help_text = "The beginning of the SHA-256 of its contents (hex)"
    nothing_yet = (
        "No version yet. Maintenance makes the first by itself, and a new one whenever a root, a "
        "cross-certificate or a pin changes: manage.py maintain."
    )

    made = when("made_at", "made", ordering=False)
    signed_ = when("signed_at", "signed", ordering=False)
    again = when("sign_again_at", "signed anew by", ordering=False)

    @admin.display(description="version")
    def name(self, row: TrustBundle) -> str:
        return str(row.version)

    @admin.display(description="SHA-256 of its contents")
    def shown_fingerprint(self, row: TrustBundle) -> str:
        return f"{row.fingerprint[:16]}…"

    def get_queryset(self, request: HttpRequest) -> QuerySet[TrustBundle]:
        queryset: QuerySet[TrustBundle] = super().get_queryset(request)
        return queryset.defer("contents", "signed")

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        """The bundle as it is stored, in a file, or with the newest today's pins. Raises Http404 for another
        form.
        """
        row: TrustBundle = looked_at(self, request, str(pk))
        if form not in _FORMS:
            if row.version != _newest():
                raise Http404("Pins are those of now: take them from the newest version.")
            return viewing.download(self, request, row, subjects.of_roots(), form, Of.PINS)
        _, suffix, content_type = _FORMS[form]
        content = bytes(row.signed) if form == "signed" else row.contents.encode()
        name = file_name("trust-bundle", str(row.version))
        return viewing.attachment(content, f"{name}{suffix}", content_type)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: TrustBundle = looked_at(self, request, object_id)
        newest = _newest()
        context = {
            **self.admin_site.each_context(request),
            "title": f"Trust bundle, version {row.version}",
            "opts": self.model._meta,
            "original": row,
            "bundle": row,
            "is_current": row.version == newest,
            "newest": newest,
            "followers": followers.of(row.version),
            "pins": list(_pins(row)),
            "pin_files": viewing.offered(self, row, Of.PINS) if row.version == newest else [],
            "certificates": _certificates(row),
            "address": f"{settings.PORTAL_STATUS_URL}/ca-bundle",
            "provisioning_url": provisioning_url(),
            "downloads": [
                (words, page_url(self, row, "download", form)) for form, (words, *_) in _FORMS.items()
            ],
            "all_versions": list_url(self),
        }
        return TemplateResponse(request, "console/trust_bundle.html", context)

    def history_of(self, row: TrustBundle) -> dict[str, Any]:
        return {"kind": "trust_bundle.made"}


def _newest() -> int | None:
    return TrustBundle.objects.order_by("-version").values_list("version", flat=True).first()


def _pins(row: TrustBundle) -> Iterator[list[str]]:
    """Each pin of the bundle: whose it is, whether current or backup, the pin, and a name or nothing."""
    for line in row.contents.splitlines():
        words = line.removeprefix("# pin ").split(" ", 3)
        if line.startswith("# pin ") and len(words) >= 3:
            yield [*words, ""][:4]


def _certificates(row: TrustBundle) -> list[reading.Reading]:
    """What is to be trusted, in the order of the bundle."""
    found = x509.load_pem_x509_certificates(row.contents.encode())
    return [reading.read(certificate) for certificate in found]
