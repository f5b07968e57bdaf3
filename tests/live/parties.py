"""Relying parties: who asks the status listener whether a device's certificate is still good."""

import http.client
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.live.devices import TIMEOUT, Device


class _Status:
    """Somebody who asks the status listener about a certificate."""

    def __init__(self, device: Device) -> None:
        self._certificate, self._issuer = x509.load_pem_x509_certificates(device.certificate.read_bytes())
        port = device.server.ports["status"]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        return response, response.read()

    def close(self) -> None:
        self._connection.close()


class Ocsp(_Status):
    """Asks by OCSP, with a POST."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        builder = ocsp.OCSPRequestBuilder().add_certificate(self._certificate, self._issuer, SHA256())
        self._request = builder.build().public_bytes(Encoding.DER)

    def is_good(self) -> bool:
        _, body = self._ask("POST", "/ocsp", self._request, **{"Content-Type": "application/ocsp-request"})
        answer = ocsp.load_der_ocsp_response(body)
        # A KeyError for what is neither: the certificate is on record. A refusal has no status (ValueError).
        return {ocsp.OCSPCertStatus.GOOD: True, ocsp.OCSPCertStatus.REVOKED: False}[answer.certificate_status]


class Crl(_Status):
    """Fetches the list that the certificate names, and reads it when it has changed."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        named = self._certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        self._path = urlsplit(named[0].full_name[0].value).path
        self._mark: dict[str, str] = {}
        self._listed = False

    def is_good(self) -> bool:
        response, body = self._ask("GET", self._path, **self._mark)
        if response.status == 200:
            serial = self._certificate.serial_number
            revoked = x509.load_der_x509_crl(body).get_revoked_certificate_by_serial_number(serial)
            self._listed = revoked is not None
            self._mark = {"If-None-Match": response.headers["ETag"]}
        elif response.status != 304:
            raise RuntimeError(f"CRL: {response.status}")
        return not self._listed
