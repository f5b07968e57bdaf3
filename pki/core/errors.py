"""The one base of everything that a rule refuses."""

from typing import ClassVar


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
