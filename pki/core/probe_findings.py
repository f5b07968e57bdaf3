"""The mistake behind a handshake that failed, or that others refuse: pure rules over what a server showed."""

from collections.abc import Iterator
from datetime import datetime

from pki.core import client_findings, probes, stapled_findings
from pki.core.findings import Finding, Severity
from pki.core.probes import Outcome, Probed


def findings(probed: Probed, now: datetime) -> Iterator[Finding]:
    """What there is to say of the handshake; of the certificates in it `pki.core.diagnosis` does."""
    yield from _reached(probed)
    yield from _handshake(probed)
    yield from client_findings.findings(probed)
    yield from stapled_findings.findings(probed, now)


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
    if probed.outcome in (Outcome.ALERT, Outcome.ENDED, Outcome.FAILED) and not client_findings.is_of_client(
        probed
    ):
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
