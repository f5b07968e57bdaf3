"""An OCSP answer that somebody shows, read (RFC 6960 4.2.1): what it says, and of which certificate."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509 import ocsp

from pki.core.errors import UNREADABLE


@dataclass(frozen=True)
class AnswerReading:
    """What an OCSP answer says, of the first certificate in it. An error says nothing of any."""

    status: str  # good, revoked, unknown; or the error's name
    serial: str = ""  # lower-case hex
    revoked_at: datetime | None = None
    reason: str = ""
    this_update: datetime | None = None
    next_update: datetime | None = None
    produced_at: datetime | None = None
    responder: str = ""  # its name (RFC 4514), or its key's SHA-1 in hex


def read(answer: ocsp.OCSPResponse) -> AnswerReading:
    """What an answer says; of what is malformed in it, only that."""
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return AnswerReading(status=f"error, {answer.response_status.name.lower().replace('_', ' ')}")
    try:
        single = next(iter(answer.responses))
        return AnswerReading(
            status=single.certificate_status.name.lower(),
            serial=f"{single.serial_number:x}",
            revoked_at=single.revocation_time_utc,
            reason=_reason(single.revocation_reason),
            this_update=single.this_update_utc,
            next_update=single.next_update_utc,
            produced_at=answer.produced_at_utc,
            responder=_responder(answer),
        )
    except (*UNREADABLE, StopIteration):
        return AnswerReading(status="malformed")


def _reason(reason: x509.ReasonFlags | None) -> str:
    return reason.value if reason is not None else ""


def _responder(answer: ocsp.OCSPResponse) -> str:
    if answer.responder_name is not None:
        return answer.responder_name.rfc4514_string()
    return (answer.responder_key_hash or b"").hex()
