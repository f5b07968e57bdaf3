from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management import arguments
from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.fleet import devices
from pki.services.revoking import revocation


class Command(ServiceCommand):
    help = "Lift the hold of a certificate, or of all of a device that are on hold: they are good again."

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_certificates(parser)
        parser.add_argument("--note", default="", help="why, for the audit trail")

    def handle(self, *args: Any, serial: str | None, device: str | None, note: str, **options: Any) -> None:
        if serial is not None:
            certificates = [revocation.find_by_serial(serial)]
        else:
            certificates = list(revocation.in_short(revocation.on_hold(devices.find(device or ""))))
            if not certificates:
                raise CommandError(f"The device {device} has no certificate on hold.")
        revocation.lift(certificates, Actor.shell(), timezone.now(), note)
        for each in certificates:
            self.stdout.write(f"Lifted the hold of {each.serial} of {each.common_name}.")
