"""The files of a device's page: its certificate's, and what it is to trust."""

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin

from pki.admin.authority import viewing
from pki.models import Device
from pki.services.exporting import subjects
from pki.services.exporting.files import Form, Of
from pki.services.exporting.subjects import NoCertificate


def offered(page: ModelAdmin, device: Device, *, certified: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """What each group of files is for, and its files; those of its certificate if it is `certified`."""
    groups = [
        ("What it is to trust: the roots above our listeners", viewing.offered(page, device, Of.TRUST)),
    ]
    if certified:
        groups.insert(0, ("Its certificate", viewing.offered(page, device, Of.CERTIFICATE)))
    return groups


def download(page: ModelAdmin, request: HttpRequest, device: Device, form: str) -> HttpResponse:
    """A file for a device. Raises PermissionDenied for its certificate's to who may see none, or Http404."""
    subject = subjects.of_roots()
    if form in [each for each in Form if each.kind.of is Of.CERTIFICATE]:
        if not request.user.has_perm("pki.view_certificate"):
            raise PermissionDenied
        try:
            subject = subjects.of_device(device, timezone.now())
        except NoCertificate as refusal:
            raise Http404(refusal.detail) from None
    return viewing.download(page, request, device, subject, form, Of.CERTIFICATE, Of.TRUST)
