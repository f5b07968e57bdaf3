"""The first use of renewed certificates: from then on, the ones before are not needed any more."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pki.models import Renewal
from pki.services.transactions import writing

# A device that was to have a new key may have programs that still use the old one for so long.
AFTER_ROTATION = timedelta(hours=1)


def note(shown: Mapping[int, datetime]) -> None:
    """Note that certificates, by their numbers, were shown to us, and when: the ones that they renewed are
    superseded some time after the first time, if the profile of the device says so, or if the device was to
    have a new key.
    """
    unused = Renewal.objects.filter(certificate__in=shown, used_at=None)
    # In one order, so that two workers that write the same do not deadlock.
    first = unused.order_by("pk").values_list(
        "pk",
        "certificate",
        "device__profile__supersede_after_minutes",
        "device__rotation_requested_at",
    )
    if not (found := list(first)):
        return
    with writing():
        for number, certificate, minutes, rotating_since in found:
            after = timedelta(minutes=minutes) if minutes is not None else None
            if after is None and rotating_since is not None:
                after = AFTER_ROTATION
            at = shown[certificate]
            due = None if after is None else at + after
            Renewal.objects.filter(pk=number, used_at=None).update(used_at=at, supersede_at=due)
