"""The OCSP answer that a server staples to its handshake (RFC 6066 8)."""

from collections.abc import Iterator
from datetime import datetime

from cryptography.x509 import ocsp

from pki.core import ocsp_reading
from pki.core.diagnosis import difference
from pki.core.errors import UNREADABLE
from pki.core.findings import Finding, Severity
from pki.core.probes import Probed


def findings(probed: Probed, now: datetime) -> Iterator[Finding]:
    """What a stapled answer says. Its signature is not verified."""
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
