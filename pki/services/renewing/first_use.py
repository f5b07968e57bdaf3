"""The first use of renewed certificates: from then on, the ones before are not needed any more."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pki.models import Renewal
from pki.services.transactions import writing


def note(shown: Mapping[int, datetime]) -> None:
    """Note that certificates, by their numbers, were shown to us, and when: the ones that they renewed are
    superseded some time after the first time, if the profile of the device says so.
    """
    unused = Renewal.objects.filter(certificate__in=shown, used_at=None)
    found = unused.values_list("pk", "certificate", "device__profile__supersede_after_minutes")
    # In one order, so that two workers that write the same do not deadlock.
    first = sorted(found)
    if not first:
        return
    with writing():
        for number, certificate, minutes in first:
            at = shown[certificate]
            due = None if minutes is None else at + timedelta(minutes=minutes)
            Renewal.objects.filter(pk=number, used_at=None).update(used_at=at, supersede_at=due)
