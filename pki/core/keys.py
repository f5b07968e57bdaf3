"""Which keys may be certified, and how they are named.

P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits: FIPS 186-5 kinds that every TLS library of the
last ten years accepts in a certificate.
"""

from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from pki.core.errors import Refusal

RSA_BITS_MIN = 2048
RSA_BITS_MAX = 4096
# CA/Browser Forum BR 6.1.6: smaller exponents have broken too many verifiers.
RSA_EXPONENT_MIN = 65537

IssuerKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
CertifiedKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class KeyKind(StrEnum):
    """A kind of key that a profile may allow."""

    P256 = "P-256"
    P384 = "P-384"
    ED25519 = "Ed25519"
    RSA = "RSA"


# What `generate` makes, the usual choice first.
SPECS = {
    "P-256": KeyKind.P256,
    "P-384": KeyKind.P384,
    "Ed25519": KeyKind.ED25519,
    "RSA-2048": KeyKind.RSA,
    "RSA-3072": KeyKind.RSA,
    "RSA-4096": KeyKind.RSA,
}


class KeyRefused(Refusal):
    """The public key is of a kind, size or form that is not certified."""

    code = "key_refused"


_CURVES = {"secp256r1": KeyKind.P256, "secp384r1": KeyKind.P384}
_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_OTHER_KINDS: dict[type, str] = {
    dsa.DSAPublicKey: "DSA",
    ed448.Ed448PublicKey: "Ed448",
    x25519.X25519PublicKey: "X25519",
    x448.X448PublicKey: "X448",
}


def describe(key: PublicKeyTypes) -> str:
    """A key's kind and size as people write them: `P-256`, `Ed25519`, `RSA-2048`, `secp256k1`, `DSA`."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVE_NAMES.get(key.curve.name, key.curve.name)
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    return next((name for kind, name in _OTHER_KINDS.items() if isinstance(key, kind)), "unknown")


def certified(key: PublicKeyTypes) -> tuple[KeyKind, CertifiedKey]:
    """The kind of a key that Hatchery certifies, and the key itself under its narrower type.

    Raises KeyRefused, naming the key, for anything else.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name], key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return KeyKind.ED25519, key
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
            raise KeyRefused(
                f"The key is {describe(key)}; RSA keys must have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits."
            )
        exponent = key.public_numbers().e
        if exponent < RSA_EXPONENT_MIN or exponent % 2 == 0:
            raise KeyRefused(f"The RSA key's public exponent must be odd and at least {RSA_EXPONENT_MIN}.")
        return KeyKind.RSA, key
    raise KeyRefused(
        f"The key is {describe(key)}; use P-256, P-384, Ed25519, "
        f"or RSA of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits."
    )


def generate(spec: str) -> IssuerKey:
    """A new private key.

    `spec` is one of SPECS; anything else raises KeyRefused.
    """
    match spec:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "RSA-2048" | "RSA-3072" | "RSA-4096":
            return rsa.generate_private_key(RSA_EXPONENT_MIN, int(spec.removeprefix("RSA-")))
    raise KeyRefused(
        f"There is no key kind {spec!r}; choose P-256, P-384, Ed25519, RSA-2048, RSA-3072 or RSA-4096."
    )


def signature_hash(key: PrivateKeyTypes) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash of a key's signatures: SHA-384 for P-384, none for Ed25519 (RFC 8410), else SHA-256."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp384r1":
        return hashes.SHA384()
    return hashes.SHA256()
