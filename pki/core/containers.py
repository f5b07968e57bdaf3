"""DER that holds certificates, requests, keys, CRLs: by themselves, or in PKCS#7, #8 or #12 (RFC 7292)."""

import base64
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    pkcs7,
)
from cryptography.x509 import ocsp

from pki.core import der, key_files
from pki.core.errors import UNREADABLE
from pki.core.findings import Severity
from pki.core.parts import Kind, Recognised
from pki.core.reading import is_ca, public_key

# An RSA key of 16384 bits has 10 KiB.
_LARGEST_KEY = 16 * 1024  # bytes


def read(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    """Whether `data` was recognised, and is in `into` now."""
    outer = der.first(data)
    if outer is None or outer.tag != der.SEQUENCE:
        return False
    # OpenSSL's TRUSTED CERTIFICATE has its own words after the certificate.
    data = data[: outer.end]
    return any(reader(data, origin, password, into) for reader in _READERS)


def _certificate(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(data)
    except UNREADABLE:
        return False
    add_certificate(certificate, origin, into)
    return True


def add_certificate(
    certificate: x509.Certificate, origin: str, into: Recognised, *, is_to_trust: bool = False
) -> None:
    """Keep a certificate that was found."""
    key = public_key(certificate)
    into.add(Kind.CERTIFICATE, origin, certificate=certificate, key=key, is_to_trust=is_to_trust)


def _request(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    try:
        request = x509.load_der_x509_csr(data)
    except UNREADABLE:
        return False
    into.add(Kind.REQUEST, origin, request=request, key=public_key(request))
    return True


def _revocation_list(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    try:
        crl = x509.load_der_x509_crl(data)
    except UNREADABLE:
        return False
    into.add(Kind.REVOCATION_LIST, origin, revocation_list=crl)
    return True


def _ocsp(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    """OCSP (RFC 6960 4): a request, of which we say no more, or an answer."""
    for kind, load in _OCSP.items():
        message: object = None
        try:
            message = load(data)
        except NotImplementedError:
            pass  # of several certificates: one all the same
        except UNREADABLE:
            continue
        answer = message if isinstance(message, ocsp.OCSPResponse) else None
        into.add(kind, origin, ocsp_answer=answer)
        return True
    return False


_OCSP: dict[Kind, Callable[[bytes], object]] = {
    Kind.OCSP_REQUEST: ocsp.load_der_ocsp_request,
    Kind.OCSP_ANSWER: ocsp.load_der_ocsp_response,
}


def _public_key(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    try:
        key = load_der_public_key(data)
    except UNREADABLE:
        return False
    into.add(Kind.PUBLIC_KEY, origin, key=key)
    return True


def _bag(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    """PKCS#7, certificates only (RFC 5652)."""
    values = der.children(der.children(data)[0].content)
    if not values or values[0].tag != der.OBJECT_IDENTIFIER or values[0].content != _SIGNED_DATA:
        return False
    try:
        certificates = pkcs7.load_der_pkcs7_certificates(data)
    except UNREADABLE:
        certificates = []
    for certificate in certificates:
        add_certificate(certificate, f"PKCS#7, {origin}", into)
    if not certificates:
        into.add(Kind.UNREADABLE, f"PKCS#7, {origin}")
        into.found(
            "pkcs7_empty",
            Severity.WARNING,
            "This PKCS#7 file holds no certificate that can be read.",
            "Export the certificates again, as PEM.",
        )
    return True


def _private_key(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    encrypted = _is_encrypted_key(data)
    if len(data) > _LARGEST_KEY or (encrypted and _too_many_rounds(data, origin, into)):
        return encrypted
    if encrypted and not password:
        return _key_needs_password(origin, into)
    try:
        # What is asked here is whose key it is, not whether its primes are prime, which takes seconds.
        key = load_der_private_key(
            data, password.encode() if encrypted else None, unsafe_skip_rsa_key_validation=True
        ).public_key()
    except UNREADABLE:
        return encrypted and _key_opens_not(origin, into)
    _add_private_key(key, origin, into, encrypted=encrypted)
    return True


def old_encrypted_key(
    label: bytes, headers: list[bytes], content: bytes, password: str, into: Recognised
) -> None:
    """Put a private key into `into` that is encrypted under RFC 1421's headers."""
    origin = f"PEM, {label.decode('ascii', 'replace')}, encrypted in OpenSSL's old way"
    if not password:
        _key_needs_password(origin, into)
        return
    pem = b"\n".join(
        [
            b"-----BEGIN " + label + b"-----",
            *(header.strip() for header in headers),
            b"",
            base64.encodebytes(content[:_LARGEST_KEY]).strip(),
            b"-----END " + label + b"-----",
        ]
    )
    try:
        key = load_pem_private_key(pem, password.encode(), unsafe_skip_rsa_key_validation=True).public_key()
    except UNREADABLE:
        _key_opens_not(origin, into)
    else:
        _add_private_key(key, origin, into, encrypted=True)


def _is_encrypted_key(data: bytes) -> bool:
    """EncryptedPrivateKeyInfo (RFC 5958 3): an algorithm, then an octet string, and no version before."""
    values = der.children(der.children(data)[0].content)
    return [value.tag for value in values] == [der.SEQUENCE, der.OCTET_STRING]


def _add_private_key(key: PublicKeyTypes, origin: str, into: Recognised, *, encrypted: bool) -> None:
    part = into.add(Kind.PRIVATE_KEY, f"{origin}, encrypted" if encrypted else origin, key=key)
    if into.source:
        return  # a file is read where it lies
    into.found(
        "private_key_pasted",
        Severity.WARNING,
        "This is a private key. It was not kept here, but it has travelled.",
        "A private key should not leave its device: where that can be, make a new one there.",
        part,
    )


def _key_needs_password(origin: str, into: Recognised) -> bool:
    part = into.add(Kind.PRIVATE_KEY, origin)
    into.found(
        "password_needed",
        Severity.NOTE,
        "This private key is encrypted.",
        "Give its password too, to be told which certificates it fits.",
        part,
    )
    return True


def _key_opens_not(origin: str, into: Recognised) -> bool:
    part = into.add(Kind.PRIVATE_KEY, origin)
    into.found(
        "password_wrong",
        Severity.WARNING,
        "This private key does not open with that password, or its encryption is not supported.",
        "Give the password that it was encrypted with.",
        part,
    )
    return True


def _too_many_rounds(data: bytes, origin: str, into: Recognised) -> bool:
    if der.most_rounds(data) <= der.MOST_ROUNDS:
        return False
    part = into.add(Kind.UNREADABLE, origin)
    into.found(
        "too_many_rounds",
        Severity.WARNING,
        f"To open it, its password must be hashed more than {der.MOST_ROUNDS:,} times; it was not tried.",
        "Export it again with the usual number of rounds.",
        part,
    )
    return True


# --- PKCS#12 (RFC 7292) ---------------------------------------------------------------------------

# Object identifiers, DER without tag and length.
_DATA = bytes.fromhex("2a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_PKCS12_PBE = bytes.fromhex("2a864886f70d010c01")  # and one more: 3 is 3DES, 5 and 6 are RC2
_SHA1 = bytes.fromhex("2b0e03021a")


def _pkcs12(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    values = der.children(der.children(data)[0].content)
    if [value.tag for value in values[:2]] != [der.INTEGER, der.SEQUENCE] or values[0].content != b"\x03":
        return False
    content = der.children(values[1].content)
    if not content or content[0].content not in (_DATA, _SIGNED_DATA):
        return False
    origin = f"PKCS#12, {origin}"
    if not _too_many_rounds(data, origin, into):
        _open_pkcs12(data, origin, password, into)
    return True


def _open_pkcs12(data: bytes, origin: str, password: str, into: Recognised) -> None:
    if _has_legacy_algorithms(data):
        into.found(
            "p12_legacy_algorithms",
            Severity.WARNING,
            "This PKCS#12 file uses old algorithms (3DES or RC2, a SHA-1 MAC): they protect it badly, and "
            "OpenSSL 3 opens RC2 with its legacy provider only.",
            "Export it with today's algorithms, unless an old iOS or Android must read it.",
        )
    opened = key_files.open_p12(data, password)
    if opened is None:
        into.add(Kind.UNREADABLE, origin)
        into.found(
            "p12_wrong_password" if password else "p12_password_needed",
            Severity.WARNING,
            "This PKCS#12 file does not open with that password, or it is damaged."
            if password
            else "This PKCS#12 file is encrypted, and no password was given.",
            "Give the password that it was exported with.",
        )
        return
    certificates = [each.certificate for each in (opened.cert, *opened.additional_certs) if each is not None]
    is_to_trust = opened.key is None and bool(certificates) and all(map(is_ca, certificates))
    if opened.key is not None:
        _add_private_key(opened.key.public_key(), origin, into, encrypted=bool(password))
    elif is_to_trust:
        into.found(
            "p12_trust_store",
            Severity.NOTE,
            "This PKCS#12 file holds certificates of CAs and no private key: it is a trust store.",
            "Give it to those who are to trust these CAs; a device's own file holds its key too.",
        )
    else:
        into.found(
            "p12_without_key",
            Severity.REFUSED,
            "This PKCS#12 file holds no private key: who imports it cannot prove anything with it.",
            "Export the certificate together with its key.",
        )
    for certificate in certificates:
        add_certificate(certificate, origin, into, is_to_trust=is_to_trust)
    if opened.cert is None and opened.key is not None:
        into.found(
            "p12_without_certificate",
            Severity.REFUSED,
            "This PKCS#12 file holds no certificate for its key.",
            "Export the key together with its certificate.",
        )


def _has_legacy_algorithms(data: bytes) -> bool:
    identifiers = [
        value.content
        for siblings in der.families(data)
        for value in siblings
        if value.tag == der.OBJECT_IDENTIFIER
    ]
    # A SHA-1 that stands there by name is the MAC's: PBKDF2 names an HMAC.
    return _SHA1 in identifiers or any(each.startswith(_PKCS12_PBE) for each in identifiers)


_READERS: tuple[Callable[[bytes, str, str, Recognised], bool], ...] = (
    _certificate,
    _request,
    _pkcs12,
    _bag,
    _private_key,
    _public_key,
    _revocation_list,
    _ocsp,
)
