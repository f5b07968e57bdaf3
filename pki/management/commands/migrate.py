import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pki.models import lock_waits

TRIES = 10
PAUSE = 3.0  # seconds between two tries, in which writers that had to wait go on


class Command(migrate.Command):
    # Django's own waits for locks of PostgreSQL without end, and all writers wait behind it.
    help = (
        "Bring the tables up to date, as Django's own command does. On PostgreSQL it waits a moment for a "
        "lock, says who has it, and tries again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.vendor != "postgresql" or connection.in_atomic_block:
            super().handle(*args, **options)
            return
        with lock_waits.short(connection):
            for number in range(1, TRIES + 1):
                if self._was_let(connection, number, *args, **options):
                    return
                time.sleep(PAUSE)

    def _was_let(self, connection: BaseDatabaseWrapper, number: int, *args: Any, **options: Any) -> bool:
        # A migration that was cut off is undone; those before it are done, and not done again.
        try:
            super().handle(*args, **options)
        except OperationalError as error:
            if not lock_waits.is_one(error):
                raise
            why, what_to_do = _told(connection)
            if number == TRIES:
                raise CommandError(f"{why} {what_to_do}") from error
            self.stderr.write(f"{why} Trying again ({number} of {TRIES - 1}).")
            return False
        return True


def _told(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    """Who is waited for, and what to do about it, in a sentence or two each."""
    holders = lock_waits.holders(connection)
    who = "; ".join(words for _, words in holders) or "not to be seen from here (other users' processes)"
    end = f", or end it: SELECT pg_terminate_backend({holders[0][0]});" if holders else "."
    return (
        f"migrate needs the lock of a table and waited {lock_waits.SECONDS} seconds; longer, and others "
        f"would wait behind it. Who holds locks: {who}.",
        "Nothing is half done. Stop all nodes, wait for what else is at work in the database (a backup, "
        f"a query by hand){end} Then run migrate again.",
    )
