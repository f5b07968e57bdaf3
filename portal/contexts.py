"""The TLS contexts of the listeners, and what they are made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from pki.keystore import keystore
from pki.services.issuing import listener_certificates
from pki.services.proving.client_issuers import client_issuers
from pki.services.trusting import cross_certificates
from portal.listeners import Listener, TlsMode
from portal.tls import verify

# RFC 9325 4.2: TLS 1.2 with forward-secret AEAD suites only. TLS 1.3 has no others.
TLS12_SUITES = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
TLS13_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
# By default OpenSSL offers ffdhe3072 too, with which a client has the server calculate for twice as long as
# with any of these. The first list needs OpenSSL 3.5.
GROUPS = (b"X25519MLKEM768 / X25519:P-256 / P-384", b"X25519:P-256:P-384")
SESSION_LIFETIME = 3600  # seconds


class ListenerNotReady(Exception):
    """A listener cannot be served; the message says what to do."""


@dataclass(frozen=True)
class Material:
    """What in a listener's context changes while it is served; what is equal makes equal contexts."""

    certificate: x509.Certificate
    key_reference: str
    chain: tuple[x509.Certificate, ...]
    client_issuers: tuple[x509.Certificate, ...]  # none where no client's certificate is asked for


def materials(listeners: Iterable[Listener], now: datetime) -> dict[str, Material]:
    """What those of these listeners are to show that have a certificate that stands, by name.

    Raises DatabaseError or KeystoreError.
    """
    by_name = {listener.name: listener for listener in listeners}
    shown = listener_certificates.shown(by_name, now)
    asking = any(by_name[name].asks_for_certificates for name in shown)
    clients = tuple(client_issuers()) if asking else ()
    issuers = {certificate.issuer for certificate in shown.values()}
    chains = {issuer: tuple(cross_certificates.chain(issuer, now)) for issuer in issuers}
    return {
        name: Material(
            certificate.parsed,
            certificate.key_reference,
            chains[certificate.issuer],
            clients if by_name[name].asks_for_certificates else (),
        )
        for name, certificate in shown.items()
    }


def make_context(listener: Listener, material: Material) -> SSL.Context:
    """The TLS context of a listener. Raises KeystoreError or ListenerNotReady."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(TLS12_SUITES)
    context.set_tls13_ciphersuites(TLS13_SUITES)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    _set_groups(context)
    # Sessions travel in tickets; nothing is kept here.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_timeout(SESSION_LIFETIME)
    context.set_session_id(listener.name.encode())
    try:
        context.use_certificate(material.certificate)
        for intermediate in material.chain:
            context.add_extra_chain_cert(intermediate)
        keystore().install(material.key_reference, context)
        context.check_privatekey()
        if listener.asks_for_certificates:
            _ask_for_client_certificates(
                context, material.client_issuers, required=listener.mode is TlsMode.MUTUAL
            )
    except SSL.Error as error:
        raise ListenerNotReady(
            f"OpenSSL refuses the certificate or the key of the listener {listener.name} ({error}); "
            "revoke that certificate, and it is replaced."
        ) from error
    return context


def _set_groups(context: SSL.Context) -> None:
    # pyOpenSSL has a function for a single group, and OpenSSL's own for several only in here.
    library: Any = SSL._lib  # type: ignore[attr-defined]
    if not any(library.SSL_CTX_set1_curves_list(context._context, groups) for groups in GROUPS):
        raise ListenerNotReady("OpenSSL knows none of the groups that TLS is to use.")
    library.ERR_clear_error()


def _ask_for_client_certificates(
    context: SSL.Context, issuers: Iterable[x509.Certificate], *, required: bool
) -> None:
    store = context.get_cert_store()
    if store is None:
        raise ListenerNotReady("OpenSSL gave no certificate store.")
    for issuer in issuers:
        store.add_cert(crypto.X509.from_cryptography(issuer))
        # RFC 8446 4.2.4: the names tell a client which of its certificates to send.
        context.add_client_ca(issuer)
    context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0), verify)
