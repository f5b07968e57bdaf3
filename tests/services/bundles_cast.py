"""A device and its trust bundle, as docs/rollover.md has it check one with openssl; and those who forge."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.core import bundles, pins
from pki.models import Issuer, TrustBundle
from pki.services.trusting import bundle_signatures
from tests.clients import run

# docs/rollover.md, word for word but for the files' names.
VERIFY = (
    *("openssl", "cms", "-verify", "-inform", "DER", "-in", "ca-bundle", "-verify_depth", "0"),
    *("-CAfile", "ca.pem", "-no-CApath", "-no-CAstore", "-out", "ca.pem.new"),
)


# Less careful: what it refuses is refused by more than the depth.
AT_ANY_DEPTH = tuple(word for word in VERIFY if word not in ("-verify_depth", "0"))


def lines_of_the_page() -> str:
    """docs/rollover.md, "What a device does"."""
    page = (Path(__file__).parents[2] / "docs" / "rollover.md").read_text()
    return page.split("### What a device does")[1].split("```sh\n")[1].split("```")[0]


def verified(
    folder: Path, signed: bytes, trusted: Sequence[x509.Certificate], command: Sequence[str] = VERIFY
) -> tuple[str | None, str]:
    """What a device that trusts these reads in a bundle, None if it refuses it; and what openssl says."""
    (folder / "ca.pem").write_bytes(bundles.pem(trusted))
    (folder / "ca-bundle").write_bytes(signed)
    (folder / "ca.pem.new").unlink(missing_ok=True)
    done = run(*command, cwd=folder)
    said = done.stderr.decode()
    if done.returncode != 0:
        return None, said
    return (folder / "ca.pem.new").read_text(), said


def taken(folder: Path, made: TrustBundle, trusted: Sequence[x509.Certificate]) -> tuple[str | None, str]:
    """The same of a device that fetches this version as the page says, by each of its roots in turn."""
    for root in trusted:
        signed = bundle_signatures.of(made, pins.fingerprint_of(root)) or bytes(made.signed)
        read, said = verified(folder, signed, trusted)
        if read is not None:
            break
    return read, said


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
