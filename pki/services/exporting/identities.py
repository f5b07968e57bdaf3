"""Files with a private key: of a key that was made here this moment, or that its owner brings along.

No key is kept. What a password protects is said in docs/bundles.md.
"""

from datetime import datetime
from enum import StrEnum

from cryptography import x509
from django.views.decorators.debug import sensitive_variables

from pki.core import apple, bundles, key_files, kubernetes, pins
from pki.core.keys import IssuerKey
from pki.models import Certificate
from pki.services import audit
from pki.services.audit import Actor
from pki.services.exporting import making
from pki.services.exporting.files import APPLE, PEM, File, file_name
from pki.services.exporting.making import Naming
from pki.services.exporting.subjects import Subject
from pki.services.transactions import writing

_PKCS12 = "application/x-pkcs12"


class Container(StrEnum):
    """The files that a key and its certificate are handed over in."""

    MODERN = "pkcs12"
    LEGACY = "pkcs12-legacy"
    JAVA = "keystore"
    PEM = "pem"
    MOBILECONFIG = "mobileconfig"
    KUBERNETES = "kubernetes"

    @property
    def needs_password(self) -> bool:
        """Whether it cannot be without one; a Kubernetes secret cannot have one."""
        return self not in (Container.PEM, Container.KUBERNETES)

    @property
    def is_text(self) -> bool:
        """Whether a terminal can show it."""
        return not self.needs_password


_SUFFIXES = {
    Container.MODERN: (".p12", _PKCS12),
    Container.LEGACY: (".p12", _PKCS12),
    Container.JAVA: (".p12", _PKCS12),
    Container.PEM: (".pem", PEM),
    Container.MOBILECONFIG: (".mobileconfig", APPLE),
    Container.KUBERNETES: ("-secret.yaml", "application/yaml"),
}


class Above(StrEnum):
    """Which of the CAs above a certificate come along with it."""

    NONE = "none"
    CHAIN = "chain"
    ROOT = "root"


@sensitive_variables("key")
def require_fits(key: IssuerKey, certificate: Certificate) -> None:
    """Raise KeyMismatch unless the certificate is for this key; it names the one that is, if there is one."""
    try:
        key_files.require_fits(key, certificate.parsed)
    except key_files.KeyMismatch as refusal:
        same_key = Certificate.objects.select_related("device").filter(
            spki_sha256=pins.spki_sha256(key.public_key())
        )
        # The device's own before those of others, the latest first.
        fitting = sorted(same_key, key=lambda each: (each.device == certificate.device, each.pk))
        if not fitting:
            raise
        of, device = fitting[-1], fitting[-1].device
        whose = "the same device" if device == certificate.device else device or of.listener or of.common_name
        raise key_files.KeyMismatch(
            f"The key does not fit the certificate {certificate.serial}. It is that of the certificate "
            f"{of.serial} of {whose}, from {of.not_before:%Y-%m-%d} to {of.not_after:%Y-%m-%d}. Name that by "
            "its serial."
        ) from refusal


@sensitive_variables("key", "password")
def packed(
    container: Container,
    subject: Subject,
    key: IssuerKey,
    password: str | None,
    now: datetime,
    *,
    above: Above = Above.CHAIN,
    naming: Naming | None = None,
) -> File:
    """A certificate with its key in a file, under `password`.

    Raises KeyMismatch, and as `making.made`.
    """
    key_files.require_fits(key, subject.certificate)
    if password is None and container.needs_password:
        raise TypeError(f"{container} has a password.")
    suffix, content_type = _SUFFIXES[container]
    content = _content(container, subject, key, password, now, above, naming or Naming())
    return File(f"{file_name(subject.name)}{suffix}", content, content_type, is_secret=True)


def record_export(container: Container, certificate: Certificate, actor: Actor, now: datetime) -> None:
    """Say in the audit trail that such a file was made for an owner who brought the key along.

    For when the file is where it was asked for: what could not be written was not exported.
    """
    with writing():
        audit.record(
            "certificate.exported",
            actor,
            now,
            device=certificate.device,
            certificate=certificate,
            container=str(container),
        )


@sensitive_variables("key", "password", "secret", "file")
def _content(
    container: Container,
    subject: Subject,
    key: IssuerKey,
    password: str | None,
    now: datetime,
    above: Above,
    naming: Naming,
) -> bytes:
    name, certificate, others, secret = (
        subject.name,
        subject.certificate,
        _above(subject, above),
        password or "",
    )
    match container:
        case Container.MODERN | Container.JAVA:
            return bundles.pkcs12_modern(name, key, certificate, others, secret)
        case Container.LEGACY:
            return bundles.pkcs12_legacy(name, key, certificate, others, secret)
        case Container.PEM:
            return bundles.pem_with_key(key, certificate, others, password)
        case Container.MOBILECONFIG:
            # Apple's systems often take no newer one (docs/bundles.md).
            file = bundles.pkcs12_legacy(name, key, certificate, others, secret)
            return making.profile(name, subject.trusted(now), now, apple.Identity(name, file))
        case Container.KUBERNETES:
            return kubernetes.tls_secret(
                naming.secret or kubernetes.name_for(name),
                naming.namespace,
                certificate=bundles.pem([certificate, *subject.chain]),
                key=bundles.private_key_pem(key),
                ca=bundles.pem(subject.trusted(now)),
            ).encode()


def _above(subject: Subject, above: Above) -> list[x509.Certificate]:
    match above:
        case Above.NONE:
            return []
        case Above.CHAIN:
            return subject.chain
        case Above.ROOT:
            return list(subject.path[1:])
