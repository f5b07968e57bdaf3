import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db import close_old_connections

from pki.keystore import keystore
from pki.management import arguments
from pki.management.base import ServiceCommand
from pki.services import maintenance

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(ServiceCommand):
    help = (
        "Do the periodic work: renew what is due, warn of what ends, send what is to be told, and so on. "
        "Several nodes may run it at once; “make serve” does it by itself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--every",
            type=arguments.lifetime,
            metavar="TIME",
            help="again and again, with such a pause (60s, 5m, 1h), until SIGTERM or SIGINT; else once",
        )

    def handle(self, *args: Any, every: timedelta | None, **options: Any) -> None:
        # It may make keys at any time, under the passphrase that it has read: nobody changes that meanwhile.
        keystore().hold()
        if every is None:
            if not self._once():
                sys.exit(1)
            return
        with _signals_wait():
            while not _is_to_end(0):
                self._once()
                if _is_to_end(every.total_seconds()):
                    break
        self.stdout.write("Ended.")

    def _once(self) -> bool:
        """Do each task, until a signal waits; whether none failed."""
        close_old_connections()
        good = True
        for outcome in maintenance.run():
            good &= not outcome.failed
            self.stdout.write(f"{outcome.task}: {'failed: ' if outcome.failed else ''}{outcome.said}")
            self.stdout.flush()
            if signal.sigpending() & set(_SIGNALS):
                break
        return good


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Have the signals that end this wait until they are asked for: no task is broken off."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_to_end(seconds: float) -> bool:
    """Whether a signal came, or comes within so many seconds."""
    return signal.sigtimedwait(_SIGNALS, seconds) is not None
