"""Knocks that administrators have the server make: where they may lead, how often, and on record.

Who may name an address could else have Hatchery feel its way through networks that it alone reaches
(server-side request forgery). In the shell the operator's own account knocks, and nothing is asked.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from pki.core import destinations
from pki.core.errors import Refusal
from pki.core.targets import Target
from pki.models import AuditEvent
from pki.services import audit
from pki.services.audit import Actor
from pki.services.looking import server_inspection
from pki.services.looking.server_inspection import ServerInspection
from pki.services.transactions import writing

SECONDS = 5.0  # for which one knock may hold a thread of the console
MOST = 10  # knocks in SPAN, of all administrators together
SPAN = timedelta(minutes=1)

KIND = "server.probed"


class ProbeRefused(Refusal):
    """Hatchery does not knock there, or not now."""

    code = "probe_refused"


def inspect(
    target: Target, actor: Actor, now: datetime, *, may_look_around: bool, name: str = ""
) -> ServerInspection:
    """Look at a server for an administrator. Raises ProbeRefused.

    Our own listeners are for all who come here. Others are for who `may_look_around`, in the networks of
    PORTAL_DIAGNOSE_NETWORKS.
    """
    is_ours = _is_ours(target)
    if not is_ours:
        _check(may_look_around)
    _count(target, actor, now)

    def judge(addresses: Sequence[str]) -> None:
        for address in addresses:
            if not is_ours and not destinations.is_allowed(address, settings.PORTAL_DIAGNOSE_NETWORKS):
                raise ProbeRefused(
                    f"{target.host} leads to {address}, which is in no network of PORTAL_DIAGNOSE_NETWORKS. "
                    f"In a shell, nothing is in the way of: manage.py diagnose {target}"
                )

    return server_inspection.inspect(target, now, name=name, judge=judge, seconds=SECONDS)


def _is_ours(target: Target) -> bool:
    ports = (
        settings.PORTAL_PORT_HELLO,
        settings.PORTAL_PORT_SECURE,
        settings.PORTAL_PORT_PROVISIONING,
        settings.PORTAL_PORT_CONSOLE,
        settings.PORTAL_PORT_STATUS,
    )
    hosts = {host.lower() for host in settings.PORTAL_HOSTNAMES}
    return target.host in hosts and target.port in ports


def _check(may_look_around: bool) -> None:
    if not settings.PORTAL_DIAGNOSE_NETWORKS:
        raise ProbeRefused(
            "The console looks at Hatchery's own listeners alone. PORTAL_DIAGNOSE_NETWORKS names networks "
            "that it may look at besides; in a shell, nothing is in the way of: manage.py diagnose"
        )
    if not may_look_around:
        raise ProbeRefused(
            "To look at servers beside Hatchery's own listeners, one must be allowed to issue certificates."
        )


def _count(target: Target, actor: Actor, now: datetime) -> None:
    """Put it on record, unless there were too many lately. It counts whether or not anybody is there."""
    with writing():
        lately = AuditEvent.objects.filter(kind=KIND, at__gt=now - SPAN)
        if lately.count() >= MOST:
            raise ProbeRefused(f"{MOST} servers were looked at within a minute. Wait for a minute.")
        audit.record(KIND, actor, now, target=str(target))
