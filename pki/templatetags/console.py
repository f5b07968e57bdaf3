"""What the console's templates write with."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pki.models import FULL, RevocationList

register = template.Library()

NOTHING = "-"

_COLOURS = {
    "success": (
        "canary",
        "open",
        "moved",
        "delivered",
        "active",
        "valid",
        "issued",
        "usable",
        "good",
        "yes",
        "current",
    ),
    "warning": (
        "waiting",
        "suspended",
        "not yet valid",
        "device suspended",
        "expires soon",
        "held",
        "warning",
        "overdue",
        "not made yet",
        "paused",
        "rolling back",
        "asked",
        "renewed",
        "pending",
    ),
    "danger": (
        "revoked",
        "refused",
        "rejected",
        "compromised",
        "issuer compromised",
        "cancelled",
        "no",
        "bad",
        "danger",
        "out of date",
        "from the future",
        "stopped",
        "failed",
        "unable",
        "given up",
    ),
}
_COLOUR_OF = {word: colour for colour, words in _COLOURS.items() for word in words}


@register.filter
def moment(at: datetime | None) -> SafeString | str:
    """A moment: in the reader's own time zone (console.js), in UTC on hover and without JavaScript."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        f"{utc:%Y-%m-%d %H:%M} UTC",
    )


@register.filter
def colons(hexadecimal: str) -> str:
    """A fingerprint or a serial as OpenSSL writes it: `3F:0A:…`."""
    digits = hexadecimal.upper()
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


@register.filter
def badge(word: str) -> SafeString:
    """A word of state in its colour: green is good, yellow waits, red is refused, grey is over."""
    colour = _COLOUR_OF.get(str(word).partition(":")[0], "info")
    return format_html('<span class="badge badge-{}">{}</span>', colour, word)


@register.filter
def thousands(number: int) -> str:
    """`10,000`: a number that can be read at a glance."""
    return f"{number:,}"


@register.filter
def kilobytes(size: int) -> str:
    """`1,234.5 kB` on one line, of a number of bytes."""
    return f"{size / 1000:,.1f}\N{NO-BREAK SPACE}kB"


@register.filter
def list_name(row: RevocationList) -> str:
    """`full list` or `shard 3`: what a revocation list is called beside its issuer."""
    return "full list" if row.shard == FULL else f"shard {row.shard}"


@register.filter
def told_value(value: object) -> str:
    """A value of an event's detail: a list with commas, anything else as it is."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
