"""The one base of everything that a rule refuses, and what cryptography raises for what it cannot read."""

from typing import ClassVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

# For a structure that is malformed or not supported; KeyError included (an unknown TLS feature).
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class Refusal(Exception):
    """A rule said no, and the caller may be told why.

    `detail` is a sentence that a person can act on and holds nothing internal; `code` is stable, for
    programs. Each subclass stands beside the rule that raises it; `pki.endpoints.problems` alone
    knows which HTTP status it becomes.
    """

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
