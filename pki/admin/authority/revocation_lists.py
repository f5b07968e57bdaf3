"""Revocation lists in the console: all of them, and a page for each."""

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.text import capfirst

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloads
from pki.admin.authority.publishing import Publishes
from pki.admin.navigation import link
from pki.admin.parts.objects import found, list_url, looked_at, page_url, url_name
from pki.admin.parts.shown import labelled, when
from pki.models import FULL, SIGNED_BYTES, RevocationList
from pki.services.exporting.files import file_name
from pki.services.looking import list_standings
from pki.services.looking.list_standings import Word
from pki.services.publishing import revocation_lists
from pki.templatetags.console import NOTHING, kilobytes, list_name, thousands

# RFC 2585 4.2 registers a type and a suffix for DER, and none for PEM.
_FORMS = {
    "der": (".crl", "application/pkix-crl"),
    "pem": (".crl.pem", "application/x-pem-file"),
    "delta": (".delta.crl", "application/pkix-crl"),
}
_LABELS = {"der": "DER", "pem": "PEM", "delta": "delta, DER"}
_STUCK = (
    "Publication stands still: see whether a worker is running, whether its node has the issuer's key, and "
    "what its log says."
)
_SENTENCES = {
    Word.CURRENT: "It says what is true. It is signed anew when a certificate is revoked, and in good time "
    "before its next update.",
    Word.WAITING: "A certificate was revoked, or a hold was lifted: it is signed anew within seconds.",
    Word.OVERDUE: f"It should have been signed anew. {_STUCK}",
    Word.OUT_OF_DATE: f"Its next update is over: relying parties refuse it, and many refuse every "
    f"certificate that names it. {_STUCK}",
    Word.NOT_MADE: "It was not signed yet. A worker does so within seconds, or the button.",
    Word.FROM_FUTURE: "A clock was ahead when it was signed: relying parties do not take it yet. It is "
    f"signed anew within seconds. {_STUCK}",
    Word.FINAL: "It is signed no more.",
}


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("full", "full lists"), ("shard", "shards")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RevocationList]) -> QuerySet[RevocationList]:
        match self.value():
            case "full":
                return queryset.filter(shard=FULL)
            case "shard":
                return queryset.filter(shard__gt=FULL)
        return queryset


class OverdueFilter(admin.SimpleListFilter):
    """Lists that should have been made anew. The dashboard links here."""

    title = "overdue"
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "overdue or out of date")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[RevocationList]) -> QuerySet[RevocationList]:
        return queryset.filter(list_standings.overdue(timezone.now())) if self.value() == "yes" else queryset


@admin.register(RevocationList)
class RevocationListAdmin(Publishes, Downloads):
    list_display = (
        "what",
        "shown_issuer",
        "shown_standing",
        "shown_number",
        "shown_entries",
        "shown_size",
        "made",
        "ends",
    )
    list_filter = ("issuer", KindFilter, OverdueFilter)
    list_select_related = ("issuer",)
    search_fields = ("issuer__name", "issuer__key_identifier__begins")
    search_help_text = "Part of an issuer's name, or the beginning of its key identifier (hex)"
    ordering = ("issuer_id", "shard")
    actions = ("publish_selected",)
    nothing_yet = (
        "No list yet: an issuer gets a full one and its first shard when it is made, and manage.py bootstrap "
        "makes the first issuers."
    )

    made = when("this_update", "made", ordering=False)
    ends = when("next_update", "next update", ordering=False)

    @admin.display(description="list")
    def what(self, row: RevocationList) -> str:
        is_open = row.shard == row.issuer.open_shard
        return capfirst(list_name(row)) + (", open" if is_open else "")

    @admin.display(description="issuer")
    def shown_issuer(self, row: RevocationList) -> str:
        return str(row.issuer)

    @labelled(
        description="standing",
        label={
            "current": "success",
            "waiting": "warning",
            "overdue": "warning",
            "not made yet": "warning",
            "out of date": "danger",
            "from the future": "danger",
            "final": "info",
        },
    )
    def shown_standing(self, row: Any) -> str:
        return str(row.standing.word)

    @admin.display(description="number")
    def shown_number(self, row: RevocationList) -> str:
        return thousands(row.number) if row.number else NOTHING

    @admin.display(description="entries")
    def shown_entries(self, row: RevocationList) -> str:
        return thousands(row.entries)

    @admin.display(description="size")
    def shown_size(self, row: RevocationList) -> str:
        return kilobytes(row.size)

    def get_queryset(self, request: HttpRequest) -> QuerySet[RevocationList]:
        lists: QuerySet[RevocationList] = super().get_queryset(request)
        return lists.defer(*SIGNED_BYTES)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        now = timezone.now()
        waiting = list_standings.waiting(now)
        for row in changelist.result_list:
            row.standing = list_standings.of(row, waiting, now)
        return changelist

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [path("<path:object_id>/publish/", view(self.publish_view), name=url_name(self, "publish"))]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    @admin.action(description="Publish now", permissions=["publish"])
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[RevocationList]) -> HttpResponse:
        return self.ask_to_publish(request, queryset, back=list_url(self))

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = found(self, request, object_id, may=self.has_publish_permission)
        chosen = RevocationList.objects.filter(pk=row.pk)
        return self.ask_to_publish(request, chosen, back=page_url(self, row))

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        """The list as it is stored, in a file. Raises Http404 for another form, or if none was signed yet."""
        row: RevocationList = looked_at(self, request, str(pk))
        # Together: it may be made anew at any moment.
        row.refresh_from_db(fields=["der", "delta_der", "number"])
        stored = row.delta_der if form == "delta" else row.der
        if form not in _FORMS or stored is None:
            raise Http404("There is no such download.")
        suffix, content_type = _FORMS[form]
        content = bytes(stored)
        if form == "pem":
            content = x509.load_der_x509_crl(content).public_bytes(Encoding.PEM)
        name = file_name(row.issuer.name, list_name(row), str(row.number))
        return viewing.attachment(content, f"{name}{suffix}", content_type)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row: RevocationList = looked_at(self, request, object_id)
        now = timezone.now()
        standing = list_standings.of(row, list_standings.waiting(now), now)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{row.issuer}: {list_name(row)}",
            "opts": self.model._meta,
            "original": row,
            "list": row,
            "standing": standing,
            "sentence": _SENTENCES[standing.word],
            "downloads": [(_LABELS[form], page_url(self, row, "download", form)) for form in _forms(row)],
            "publish": page_url(self, row, "publish") if self.has_publish_permission(request, row) else "",
            "pem_address": f"{row.url.removesuffix('.crl')}.pem",
            "delta_address": revocation_lists.delta_url(row.issuer),
            "revocations": _revocations(request, row),
            "may_see_issuers": request.user.has_perm("pki.view_issuer"),
        }
        return TemplateResponse(request, "console/revocation_list.html", context)

    def history_of(self, row: RevocationList) -> dict[str, Any]:
        return {"kind": "crl.published"}


def _forms(row: RevocationList) -> list[str]:
    """In which forms there is something to download."""
    if not row.number:
        return []
    return [form for form in _FORMS if form != "delta" or row.shard == FULL]


def _revocations(request: HttpRequest, row: RevocationList) -> str:
    """Where the revocations of a list's certificates are; empty for who may not see them."""
    if row.shard != FULL and request.user.has_perm("pki.view_revocation"):
        return link("pki_revocation_changelist", list=str(row.pk))
    if row.shard == FULL and request.user.has_perm("pki.view_certificate"):
        return link("pki_certificate_changelist", issuer__id__exact=str(row.issuer_id), standing="revoked")
    return ""
