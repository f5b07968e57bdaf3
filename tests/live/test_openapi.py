"""A running server's documents, and its answers to real requests held against them."""

import http.client
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.clients import make_csr
from tests.contract import assert_documented, documented
from tests.live.devices import Device


@pytest.fixture(scope="module")
def device(server, tmp_path_factory):
    return Device.enrolled(server, tmp_path_factory.mktemp("documented"), "documented")


def asked(server, device, listener, method, path, body=None, **headers):
    """Ask a listener, over TLS where it speaks that; its status, headers and body."""
    port = server.ports[listener]
    if listener == "status":
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    else:
        trust = device.context() if listener == "secure" else None
        trust = trust or ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
        connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=trust)
    connection.request(method, path, body, {name.replace("_", "-"): said for name, said in headers.items()})
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("listener", ["hello", "secure", "provisioning", "status"])
def test_each_listener_serves_its_own(server, device, listener):
    status, _, body = asked(server, device, listener, "GET", "/openapi.json")
    assert (status, json.loads(body)) == (200, documented(listener))


def _ocsp_request(device):
    certificate, issuer = x509.load_pem_x509_certificates(device.certificate.read_bytes())
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256())
    return builder.build().public_bytes(Encoding.DER)


def _crl(device):
    certificate = x509.load_pem_x509_certificate(device.certificate.read_bytes())
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return "/crl/" + point.full_name[0].value.partition("/crl/")[2]


def test_real_answers_are_what_the_documents_say(server, device):
    """As a device and a relying party ask, what is granted and what is refused."""
    pem = {"Content_Type": "application/x-pem-file"}
    token = server.token("--device", "documented-2")
    bearer = {"Authorization": f"Bearer {token}"}
    used = (device.folder / "documented.csr").read_bytes()
    requests = [
        # listener, method, path, body, headers, status
        ("hello", "GET", "/hello", None, {}, 200),
        ("hello", "POST", "/hello", b"", {}, 405),
        ("hello", "GET", "/secure", None, {}, 404),
        ("provisioning", "POST", "/sign-csr", make_csr("documented-2"), {**pem, **bearer}, 200),
        ("provisioning", "POST", "/sign-csr", make_csr("documented-3"), {**pem, **bearer}, 401),
        ("provisioning", "POST", "/sign-csr", b"nonsense", {**pem, **bearer}, 400),
        ("provisioning", "POST", "/sign-csr", b"x" * 70_000, pem, 413),
        ("provisioning", "GET", "/ca-bundle", None, {}, 200),
        ("secure", "GET", "/secure", None, {}, 200),
        ("secure", "GET", "/whoami", None, {}, 200),
        ("secure", "GET", "/renewal-info", None, {}, 200),
        ("secure", "POST", "/renew", make_csr("documented"), pem, 200),
        ("secure", "POST", "/renew", used, pem, 403),
        ("secure", "GET", "/ca-bundle", None, {}, 200),
        ("secure", "GET", "/authorize", None, {}, 403),
        ("status", "GET", "/healthz", None, {}, 200),
        ("status", "GET", "/ca/all.pem", None, {}, 200),
        ("status", "GET", "/crl/all.pem", None, {}, 200),
        ("status", "GET", _crl(device), None, {}, 200),
        ("status", "GET", "/crl/ff.crl", None, {}, 404),
        ("status", "POST", "/ocsp", _ocsp_request(device), {"Content_Type": "application/ocsp-request"}, 200),
        ("status", "POST", "/ocsp", b"", {"Content_Type": "text/plain"}, 415),
        ("status", "GET", "/authorize", None, {}, 403),
    ]
    for listener, method, path, body, headers, wanted in requests:
        status, said, answer = asked(server, device, listener, method, path, body, **headers)
        assert status == wanted, (listener, method, path, answer)
        assert_documented(listener, method, path, status, said, answer)
