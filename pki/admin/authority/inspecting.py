"""The paste box: something is looked at, and forgotten. Which server was looked at stays on record."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.admin import ModelAdmin
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from pki.admin.parts import asking
from pki.core import diagnosis, extensions, list_reading, ocsp_reading, reading, targets
from pki.core.probes import Probed
from pki.core.profiles import ExtendedKeyUsage
from pki.core.recognition import LARGEST
from pki.services.looking import asked_probes, inspection
from pki.services.looking.asked_probes import ProbeRefused
from pki.services.looking.inspection import Inspected, Inspection

_LOCKED = {
    "password_needed",
    "password_wrong",
    "too_many_rounds",
    "p12_password_needed",
    "p12_wrong_password",
}
_DAMAGED = "pem_damaged"
_TOO_LARGE = f"At most {LARGEST:,} bytes are looked at."


_Parsed = TypeVar("_Parsed")


class InspectForm(forms.Form):
    """What to look at, and against what."""

    text = forms.CharField(
        label="Paste here",
        required=False,
        strip=False,
        max_length=LARGEST,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 10, "autocomplete": "off", "spellcheck": "false", "class": "mono"}
        ),
        help_text="PEM of any kind, several blocks at once, or base64 of DER. Or a server: host:port.",
        error_messages={"max_length": _TOO_LARGE},
    )
    file = forms.FileField(
        label="Or choose a file",
        required=False,
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget,
        help_text="PEM, DER, PKCS#12 (.p12, .pfx) or PKCS#7 (.p7b), up to 1 MB.",
    )
    password = forms.CharField(
        label="Its password",
        required=False,
        strip=False,
        max_length=1000,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text="Of a PKCS#12 file or an encrypted key.",
    )
    use = forms.ChoiceField(
        label="It is shown as",
        choices=[
            (ExtendedKeyUsage.CLIENT_AUTH.value, "a client certificate (clientAuth)"),
            (ExtendedKeyUsage.SERVER_AUTH.value, "a server certificate (serverAuth)"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    hostname = forms.CharField(
        label="Name or address of the server",
        required=False,
        max_length=253,
        widget=UnfoldAdminTextInputWidget,
        help_text="To see whether the certificate is for it. Leave it empty for a client.",
    )

    def clean_file(self) -> InMemoryUploadedFile | None:
        file: InMemoryUploadedFile | None = self.cleaned_data["file"]
        if file is not None and (file.size or 0) > LARGEST:
            raise forms.ValidationError(_TOO_LARGE)
        return file

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("text", "").strip() and not cleaned.get("file"):
            raise forms.ValidationError("Paste something, or choose a file.")
        if not self.errors and not cleaned.get("file") and targets.is_named(cleaned["text"]):
            cleaned["server"] = self._parsed(targets.parse, cleaned["text"])
            hostname = cleaned["hostname"].strip()
            cleaned["hostname"] = self._parsed(targets.host, hostname) if hostname else ""
        return cleaned

    def _parsed(self, parse: Callable[[str], _Parsed], text: str) -> _Parsed:
        try:
            return parse(text)
        except targets.TargetRefused as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


class _InMemory(MemoryFileUploadHandler):
    """Keeps a file in memory alone, whatever its size says: what is pasted must not come to a disk."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self.activated = True
        self._kept = 0  # bytes, of all files together

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        # One byte more than is looked at tells the form that it is too large.
        part = raw_data[: max(0, LARGEST + 1 - self._kept)]
        self._kept += len(part)
        self.file.write(part)

    def file_complete(self, file_size: int) -> Any:
        return super().file_complete(self.file.tell())


def in_memory(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """`view`, with uploads that stay in memory. `view` checks the CSRF token itself, as the admin's do.

    Django's middleware would read the upload before anybody could say where it may go.
    """

    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        request.upload_handlers = [_InMemory(request)]
        return view(request, *args, **kwargs)

    wrapped.csrf_exempt = True  # type: ignore[attr-defined]
    return wrapped


@sensitive_post_parameters()
@sensitive_variables()
def inspect(request: HttpRequest, page: ModelAdmin) -> HttpResponse:
    """The page that asks what to look at, and below it what was found. Raises PermissionDenied."""
    if not page.has_view_permission(request):
        raise PermissionDenied
    asked = request.method == "POST"
    form = InspectForm(request.POST, request.FILES) if asked else InspectForm()
    inspection, probed = _looked_at(request, form) if asked and form.is_valid() else (None, None)
    context = {
        **page.admin_site.each_context(request),
        "title": "What is this?",
        # A new form keeps no more than what is not secret: nothing that was pasted is sent back.
        "form": _again(form) if asked else form,
        "errors": form.errors if asked else {},
        "inspection": inspection,
        "server": probed,
        "headline": _headline(inspection) if inspection else "",
        "shown": [_Shown(each, timezone.now()) for each in inspection.parts] if inspection else [],
        "may_see_device": request.user.has_perm("pki.view_device"),
    }
    response = TemplateResponse(request, "console/inspect.html", context)
    response["Cache-Control"] = "no-store"
    return response


@sensitive_variables()
def _looked_at(request: HttpRequest, form: InspectForm) -> tuple[Inspection | None, Probed | None]:
    """What was found; nothing, and an error of the form, where Hatchery does not knock."""
    target = form.cleaned_data.get("server")
    if target is None:
        return _inspected(form), None
    try:
        looked = asked_probes.inspect(
            target,
            asking.administrator(request),
            timezone.now(),
            may_look_around=request.user.has_perm("pki.add_certificate"),
            name=form.cleaned_data["hostname"],
        )
    except ProbeRefused as refusal:
        form.add_error(None, refusal.detail)
        return None, None
    return looked.inspection, looked.probed


@sensitive_variables()
def _inspected(form: InspectForm) -> Inspection:
    cleaned = form.cleaned_data
    file = cleaned["file"]
    return inspection.inspect(
        file.read() if file is not None else cleaned["text"].encode(),
        timezone.now(),
        password=cleaned["password"],
        use=ExtendedKeyUsage(cleaned["use"]),
        hostname=cleaned["hostname"].strip(),
    )


def _headline(inspected: Inspection) -> str:
    if inspected.refused:
        return "It would be refused"
    codes = {finding.code for finding in inspected.all_findings}
    unread = [each for each in inspected.parts if not each.part.is_read]
    if not unread and _DAMAGED not in codes:
        return "Nothing here says that it would be refused" if inspected.parts else "Nothing was recognised"
    verb = "opened" if codes & _LOCKED else "read"
    return f"Could not be {verb}" if len(unread) == len(inspected.parts) else f"Not all could be {verb}"


def _again(form: InspectForm) -> InspectForm:
    kept = ("use", "hostname")
    return InspectForm(initial={name: form.cleaned_data[name] for name in kept if name in form.cleaned_data})


class _Shown:
    """One part, as the page shows it."""

    def __init__(self, inspected: Inspected, now: datetime) -> None:
        part = inspected.part
        self.title = part.title
        self.origin = part.origin
        self.findings = inspected.findings
        self.certificate = inspected.certificate
        self.issuer = inspected.issuer
        self.same_key = [each for each in inspected.same_key if each != inspected.certificate]
        self.reading = reading.read(part.certificate) if part.certificate is not None else None
        self.remaining = diagnosis.remaining(part.certificate, now) if part.certificate is not None else ""
        self.subject = reading.subject_of(part.request) if part.request is not None else ""
        self.wishes = extensions.in_words(part.request) if part.request is not None else []
        self.list = list_reading.read(part.revocation_list) if part.revocation_list is not None else None
        self.answer = ocsp_reading.read(part.ocsp_answer) if part.ocsp_answer is not None else None
        self.key = reading.read_key(part.key) if part.key is not None else None
