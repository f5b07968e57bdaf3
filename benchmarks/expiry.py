"""How long the expiry watch takes: `python -m benchmarks.expiry [CERTIFICATES]` (1000000).

A fleet that renews its certificates of 30 days each 22, one device in 100 not any more; then the same after
it has stopped to renew. For SQLite in a folder of its own, or for the empty database that DATABASE_URL names.
"""

import argparse
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from benchmarks import scratch

scratch.set_up()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from pki.models import Certificate, Device, ExpiryMark, Issuer, Notice, Profile  # noqa: E402
from pki.services.telling import expiry  # noqa: E402

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_EACH = 5  # certificates of a device
_RENEWED_AFTER = 22 * _DAY
_LATE_ONE_OF = 100
_BATCH = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificates", type=int, nargs="?", default=1_000_000)
    number = parser.parse_args().certificates
    now = timezone.now()
    scratch.begin(now)
    _fill(number // _EACH, now)
    print(f"{connection.vendor}, {Certificate.objects.count():,} certificates")
    _measure("the first look, which finds all that is late", lambda: expiry.watch(now))
    _measure("the number of those for /metrics", lambda: expiry.not_renewed(now, 30 * _DAY).number)
    _measure("nothing to look at yet", lambda: expiry.watch(now))
    _measure("an hour later, the threshold of a day", lambda: expiry.watch(now + _HOUR))
    _measure("7 hours later, both thresholds", lambda: expiry.watch(now + 8 * _HOUR))
    ExpiryMark.objects.all().delete()
    _measure("20 days without a renewal, all that are late at once", lambda: expiry.watch(now + 20 * _DAY))
    at = now + 20 * _DAY
    _measure("the number of those for /metrics", lambda: expiry.not_renewed(at, 30 * _DAY).number)


def _fill(devices: int, now: datetime) -> None:
    issuer = Issuer.objects.get(parent__isnull=False)
    profile = Profile.objects.get(name="device")
    for start in range(0, devices, _BATCH):
        numbers = range(start, min(start + _BATCH, devices))
        made = Device.objects.bulk_create(
            Device(name=f"device-{number}", profile=profile, created_at=now) for number in numbers
        )
        for place in range(_EACH):
            Certificate.objects.bulk_create(
                _certificate(issuer, profile, device, number * _EACH + place, _issued(number, place, now))
                for device, number in zip(made, numbers, strict=True)
            )
    scratch.analyse()


def _issued(number: int, place: int, now: datetime) -> datetime:
    """When a device got its certificate: the newest within the last 22 days, or 29 if it renews no more."""
    span = 29 if number % _LATE_ONE_OF == 0 else 22
    newest = now - span * _DAY * ((number * 7919 % 100_003) / 100_003)
    return newest - (_EACH - 1 - place) * _RENEWED_AFTER


def _certificate(
    issuer: Issuer, profile: Profile, device: Device, number: int, issued: datetime
) -> Certificate:
    return Certificate(
        issuer=issuer,
        serial=f"{number + 1:x}",
        fingerprint=f"{number:064x}",
        profile=profile,
        device=device,
        common_name=device.name,
        spki_sha256=f"{number:064x}",
        not_before=issued,
        not_after=issued + 30 * _DAY,
        issued_at=issued,
        der=b"x" * 700,  # about as long as a device's
    )


def _measure(what: str, act: Callable[[], int]) -> None:
    before = Notice.objects.count()
    began = time.perf_counter()
    act()
    took = (time.perf_counter() - began) * 1000
    counts = list(Notice.objects.order_by("pk").values_list("count", flat=True)[before:])
    print(f"{took:>9.0f} ms  {what}: {len(counts)} notices of {sum(counts):,}", flush=True)


if __name__ == "__main__":
    main()
