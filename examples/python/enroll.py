"""Makes a key that stays here, and has it certified.

python3 enroll.py https://localhost:8445/sign-csr python-device    at first, by the token in the file `token`
python3 enroll.py https://localhost:8444/renew                     later, by the certificate in device.pem

Writes device.pem, for its owner alone: the key, the certificate, then its chain.
"""

import os
import ssl
import sys
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

DEVICE, NEXT = Path("device.pem"), Path("next.pem")


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of a file in one step, for its owner alone."""
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def next_key() -> ec.EllipticCurvePrivateKey:
    """The key that waits in next.pem for its certificate: a lost answer comes again to the same key."""
    if not NEXT.exists():
        write(NEXT, pem(ec.generate_private_key(ec.SECP256R1())))
    return load_pem_private_key(NEXT.read_bytes(), None)


def request_for(key: ec.EllipticCurvePrivateKey, name: str | None) -> bytes:
    """A CSR, PEM. Hatchery knows the name of who renews."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def enroll(url: str, name: str | None = None) -> None:
    context = ssl.create_default_context(cafile="ca.pem")
    headers = {}
    if name:
        headers["Authorization"] = f"Bearer {Path('token').read_text().strip()}"
    else:
        context.load_cert_chain(DEVICE)
    key = next_key()
    answer = httpx.post(url, content=request_for(key, name), headers=headers, verify=context, timeout=30)
    if answer.status_code != httpx.codes.OK:
        sys.exit(answer.text)
    write(NEXT, pem(key) + answer.content)
    context.load_cert_chain(NEXT)  # raises unless key and certificate belong together
    NEXT.replace(DEVICE)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        enroll(*sys.argv[1:])
    except (OSError, httpx.HTTPError) as error:
        sys.exit(str(error))
