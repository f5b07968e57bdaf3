"""Issuing by hand: a form, a look at what would come of it, and the deed.

No step keeps anything for the next but in the page itself, and no page holds a key. What is made here
leaves in the one answer that makes it.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.admin import ModelAdmin

from pki.admin.authority import granting, viewing
from pki.admin.authority.issuing_forms import FORMS, AskForm, HandoverForm, OnRecordForm, without_private_keys
from pki.admin.parts.asking import administrator
from pki.core import bundles, file_passwords
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import Certificate
from pki.services import by_hand
from pki.services.issuing import authorities


def urls(page: ModelAdmin) -> list[URLPattern]:
    """The pages of issuing by hand, for the admin of certificates."""
    pages, view = IssuingPages(page), page.admin_site.admin_view
    return [
        path("issue/", view(pages.issue), name="pki_certificate_issue"),
        path("<int:pk>/issued/", view(pages.issued), name="pki_certificate_issued"),
    ]


@method_decorator(sensitive_post_parameters(), name="issue")
class IssuingPages:
    """The steps, as pages of `page`'s console."""

    def __init__(self, page: ModelAdmin) -> None:
        self._page = page

    def issue(self, request: HttpRequest) -> HttpResponse:
        """Step one on a GET; what the button of a POST says, otherwise."""
        if not request.user.has_perm("pki.add_certificate"):
            raise PermissionDenied
        data = without_private_keys(request.POST)
        form_class = self._form_class(request, data)
        if request.method != "POST":
            return self._ask(request, form_class(initial=request.GET.dict()))
        if data.get("do") == "change":
            return self._ask(request, form_class(initial=data.dict()))
        form = form_class(data, request.FILES)
        if not form.is_valid():
            return self._ask(request, form)
        if data.get("do") == "issue":
            return self._issue(request, form, data)
        return self._look(request, form)

    def issued(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What was issued, to copy and to go on from."""
        if not (request.user.has_perm("pki.add_certificate") or self._page.has_view_permission(request)):
            raise PermissionDenied
        found = Certificate.objects.select_related("issuer", "device", "profile", "revocation")
        certificate = found.filter(pk=pk).first()
        if certificate is None:
            raise Http404
        chain = authorities.chain(certificate.issuer)
        context = {
            "certificate": certificate,
            "again": "again" in request.GET,
            "made_here": certificate.events.filter(kind="certificate.key_made").exists(),
            "pem": bundles.pem([certificate.parsed]).decode(),
            "chain": bundles.pem([certificate.parsed, *chain]).decode(),
        }
        return self._show(request, "issued", f"Issued: {certificate.common_name}", context)

    def _form_class(self, request: HttpRequest, data: QueryDict) -> type[AskForm]:
        whom = data.get("whom") or request.GET.get("whom") or OnRecordForm.whom
        form_class = FORMS.get(whom, OnRecordForm)
        if form_class is not OnRecordForm and not request.user.has_perm("pki.add_device"):
            raise PermissionDenied
        return form_class

    def _ask(self, request: HttpRequest, form: AskForm) -> HttpResponse:
        may_register = request.user.has_perm("pki.add_device")
        context = {
            "form": form,
            "kinds": [each for each in FORMS.values() if each is OnRecordForm or may_register],
            "devices_url": reverse(f"{self._page.admin_site.name}:autocomplete"),
        }
        return self._show(request, "issue", "Issue by hand", context)

    def _look(
        self,
        request: HttpRequest,
        form: AskForm,
        *,
        handover: HandoverForm | None = None,
        notice: str = "",
    ) -> HttpResponse:
        try:
            look = by_hand.preview(form.holder, form.key, timezone.now())
        except Refusal as refusal:  # the device was there a moment ago
            form.add_error(None, refusal.detail)
            return self._ask(request, form)
        if look.request is None and handover is None:
            handover = HandoverForm(initial={"generated": file_passwords.new()})
        context = {
            "look": look,
            "rows": granting.rows(look),
            "refused": [granting.refused(refusal, look) for refusal in look.refusals],
            "left_out": granting.left_out(look),
            "kept": form.kept(),
            "handover": handover,
            "password": str(handover["generated"].value() or "") if handover else "",
            "notice": notice,
        }
        return self._show(request, "issue_preview", f"Issue for {look.name}", context)

    @sensitive_variables()
    def _issue(self, request: HttpRequest, form: AskForm, data: QueryDict) -> HttpResponse:
        handover = None if isinstance(form.key, VerifiedRequest) else HandoverForm(data)
        if handover is not None and not handover.was_shown:
            return self._look(request, form, notice=by_hand.Stale().detail)
        if handover is not None and not handover.is_valid():
            return self._look(request, form, handover=handover)
        try:
            return self._done(request, form, handover, data.get("mark", ""))
        except by_hand.IssuedBefore as refusal:
            return HttpResponseRedirect(f"{_issued_url(self._page, refusal.certificate)}?again=yes")
        except Refusal as refusal:
            return self._look(request, form, handover=handover, notice=refusal.detail)
        except KeystoreError as error:
            return self._look(request, form, handover=handover, notice=str(error))

    @sensitive_variables()
    def _done(
        self, request: HttpRequest, form: AskForm, handover: HandoverForm | None, mark: str
    ) -> HttpResponse:
        actor, now = administrator(request), timezone.now()
        if isinstance(form.key, VerifiedRequest):
            issued, _ = by_hand.issue(form.holder, form.key, actor, now, mark=mark)
            return HttpResponseRedirect(_issued_url(self._page, issued.certificate))
        if handover is None:
            raise TypeError("A key that is made here is handed over.")
        issued, file = by_hand.issue_with_key(
            form.holder,
            form.key,
            handover.chosen_container,
            handover.chosen_password,
            actor,
            now,
            above=handover.chosen_above,
            mark=mark,
        )
        response = viewing.attachment(file.content, file.name, file.content_type)
        response["Cache-Control"] = "no-store"
        return response

    def _show(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        context = {
            **self._page.admin_site.each_context(request),
            "title": title,
            "content_title": title,
            **context,
        }
        response = TemplateResponse(request, f"console/{template}.html", context)
        response["Cache-Control"] = "no-store"  # the preview of a made key shows a password
        return response


def _issued_url(page: ModelAdmin, certificate: Certificate) -> str:
    return reverse(f"{page.admin_site.name}:pki_certificate_issued", args=[certificate.pk])
