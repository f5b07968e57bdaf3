"""What is found out about something that somebody shows: what it is, what is wrong, and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    REFUSED = "refused"  # a server, or a client, turns it away
    WARNING = "warning"  # it fails somewhere, or will
    NOTE = "note"
    GOOD = "good"


@dataclass(frozen=True)
class Finding:
    """One thing that was found. `code` is stable, for programs; the sentences hold nothing secret."""

    code: str
    severity: Severity
    sentence: str
    advice: str = ""
    part: int | None = None  # the number of the part that it is about; None for all of them together
    source: str = ""  # the file, or the server, that it was found in; empty for a paste
