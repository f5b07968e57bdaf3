"""What Hatchery's commands have in common."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, DataError

from pki.core import names
from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.services.complaints import why_unusable


class ServiceCommand(BaseCommand):
    """A command that calls services: whatever they refuse is one sentence and an exit status, `failed`."""

    failed = 1
    # Those of the settings (portal.checks). Django's look at the code, and load the console for it.
    requires_system_checks = ["hatchery"]

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except Refusal as refusal:
            # Names of strangers may stand in it, and it goes to a terminal.
            raise CommandError(names.printable(refusal.detail), returncode=self.failed) from refusal
        except KeystoreError as error:
            raise CommandError(str(error), returncode=self.failed) from error
        except DataError as error:
            message = " ".join(str(error).split())
            raise CommandError(
                f"The database does not take what was to be stored ({message}); nothing was stored.",
                returncode=self.failed,
            ) from error
        except DatabaseError as error:
            said = why_unusable(error, "if it is new, run: python manage.py migrate").rstrip(".")
            raise CommandError(said, returncode=self.failed) from error
