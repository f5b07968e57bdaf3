import ipaddress
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.people import lockout


class Command(ServiceCommand):
    help = "Let who is locked out of the console after wrong passwords try again at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", metavar="NAME", default="", help="this user alone, from any address")
        parser.add_argument("--address", metavar="IP", default="", help="this address alone, for any user")

    def handle(self, *args: Any, user: str, address: str, **options: Any) -> None:
        try:
            address = str(ipaddress.ip_address(address)) if address else ""
        except ValueError as error:
            raise CommandError(f"{address} is not an IP address.") from error
        count = lockout.release(Actor.shell(), timezone.now(), user=user, address=address)
        self.stdout.write("Unlocked." if count else "Nobody was locked out.")
