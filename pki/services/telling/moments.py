"""When what a notice tells of happened, and how moments are written in notices."""

from datetime import UTC, datetime

from pki.models import Notice

# Of a notice's detail: the moments of the first and the last event that it tells of.
FIRST, LAST = "first_at", "last_at"


def written(at: datetime) -> str:
    """A moment as `detail` and webhooks have it (RFC 3339, UTC)."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def span(notice: Notice) -> tuple[datetime, datetime]:
    """When the first and the last event happened; without any, twice when the notice was made."""
    first, last = (notice.detail.get(key) for key in (FIRST, LAST))
    if first is None or last is None:
        return notice.at, notice.at
    return datetime.fromisoformat(first), datetime.fromisoformat(last)
