"""What is said in the end of things that were looked at: would they be refused."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from pki.core.probes import UNREACHED, Probed
from pki.services.looking.inspection import Inspection

# Nothing can be said of what these are about.
_NOT_LOOKED_AT = {"nothing_pasted", "too_large", "not_recognised", "not_understood", "too_many_parts"}


class Verdict(IntEnum):
    """What is said in the end, as an exit status."""

    GOOD = 0
    REFUSED = 1
    UNKNOWN = 2


@dataclass
class Looked:
    """Files that were looked at together, or one server."""

    title: str
    inspection: Inspection
    now: datetime
    probed: Probed | None = None

    @property
    def verdict(self) -> Verdict:
        if self.probed is not None and self.probed.outcome in UNREACHED:
            return Verdict.UNKNOWN
        if self.inspection.refused:
            return Verdict.REFUSED
        unread = any(not each.part.is_read for each in self.inspection.parts)
        codes = {finding.code for finding in self.inspection.all_findings}
        is_locked = "p12_password_needed" in codes or "p12_wrong_password" in codes
        return Verdict.UNKNOWN if unread or is_locked or codes & _NOT_LOOKED_AT else Verdict.GOOD


def verdict(looked: list[Looked]) -> Verdict:
    """One refusal is enough; else one thing that could not be looked at."""
    each = {one.verdict for one in looked}
    return next((found for found in (Verdict.REFUSED, Verdict.UNKNOWN) if found in each), Verdict.GOOD)
