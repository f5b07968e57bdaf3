"""How long it takes to make a CRL: the query, the building, the signature, the storing.

`python -m benchmarks.crl [ENTRIES ...]` prints a table, for SQLite in a folder of its own, or for the empty
database that DATABASE_URL names.
"""

import argparse
import secrets
import time
from datetime import datetime, timedelta
from itertools import pairwise

from benchmarks import scratch

scratch.set_up()

from cryptography.hazmat.primitives.serialization import Encoding  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from pki.core import crls  # noqa: E402
from pki.keystore import keystore  # noqa: E402
from pki.models import FULL, Certificate, Issuer, Profile, Revocation, RevocationList  # noqa: E402
from pki.services.audit import HATCHERY  # noqa: E402
from pki.services.publishing import publication, revocation_status  # noqa: E402

_DAY = timedelta(days=1)
_BATCH = 5_000
_COLUMNS = ("query", "build", "sign", "making", "storing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", type=int, nargs="*", default=[10_000, 100_000, 250_000])
    sizes = sorted(parser.parse_args().entries)
    scratch.begin(timezone.now())
    issuer = Issuer.objects.get(parent__isnull=False)
    print(f"{connection.vendor}; making is all three and a full list's delta; in milliseconds")
    print(f"{'entries':>8} {'list':<6} {'MB':>6}", *(f"{column:>8}" for column in _COLUMNS))
    made = 0
    for size in sizes:
        _revoke(issuer, made, size, timezone.now())
        made = size
        for shard in (1, FULL):
            _measure(issuer, shard, size)


def _revoke(issuer: Issuer, first: int, last: int, now: datetime) -> None:
    """Certificates of shard 1 that are revoked. What was signed in them is read by no list."""
    profile = Profile.objects.get(name="device")
    reasons = list(Revocation.Reason)
    for start in range(first, last, _BATCH):
        certificates = Certificate.objects.bulk_create(
            Certificate(
                issuer=issuer,
                serial=f"{secrets.randbits(127) + 1:x}",
                fingerprint=f"{number:064x}",
                profile=profile,
                common_name=f"device-{number}",
                spki_sha256=f"{number:064x}",
                not_before=now - _DAY,
                not_after=now + 30 * _DAY,
                issued_at=now - _DAY,
                crl_shard=1,
                der=secrets.token_bytes(700),  # about as long as a device's
            )
            for number in range(start, min(start + _BATCH, last))
        )
        Revocation.objects.bulk_create(
            Revocation(certificate=each, reason=reasons[each.pk % len(reasons)], revoked_at=now)
            for each in certificates
        )
    scratch.analyse()


def _measure(issuer: Issuer, shard: int, size: int) -> None:
    clock = time.perf_counter
    now = timezone.now().replace(microsecond=0)
    moments = [clock()]
    entries = list(revocation_status.entries(issuer, shard, now - _DAY))
    moments.append(clock())
    unsigned = crls.complete(issuer.certificate, crls.Heading(1, now, now + _DAY), entries)
    moments.append(clock())
    keystore().sign(issuer.key_reference, unsigned).public_bytes(Encoding.DER)
    moments.append(clock())
    steps = [(after - before) * 1000 for before, after in pairwise(moments)]

    found = RevocationList.objects.defer("der", "base_der", "delta_der").get(issuer=issuer, shard=shard)
    publication.publish_now([found], HATCHERY, timezone.now())  # the next one has a base of this size
    started = clock()
    publication.publish_now([found], HATCHERY, timezone.now())
    in_all = (clock() - started) * 1000
    found.refresh_from_db(fields=["milliseconds", "entries", "size"])
    if found.entries != size:
        raise SystemExit(f"There are {found.entries} entries on the list, not {size}.")
    columns = [*steps, found.milliseconds, in_all - found.milliseconds]
    name = "shard" if shard else "full"
    print(f"{size:>8} {name:<6} {found.size / 1e6:>6.2f}", *(f"{column:>8.0f}" for column in columns))


if __name__ == "__main__":
    main()
