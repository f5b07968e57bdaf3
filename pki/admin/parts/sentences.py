"""The audit trail in words: what happened, as one would tell it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pki.models import AuditEvent
from pki.services.audit import HATCHERY
from pki.services.auditing import kinds
from pki.services.limits import TooManyFailures, TooManyWithoutToken

_Detail = dict[str, Any]


def _named(detail: _Detail, key: str) -> str:
    return str(detail.get(key) or "unknown")


def _list(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _change(noun: str) -> Callable[[_Detail], str]:
    def words(detail: _Detail) -> str:
        parts = [
            f"{word} {_list(detail[key])}"
            for key, word in (("added", "with"), ("removed", "without"))
            if key in detail
        ]
        return f"{noun} changed: {'; '.join(parts)}"

    return words


def _by_whom_turned_away(detail: _Detail) -> str:
    proxy = detail.get("forwarded_by")
    return f"behind the proxy {proxy}" if proxy else "in the TLS handshake"


def _too_many(detail: _Detail) -> str:
    code = _named(detail, "code")
    return {
        TooManyFailures.code: f"too many were refused before ({code})",
        TooManyWithoutToken.code: f"too many came without a token ({code})",
    }.get(code, code)


def _anyway(detail: _Detail) -> str:
    instead_of = detail.get("instead_of")
    return f"; without the limit, for {instead_of}" if instead_of and instead_of != detail.get("code") else ""


def _let_go(detail: _Detail) -> str:
    issuer = detail.get("instead_of")
    return f"; it follows its new profile, and not {issuer} as a campaign had decided" if issuer else ""


def _state(words: str) -> Callable[[_Detail], str]:
    return lambda detail: words


_TOLD: dict[str, Callable[[_Detail], str]] = {
    "audit.cut_off": lambda detail: (
        f"The trail lacked checkpoint {_named(detail, 'checkpoint')}, signed {_named(detail, 'signed_at')} "
        f"over {_named(detail, 'events')} events"
    ),
    "audit_signer.made": lambda detail: (
        f"Key for audit checkpoints made: {_named(detail, 'fingerprint')[:16]}…"
    ),
    "device.registered": lambda detail: f"Registered with the profile {_named(detail, 'profile')}",
    "device.amended": lambda detail: (
        f"Record changed ({_list(detail.get('changed', 'nothing'))}){_let_go(detail)}"
    ),
    "device.active": _state("Resumed: its certificates are good again"),
    "device.suspended": _state("Suspended: refused until resumed"),
    "device.retired": _state("Retired for good"),
    "device.follows_profile": lambda detail: (
        f"Follows its profile again, and not {_named(detail, 'instead_of')} as a campaign had decided"
    ),
    "device.labelled": _change("Labels"),
    "device.grouped": _change("Groups"),
    "group.saved": lambda detail: f"Group {_named(detail, 'group')} saved",
    "profile.saved": lambda detail: (
        f"Profile {_named(detail, 'profile')} saved: {_list(detail.get('changed', 'nothing changed'))}"
    ),
    "token.made": lambda detail: (
        f"Token made for {_uses(detail)}, until {_named(detail, 'expires_at')[:16].replace('T', ' ')} UTC"
    ),
    "token.cancelled": _state("Token cancelled"),
    "certificate.issued": lambda detail: f"Certificate issued under the profile {_named(detail, 'profile')}",
    "certificate.imported": _state("Certificate imported, with the CA that had issued it"),
    "certificate.revoked": lambda detail: f"Certificate revoked ({_named(detail, 'reason')})",
    "certificate.hold_lifted": _state("Hold lifted: the certificate is good again"),
    "certificate.key_made": _state("Key and certificate made in the console"),
    "certificate.exported": lambda detail: (
        f"Written into a file with its owner's key, as {_named(detail, 'container')}"
    ),
    "enrollment.waiting": _state("Asked to enroll, and waits for approval"),
    "enrollment.approved": _state("Enrollment approved"),
    "enrollment.allowed_once": lambda detail: (
        f"Enrollment allowed once, with one rule waived: {_named(detail, 'rule')}"
    ),
    "enrollment.rejected": lambda detail: f"Enrollment rejected: {_named(detail, 'reason')}",
    "enrollment.refused": lambda detail: (
        f"Enrollment refused ({_named(detail, 'code')}): {_named(detail, 'reason')}"
    ),
    "enrollment.limited": lambda detail: f"Enrollment refused, for {_too_many(detail)}{_anyway(detail)}",
    "renewal.refused": lambda detail: (
        f"Renewal refused ({_named(detail, 'code')}): {_named(detail, 'reason')}"
    ),
    "handshake.refused": lambda detail: (
        f"Turned away {_by_whom_turned_away(detail)} ({_named(detail, 'reason')}): "
        f"{_named(detail, 'explanation')}"
    ),
    "forwarded_certificate.dropped": lambda detail: (
        f"{_list(detail.get('headers', 'unknown'))} dropped, unread ({_named(detail, 'reason')}): "
        f"{_named(detail, 'explanation')}"
    ),
    "proxy.refused": lambda detail: (
        f"Asked as a proxy, and is none ({_named(detail, 'reason')}): {_named(detail, 'explanation')}"
    ),
    "rotation.requested": _state("Rotation asked for: it is to have a new key"),
    "rotation.cancelled": _state("Rotation called off"),
    "rotation.completed": lambda detail: (
        f"Rotation done: seen with its new certificate; superseded: {detail.get('superseded', 0)}"
    ),
}

# What an event is about, for those that have no sentence of their own.
_ABOUT = ("name", "campaign", "profile", "issuer", "user", "username")

_BAD = ("certificate.revoked", "device.retired", "device.suspended")
_GOOD = (
    "certificate.issued",
    "device.active",
    "rotation.completed",
    "enrollment.approved",
    "certificate.hold_lifted",
)


def told(event: AuditEvent) -> str:
    """What happened, as one sentence without who did it; a kind without one says its name."""
    words = _TOLD.get(event.kind)
    sentence = words(event.detail) if words else _plainly(event)
    return f"{sentence} ({event.count} times)" if event.count > 1 else sentence


def _plainly(event: AuditEvent) -> str:
    about = next((event.detail[key] for key in _ABOUT if event.detail.get(key)), "")
    words = kinds.in_words(event.kind)
    return f"{words[:1].upper()}{words[1:]}" + (f": {about}" if about else "")


def by_whom(event: AuditEvent) -> str:
    """`by administrator:ada from 192.0.2.1`; nothing for what Hatchery does by itself."""
    if event.actor == HATCHERY.name and event.address is None:
        return "by itself"
    return f"by {event.actor}" + (f" from {event.address}" if event.address else "")


def tone(event: AuditEvent) -> str:
    """`bad`, `good` or nothing, for the mark beside it."""
    if event.kind in _BAD or event.kind.endswith((".refused", ".rejected")):
        return "bad"
    return "good" if event.kind in _GOOD else ""


@dataclass(frozen=True)
class Line:
    """A line of a timeline."""

    event: AuditEvent
    words: str
    by: str
    tone: str


def lines(events: Iterable[AuditEvent]) -> list[Line]:
    """A timeline, in the order of the events."""
    return [Line(event, told(event), by_whom(event), tone(event)) for event in events]


def _uses(detail: _Detail) -> str:
    uses = detail.get("uses", 1)
    return "one use" if uses == 1 else f"{uses} uses"
