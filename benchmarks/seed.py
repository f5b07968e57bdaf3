"""Fill a new installation with a large fleet: `python -m benchmarks.seed [--devices N] [--certificates N]`.

Every row is one that Hatchery makes itself, and every certificate is signed by its issuer. It goes into
`var/seeded` (PORTAL_DATA_DIR says otherwise), or into the empty database that DATABASE_URL names.
"""

import argparse
import gc
import multiprocessing
import os
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

_DEFAULT_FOLDER = "var/seeded"
_MARK = "seeding"  # a file in the data directory while the seeding is not finished
_CHUNK = 2_000  # steps of the story that are one transaction
_REFUSED, _WAITING = 5_000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=100_000, help="(100000)")
    parser.add_argument("--certificates", type=int, default=1_000_000, help="of devices (1000000)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="that sign")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (1)")
    options = parser.parse_args()
    if options.devices < 1 or options.certificates < 0 or options.processes < 1:
        parser.error("there must be at least one device and one process")
    os.umask(0o077)
    os.environ.setdefault("PORTAL_DATA_DIR", _DEFAULT_FOLDER)
    os.environ.setdefault("DATABASE_URL", "")  # what .env names is in use
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"

    import django

    django.setup()
    folder = _new_installation()
    started = time.monotonic()
    _seed(options)
    (folder / _MARK).unlink()
    print(f"Seeded in {time.monotonic() - started:.0f} s. Look at it with:")
    print(f"  PORTAL_DATA_DIR={os.environ['PORTAL_DATA_DIR']} make serve")


def _new_installation() -> Path:
    """Migrate and bootstrap; ends the program unless there is nothing yet."""
    import logging

    from django.conf import settings
    from django.core.management import call_command

    from pki.models import Device
    from portal import first_run

    folder: Path = settings.PORTAL_DATA_DIR
    if (folder / _MARK).exists():
        sys.exit(f"A seeding of {folder} was not finished: remove the folder (or empty the database) first.")
    call_command("migrate", interactive=False, verbosity=0)
    if Device.objects.exists():
        sys.exit("There are devices in this database already; seed a new one, or remove the folder first.")
    (folder / _MARK).touch()
    logging.getLogger("hatchery").setLevel(logging.ERROR)
    first_run.run(with_demo=False)
    return folder


def _seed(options: argparse.Namespace) -> None:
    from django.db import connection
    from tqdm import tqdm

    from benchmarks import fleet
    from benchmarks.rows import Writer
    from benchmarks.signing import Signer
    from pki.services import maintenance
    from pki.services.looking import tallies

    now = int(time.time())
    chance = random.Random(options.seed)  # noqa: S311  dice, no secret
    with tqdm(total=1, desc="planning", unit="step") as bar:
        members = fleet.members(options.devices, options.certificates, now, chance)
        steps = fleet.story(members, now, _REFUSED, _WAITING, chance)
        bar.update()
    chunks = [steps[start : start + _CHUNK] for start in range(0, len(steps), _CHUNK)]
    writer = Writer(members, datetime.fromtimestamp(now, UTC), chance)
    writer.prepare()
    signer = Signer(members, writer.profiles)
    gc.freeze()  # the story is large, and stays
    # What a process was given at the fork it has in memory; a connection it must not share.
    connection.close()
    with multiprocessing.get_context("fork").Pool(options.processes, signer.start) as pool:
        _speed_up_sqlite()
        with tqdm(total=len(steps), desc="seeding", unit="step", unit_scale=True) as bar:
            for chunk, signed in zip(chunks, pool.imap(signer.sign_chunk, chunks), strict=True):
                writer.write(chunk, signed)
                bar.update(len(chunk))
    writer.finish()
    with tqdm(desc="tallying", unit="event", unit_scale=True) as bar:
        settled = datetime.fromtimestamp(now, UTC) + 2 * tallies.SETTLED
        while tallied := tallies.roll_up(settled):
            bar.update(tallied)
    with tqdm(total=len(maintenance.tasks()), desc="maintaining", unit="task") as bar:
        # Events are sealed and told of within a minute; else the first server over this had minutes of it.
        for outcome in maintenance.run():
            if outcome.failed:
                sys.exit(f"{outcome.task}: {outcome.said}")
            bar.update()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # What autovacuum does within a minute or two.
            cursor.execute("VACUUM ANALYZE")


def _speed_up_sqlite() -> None:
    from django.db import connection

    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # Nobody mourns a seeding that a power cut ended.
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA cache_size = -1000000")


if __name__ == "__main__":
    main()
