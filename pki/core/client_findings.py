"""What a server thinks of a client's certificate, out of the alert with which it refuses (RFC 8446 6.2)."""

from collections.abc import Iterator

from cryptography import x509

from pki.core import probes, reading
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.probes import Outcome, Probed

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


def is_of_client(probed: Probed) -> bool:
    """Whether the refusal is of a client's certificate, or of there being none."""
    if probed.alert == probes.INTERNAL_ERROR:
        # OpenSSL's word for a certificate that the application refuses, ours among them.
        return probed.asks and bool(probed.shown)
    return probed.asks and (probed.alert in _OF_CLIENT or probed.outcome is Outcome.ENDED)


def findings(probed: Probed) -> Iterator[Finding]:
    """What there is to say of a client's certificate, or of there being none."""
    if not probed.asks:
        return
    source = str(probed.target)
    is_acceptable = any(_is_acceptable(each, probed) for each in probed.shown)
    if probed.shown and probed.acceptable and not is_acceptable:
        yield Finding(
            "client_certificate_not_acceptable",
            Severity.WARNING,
            f"The certificate's issuer, {reading.name_of(probed.shown[0], 'issuer')}, is none of the CAs "
            "that the server names. Browsers and Java do not even send it.",
            "Show one that a CA of that list has issued, with its intermediates.",
            source=source,
        )
    if is_of_client(probed):
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
    if not probed.shown:
        return Finding(
            "client_certificate_not_sent",
            Severity.REFUSED,
            f"It wants a client certificate, and none was sent{said}.",
            "Show one: with curl by --cert and --key, with manage.py diagnose by the same, or --p12.",
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
    if probed.shown:
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
