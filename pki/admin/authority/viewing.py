"""What the pages of certificates and of issuers share: the viewer's words, the chain, the downloads."""

import shlex
from collections.abc import Collection
from typing import Any

from cryptography import x509
from django.contrib import messages
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.admin import ModelAdmin

from pki.admin.parts.objects import page_url
from pki.core import reading
from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.models import Certificate, Issuer
from pki.services.exporting import files, making
from pki.services.exporting.files import Form, FormUnknown, Of
from pki.services.exporting.identities import Container
from pki.services.exporting.subjects import Subject


def context(
    page: ModelAdmin, request: HttpRequest, row: Model, certificate: x509.Certificate
) -> dict[str, Any]:
    """What both viewers' templates are given."""
    return {
        **page.admin_site.each_context(request),
        "title": str(row),
        "original": row,
        "opts": page.model._meta,
        "reading": reading.read(certificate),
        "files": [("", offered(page, row, Of.CERTIFICATE))],
    }


def line_of(issuer: Issuer) -> list[Issuer]:
    """An issuer and those above it, the root first."""
    line = [issuer]
    while line[0].parent is not None:
        line.insert(0, line[0].parent)
    return line


def offered(page: ModelAdmin, row: Model, *of: Of, without: Collection[Form] = ()) -> list[tuple[str, str]]:
    """The files of these kinds that a page offers of its row: what each is called, and where it is."""
    forms = [form for form in Form if form.kind.of in of and form not in without]
    return [(form.kind.words, page_url(page, row, "download", form)) for form in forms]


def export_command(certificate: Certificate) -> str:
    """What the owner of a certificate's key types to have both in a file; its CN may be what others chose."""
    name = files.file_name(certificate.common_name)
    command = [".venv/bin/python", "manage.py", "export", "--serial", certificate.serial]
    command += ["--form", Container.MODERN]
    return shlex.join([*command, "--key", f"{name}.key", "--out", f"{name}.p12"])


def download(
    page: ModelAdmin, request: HttpRequest, row: Model, subject: Subject, form: str, *of: Of
) -> HttpResponse:
    """A file of a row's certificate, if its form is of one of these kinds; what cannot be made is said on the
    row's page. Raises Http404 for another form.
    """
    try:
        file = making.made(files.form(form, *of), subject, timezone.now())
    except FormUnknown as refusal:
        raise Http404(refusal.detail) from None
    except (Refusal, KeystoreError) as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(page_url(page, row))
    return attachment(file.content, file.name, file.content_type)


def attachment(content: bytes, name: str, content_type: str) -> HttpResponse:
    """An answer that a browser saves as a file, under a name that `file_name` made."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
