from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from portal import first_run, start


class Command(BaseCommand):
    help = (
        "Make what a new installation needs: issuers, profiles, the listeners' certificates and an "
        "administrator. What is there already is left alone."
    )

    requires_system_checks: list[str] = []  # start.check says it in one sentence

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="no demo device, files and token")

    def handle(self, *args: Any, no_demo: bool, **options: Any) -> None:
        try:
            start.check()
            start.check_database()
            outcome = first_run.run(with_demo=not no_demo)
        except (start.CannotStart, Refusal, KeystoreError, OSError) as error:
            raise CommandError(str(error)) from error
        for issuer in outcome.made.issuers:
            self.stdout.write(f"Made the issuer “{issuer}”.")
        if outcome.made.administrator:
            self.stdout.write("Made the administrator “admin”.")
        if outcome.token:
            self.stdout.write(f"One-time token: {outcome.token}")
        if not (outcome.made.issuers or outcome.made.administrator):
            self.stdout.write("Everything is there already.")
