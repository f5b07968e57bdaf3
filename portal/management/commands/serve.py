import logging
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from gunicorn.app.base import BaseApplication

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.services import complaints
from pki.services.node import alone
from portal import first_run, start

log = logging.getLogger("hatchery.start")


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn with `portal/gunicorn_conf.py`, and a word to the newcomer once it listens."""

    def __init__(self, welcome: str) -> None:
        self.welcome = welcome
        super().__init__()

    def load_config(self) -> None:
        from portal import gunicorn_conf

        for name, value in vars(gunicorn_conf).items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        self.cfg.set("when_ready", self.when_ready)

    def when_ready(self, server: Any) -> None:
        if settings.PORTAL_LOG_FORMAT == "json":
            # What reads JSON collects it and keeps it: no password and no token is among these lines.
            log.info("Hatchery is serving. Ctrl-C stops it.")
        else:
            print(self.welcome, flush=True)

    def load(self) -> Any:
        from portal.wsgi import application

        return application


class Command(BaseCommand):
    help = "Migrate, bootstrap, and serve the listeners: all that `make serve` does once it has installed."
    requires_system_checks: list[str] = []  # start.check says it in one sentence

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="no demo device, files and token")

    def handle(self, *args: Any, no_demo: bool, **options: Any) -> None:
        try:
            start.check()
            start.check_ports()
            # A newcomer reads the welcome; what was made is in the audit trail as well.
            logging.getLogger("hatchery.audit").setLevel(logging.WARNING)
            with alone(settings.PORTAL_DATA_DIR):
                call_command("migrate", interactive=False, verbosity=0)
            outcome = first_run.run(with_demo=not no_demo)
        except DatabaseError as error:
            sys.exit(f"Hatchery cannot start. {complaints.reason(error)}")
        except (start.CannotStart, CommandError, Refusal, KeystoreError, OSError) as error:
            sys.exit(f"Hatchery cannot start. {error}")
        logging.getLogger("hatchery.audit").setLevel(logging.INFO)
        # gunicorn would read this command's words as its own.
        sys.argv = sys.argv[:1]
        Server(first_run.welcome(outcome)).run()
