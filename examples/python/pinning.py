"""Mutual TLS with the server's key pinned, with httpx and with requests.

python3 pinning.py https://localhost:8444/secure 'sha256//…;sha256//…'

The pins are what curl's --pinnedpubkey takes. They come on top of the usual verification.
"""

import base64
import hashlib
import ssl
import sys

import httpx
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.adapters import HTTPAdapter


def pin_of(certificate: bytes) -> str:
    """The pin of a DER certificate's key: SHA-256 of its SubjectPublicKeyInfo, in base64."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256//" + base64.b64encode(hashlib.sha256(spki).digest()).decode()


def pinned_context(pins: list[str]) -> ssl.SSLContext:
    """A context whose handshakes fail unless the server's key is one of `pins`."""

    class Pinned:
        def do_handshake(self, *words):
            super().do_handshake(*words)
            shown = pin_of(self.getpeercert(binary_form=True))
            if shown not in pins:
                raise ssl.SSLCertVerificationError(f"the server's key is not pinned: {shown}")

    # Sockets are for blocking clients; asyncio, and TLS inside a proxy's TLS, have the others.
    class PinnedSocket(Pinned, ssl.SSLSocket):
        pass

    class PinnedObject(Pinned, ssl.SSLObject):
        pass

    context = ssl.create_default_context(cafile="ca.pem")
    context.load_cert_chain("device.pem")
    context.sslsocket_class = PinnedSocket
    context.sslobject_class = PinnedObject
    return context


class PinnedAdapter(HTTPAdapter):
    """Makes a session of requests use such a context."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *words, **options) -> None:
        super().init_poolmanager(*words, **options, ssl_context=self._context)

    # What goes through a proxy (HTTPS_PROXY of the environment, too) has managers of its own.
    def proxy_manager_for(self, proxy: str, **options):
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, pins = sys.argv[1:]
    try:
        context = pinned_context(pins.split(";"))
        print(httpx.get(url, verify=context, timeout=10).text)
        with requests.Session() as session:
            session.mount("https://", PinnedAdapter(context))
            print(session.get(url, verify="ca.pem", timeout=10).text)
    except (OSError, httpx.HTTPError) as error:
        sys.exit(str(error))
