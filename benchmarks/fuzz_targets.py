"""What reads bytes of strangers, with examples to damage, and what each may raise."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509 import ocsp as x509_ocsp
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser

from pki.core import (
    authority_files,
    csr,
    destinations,
    diagnosis,
    forwarded,
    identifiers,
    key_files,
    names,
    ocsp,
    openssl_config,
    openssl_index,
    openssl_wishes,
    proxies,
    recognition,
    targets,
)
from pki.core.diagnosis import Circumstances
from pki.core.errors import Refusal
from pki.core.forwarded import Form
from pki.core.profiles import ExtendedKeyUsage
from pki.core.trust import Trust
from pki.core.visitors import network
from tests.core.cast import block, csr_der, request_info, signed_anew
from tests.core.test_forwarded import WRITTEN
from tests.core.test_hostile_bytes import RICH

NOW = datetime(2026, 5, 1, tzinfo=UTC)
Refusals = tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Target:
    """Something that reads bytes, and so may refuse them."""

    name: str
    share: int  # how many of a million
    examples: list[bytes]
    reads: Callable[[bytes], Any]
    refuses: Refusals = (Refusal,)


def all_targets() -> list[Target]:
    key, certificate = _issuer()
    p12 = pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, NoEncryption())
    locked = pkcs12.serialize_key_and_certificates(
        b"x", key, certificate, None, BestAvailableEncryption(b"secret")
    )
    pem, der = (certificate.public_bytes(each) for each in (Encoding.PEM, Encoding.DER))
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sec1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    crl = _crl(key, certificate)
    bundle = pkcs7.serialize_certificates([certificate], Encoding.DER)
    requests = [RICH, csr_der("door-1")]
    asked = _ocsp_requests(certificate)
    shown = [pem, der, p12, locked, key_pem, sec1, crl, bundle, *map(_pem, requests), pem + key_pem]
    return [
        Target("CSRs, PEM", 250_000, [_pem(each) for each in requests], csr.verify),
        Target(
            "CSRs, signed anew after the damage",
            100_000,
            [request_info(each) for each in requests],
            lambda info: csr.verify(_pem(signed_anew(info))),
        ),
        Target("OCSP requests", 200_000, asked, ocsp.read),
        Target(
            "OCSP requests in a path",
            50_000,
            [base64.b64encode(each) for each in asked],
            lambda path: ocsp.read(ocsp.from_path(path.decode("latin-1"))),
        ),
        *(
            Target(
                f"{form.header}",
                20_000,
                [WRITTEN[form](certificate).encode()],
                lambda value, form=form: forwarded.read(form, value.decode("latin-1")),
            )
            for form in Form
        ),
        Target("HTTP requests", 60_000, HTTP, _http, (ParseException, NoMoreData, StopIteration)),
        Target(".cnf files", 80_000, CONFIGS, _wishes),
        Target("pasted files", 60_000, shown, _diagnosed),
        Target("keys and certificates of a CA", 40_000, [pem, key_pem, sec1, der], _brought),
        Target("PKCS#12 of a CA", 10_000, [p12, locked], authority_files.from_p12),
        Target("OpenSSL's index", 20_000, INDEXES, lambda text: list(openssl_index.read(_text(text)))),
        Target("words", 30_000, WORDS, _words, (Refusal, ValueError)),
    ]


HTTP = [
    b"POST /sign-csr HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nAuthorization: Bearer hatch_x\r\n\r\nabcde",
    b"POST /ocsp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\nX:\r\n\r\n",
    b"GET /whoami?a=%41 HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1, ::1\r\nForwarded: for=x;proto=https\r\n\r\n",
]
CONFIGS = [
    b"[req]\ndistinguished_name = dn\nreq_extensions = ext\nprompt = no\n[dn]\nC = DE\nCN = door-1\n"
    b"[ext]\nsubjectAltName = @alt\nextendedKeyUsage = clientAuth\nkeyUsage = critical, digitalSignature\n"
    b"[alt]\nDNS.1 = door.example\nIP.1 = 10.0.0.1\n",
    b"HOME = .\n[ca]\ndefault_ca = x\n[x]\ndefault_days = 30\npolicy = p\nx509_extensions = v3\n"
    b"[p]\nCN = supplied\n"
    b"[v3]\nbasicConstraints = critical,CA:FALSE\nsubjectAltName = DNS:${ENV::X},email:copy\n",
]
INDEXES = [
    b"V\t270101000000Z\t\t01\tunknown\t/C=DE/CN=door-1\n"
    b"R\t270101000000Z\t260101000000Z,keyCompromise\t0A\tunknown\t/CN=x\n"
]
WORDS = [
    *(each.encode() for each in ("DNS:door.example", "IP:fe80::1%eth0", "email:a@b.example", "URI:urn:a:b")),
    b"https://door.example:8443/a/path?b=c",
    b"[fd00::5]:8443",
    b"nginx@10.0.0.5,traefik@10.1.0.0/24",
    b"198.51.100.1, 192.0.2.77",
    b"AB:CD:EF:01:23",
]


_GUNICORN = Config()
_GUNICORN.set("limit_request_field_size", 32 * 1024)


def _http(data: bytes) -> None:
    request = next(RequestParser(_GUNICORN, iter([data]), ("192.0.2.1", 1)))
    request.body.read()


def _wishes(text: bytes) -> None:
    openssl_wishes.read(openssl_config.parse(_text(text)))
    openssl_config.without_passwords(_text(text))


def _diagnosed(data: bytes) -> None:
    seen = recognition.recognise(data, "secret")
    circumstances = Circumstances(Trust([]), NOW, ExtendedKeyUsage.CLIENT_AUTH, "door.example", False)
    diagnosis.diagnose(seen, circumstances)


def _brought(data: bytes) -> None:
    for read in (
        lambda: key_files.read(data, None),
        lambda: authority_files.certificates(data, "file"),
        lambda: authority_files.from_files(data, data),
    ):
        try:
            read()
        except Refusal:
            continue


def _words(data: bytes) -> None:
    text = _text(data)
    for read in (names.parse_san, names.device_name, names.name_pattern, names.host_san, targets.parse):
        _refused(read, text)
    for read in (destinations.parse, destinations.networks, proxies.parse, identifiers.read):
        _refused(read, text)
    address = proxies.client_address(text)
    network(address)


def _refused(read: Callable[[str], Any], text: str) -> None:
    try:
        read(text)
    except (Refusal, ValueError):
        pass  # both are promised: see the docstring of each


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _pem(der: bytes) -> bytes:
    return block("CERTIFICATE REQUEST", der)


def _issuer() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A CA")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    )
    return key, builder.sign(key, hashes.SHA256())


def _crl(key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate) -> bytes:
    revoked = x509.RevokedCertificateBuilder().serial_number(8).revocation_date(NOW).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(NOW)
    builder = builder.next_update(NOW + timedelta(days=1)).add_revoked_certificate(revoked)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _ocsp_requests(issuer: x509.Certificate) -> list[bytes]:
    builder = x509_ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, hashes.SHA256())
    nonce = builder.add_extension(x509.OCSPNonce(b"0123456789abcdef"), critical=False)
    return [each.build().public_bytes(Encoding.DER) for each in (builder, nonce)]
