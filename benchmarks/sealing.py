"""What proving the audit trail costs: sealing, exporting and checking it, and issuing beside it.

    python -m benchmarks.sealing --events 10000 1000000

CPU is of this process, and for PostgreSQL (DATABASE_URL) not of its server's; memory is the process's largest
before and after each step. The database is gone in the end if it is SQLite.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import scratch

if TYPE_CHECKING:
    from pki.services.audit import Actor

_AT_ONCE = 10_000
_DEVICES = 100
_ISSUED = 300


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, nargs="+", default=[10_000])
    asked = parser.parse_args()
    scratch.set_up()
    from django.utils import timezone

    scratch.begin(timezone.now())
    _warm_up()
    _issuing()
    for events in asked.events:
        _measure(events)


def _warm_up() -> None:
    from django.utils import timezone

    from pki.services.auditing import sealing
    from pki.services.fleet import devices

    for number in range(_DEVICES):
        devices.register(f"device-{number}", devices.default_profile(), _actor(), timezone.now())
    for _ in range(2):
        sealing.seal(timezone.now())


def _actor() -> "Actor":
    from pki.services.audit import Actor

    return Actor("shell:benchmark")


def _fill(events: int) -> None:
    """Events as issuing makes them."""
    from django.utils import timezone

    from pki.models import AuditEvent, Device

    known = list(Device.objects.values_list("pk", flat=True))
    now = timezone.now()
    for first in range(0, events, _AT_ONCE):
        AuditEvent.objects.bulk_create(
            AuditEvent(
                at=now - timedelta(milliseconds=events - number),
                kind="certificate.issued",
                actor=f"device:device-{number % _DEVICES}",
                address="192.0.2.7",
                device_id=known[number % _DEVICES],
                detail={
                    "serial": f"{number:040x}",
                    "profile": "device",
                    "issuer": "Hatchery Issuing CA",
                    "not_after": "2027-05-01T12:00:00+00:00",
                    "sans": [f"DNS:device-{number % _DEVICES}.example"],
                },
            )
            for number in range(first, min(first + _AT_ONCE, events))
        )


def _measure(events: int) -> None:
    from django.utils import timezone

    from pki.core import audit_proof
    from pki.models import AuditSeal, AuditSigner
    from pki.services.auditing import exporting, sealing, signers, verifying

    _fill(events)
    scratch.analyse()
    print(f"\n{events:,} events")
    _timed("sealed", events, lambda: sealing.seal(timezone.now()))
    whole = AuditSeal.objects.count()
    sealing.seal(timezone.now())
    _timed("sealed again, nothing new", 1, lambda: sealing.seal(timezone.now()))
    with tempfile.TemporaryDirectory() as folder:
        export, key = Path(folder) / "export.jsonl", Path(folder) / "audit.pem"
        key.write_text(signers.pem(AuditSigner.objects.get()))

        def write() -> None:
            with export.open("wb") as file:
                file.writelines(exporting.lines(timezone.now()))

        _timed("exported", whole, write)
        print(f"  the export has {export.stat().st_size / 2**20:,.1f} MiB")
        _timed("verified in the database", whole, lambda: verifying.checked([], timezone.now()))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, audit_proof.__file__, str(export), "--public-key", str(key)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        _say("checked by audit_proof.py", whole, after.ru_utime - before.ru_utime, after.ru_maxrss)


def _issuing() -> None:
    """What issuing costs while nobody seals, and with a run of sealing after each tenth certificate."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from django.utils import timezone

    from pki.core import csr
    from pki.models import AuditEvent, Device
    from pki.services.auditing import sealing
    from pki.services.issuing import issuance
    from tests.clients import make_csr

    holders = list(Device.objects.order_by("pk")[:_DEVICES])

    def issue(number: int) -> None:
        holder = holders[number % _DEVICES]
        request = csr.verify(make_csr(holder.name, key=ec.generate_private_key(ec.SECP256R1())))
        at = time.process_time()
        issuance.issue(holder, request, _actor(), timezone.now())
        spent.append(time.process_time() - at)

    for words, each in (("while nobody seals", 0), ("with a sealing after each tenth", 10)):
        spent: list[float] = []
        for number in range(_ISSUED):
            issue(number)
            if each and number % each == 0:
                sealing.seal(timezone.now())
        spent.sort()
        median = spent[_ISSUED // 2] * 1000
        print(f"issuing {words}: median {median:.3f} ms of CPU ({AuditEvent.objects.count():,} events)")


def _timed(what: str, number: int, do: Callable[[], object]) -> None:
    at = time.process_time()
    do()
    _say(what, number, time.process_time() - at, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _say(what: str, number: int, seconds: float, kibibytes: int) -> None:
    each = seconds / number * 1e6
    print(f"  {what}: {seconds:.2f} s of CPU, {each:,.1f} µs each; {kibibytes / 1024:,.0f} MiB at most")


if __name__ == "__main__":
    main()
