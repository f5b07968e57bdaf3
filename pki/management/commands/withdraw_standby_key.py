from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import pins
from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.trusting import standby_keys


class Command(ServiceCommand):
    help = "Withdraw a key that was made ahead and is lost: its pin leaves the trust bundle."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pin", help="its backup pin as the trust bundle says it, or in hex")
        parser.add_argument("--note", default="", help="why, for the audit trail")

    def handle(self, *args: Any, pin: str, note: str, **options: Any) -> None:
        try:
            digest = pins.from_text(pin)
        except ValueError:
            raise CommandError(f"{pin!r} is no pin; write sha256// and base64, or 64 hex digits.") from None
        key = standby_keys.withdraw(digest, Actor.shell(), timezone.now(), note)
        self.stdout.write(
            f"Withdrew a key for {key.purpose}. Its pin leaves the trust bundle within a minute; devices "
            "that fetch that drop it."
        )
