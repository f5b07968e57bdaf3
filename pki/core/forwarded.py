"""Client certificates that a proxy forwards in a header: each form is read from one header, strictly.

What is read here proves nothing by itself: who sent it, and whether the certificate is to be relied on, is
asked elsewhere.
"""

import base64
import binascii
import re
from enum import StrEnum
from itertools import pairwise
from urllib.parse import unquote

from cryptography import x509

from pki.core import chains
from pki.core.errors import UNREADABLE, Refusal

# Characters of a header that are looked at: a chain of certificates in Traefik's form has about 8,000.
LARGEST_HEADER = 24 * 1024
LARGEST_CERTIFICATE = 8 * 1024  # bytes of DER
_LONGEST_CHAIN = 8  # certificates

_BASE64 = r"[A-Za-z0-9+/]+={0,2}"
# RFC 9440 2.2: an Item whose value is a Byte Sequence (RFC 9651 3.3.5), and no parameters.
_BYTE_SEQUENCE = re.compile(rf":({_BASE64}):")
# RFC 7468 3: one block, with nothing around it. The lines' ends are whatever the proxy's library writes.
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n((?:[A-Za-z0-9+/=]{1,76}\r?\n)+)-----END CERTIFICATE-----(?:\r?\n)?"
)
# Envoy's key=value; a value with , ; or = in it is quoted, and a quote within it is written \".
_XFCC_PAIR = re.compile(r'([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;=]*))')


class ForwardedCertificateMalformed(Refusal):
    """What a proxy forwarded is no certificate in the form that is expected of it."""

    code = "forwarded_certificate_malformed"


class Form(StrEnum):
    """How a proxy writes the client's certificate, and so the one header that is read."""

    RFC9440 = "rfc9440"
    NGINX = "nginx"
    TRAEFIK = "traefik"
    ENVOY = "envoy"
    HAPROXY = "haproxy"

    @property
    def header(self) -> str:
        return _HEADERS[self]


_HEADERS = {
    Form.RFC9440: "Client-Cert",
    Form.NGINX: "X-SSL-Client-Cert",
    Form.TRAEFIK: "X-Forwarded-Tls-Client-Cert",
    Form.ENVOY: "X-Forwarded-Client-Cert",
    Form.HAPROXY: "X-SSL-Client-DER",
}


def read(form: Form, value: str) -> x509.Certificate | None:
    """The certificate in a header's value; None if the value is empty: the client showed none.

    Raises ForwardedCertificateMalformed.
    """
    if not value:
        return None
    if len(value) > LARGEST_HEADER:
        raise ForwardedCertificateMalformed(f"{form.header} has more than {LARGEST_HEADER} characters.")
    return _READERS[form](value)


def _rfc9440(value: str) -> x509.Certificate:
    match = _BYTE_SEQUENCE.fullmatch(value)
    if match is None:
        raise ForwardedCertificateMalformed(
            "Client-Cert must be one byte sequence by RFC 9440: base64 DER between two colons."
        )
    return _from_base64(match[1], Form.RFC9440)


def _nginx(value: str) -> x509.Certificate:
    return _from_pem(value, Form.NGINX)


def _haproxy(value: str) -> x509.Certificate:
    return _from_base64(value, Form.HAPROXY)


def _traefik(value: str) -> x509.Certificate:
    # Base64 has no percent sign: what has one was URL-encoded, as some versions do.
    parts = (unquote(value) if "%" in value else value).split(",")
    if len(parts) > _LONGEST_CHAIN:
        raise ForwardedCertificateMalformed(
            f"{Form.TRAEFIK.header} holds more than {_LONGEST_CHAIN} certificates."
        )
    sent = [_from_base64(part, Form.TRAEFIK) for part in parts]
    # Two headers of one name are joined by a comma too: then it is no chain.
    if not all(chains.signed_by(below, above) for below, above in pairwise(sent)):
        raise ForwardedCertificateMalformed(
            f"{Form.TRAEFIK.header} must hold one chain: the client's certificate, then those of its issuers."
        )
    return sent[0]


def _envoy(value: str) -> x509.Certificate:
    certificates = [text for key, text in _xfcc_element(value) if key == "cert"]
    if len(certificates) != 1:
        raise ForwardedCertificateMalformed(
            f"{Form.ENVOY.header} must have one Cert: set set_current_client_cert_details with cert: true."
        )
    return _from_pem(certificates[0], Form.ENVOY)


def _xfcc_element(value: str) -> list[tuple[str, str]]:
    """Keys, in lower case as they are case-insensitive, and values of the one element of Envoy's header."""
    pairs, at = [], 0
    while True:
        match = _XFCC_PAIR.match(value, at)
        if match is None:
            break
        quoted = match[2] is not None
        pairs.append((match[1].lower(), re.sub(r"\\(.)", r"\1", match[2]) if quoted else match[3]))
        at = match.end()
        if at == len(value):
            return pairs
        if value[at] == ",":
            raise ForwardedCertificateMalformed(
                f"{Form.ENVOY.header} has several elements; set forward_client_cert_details: SANITIZE_SET."
            )
        if value[at] != ";":
            break
        at += 1
    raise ForwardedCertificateMalformed(f"{Form.ENVOY.header} is not made of key=value by semicolons.")


def _from_pem(value: str, form: Form) -> x509.Certificate:
    match = _PEM.fullmatch(unquote(value))
    if match is None:
        raise ForwardedCertificateMalformed(f"{form.header} must hold one certificate, URL-encoded PEM.")
    return _from_base64("".join(match[1].split()), form)


def _from_base64(text: str, form: Form) -> x509.Certificate:
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        der = b""
    # Python takes padding that is too long, and bits in it: what says the same in two ways is read in one.
    if not der or base64.b64encode(der).decode() != text:
        raise ForwardedCertificateMalformed(f"{form.header} holds what is not base64.")
    if len(der) > LARGEST_CERTIFICATE:
        raise ForwardedCertificateMalformed(
            f"{form.header} holds a certificate of more than {LARGEST_CERTIFICATE} bytes."
        )
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        raise ForwardedCertificateMalformed(
            f"{form.header} holds what is not a certificate by RFC 5280."
        ) from None


_READERS = {
    Form.RFC9440: _rfc9440,
    Form.NGINX: _nginx,
    Form.TRAEFIK: _traefik,
    Form.ENVOY: _envoy,
    Form.HAPROXY: _haproxy,
}
