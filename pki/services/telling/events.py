"""Which events of the audit trail somebody is told of, which of them together, and in which words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pki.models import Revocation
from pki.services.audit import HATCHERY
from pki.services.telling import kinds, moments
from pki.services.telling.notices import MOST_NAMED

Event = Mapping[str, Any]  # at, kind, actor, address, count, detail, device__name


@dataclass
class Group:
    """Events that one notice tells of: they are alike in all that `Telling.alike` names."""

    alike: dict[str, Any]
    count: int = 0
    names: list[str] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    why: str = ""  # in the first one's words
    moments: list[datetime] = field(default_factory=list)  # of the first and the last one

    def add(self, event: Event) -> None:
        self.count += event["count"]
        at = event["at"]
        self.moments = [min([at, *self.moments]), max([at, *self.moments])]
        self.why = self.why or event["detail"].get("reason", "")
        name = event["detail"].get("name") or event["device__name"]
        for told, value in (
            (self.names, name),
            (self.actors, event["actor"]),
            (self.addresses, event["address"]),
        ):
            if value and value not in told and len(told) < MOST_NAMED:
                told.append(value)


@dataclass(frozen=True)
class Telling:
    """How events of a kind are told of; the notice has the same kind."""

    summary: Callable[[Group], str]
    alike: tuple[str, ...]  # of an event's detail
    described: tuple[str, ...] = ("names", "actors")  # of the group, beside that
    passes_over: Callable[[Event], bool] = lambda event: False

    def group_of(self, event: Event) -> Group:
        return Group({key: event["detail"].get(key) for key in self.alike})

    def detail(self, group: Group) -> dict[str, Any]:
        first, last = map(moments.written, group.moments)
        return {
            **group.alike,
            **{key: getattr(group, key) for key in self.described},
            moments.FIRST: first,
            moments.LAST: last,
        }


def _revoked(group: Group) -> str:
    reason = group.alike["reason"]
    done = "put on hold" if reason == Revocation.Reason.CERTIFICATE_HOLD else f"revoked ({reason})"
    if group.count == 1:
        return f"The certificate of {group.names[0] if group.names else 'a device'} was {done}."
    return f"{group.count:,} certificates were {done}."


def _refused(what: str) -> Callable[[Group], str]:
    def summary(group: Group) -> str:
        number = f"{group.count:,} {what}s were" if group.count > 1 else f"One {what} was"
        return f"{number} refused ({group.alike['code']}): {group.why}"

    return summary


def _of_issuer(deed: str) -> Callable[[Group], str]:
    return lambda group: f"The issuer {group.alike['issuer']} was {deed}."


def _is_routine(event: Event) -> bool:
    # What a profile's rule does after each renewal.
    superseded: bool = event["detail"].get("reason") == Revocation.Reason.SUPERSEDED
    return superseded and event["actor"] == HATCHERY.name


DEEDS = {
    kinds.REVOKED: Telling(_revoked, ("reason",), passes_over=_is_routine),
    kinds.CAMPAIGN_STOPPED: Telling(
        lambda group: f"The campaign {group.alike['campaign']} stopped by itself: {group.why}",
        ("campaign", "reason"),
        (),
    ),
    kinds.ISSUER_COMPROMISED: Telling(_of_issuer("declared compromised"), ("issuer",), ("actors",)),
    kinds.ISSUER_RETIRED: Telling(_of_issuer("retired"), ("issuer",), ("actors",)),
    kinds.AUDIT_CUT_OFF: Telling(
        lambda group: (
            f"The end of the audit trail was missing: checkpoint {group.alike['checkpoint']}, which was "
            "signed on this installation, was not in the database any more."
        ),
        ("checkpoint", "signed_at", "events"),
        (),
    ),
}
REFUSALS = {
    kinds.REFUSED: Telling(_refused("enrollment"), ("code",), ("why", "names", "addresses")),
    kinds.RENEWAL_REFUSED: Telling(_refused("renewal"), ("code",), ("why", "names", "addresses")),
}
