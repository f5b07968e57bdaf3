"""`python -m benchmarks.faults.migrations [KILLS] [SEED]`: kill -9 of `migrate`, again and again.

In the empty database of the settings, it makes the tables of the first version, with a few rows, and migrates
from there. The process that migrates is killed somewhere after each of KILLS (10) migrations that the dice
choose. Prints how far each came; ends with 1 unless the last one, which nobody kills, finishes, with all rows
and the triggers that keep them from being changed.
"""

import hashlib
import os
import random
import signal
import sys
import time
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import DatabaseError, connection  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.db.migrations.recorder import MigrationRecorder  # noqa: E402
from django.utils import timezone  # noqa: E402

_FIRST = ("pki", "0001_spine")
_DEVICES = 50
_LOOK_SECONDS = 0.02
_A_MIGRATION_TAKES = 0.05  # seconds


def main(kills: int = 10, seed: int | None = None) -> int:
    seed = seed if seed is not None else random.SystemRandom().randrange(10**9)
    dice = random.Random(seed)
    # Not by the command: after it, today's triggers are made.
    MigrationExecutor(connection).migrate([_FIRST])
    rows = _make_rows()
    every = len(MigrationExecutor(connection).loader.disk_migrations)
    done = _applied()
    print(f"seed {seed}: {done} of {every} migrations are done, {len(rows)} devices are there")
    struck = 0
    for target in sorted(dice.choices(range(done, every), k=kills)):
        # Two processes must not share a connection.
        connection.close()
        pid = _begin()
        struck += _kill_once(pid, target, dice.uniform(0, _A_MIGRATION_TAKES))
        print(f"killed after {_applied()} of {every}")
    connection.close()
    call_command("migrate", verbosity=0, interactive=False)
    whole = _applied() == every and _rows() == rows and _is_kept_from_changes()
    print(f"{struck} kills; " + ("all is done, and every row is there" if whole else "NOT all is there"))
    return 0 if whole else 1


def _begin() -> int:
    pid = os.fork()
    if pid == 0:
        call_command("migrate", verbosity=0, interactive=False)
        os._exit(0)
    return pid


def _kill_once(pid: int, target: int, later: float) -> bool:
    """Whether it was still at work."""
    while _applied() < target and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(_LOOK_SECONDS)
    time.sleep(later)
    connection.close()
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def _applied() -> int:
    return len(MigrationRecorder(connection).applied_migrations())


def _make_rows() -> list[tuple]:
    apps = MigrationExecutor(connection).loader.project_state(_FIRST).apps
    now = timezone.now()
    later = now + timedelta(days=30)
    issuer = apps.get_model("pki", "Issuer").objects.create(
        name="An Issuing CA",
        key_reference="file:issuer-1",
        key_identifier="ab",
        certificate_der=b"no certificate",
        fingerprint="0" * 64,
        not_before=now,
        not_after=later,
        created_at=now,
    )
    profile = apps.get_model("pki", "Profile").objects.create(name="device", issuer=issuer)
    for number in range(_DEVICES):
        device = apps.get_model("pki", "Device").objects.create(
            name=f"door-{number}", subject={"O": "Example"}, created_at=now, profile=profile
        )
        name = hashlib.sha256(device.name.encode()).hexdigest()
        apps.get_model("pki", "Certificate").objects.create(
            serial=name[:32],
            fingerprint=name,
            common_name=device.name,
            spki_sha256=name,
            not_before=now,
            not_after=later,
            issued_at=now,
            der=b"no certificate",
            device=device,
            issuer=issuer,
            profile=profile,
        )
    return _rows()


def _is_kept_from_changes() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE pki_certificate SET serial = 'f'")
    except DatabaseError:
        return True
    return False


def _rows() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.name, d.state, c.serial, c.fingerprint, c.not_after, i.name FROM pki_device d"
            " JOIN pki_certificate c ON c.device_id = d.id JOIN pki_issuer i ON i.id = c.issuer_id"
            " ORDER BY d.name"
        )
        return cursor.fetchall()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
