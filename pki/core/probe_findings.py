"""The mistake behind a handshake that failed, or that others refuse: pure rules over what a server showed."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.x509 import ocsp

from pki.core import ocsp_reading, probes, reading
from pki.core.diagnosis import difference
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.probes import Outcome, Probed


def findings(probed: Probed, now: datetime) -> Iterator[Finding]:
    """What there is to say of the handshake; of the certificates in it `pki.core.diagnosis` does."""
    yield from _reached(probed)
    yield from _handshake(probed)
    yield from _client(probed)
    yield from _stapled(probed, now)


# --- Was it reached -------------------------------------------------------------------------------

_NOT_REACHED = {
    Outcome.NOT_RESOLVED: (
        "name_not_resolved",
        "The name {host} has no address here.",
        "Look for a slip in the name; ask the resolver: getent hosts {host}",
    ),
    Outcome.CLOSED: (
        "port_closed",
        "{host} refuses connections to port {port}: nobody listens there.",
        "Start the server, or name the port that it listens on. One that listens on 127.0.0.1 is closed to "
        "other machines.",
    ),
    Outcome.UNREACHABLE: (
        "not_reached",
        "{host} was not reached at port {port}: {words}.",
        "Look for a firewall in between, and whether the address is right.",
    ),
    Outcome.SILENT: (
        "no_answer",
        "It took the connection, and did not answer the handshake in time.",
        "It may speak something else than TLS there, or be overloaded, or wait for a PROXY protocol header.",
    ),
}


def _reached(probed: Probed) -> Iterator[Finding]:
    found = _NOT_REACHED.get(probed.outcome)
    if found is not None:
        code, sentence, advice = found
        fill = {"host": probed.target.host, "port": probed.target.port, "words": probed.words}
        yield Finding(
            code, Severity.REFUSED, sentence.format(**fill), advice.format(**fill), source=str(probed.target)
        )


# --- Did both agree on TLS ------------------------------------------------------------------------

_OLD = {"SSLv3": "SSL 3.0", "TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1"}


def _handshake(probed: Probed) -> Iterator[Finding]:
    source = str(probed.target)
    if probed.outcome is Outcome.NOT_TLS:
        http = probed.words == probes.HTTP
        yield Finding(
            "plain_http" if http else "not_tls",
            Severity.REFUSED,
            f"This port speaks {probed.words}.",
            "Use http:// there, or the port on which TLS is served."
            if http
            else "Name the port on which TLS is served.",
            source=source,
        )
    elif probed.protocol in _OLD or probed.alert == probes.PROTOCOL_VERSION:
        most = f"{_OLD[probed.protocol]} at most" if probed.protocol in _OLD else "nothing as new as TLS 1.0"
        yield Finding(
            "tls_version_too_old",
            Severity.REFUSED,
            f"It speaks {most}. Browsers, devices and Hatchery take TLS 1.2 and 1.3 alone (RFC 8996).",
            "Allow TLS 1.2 and 1.3 in its configuration, or give it a TLS library of today.",
            source=source,
        )
    elif probed.protocol == "TLSv1.2" and probed.cipher and not _is_of_today(probed.cipher):
        yield Finding(
            "cipher_old",
            Severity.WARNING,
            f"It chose {probed.cipher}, which is not forward-secret or not AEAD: many clients refuse it.",
            "Allow ECDHE with AES-GCM or ChaCha20-Poly1305.",
            source=source,
        )
    if probed.outcome in (Outcome.ALERT, Outcome.ENDED, Outcome.FAILED) and not _is_of_client(probed):
        yield from _failed(probed, source)


def _is_of_today(cipher: str) -> bool:
    return "DHE" in cipher and any(word in cipher for word in ("GCM", "CHACHA20", "CCM"))


def _failed(probed: Probed, source: str) -> Iterator[Finding]:
    if probed.alert == probes.PROTOCOL_VERSION:
        return
    if probed.alert == probes.UNRECOGNIZED_NAME:
        yield Finding(
            "name_not_served",
            Severity.REFUSED,
            f"It has no certificate for the name {probed.name}, which was sent as SNI.",
            "Connect by a name that it serves, or add that name to its configuration.",
            source=source,
        )
        return
    if probed.alert is not None:
        sentence = f"It refused the handshake: {probes.alert_in_words(probed.alert)}."
    elif probed.outcome is Outcome.ENDED:
        sentence = "It ended the connection in the middle of the handshake, without a word."
    else:
        sentence = f"The handshake failed: {probed.words}."
    yield Finding(
        "handshake_failed",
        Severity.REFUSED,
        sentence,
        "Its log knows more. Usual causes: no cipher suite, key exchange or signature algorithm in common; "
        "no certificate for that name; something else than TLS on that port.",
        source=source,
    )


# --- The client's certificate ---------------------------------------------------------------------

# What a server says of a certificate that it was shown (RFC 8446 6.2): our code, the words, the advice.
_SAID = {
    probes.UNKNOWN_CA: (
        "client_ca_unknown",
        "the CA that issued it is not in the server's trust store",
        "Show one of a CA that the server accepts, with its intermediates; or have the server trust that CA.",
    ),
    probes.CERTIFICATE_EXPIRED: (
        "client_certificate_expired",
        "it has expired, by the server's clock",
        "Renew it. If it has not expired by your clock, set the server's by NTP.",
    ),
    probes.CERTIFICATE_REVOKED: (
        "client_certificate_revoked",
        "it is revoked",
        "Enroll the device again: a revocation is for good, a hold is lifted on its page.",
    ),
}
_BAD = (
    "client_certificate_refused",
    "it is revoked, expired, not for clients, or its key does not fit",
    "Give the file to diagnose: it knows what is wrong with a certificate of this Hatchery. The server's log "
    "says it too.",
)
_OF_CLIENT = {
    *_SAID,
    probes.HANDSHAKE_FAILURE,
    probes.BAD_CERTIFICATE,
    probes.UNSUPPORTED_CERTIFICATE,
    probes.CERTIFICATE_UNKNOWN,
    probes.ACCESS_DENIED,
    probes.DECRYPT_ERROR,
    probes.CERTIFICATE_REQUIRED,
}


def _is_of_client(probed: Probed) -> bool:
    """Whether the refusal is of a client's certificate, or of there being none."""
    if probed.alert == probes.INTERNAL_ERROR:
        # OpenSSL's word for a certificate that the application refuses, ours among them.
        return probed.asks and probed.shown is not None
    return probed.asks and (probed.alert in _OF_CLIENT or probed.outcome is Outcome.ENDED)


def _client(probed: Probed) -> Iterator[Finding]:
    if not probed.asks:
        return
    source = str(probed.target)
    if probed.shown is not None and probed.acceptable and not _is_acceptable(probed.shown, probed):
        yield Finding(
            "client_certificate_not_acceptable",
            Severity.WARNING,
            f"The certificate's issuer, {reading.name_of(probed.shown, 'issuer')}, is none of the CAs that "
            "the server names. Browsers and Java do not even send it.",
            "Show one that a CA of that list has issued, with its intermediates.",
            source=source,
        )
    if _is_of_client(probed):
        yield _refused(probed, source)
    elif probed.outcome is Outcome.MET:
        yield _accepted(probed, source)


def _is_acceptable(shown: x509.Certificate, probed: Probed) -> bool:
    try:
        return shown.issuer in probed.acceptable
    except UNREADABLE:
        return False


def _refused(probed: Probed, source: str) -> Finding:
    said = f" ({probes.alert_in_words(probed.alert)})" if probed.alert is not None else ""
    if probed.shown is None:
        return Finding(
            "client_certificate_not_sent",
            Severity.REFUSED,
            f"It wants a client certificate, and none was sent{said}.",
            "Show one: --cert and --key, or --p12; curl has options of the same names.",
            source=source,
        )
    if probed.alert == probes.CERTIFICATE_REQUIRED:
        return Finding(
            "client_certificate_not_sent",
            Severity.REFUSED,
            f"It wants a client certificate. The one that was given was not sent{said}: the server takes no "
            "signature of its kind of key.",
            "Enroll the device with a key of another kind: P-256, or RSA of 2048 bits or more.",
            source=source,
        )
    code, words, advice = _SAID.get(probed.alert or -1, _BAD)
    return Finding(
        code, Severity.REFUSED, f"It refused the client certificate{said}: {words}.", advice, source=source
    )


def _accepted(probed: Probed, source: str) -> Finding:
    if probed.shown is not None:
        return Finding(
            "client_certificate_accepted",
            Severity.GOOD,
            "It asked for a client certificate, and took the one that it was shown.",
            source=source,
        )
    return Finding(
        "client_certificate_optional",
        Severity.NOTE,
        "It asked for a client certificate, and made do without one.",
        "Some servers, nginx among them, refuse only the request then: HTTP 400.",
        source=source,
    )


# --- The stapled OCSP answer ----------------------------------------------------------------------


def _stapled(probed: Probed, now: datetime) -> Iterator[Finding]:
    if not probed.stapled:
        return
    source = str(probed.target)
    try:
        answer = ocsp.load_der_ocsp_response(probed.stapled)
    except UNREADABLE:
        answer = None
    read = ocsp_reading.read(answer) if answer is not None else ocsp_reading.AnswerReading("unreadable")
    leaf = probed.chain[0] if probed.chain else None
    if read.status == "revoked":
        yield Finding(
            "stapled_revoked",
            Severity.REFUSED,
            "The OCSP answer that it staples says that its certificate is revoked.",
            "Give the server another certificate, with a new key.",
            source=source,
        )
    elif read.status != "good" or (leaf is not None and read.serial != f"{leaf.serial_number:x}"):
        yield Finding(
            "stapled_useless",
            Severity.WARNING,
            f"The OCSP answer that it staples says nothing good of its certificate: {read.status}.",
            "Let the server fetch it anew, from the address that its certificate names.",
            source=source,
        )
    elif read.next_update is not None and read.next_update < now:
        yield Finding(
            "stapled_out_of_date",
            Severity.WARNING,
            f"The OCSP answer that it staples is out of date since {difference(now - read.next_update)}.",
            "Let the server fetch it anew; look whether it reaches the OCSP responder.",
            source=source,
        )
    else:
        yield Finding(
            "stapled_good",
            Severity.GOOD,
            "It staples an OCSP answer that says good of its certificate.",
            source=source,
        )
