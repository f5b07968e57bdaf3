"""What the pages of certificates and of issuers share: the viewer's words, the chain, the downloads."""

import re
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from pki.admin.parts.objects import page_url
from pki.core import bundles, reading
from pki.models import Issuer
from pki.services.issuing import authorities


@dataclass(frozen=True)
class Download:
    """A file that a page offers."""

    label: str
    suffix: str  # of the file's name
    content_type: str
    chain: bool  # whether the issuers up to the root come along
    root: bool  # whether the root does too


# RFC 8555 9.1 registers no type for one PEM certificate; RFC 2585 4.1 does for DER.
DOWNLOADS = {
    "pem": Download("PEM", ".pem", "application/x-pem-file", chain=False, root=False),
    "der": Download("DER", ".crt", "application/pkix-cert", chain=False, root=False),
    "chain": Download("PEM with chain", "-chain.pem", "application/x-pem-file", chain=True, root=False),
    "fullchain": Download(
        "PEM with chain and root", "-fullchain.pem", "application/x-pem-file", chain=True, root=True
    ),
}


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
        "downloads": [
            (each.label, page_url(page, row, "download", form)) for form, each in DOWNLOADS.items()
        ],
    }


def line_of(issuer: Issuer) -> list[Issuer]:
    """An issuer and those above it, the root first."""
    line = [issuer]
    while line[0].parent is not None:
        line.insert(0, line[0].parent)
    return line


def download(
    certificate: x509.Certificate, above: Issuer | None, name: str, serial: str, form: str
) -> HttpResponse:
    """A file of a certificate, alone or with `above`, its issuer, and the chain. Raises Http404."""
    wanted = DOWNLOADS.get(form)
    if wanted is None:
        raise Http404("There is no such download.")
    certificates = [certificate]
    if wanted.chain and above is not None:
        certificates += authorities.chain(above)
        if wanted.root:
            certificates.append(authorities.root_of(above).certificate)
    content = certificate.public_bytes(Encoding.DER) if form == "der" else bundles.pem(certificates)
    return attachment(content, f"{file_name(name, serial)}{wanted.suffix}", wanted.content_type)


def attachment(content: bytes, name: str, content_type: str) -> HttpResponse:
    """An answer that a browser saves as a file, under a name that `file_name` made."""
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def file_name(*words: str) -> str:
    """A name that no shell, header or file system takes for anything else."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", word).strip("._-") or "unnamed" for word in words)
