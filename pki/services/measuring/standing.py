"""How the installation stands, for who watches it: whether it can do its work, and what ends next.

Every query here is bounded, however large the tables are: nothing is counted but the tallies.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet, Sum

from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, Profile, Responder, RevocationList, Tally, TaskRun
from pki.services import complaints
from pki.services.auditing import chain
from pki.services.issuing import dependence, listener_certificates
from pki.services.looking import audit_standing, list_standings, tallies
from pki.services.measuring import writes
from pki.services.telling import expiry

LONGEST_QUERY = "2s"  # in PostgreSQL's words
DATABASE, KEYS, LISTS = "database", "keys", "lists"
# How soon a certificate ends that its device should have renewed.
WITHIN = {"7d": timedelta(days=7), "30d": timedelta(days=30)}


@dataclass(frozen=True)
class Standing:
    """What was seen at a moment."""

    troubles: dict[str, str] = field(default_factory=dict)  # what fails of the three → why, for the log
    ends: dict[str, datetime] = field(default_factory=dict)  # what → when the first of its kind ends
    listeners_end: dict[str, datetime] = field(default_factory=dict)  # listener → when its certificate does
    not_renewed: dict[str, int] = field(
        default_factory=dict
    )  # certificates of devices, by what WITHIN calls it
    maintained_at: datetime | None = None  # when any node last began a task of maintenance
    checkpoint_at: datetime | None = None  # when the last checkpoint of the audit trail was signed
    unsigned: int = 0  # events that were sealed since
    cut_off_at: datetime | None = None  # when the end of the audit trail was missing, if it was lately
    lists_late: int = 0  # issuers whose CRLs are not made anew as they should be
    deeds: dict[str, int] = field(default_factory=dict)  # of the installation, as the dashboard counts them
    devices: dict[str, int] = field(default_factory=dict)  # by state
    connections: dict[str, int] = field(default_factory=dict)  # of PostgreSQL, by state
    connections_limit: int | None = None
    unknown: frozenset[str] = frozenset()  # which of the three could not be looked at

    @classmethod
    def without_database(cls, why: str) -> "Standing":
        return cls(troubles={DATABASE: why}, unknown=frozenset((KEYS, LISTS)))


def look(now: datetime) -> Standing:
    """How everything stands at `now`. Raises nothing: a database that fails is what is told."""
    try:
        with _brief():
            return _look(now)
    except DatabaseError as error:
        return Standing.without_database(complaints.reason(error))


@contextmanager
def _brief() -> Iterator[None]:
    """Have PostgreSQL give up a query that takes long, as behind a lock: who asks waits for the look."""
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [LONGEST_QUERY])
        yield


def _look(now: datetime) -> Standing:
    late = list_standings.standing_still(now)
    refused = [each.name for each in late if each.refused]
    troubles = {
        DATABASE: writes.why_none(),
        KEYS: _why_no_keys(now),
        LISTS: f"CRLs of {', '.join(refused)} are past their next update." if refused else "",
    }
    states, limit = _connections()
    checkpoint, seal, cut_off = chain.last_checkpoint(), chain.last_seal(), audit_standing.cut_off(now)
    shown = listener_certificates.shown(settings.PORTAL_LISTENERS, now)
    return Standing(
        troubles={check: why for check, why in troubles.items() if why},
        ends=_ends(now),
        listeners_end={name: certificate.not_after for name, certificate in shown.items()},
        not_renewed={name: expiry.not_renewed(now, span).number for name, span in WITHIN.items()},
        maintained_at=TaskRun.objects.aggregate(Max("at"))["at__max"],
        checkpoint_at=checkpoint.at if checkpoint else None,
        unsigned=(seal.position if seal else 0) - (checkpoint.count if checkpoint else 0),
        cut_off_at=cut_off.at if cut_off else None,
        lists_late=len(late),
        deeds=_deeds(),
        devices=tallies.devices_by_state(Counter()),
        connections=states,
        connections_limit=limit,
    )


def _why_no_keys(now: datetime) -> str:
    # Those that profiles issue by: a root's key may be elsewhere, and a next issuer's on its way here.
    for issuer in dependence.able_to_sign(now).filter(profiles__isnull=False).distinct():
        try:
            keystore().public_key(issuer.key_reference)  # opened once, then in memory
        except KeystoreError as error:
            return str(error)
    return ""


def _ends(now: datetime) -> dict[str, datetime]:
    # By what has an index: a list is made anew at half of its life, so that the first of one is that of both.
    lists = RevocationList.objects.filter(
        renew_at__isnull=False, next_update__isnull=False, issuer__not_after__gt=now
    )
    answered = Responder.objects.filter(issuer__not_after__gt=now).exclude(
        issuer__state=Issuer.State.COMPROMISED
    )
    # One that ends with its issuer has no successor.
    last = answered.values("issuer").annotate(last=Max("not_after")).filter(last__lt=F("issuer__not_after"))
    found = {
        "issuer": _in_use(now).order_by("not_after").values_list("not_after", flat=True).first(),
        "crl": lists.order_by("renew_at").values_list("next_update", flat=True).first(),
        "ocsp_responder": min((each["last"] for each in last.order_by()), default=None),
    }
    return {what: at for what, at in found.items() if at is not None}


def _in_use(now: datetime) -> QuerySet[Issuer]:
    """The active issuers by which profiles issue, and those that live and have no successor that can sign:
    of the others nobody needs to know when they end.
    """
    issuing = Exists(Profile.objects.filter(issuer=OuterRef("pk")))
    replaced = Exists(dependence.able_to_sign(now).filter(predecessor=OuterRef("pk")))
    active = Issuer.objects.filter(state=Issuer.State.ACTIVE)
    return active.filter(issuing | Q(~replaced, not_after__gt=now))


def _deeds() -> dict[str, int]:
    kept = Tally.objects.filter(kind__in=tallies.DEEDS).values_list("kind").annotate(Sum("count"))
    return dict.fromkeys(tallies.DEEDS, 0) | dict(kept)


def _connections() -> tuple[dict[str, int], int | None]:
    if connection.vendor != "postgresql":
        return {}, None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY state"
        )
        rows = cursor.fetchall()
        cursor.execute("SELECT current_setting('max_connections')")
        (limit,) = cursor.fetchone()
    states = {"active": 0, "idle": 0, "idle in transaction": 0, "other": 0}
    for state, number in rows:
        # Of another role's connections a role without pg_read_all_stats sees that they are there.
        states[state if state in states else "other"] += number
    return states, int(limit)
