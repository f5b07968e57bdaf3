"""A device and its trust bundle, as docs/rollover.md has it check one with openssl; and those who forge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.core import bundles
from pki.models import Issuer
from tests.clients import run

# docs/rollover.md, word for word but for the files' names.
VERIFY = (
    *("openssl", "cms", "-verify", "-inform", "DER", "-in", "ca-bundle"),
    *("-CAfile", "ca.pem", "-no-CApath", "-no-CAstore", "-out", "ca.pem.new"),
)


def verified(folder: Path, signed: bytes, trusted: Sequence[x509.Certificate]) -> tuple[str | None, str]:
    """What a device that trusts these reads in a bundle, None if it refuses it; and what openssl says."""
    (folder / "ca.pem").write_bytes(bundles.pem(trusted))
    (folder / "ca-bundle").write_bytes(signed)
    (folder / "ca.pem.new").unlink(missing_ok=True)
    done = run(*VERIFY, cwd=folder)
    said = done.stderr.decode()
    if done.returncode != 0:
        return None, said
    return (folder / "ca.pem.new").read_text(), said


def forged(
    content: bytes, certificate: x509.Certificate, key: Any, others: Sequence[x509.Certificate] = ()
) -> bytes:
    """A bundle as anybody makes it who has a certificate and its key."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate, key, hashes.SHA256())
    for other in others:
        builder = builder.add_certificate(other)
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def the_root() -> Issuer:
    return Issuer.objects.filter(parent=None).order_by("pk")[0]


def the_issuing() -> Issuer:
    return Issuer.objects.exclude(parent=None).order_by("pk")[0]
