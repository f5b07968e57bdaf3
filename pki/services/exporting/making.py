"""Files without a key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings

from pki.core import apple, bundles, kubernetes, names, pin_lists, pins
from pki.core.names import SanKind
from pki.core.pin_lists import Listed, Writing
from pki.services.exporting import profile_signing
from pki.services.exporting.files import File, Form, FormUnfit, Of, file_name
from pki.services.exporting.subjects import Subject
from pki.services.trusting import pinning, standby_keys
from pki.services.trusting.anchors import anchors


@dataclass(frozen=True)
class Naming:
    """What a file's reader calls things."""

    secret: str = ""  # a Kubernetes secret; made of the subject's name if empty
    namespace: str = "default"
    hosts: Sequence[str] = field(default_factory=lambda: _hosts(settings.PORTAL_HOSTNAMES))

    def __post_init__(self) -> None:
        """Raises NameRefused: hosts stand in what programs read."""
        for host in self.hosts:
            names.host_san(host)


def made(form: Form, subject: Subject, now: datetime, naming: Naming | None = None) -> File:
    """`subject` in a file of this form.

    Raises FormUnfit, NoTrustBundle, NotTrusted, NoProfileSigner, KubernetesNameRefused or KeystoreError.
    """
    naming = naming or Naming()
    match form.kind.of:
        case Of.CERTIFICATE:
            content = _of_certificate(form, subject)
        case Of.TRUST:
            content = _of_trust(form, subject, naming, now)
        case Of.PINS:
            content = pin_lists.written(form.writing, naming.hosts, _pinned(form.writing, now)).encode()
    # Trust and pins are not those of one certificate.
    words = (
        [subject.name, subject.serial]
        if subject.serial and form.kind.of is Of.CERTIFICATE
        else [subject.name]
    )
    return File(f"{file_name(*words)}{form.kind.suffix}", content, form.kind.content_type)


def _of_certificate(form: Form, subject: Subject) -> bytes:
    certificate = subject.certificate
    match form:
        case Form.DER | Form.CER:
            return certificate.public_bytes(Encoding.DER)
        case Form.CHAIN:
            return bundles.pem([certificate, *subject.chain])
        case Form.FULL_CHAIN:
            return bundles.pem(subject.path)
    return bundles.pem([certificate])


def _of_trust(form: Form, subject: Subject, naming: Naming, now: datetime) -> bytes:
    trusted = subject.trusted(now)
    match form:
        case Form.ROOT_CRT | Form.ROOT_CER:
            return _only(trusted).public_bytes(Encoding.DER)
        case Form.TRUSTSTORE:
            return bundles.java_truststore(trusted)
        case Form.MOBILECONFIG:
            return profile(subject.name, trusted, now)
        case Form.KUBERNETES:
            secret = naming.secret or kubernetes.name_for(f"{subject.name}-ca")
            return kubernetes.trust_secret(secret, naming.namespace, bundles.pem(trusted)).encode()
    return bundles.pem(trusted)


def _only(trusted: Sequence[x509.Certificate]) -> x509.Certificate:
    if len(trusted) > 1:
        raise FormUnfit(
            f"There are {len(trusted)} roots to trust, and this form holds one; take each from its own page."
        )
    return trusted[0]


def profile(
    name: str,
    trusted: Sequence[x509.Certificate],
    now: datetime,
    identity: apple.Identity | None = None,
) -> bytes:
    """A signed configuration profile, CMS, DER. Raises NoProfileSigner or KeystoreError."""
    unsigned = apple.profile(name, settings.PORTAL_HOSTNAMES[0], trusted, identity)
    return profile_signing.signed(unsigned, now)


def _pinned(writing: Writing, now: datetime) -> list[Listed]:
    """Those in use first; those of keys that are made ahead are the backups (RFC 7469 4.3)."""
    found = sorted(pinning.pinned(anchors(now).trusted, now), key=lambda pin: pin.is_backup)
    wanted: dict[str, Listed] = {}
    for pin in found:
        if (pin.role == standby_keys.ROOT) != writing.pins_servers and pin.role != pinning.ISSUER:
            wanted.setdefault(pin.spki_sha256, Listed(pins.as_base64(pin.spki_sha256), pin.is_backup))
    return list(wanted.values())


def _hosts(hosts: Sequence[str]) -> list[str]:
    """The names among the hosts, which is what phones pin; the addresses if there are none."""
    named = [host for host in hosts if names.host_san(host).kind is SanKind.DNS]
    return named or list(hosts)
