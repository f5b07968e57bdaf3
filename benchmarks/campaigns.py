"""What a campaign costs with a fleet of a million: gathering, asking, looking, noting who has moved.

`python -m benchmarks.campaigns [DEVICES]` prints a table, for SQLite in a folder of its own, or for the empty
database that DATABASE_URL names.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from benchmarks import scratch

scratch.set_up()

from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from pki.models import Campaign, CampaignMember, Certificate, Device, Issuer, LastSeen, Profile  # noqa: E402
from pki.services.audit import HATCHERY  # noqa: E402
from pki.services.fleet.sightings import Sighting  # noqa: E402
from pki.services.issuing import authorities  # noqa: E402
from pki.services.rotating import campaigns, members, progress, selection, stepping  # noqa: E402

_DAY = timedelta(days=1)
_BATCH = 5_000
_FLUSH = 500  # sightings that are written together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", type=int, nargs="?", default=1_000_000)
    number = parser.parse_args().devices
    now = timezone.now()
    scratch.begin(now)
    old = Issuer.objects.get(parent__isnull=False)
    new = authorities.make_subordinate("Next CA", authorities.root_of(old), "P-256", HATCHERY, now)
    for start in range(1, number + 1, _BATCH):
        _enroll(range(start, min(start + _BATCH, number + 1)), old, now)
    scratch.analyse()
    print(f"{connection.vendor}; {number:,} devices; in milliseconds")
    _measure(old, new, now)


def _measure(old: Issuer, new: Issuer, now: datetime) -> None:
    chosen = selection.Selection(from_issuer=old)
    _timed("preview of a selection", lambda: selection.preview(chosen, now))
    plan = campaigns.Plan(new, canary_percent=0, window_seconds=7 * 86_400, failures_percent=5)
    campaign = campaigns.draft("all", Campaign.Kind.ISSUER, chosen, plan, HATCHERY, now)
    _timed("start", lambda: campaigns.start(campaign, HATCHERY, now))
    _timed("gathering, one stretch", lambda: campaigns.step(now, patience=0))
    _timed("gathering, the rest", lambda: _step_until(now, lambda: not _is_gathering(campaign)))
    _timed("step that asks a minute's share of 7 days", lambda: campaigns.step(now + timedelta(minutes=1)))
    Campaign.objects.update(window_seconds=0)
    _timed("asking one chunk", lambda: campaigns.step(now + timedelta(minutes=2), patience=0))
    later = now + timedelta(minutes=3)
    _timed("asking the rest", lambda: _step_until(later, lambda: not _waiting(campaign)))
    _timed("step with nothing to ask", lambda: campaigns.step(later + timedelta(minutes=1)))
    _timed("progress.of", lambda: progress.of(campaign, later))
    _timed("laggards, a page of 100", lambda: progress.laggards(campaign, 100))
    _timed(f"{_FLUSH} sightings, none moved", lambda: members.seen(_sightings(Certificate.objects, later)))
    moved = _renewed(new, later)
    _timed(f"{_FLUSH} sightings, all moved", lambda: members.seen(_sightings(moved, later)))
    _timed("pause", lambda: campaigns.pause(campaign, HATCHERY, later))
    _timed("taking back, one chunk", lambda: campaigns.step(later, patience=0))
    _timed("roll back", lambda: campaigns.roll_back(campaign, HATCHERY, later))
    _timed("turning round, one chunk", lambda: campaigns.step(later, patience=0))
    _timed("turning round, the rest", lambda: _step_until(later, lambda: not _is_gathering(campaign)))
    _timed("progress.of, rolling back", lambda: progress.of(campaign, later))


def _timed(what: str, deed: Callable[[], Any]) -> None:
    began = time.perf_counter()
    deed()
    print(f"{what:<46} {(time.perf_counter() - began) * 1000:>10,.1f}", flush=True)


def _step_until(now: datetime, done: Callable[[], bool]) -> None:
    while not done():
        campaigns.step(now, patience=stepping.PATIENCE)


def _is_gathering(campaign: Campaign) -> bool:
    return Campaign.objects.filter(pk=campaign.pk, gathered_up_to__isnull=False).exists()


def _waiting(campaign: Campaign) -> bool:
    return CampaignMember.objects.filter(campaign=campaign, state=CampaignMember.State.WAITING).exists()


def _sightings(certificates: Any, now: datetime) -> list[Sighting]:
    chosen = certificates.exclude(device=None).order_by("pk").values_list("device", "pk")[:_FLUSH]
    return [Sighting(device, pk, now, None, "TLSv1.3") for device, pk in chosen]


def _renewed(issuer: Issuer, now: datetime) -> Any:
    devices = Device.objects.order_by("-pk")[:_FLUSH]
    _certify(devices, issuer, now, 2)
    return Certificate.objects.filter(issuer=issuer)


def _enroll(numbers: Iterable[int], issuer: Issuer, now: datetime) -> None:
    profile = Profile.objects.get(name="device")
    made = Device.objects.bulk_create(
        Device(name=f"device-{number}", profile=profile, created_at=now - _DAY) for number in numbers
    )
    certificates = _certify(made, issuer, now - _DAY, 1)
    LastSeen.objects.bulk_create(
        LastSeen(device=each.device, at=now, tls_version="TLSv1.3", certificate=each) for each in certificates
    )


def _certify(devices: Iterable[Device], issuer: Issuer, now: datetime, turn: int) -> list[Certificate]:
    """What was signed in them is read by nobody here."""
    return Certificate.objects.bulk_create(
        Certificate(
            issuer=issuer,
            serial=f"{turn}{device.pk:031x}",
            fingerprint=f"{turn}{device.pk:063x}",
            profile_id=device.profile_id,
            device=device,
            common_name=device.name,
            spki_sha256=f"{turn}{device.pk:063x}",
            not_before=now,
            not_after=now + 30 * _DAY,
            issued_at=now,
            der=b"\0" * 700,  # about as long as a device's
        )
        for device in devices
    )


if __name__ == "__main__":
    main()
