"""The parts of what somebody pasted, and what was found out about them.

A private key is here as its public half alone.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509 import ocsp

from pki.core.findings import Finding, Severity

MOST_PARTS = 50


class Kind(StrEnum):
    """What a part is."""

    CERTIFICATE = "certificate"
    REQUEST = "certificate request"
    PRIVATE_KEY = "private key"
    PUBLIC_KEY = "public key"
    REVOCATION_LIST = "revocation list"
    OCSP_REQUEST = "OCSP request"
    OCSP_ANSWER = "OCSP answer"
    CONFIGURATION_PROFILE = "configuration profile"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Part:
    """One thing among those that were pasted."""

    number: int
    kind: Kind
    origin: str  # how it was wrapped, in words
    certificate: x509.Certificate | None = None
    request: x509.CertificateSigningRequest | None = None
    revocation_list: x509.CertificateRevocationList | None = None
    ocsp_answer: ocsp.OCSPResponse | None = None
    key: PublicKeyTypes | None = None  # its public key, of a private key the public half
    source: str = ""  # the file, or the server, that it came from; empty for a paste
    is_to_trust: bool = False  # a CA's certificate in a trust store, which nobody shows as the own one

    @property
    def title(self) -> str:
        return f"{self.number}. {self.kind[:1].upper()}{self.kind[1:]}"

    @property
    def is_read(self) -> bool:
        """Whether more is known than that it is there: a private key may be locked, others damaged."""
        return self.kind is not Kind.UNREADABLE and (
            self.kind is not Kind.PRIVATE_KEY or self.key is not None
        )


@dataclass
class Recognised:
    """All that was found in one paste, or in several files together."""

    parts: list[Part] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    source: str = ""  # of what is read just now

    def of(self, *kinds: Kind) -> list[Part]:
        """The parts of these kinds, in their order."""
        return [part for part in self.parts if part.kind in kinds]

    def add(self, kind: Kind, origin: str, **content: object) -> Part | None:
        """Keep a part, unless there are too many."""
        if len(self.parts) >= MOST_PARTS:
            if self.findings[-1:] != [_TOO_MANY]:
                self.findings.append(_TOO_MANY)
            return None
        part = Part(len(self.parts) + 1, kind, origin, source=self.source, **content)  # type: ignore[arg-type]
        self.parts.append(part)
        return part

    def found(
        self, code: str, severity: Severity, sentence: str, advice: str = "", part: Part | None = None
    ) -> None:
        number = part.number if part else None
        self.findings.append(Finding(code, severity, sentence, advice, number, self.source))


_TOO_MANY = Finding(
    "too_many_parts",
    Severity.WARNING,
    f"Only the first {MOST_PARTS} parts were looked at.",
    "Show the rest by itself.",
)
